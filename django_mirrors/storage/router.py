"""The storage of a project's settings: it stands for the current mirror's."""

from __future__ import annotations

from datetime import datetime
from os import PathLike
from typing import IO, Any

from django.core.files import File
from django.core.files.storage import Storage
from django.utils.deconstruct import deconstructible

from django_mirrors.exceptions import MirrorUnavailable
from django_mirrors.storage.backends import DEFAULT_ALIAS, get_backend, get_owner
from django_mirrors.storage.names import check_name

__all__ = ["MirrorStorage"]

_READING = frozenset("rbt")  # the letters of modes that change nothing


@deconstructible(path="django_mirrors.storage.MirrorStorage")
class MirrorStorage(Storage):
    """Passes every call on to the current mirror's own backend of the same alias.

    The backend is found when the call is made, never before. Raises `NoCurrentMirror`
    without a mirror, `MirrorUnavailable` for changes while the mirror is read-only, and
    `SuspiciousFileOperation` for names that cannot lie below the backend's root.
    """

    def __init__(self, alias: str = DEFAULT_ALIAS) -> None:
        self._alias = alias

    def __repr__(self) -> str:
        return f"<MirrorStorage {self._alias}>"

    def __getattr__(self, name: str) -> Any:
        # Only what Storage itself does not have gets here: a backend's own attributes.
        # Special names are asked for by copy, pickle and migrations, without a mirror.
        if name.startswith("__") or name == "_alias":
            raise AttributeError(name)
        return getattr(get_backend(self._alias), name)

    def open(self, name: str, mode: str = "rb", *args: Any, **kwargs: Any) -> File[Any]:
        """Return the open file `name`."""
        if not _READING.issuperset(mode):
            _check_writable()
        return get_backend(self._alias).open(check_name(name), mode, *args, **kwargs)

    def save(
        self, name: str | None, content: IO[Any], *args: Any, **kwargs: Any
    ) -> str:
        """Save `content` and return the name it got."""
        _check_writable()
        backend = get_backend(self._alias)
        return backend.save(
            _check_new_name(content.name if name is None else name),
            content,
            *args,
            **kwargs,
        )

    def delete(self, name: str) -> None:
        """Delete the file `name`."""
        _check_writable()
        get_backend(self._alias).delete(check_name(name))

    def exists(self, name: str) -> bool:
        """Whether the name is taken."""
        return get_backend(self._alias).exists(check_name(name))

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """Return the names of the directories and of the files in `path`."""
        # The root itself may be listed, and only listed.
        checked = "" if path in {"", "."} else check_name(path)
        return get_backend(self._alias).listdir(checked)

    def size(self, name: str) -> int:
        """Return the bytes of the file `name`."""
        return get_backend(self._alias).size(check_name(name))

    def url(self, name: str | None, *args: Any, **kwargs: Any) -> str:
        """Return the URL of the file `name`."""
        return get_backend(self._alias).url(check_name(name or ""), *args, **kwargs)

    def path(self, name: str) -> str:
        """Return the local path of the file `name`."""
        return get_backend(self._alias).path(check_name(name))

    def get_accessed_time(self, name: str) -> datetime:
        """Return when the file `name` was last read."""
        return get_backend(self._alias).get_accessed_time(check_name(name))

    def get_created_time(self, name: str) -> datetime:
        """Return when the file `name` was made."""
        return get_backend(self._alias).get_created_time(check_name(name))

    def get_modified_time(self, name: str) -> datetime:
        """Return when the file `name` was last written."""
        return get_backend(self._alias).get_modified_time(check_name(name))

    def is_name_available(self, name: str, *args: Any, **kwargs: Any) -> bool:
        """Whether a new file may have this name."""
        backend = get_backend(self._alias)
        return backend.is_name_available(check_name(name), *args, **kwargs)

    def get_available_name(self, name: str, *args: Any, **kwargs: Any) -> str:
        """Return a free name like `name`."""
        backend = get_backend(self._alias)
        return backend.get_available_name(_check_new_name(name), *args, **kwargs)

    # These three make names from names that nobody has checked yet.

    def get_valid_name(self, name: str) -> str:
        """Return `name` without what a file name cannot hold."""
        return get_backend(self._alias).get_valid_name(name)

    def get_alternative_name(self, file_root: str, file_ext: str) -> str:
        """Return another name for a file whose name is taken."""
        return get_backend(self._alias).get_alternative_name(file_root, file_ext)

    def generate_filename(self, filename: str | PathLike[str]) -> str:
        """Return the name to save an upload by."""
        return get_backend(self._alias).generate_filename(filename)


def _check_writable() -> None:
    """Raise `MirrorUnavailable` while the files are moved."""
    owner = get_owner()
    if owner.is_read_only:
        raise MirrorUnavailable(
            f"Mirror '{owner}' is read-only while it is moved, so no file was changed. "
            "Try again in a few seconds."
        )


def _check_new_name(name: str) -> str:
    # Browsers on Windows send paths; Django reads them as its own, and so do we.
    return check_name(str(name).replace("\\", "/"))
