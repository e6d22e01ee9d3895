"""Copy and remove the files of storages, a piece at a time."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass
from hashlib import sha256
from io import RawIOBase
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

from django.core.exceptions import SuspiciousFileOperation
from django.core.files import File
from django.core.files.storage import Storage

from django_mirrors.exceptions import OperationFailed

__all__ = [
    "CHUNK_BYTES",
    "Digester",
    "MediaFile",
    "bound_memory",
    "copy_files",
    "delete_files",
    "ignore_file",
    "iter_files",
    "save_file",
]

logger = logging.getLogger("django_mirrors.operations")

CHUNK_BYTES = 1024 * 1024
_AT_ONCE = 1000

OnFile = Callable[["MediaFile"], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFile:
    """One file of a storage."""

    name: str
    size: int  # bytes


class Digester(RawIOBase):
    """A file that is read once, from begin to end: digests and counts what passes."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self._sha256 = sha256()
        self.passed = 0  # bytes

    def readable(self) -> bool:
        """Whether it can be read, which is all it can."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes; by `readinto` they would be in memory three times."""
        if size < 0:
            return self.readall()
        data = self._file.read(size)
        self._sha256.update(data)
        self.passed += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes into `buffer`; return how many."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    @property
    def digest(self) -> str:
        """The SHA-256 of what was read, in hexadecimal digits."""
        return self._sha256.hexdigest()


def bound_memory(storage: Storage) -> Storage:
    """Return a storage that holds one part of a file in memory, and not ten.

    For S3, whose threads would also leave memory that is free and not given back.
    """
    transfer = getattr(storage, "transfer_config", None)
    if transfer is None:
        return storage
    bounded: Any = copy(storage)  # what others do with it stays as it is
    bounded.transfer_config = copy(transfer)
    bounded.transfer_config.use_threads = False
    return cast(Storage, bounded)


def ignore_file(file: MediaFile) -> None:
    """Do nothing: for who does not want to know of each file."""


def iter_files(storage: Storage) -> Iterator[MediaFile]:
    """Yield every file of `storage`, ordered by folder.

    What the storage itself refuses to read, such as links that lead out of it, is left
    out and logged.
    """
    return _iter_folder(storage, "", frozenset())


def copy_files(source: Storage, target: Storage, *, on_file: OnFile) -> None:
    """Copy every file that `target` does not have yet, under its own name.

    A file that a killed copy left in part is copied again. Raises `OperationFailed`.
    """
    for file in iter_files(source):
        if not _is_copied(file, source, target):
            with source.open(file.name, "rb") as opened:
                save_file(target, file.name, opened)
        on_file(file)


def save_file(target: Storage, name: str, content: IO[Any]) -> None:
    """Save `content` as the file `name`, in place of one that is there.

    Raises `OperationFailed` if the storage gives it another name.
    """
    with _explaining(name, "copied"):
        if target.exists(name):
            target.delete(name)
        saved = target.save(name, File(cast(IO[bytes], Digester(content)), name=name))
    if saved != name:
        target.delete(saved)
        raise OperationFailed(
            f"The file '{name}' cannot be copied: the target storage would call it "
            f"'{saved}'. Rename the file, or use another storage."
        )


def delete_files(storage: Storage, *, on_file: OnFile) -> None:
    """Delete every file of `storage`, and the folders that are empty then, its own too.

    Raises `OperationFailed` if a file stays.
    """
    previous: set[str] = set()
    # A storage may list a folder in pages, which deleting would shift.
    while files := tuple(islice(iter_files(storage), _AT_ONCE)):
        names = {file.name for file in files}
        if names & previous:
            raise OperationFailed(
                f"The file '{min(names & previous)}' was deleted and is still there. "
                "Remove it by hand, then run the command again."
            )
        for file in files:
            with _explaining(file.name, "deleted"):
                storage.delete(file.name)
            on_file(file)
        previous = names
    _delete_folders(storage, "")
    location = getattr(storage, "location", None)
    with suppress(OSError, NotImplementedError):
        if location and storage.path("x"):  # a directory, not a prefix of keys
            Path(location).rmdir()


@contextmanager
def _explaining(name: str, done: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        problem = error.strerror or type(error).__name__
        raise OperationFailed(
            f"The file '{name}' cannot be {done}: {problem}. See that its "
            "directory is writable and has room, then run the command again."
        ) from error


def _iter_folder(
    storage: Storage, folder: str, above: frozenset[str]
) -> Iterator[MediaFile]:
    place = _find_place(storage, folder)
    if place in above:
        return  # a link to a folder that holds it
    try:
        folders, names = storage.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in sorted(filter(None, names)):
        path = f"{folder}/{name}" if folder else name
        try:
            yield MediaFile(name=path, size=storage.size(path))
        except FileNotFoundError:
            continue  # deleted meanwhile
        except SuspiciousFileOperation as error:
            logger.warning("The file '%s' is left out: %s", path, error)
    within = above | {place} if place else above
    for name in sorted(filter(None, folders)):
        path = f"{folder}/{name}" if folder else name
        yield from _iter_folder(storage, path, within)


def _find_place(storage: Storage, folder: str) -> str:
    """Return the real path of a folder on a file system, else ''."""
    try:
        return os.path.realpath(storage.path(folder)) if folder else ""
    except (NotImplementedError, SuspiciousFileOperation, AttributeError):
        return ""


def _is_copied(file: MediaFile, source: Storage, target: Storage) -> bool:
    if not target.exists(file.name) or target.size(file.name) != file.size:
        return False
    try:
        copied = target.get_modified_time(file.name)
        return copied >= source.get_modified_time(file.name)
    except NotImplementedError:
        return False


def _delete_folders(storage: Storage, folder: str) -> None:
    # Object stores have none: there is nothing left to list.
    with suppress(FileNotFoundError, NotADirectoryError):
        for name in storage.listdir(folder)[0]:
            path = f"{folder}/{name}" if folder else name
            _delete_folders(storage, path)
            with suppress(OSError):
                storage.delete(path)
