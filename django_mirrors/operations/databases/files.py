"""Files that appear whole or not at all, and never in the place of another one."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from uuid import uuid4

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from django_mirrors.exceptions import MirrorExists, OperationFailed

__all__ = [
    "is_placeholder",
    "link_file",
    "lock_file",
    "remove_partials",
    "use_new_file",
]

_NO_LINKS = frozenset(
    {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
)

_PLACEHOLDER = b"This name is taken by django_mirrors for a database.\n"


@contextmanager
def use_new_file(path: Path, *, mode: int) -> Iterator[Path]:
    """Yield the path of an empty file that becomes `path` after the block.

    Raises `MirrorExists` if `path` is there, at the latest when the file is whole, and
    `OperationFailed` if it cannot be written. A killed process leaves a file that
    `remove_partials` finds.
    """
    _refuse_existing(path)
    with _explaining(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_partials(path)
        partial = path.with_name(f"{_build_prefix(path)}{uuid4().hex}.partial")
        file = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        try:
            try:
                lock_file(file)
                yield partial
                os.fsync(file)
            finally:
                # Before others can open it: SQLite's locks of a file end in this whole
                # process when one who opened it closes it.
                os.close(file)
            _publish(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def link_file(file: Path, path: Path) -> bool:
    """Give a whole file the name `path` too; return whether the file system can.

    Unlike a copy it leaves nothing else if the process is killed.
    """
    _refuse_existing(path)
    with _explaining(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sync(file)
        try:
            path.hardlink_to(file)
        except FileExistsError:
            _refuse_existing(path)
            raise
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return False
        _sync_directory(path.parent)
        return True


def is_placeholder(path: Path) -> bool:
    """Whether a killed process left the name alone, on a file system without links."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_PLACEHOLDER)) == _PLACEHOLDER


def remove_partials(path: Path) -> None:
    """Remove what killed processes left of making `path`."""
    if not path.parent.is_dir():
        return
    for partial in path.parent.glob(f"{_build_prefix(path)}*.partial*"):
        with suppress(FileNotFoundError):
            if not _is_locked(partial):
                partial.unlink()


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OperationFailed(
            f"The file '{path}' cannot be written: {error.strerror}. Make room and its "
            "directory writable, or name another one."
        ) from error


def _build_prefix(path: Path) -> str:
    # Not the name itself, which may be as long as a name can be.
    return f".{blake2b(os.fsencode(path.name), digest_size=8).hexdigest()}-"


def _publish(partial: Path, path: Path) -> None:
    try:
        path.hardlink_to(partial)
    except FileExistsError:
        _refuse_existing(path)
        raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A file system without links: the name is taken first, and then replaced.
        with path.open("xb") as file:
            file.write(_PLACEHOLDER)
        partial.replace(path)
    _sync_directory(path.parent)


def _refuse_existing(path: Path) -> None:
    if os.path.lexists(path):
        raise MirrorExists(
            f"The file '{path}' is there already. Remove it, or name another one."
        )


def _sync_directory(path: Path) -> None:
    if os.name != "nt":
        _sync(path)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def lock_file(file: int) -> bool:
    """Lock an open file until it is closed, be it by a kill; return whether it is."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_locked(path: Path) -> bool:
    """Whether a process that runs is still making the file."""
    file = os.open(path, os.O_RDONLY)
    try:
        return not lock_file(file)
    finally:
        os.close(file)
