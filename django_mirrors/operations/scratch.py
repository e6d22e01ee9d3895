"""Directories for what is written apart, which are not left by killed processes."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django_mirrors.exceptions import OperationFailed
from django_mirrors.operations.databases.files import lock_file

__all__ = ["remove_scratch", "use_scratch_directory"]

_PREFIX = "django-mirrors-scratch-"


@contextmanager
def use_scratch_directory() -> Iterator[Path]:
    """Give a block an empty directory that nobody else can read."""
    if os.name == "nt":  # where directories cannot be locked
        with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
            yield Path(name)
        return
    remove_scratch()
    path, lock = _make()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def remove_scratch() -> None:
    """Remove the directories of processes that were killed: they hold data."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            _remove(path)


def _make() -> tuple[Path, int]:
    while True:
        try:
            path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        except OSError as error:
            raise OperationFailed(
                f"The directory '{tempfile.gettempdir()}' cannot be written: "
                f"{error.strerror}. Make room there, or let TMPDIR name another one."
            ) from error
        lock = os.open(path, os.O_RDONLY)
        # Before it was locked, another process may have taken it for one that is left.
        if lock_file(lock) and path.exists():
            return path, lock
        os.close(lock)


def _remove(path: Path) -> None:
    # In a directory that all can write to, links lead anywhere.
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(lock).st_uid == os.getuid() and lock_file(lock):
            shutil.rmtree(path)
    finally:
        os.close(lock)
