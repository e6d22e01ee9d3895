"""A file system storage that cannot be left, by names or by links."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import ELOOP
from pathlib import Path
from stat import S_ISDIR
from typing import Any, NamedTuple

from django.core.exceptions import SuspiciousFileOperation
from django.core.files import File, locks
from django.core.files.storage import FileSystemStorage

from django_mirrors.storage.names import check_name, is_too_long

__all__ = ["MirrorFileSystemStorage"]

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_DIRECTORY = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _NO_FOLLOW
_CREATE = os.O_WRONLY | os.O_CREAT | _NO_FOLLOW | getattr(os, "O_BINARY", 0)
# Windows cannot work relative to an open directory; links need a privilege there.
_CAN_ENTER = {os.open, os.mkdir, os.stat, os.unlink, os.rmdir} <= os.supports_dir_fd


class _Place(NamedTuple):
    """Where a name leads when its links are resolved."""

    root: str
    parents: tuple[str, ...]
    last: str


class MirrorFileSystemStorage(FileSystemStorage):
    """Keeps files below its root, whatever their names and whatever links lie there.

    Links are followed while they stay below the root. Files are reached directory by
    directory without following any, so that a link put in place during the call does
    not lead out either; `path()`, sizes and times are checked only beforehand. Raises
    `SuspiciousFileOperation`.
    """

    def path(self, name: str) -> str:
        """Return the absolute path of `name`."""
        self._resolve(name)
        return super().path(name)

    def url(self, name: str | None) -> str:
        """Return the URL of `name`, below `base_url`."""
        return super().url(check_name(name or ""))

    def exists(self, name: str) -> bool:
        """Whether the name is taken, be it by a link that leads nowhere."""
        if is_too_long(check_name(name)):
            return False
        place = self._resolve(name, follow=False)
        try:
            with self._enter(place) as (target, directory):
                os.stat(target, dir_fd=directory, follow_symlinks=False)
        except OSError:
            return False
        return True

    def delete(self, name: str) -> None:
        """Delete a file, an empty directory, or a link instead of what it leads to."""
        if not name:
            raise ValueError("The name must be given to delete().")
        place = self._resolve(name, follow=False)
        with suppress(FileNotFoundError), self._enter(place) as (target, directory):
            info = os.stat(target, dir_fd=directory, follow_symlinks=False)
            if S_ISDIR(info.st_mode):
                os.rmdir(target, dir_fd=directory)
            else:
                os.unlink(target, dir_fd=directory)

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """Return the names of the directories and of the files in `path`."""
        if path in {"", "."}:
            place = _Place(os.path.realpath(self.location), (), ".")
        else:
            place = self._resolve(path)
        directories: list[str] = []
        files: list[str] = []
        with (
            self._enter(place) as (target, directory),
            _scan(target, directory) as entries,
        ):
            for entry in entries:
                is_directory = entry.is_dir(follow_symlinks=False) or (
                    entry.is_symlink() and self._is_directory(f"{path}/{entry.name}")
                )
                (directories if is_directory else files).append(entry.name)
        return directories, files

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        place = self._resolve(name)

        def reach(_: str, flags: int) -> int:
            with self._enter(place) as (target, directory):
                return os.open(target, flags | _NO_FOLLOW, 0o666, dir_fd=directory)

        # Not Path.open(), which knows no opener.
        return File(open(super().path(name), mode, opener=reach))

    def _save(self, name: str, content: File[Any]) -> str:
        self._make_root()
        overwrite = self._allow_overwrite  # type: ignore[attr-defined]
        flags = _CREATE | (os.O_TRUNC if overwrite else os.O_EXCL)
        while True:
            place = self._resolve(name, follow=False)
            try:
                with self._enter(place, make=True) as (target, directory):
                    fd = os.open(target, flags, 0o666, dir_fd=directory)
            except FileExistsError:
                # Somebody took the name since it was found available.
                name = self.get_available_name(name)
            except NotADirectoryError as error:
                raise FileExistsError(
                    f"{posixpath.dirname(name)} exists and is not a directory."
                ) from error
            else:
                self._write(fd, content, place, is_new=not overwrite)
                return posixpath.normpath(name)

    def _write(
        self, fd: int, content: File[Any], place: _Place, *, is_new: bool
    ) -> None:
        with os.fdopen(fd, "wb") as target:
            locks.lock(target, locks.LOCK_EX)
            try:
                for chunk in content.chunks():
                    target.write(chunk.encode() if isinstance(chunk, str) else chunk)
                target.flush()
            except BaseException:
                # The disk is full, or an upload broke off: nobody knows of the file.
                if is_new:
                    self._discard(fd, place)
                raise
            if _CAN_ENTER:
                self._set_access(fd, root=place.root)
        if hasattr(content, "temporary_file_path"):
            # Django moves such a file: whoever made it expects it to be gone.
            Path(content.temporary_file_path()).unlink(missing_ok=True)

    def _discard(self, fd: int, place: _Place) -> None:
        """Delete the open file, unless its name is somebody else's by now."""
        with suppress(OSError), self._enter(place) as (target, directory):
            info = os.stat(target, dir_fd=directory, follow_symlinks=False)
            if os.path.samestat(info, os.fstat(fd)):
                os.unlink(target, dir_fd=directory)

    def _set_access(self, fd: int, *, root: str) -> None:
        if self.file_permissions_mode is not None:
            os.fchmod(fd, self.file_permissions_mode)
        group = Path(root).stat().st_gid
        if os.fstat(fd).st_gid != group:
            with suppress(PermissionError):
                os.fchown(fd, -1, group)

    def _resolve(self, name: str, *, follow: bool = True) -> _Place:
        """Return where `name` leads; with `follow`, also if it is a link itself."""
        if is_too_long(check_name(name)):
            raise SuspiciousFileOperation(f"The name '{name[:80]}...' is too long.")
        root = os.path.realpath(self.location)
        # Strings, not paths: those would cost more than all system calls together.
        path, last = super().path(name), ""
        if not follow:
            path, _, last = path.rpartition(os.sep)
        real = f"{os.path.realpath(path)}{os.sep}{last}".rstrip(os.sep)
        prefix = f"{root.rstrip(os.sep)}{os.sep}"
        if not real.startswith(prefix):
            raise SuspiciousFileOperation(
                f"The name {name!r} leads out of the storage's root through a link. "
                "Replace the link by what it leads to."
            )
        *parents, last = real.removeprefix(prefix).split(os.sep)  # noqa: PTH206
        return _Place(root, tuple(parents), last)

    def _is_directory(self, name: str) -> bool:
        try:
            return Path(self.path(name.lstrip("/"))).is_dir()
        except SuspiciousFileOperation:
            return False

    def _make_root(self) -> None:
        root = Path(self.location)
        if not root.is_dir():
            root.mkdir(parents=True, exist_ok=True)
            if self.directory_permissions_mode is not None:
                root.chmod(self.directory_permissions_mode)

    @contextmanager
    def _enter(
        self, place: _Place, *, make: bool = False
    ) -> Iterator[tuple[str, int | None]]:
        """Open the directory of `place`; give the target, and what it is relative to.

        Both are for the functions of `os` that take a `dir_fd`. With `make`, missing
        directories are made.
        """
        if not _CAN_ENTER:
            path = Path(place.root, *place.parents, place.last)
            if make:
                path.parent.mkdir(parents=True, exist_ok=True)
            yield str(path), None
            return
        fd = os.open(place.root, _DIRECTORY)
        try:
            for part in place.parents:
                if make:
                    self._make_directory(part, fd)
                outer, fd = fd, os.open(part, _DIRECTORY, dir_fd=fd)
                os.close(outer)
            yield place.last, fd
        except OSError as error:
            if error.errno == ELOOP:
                raise SuspiciousFileOperation(
                    f"The file {place.last!r} is a link that cannot be followed."
                ) from error
            raise
        finally:
            os.close(fd)

    def _make_directory(self, name: str, outer: int) -> None:
        try:
            os.mkdir(name, dir_fd=outer)
        except FileExistsError:
            return
        if self.directory_permissions_mode is not None:
            fd = os.open(name, _DIRECTORY, dir_fd=outer)
            try:
                os.fchmod(fd, self.directory_permissions_mode)
            finally:
                os.close(fd)


@contextmanager
def _scan(target: str, directory: int | None) -> Iterator[Iterator[os.DirEntry[str]]]:
    if directory is None:
        with os.scandir(target) as entries:
            yield entries
        return
    fd = os.open(target, _DIRECTORY, dir_fd=directory)
    try:
        with os.scandir(fd) as entries:
            yield entries
    finally:
        os.close(fd)
