"""When a query reads from the replica of its mirror's database.

Where it may be: outside of transactions, and until the same request or `use_mirror`
block has written something, which a replica may not have yet. A command on its main
thread, which is in no block, never does.
"""

from typing import Any

from django.db import connections

from django_mirrors.context import Frame, find_frame
from django_mirrors.mirror import Mirror

__all__ = ["find_replica", "note_write"]


def find_replica() -> Any:
    """Return the connection to the current mirror's replica, or None.

    None also if it does not answer: then the database itself is read.
    """
    frame = find_frame()
    if frame is None or frame.mirror is None or frame.crossing or _has_written(frame):
        return None
    handler: Any = connections
    database = handler[frame.mirror.alias]
    if database.in_atomic_block or not database.get_autocommit():
        return None
    return handler.find_replica(frame.mirror.alias)


def note_write() -> None:
    """Let what the current mirror reads from now on be what it wrote."""
    frame = find_frame()
    if frame is None or frame.mirror is None or frame.mirror.replica is None:
        return
    mirror = frame.mirror
    while frame is not None and _is_of(frame, mirror):
        frame.has_written = True
        frame = frame.previous


def _has_written(frame: Frame | None) -> bool:
    """Whether this block or one around it has written to the same mirror."""
    mirror = frame.mirror if frame is not None else None
    while frame is not None and mirror is not None and _is_of(frame, mirror):
        if frame.has_written:
            return True
        frame = frame.previous
    return False


def _is_of(frame: Frame, mirror: Mirror) -> bool:
    return frame.mirror is not None and frame.mirror.name == mirror.name
