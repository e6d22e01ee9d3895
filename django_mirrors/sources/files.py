"""Mirrors declared in a directory of TOML files, one file for each: acme.toml."""

import os
import tomllib
from pathlib import Path
from typing import Any

from django_mirrors.exceptions import InvalidMirror
from django_mirrors.mirror import Mirror
from django_mirrors.sources.settings import build_mirrors

__all__ = ["FilesSource"]


class FilesSource:
    """`NAME.toml` in one directory; the file's top level is the definition."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self) -> tuple[Mirror, ...]:
        """Return every mirror of the directory."""
        definitions: dict[str, tuple[dict[str, Any], str]] = {}
        errors = []
        for path in self._list():
            try:
                definitions[path.stem] = (self._read_file(path), str(path))
            except InvalidMirror as error:
                errors.append(error)
        try:
            built = build_mirrors(definitions)
        except InvalidMirror as error:
            errors.append(error)
        if errors:
            raise InvalidMirror.collect(errors)
        return built

    def fingerprint(self) -> object:
        """Return name, inode, size and time of every file."""
        stats = [(path, path.stat()) for path in self._list()]
        return tuple(
            (path.name, stat.st_ino, stat.st_size, stat.st_mtime_ns) for path, stat in stats
        )

    def _list(self) -> list[Path]:
        try:
            with os.scandir(self._directory) as entries:
                return sorted(
                    Path(entry.path) for entry in entries if entry.name.endswith(".toml")
                )
        except OSError as error:
            raise InvalidMirror(
                f"MIRRORS_OPTIONS['FILES']: the directory '{self._directory}' cannot be "
                f"read ({error.strerror}). Create it, or correct the path."
            ) from error

    def _read_file(self, path: Path) -> dict[str, Any]:
        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InvalidMirror(
                f"{path} cannot be read: {error}. Correct the file."
            ) from error
