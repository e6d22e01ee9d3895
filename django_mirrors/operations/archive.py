"""One file that holds a mirror: what it is, its database and its media.

A tar archive, written and read in one pass. Its members are `manifest.json`,
`database` (the engine's own dump), `media/<alias>/<name>`, and at the end
`checksums.json`, without which an archive is not complete.
"""

import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import IO, Any, NamedTuple, cast
from uuid import uuid4

from django_mirrors.exceptions import OperationFailed
from django_mirrors.operations.databases.files import lock_file
from django_mirrors.operations.media import CHUNK_BYTES, Digester

__all__ = [
    "DATABASE_MEMBER",
    "MEDIA_PREFIX",
    "ArchiveReader",
    "ArchiveWriter",
    "read_archive",
    "remove_drafts",
    "write_archive",
]

FORMAT = 1
MANIFEST_MEMBER = "manifest.json"
CHECKSUMS_MEMBER = "checksums.json"
DATABASE_MEMBER = "database"
MEDIA_PREFIX = "media/"
_MAX_DESCRIPTION_BYTES = 256 * 1024 * 1024  # of the members that are read whole
_MODE = 0o600
_DRAFT = ".archive.draft"


class Checksum(NamedTuple):
    """What tells that a member is as it was written."""

    size: int  # bytes
    sha256: str


class ArchiveWriter:
    """Adds members to an archive that is being written."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self.checksums: dict[str, Checksum] = {}

    def add(self, name: str, content: IO[bytes], *, size: int) -> None:
        """Add one member of exactly `size` bytes. Raises `OperationFailed`."""
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, _MODE
        digester = Digester(content)
        try:
            self._tar.addfile(info, digester)
        except OSError as error:
            if digester.passed == size or error.errno is not None:
                raise
            raise OperationFailed(
                f"'{name}' became shorter while it was read. Run the command again."
            ) from error
        self.checksums[name] = Checksum(size, digester.digest)

    def add_json(self, name: str, value: Any) -> None:
        """Add one member that holds `value`."""
        data = json.dumps(value, indent=1, sort_keys=True).encode()
        self.add(name, BytesIO(data), size=len(data))


class ArchiveReader:
    """The members of an archive, in the order they were written."""

    def __init__(self, tar: tarfile.TarFile, place: str) -> None:
        self._tar = tar
        self._place = place
        self._seen: dict[str, Checksum] = {}
        self.manifest = self._read_manifest()

    def iter_members(self) -> Iterator[tuple[str, int, IO[bytes]]]:
        """Yield name, size and content of each member after the manifest.

        Ends well only if the archive is complete and each member is what was written:
        raises `OperationFailed` else. Content that is not read is skipped, and checked.
        """
        while True:
            name, size, content = self._next()
            if name == CHECKSUMS_MEMBER:
                self._check(content, size)
                return
            digester = Digester(content)
            yield name, size, cast(IO[bytes], digester)
            while digester.read(CHUNK_BYTES):
                pass
            self._seen[name] = Checksum(digester.passed, digester.digest)

    def _read_manifest(self) -> Mapping[str, Any]:
        name, size, content = self._next()
        if name != MANIFEST_MEMBER:
            raise self._build_error("it does not begin with a manifest")
        digester = Digester(content)
        manifest = self._load(cast(IO[bytes], digester), size)
        self._seen[name] = Checksum(digester.passed, digester.digest)
        if manifest.get("format") != FORMAT:
            raise self._build_error(
                f"its format is {manifest.get('format')!r}, and this release reads "
                f"{FORMAT}"
            )
        return manifest

    def _next(self) -> tuple[str, int, IO[bytes]]:
        try:
            info = self._tar.next()
            content = None if info is None else self._tar.extractfile(info)
        except (tarfile.TarError, EOFError) as error:
            raise self._build_error("it is damaged") from error
        if info is None or content is None:
            raise self._build_error("it is not complete")
        return info.name, info.size, content

    def _check(self, content: IO[bytes], size: int) -> None:
        told = {
            name: Checksum(*item) for name, item in self._load(content, size).items()
        }
        if told != self._seen:
            wrong = sorted(
                name
                for name in told.keys() | self._seen.keys()
                if told.get(name) != self._seen.get(name)
            )
            raise self._build_error(f"'{wrong[0]}' is not what was written")

    def _load(self, content: IO[bytes], size: int) -> dict[str, Any]:
        if size > _MAX_DESCRIPTION_BYTES:
            raise self._build_error("its description is too long")
        try:
            value = json.loads(content.read(size))
        except (ValueError, tarfile.TarError) as error:
            raise self._build_error("its description cannot be read") from error
        if not isinstance(value, dict):
            raise self._build_error("its description cannot be read")
        return value

    def _build_error(self, problem: str) -> OperationFailed:
        return OperationFailed(
            f"The archive '{self._place}' cannot be used: {problem}. Take another copy "
            "of it."
        )


@contextmanager
def write_archive(path: Path, manifest: Mapping[str, Any]) -> Iterator[ArchiveWriter]:
    """Give a block the writer of a new archive, which appears whole when it ends.

    Only its owner can read it. Raises `OperationFailed` if there is such a file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_drafts(path.parent)
    draft = path.with_name(f".{uuid4().hex}{_DRAFT}")
    try:
        with os.fdopen(
            os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE), "wb"
        ) as file:
            lock_file(file.fileno())
            with tarfile.open(fileobj=file, mode="w|", bufsize=CHUNK_BYTES) as tar:
                writer = ArchiveWriter(tar)
                writer.add_json(MANIFEST_MEMBER, {"format": FORMAT, **manifest})
                yield writer
                writer.add_json(CHECKSUMS_MEMBER, dict(writer.checksums))
            file.flush()
            os.fsync(file.fileno())
        _appear(draft, path)
    finally:
        with suppress(OSError):
            draft.unlink()


def remove_drafts(directory: Path) -> None:
    """Remove the archives that killed processes began to write there."""
    for draft in directory.glob(f".*{_DRAFT}"):
        with suppress(OSError), draft.open("rb") as file:
            if lock_file(file.fileno()):
                draft.unlink()


@contextmanager
def read_archive(file: IO[bytes], *, place: str) -> Iterator[ArchiveReader]:
    """Give a block the reader of an archive. Raises `OperationFailed`."""
    try:
        with tarfile.open(fileobj=file, mode="r|", bufsize=CHUNK_BYTES) as tar:
            yield ArchiveReader(tar, place)
    except (tarfile.TarError, EOFError) as error:
        raise OperationFailed(
            f"The archive '{place}' cannot be used: it is damaged. Take another copy "
            "of it."
        ) from error


def _appear(draft: Path, path: Path) -> None:
    try:
        path.hardlink_to(draft)  # unlike a rename, never over another file
    except FileExistsError:
        raise OperationFailed(
            f"The file '{path}' is there already and is not overwritten. Name another "
            "file."
        ) from None
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
