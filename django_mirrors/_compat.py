"""Every use of a private or version-dependent Django name, one function for each."""

import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

from django.core.management import ManagementUtility
from django.db import connections

# BaseDatabaseWrapper.atomic_blocks is not documented. Django 3.2 to 6.1 have it.


def count_atomic_blocks(alias: str) -> int:
    """Return how many atomic blocks are open in this thread's connection to `alias`."""
    connection = find_open_connection(alias)
    return 0 if connection is None else len(connection.atomic_blocks)


def abort_transaction(alias: str) -> None:
    """Roll back what is open in this thread's connection to `alias`, by closing it."""
    connection = find_open_connection(alias)
    if connection is not None:
        connection.close()


def find_open_connection(alias: str) -> Any:
    """Return this thread's connection object of `alias`, or None; never make one.

    BaseConnectionHandler._connections is the thread's store of them (Django 3.2 to 6.1).
    """
    return getattr(connections._connections, alias, None)  # type: ignore[attr-defined]


def find_command_arguments() -> Sequence[str] | None:
    """Return the arguments of the management command that starts this process, or None.

    No documented name tells that a process was started by `manage.py`, under
    whatever name; the frame of ManagementUtility.execute() does.
    """
    code = ManagementUtility.execute.__code__
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code is code:
            arguments: Sequence[str] = frame.f_locals["self"].argv
            return arguments
        frame = frame.f_back
    return None
