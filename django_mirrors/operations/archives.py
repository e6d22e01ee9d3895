"""Where archives are kept: `MIRRORS_OPTIONS["ARCHIVES"]`, or a file that is named."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from django.core.exceptions import SuspiciousFileOperation
from django.core.files import File
from django.core.files.storage import Storage, storages

from django_mirrors.conf import get_conf
from django_mirrors.dsn import build_storage
from django_mirrors.exceptions import OperationFailed
from django_mirrors.operations.archive import (
    ArchiveReader,
    ArchiveWriter,
    read_archive,
    remove_drafts,
    write_archive,
)
from django_mirrors.operations.media import bound_memory
from django_mirrors.operations.scratch import remove_scratch, use_scratch_directory

__all__ = [
    "build_place",
    "find_archive",
    "keep_archive",
    "open_archive",
    "remove_left",
    "verify_archive",
    "write_file",
]

Fill = Callable[[ArchiveWriter], None]


def keep_archive(name: str, manifest: Mapping[str, Any], fill: Fill) -> str:
    """Write the archive `name` into ARCHIVES and return its place.

    It appears whole or not at all, and never in place of another.
    """
    storage = _build_storage()
    path = _find_path(storage, name)
    if path is not None:
        return write_file(path, manifest, fill)
    if storage.exists(name):
        raise OperationFailed(
            f"The archive '{name}' is there already and is not overwritten. Name "
            "another file."
        )
    with use_scratch_directory() as directory:
        draft = directory / "archive"
        write_file(draft, manifest, fill)
        with draft.open("rb") as file:
            return storage.save(name, File(file))


def build_place(name: str) -> str:
    """Return the place that `keep_archive` gives to the archive `name`."""
    path = _find_path(_build_storage(), name)
    return name if path is None else str(path.absolute())


def remove_left(place: str) -> None:
    """Remove what a process left that was killed when it had the archive at `place`."""
    remove_scratch()
    path = Path(place)
    if path.is_absolute():
        remove_drafts(path.parent)


def write_file(path: Path, manifest: Mapping[str, Any], fill: Fill) -> str:
    """Write an archive as the file `path` and return its absolute path."""
    try:
        with write_archive(path, manifest) as writer:
            fill(writer)
    except OSError as error:
        raise OperationFailed(
            f"The archive '{path}' cannot be written: {os.strerror(error.errno or 0)}. "
            "Make room for it, or name another place. Nothing of it is left."
        ) from error
    return str(path.absolute())


def find_archive(place: str) -> str:
    """Return `place` so that it can be read from any directory.

    Raises `OperationFailed` if there is no such archive.
    """
    path = Path(place)
    if path.is_file():
        return str(path.absolute())
    storage = _build_storage()
    try:
        if storage.exists(place):
            return place
    except SuspiciousFileOperation:
        pass
    raise OperationFailed(
        f"There is no archive '{place}', neither as a file nor in "
        "MIRRORS_OPTIONS['ARCHIVES']. Correct its name."
    )


@contextmanager
def open_archive(place: str) -> Iterator[ArchiveReader]:
    """Give a block the reader of the archive at `place`. Raises `OperationFailed`."""
    place = find_archive(place)
    with _open(place) as file, read_archive(file, place=place) as reader:
        yield reader


def verify_archive(place: str) -> Mapping[str, Any]:
    """Read the archive at `place` to its end and return its manifest.

    Raises `OperationFailed` if it is not complete, or not as it was written.
    """
    with open_archive(place) as reader:
        for _ in reader.iter_members():
            pass
        return reader.manifest


def _open(place: str) -> IO[bytes]:
    path = Path(place)
    try:
        if path.is_absolute():
            return path.open("rb")
        opened: IO[bytes] = _build_storage().open(place, "rb")
    except OSError as error:
        raise OperationFailed(
            f"The archive '{place}' cannot be read: {type(error).__name__}. See that "
            "it is there and readable."
        ) from error
    return opened


def _build_storage() -> Storage:
    place = "MIRRORS_OPTIONS['ARCHIVES']"
    config = build_storage(get_conf().archives, place=place)
    return bound_memory(storages.create_storage(config))


def _find_path(storage: Storage, name: str) -> Path | None:
    try:
        return Path(storage.path(name))
    except NotImplementedError:
        return None
