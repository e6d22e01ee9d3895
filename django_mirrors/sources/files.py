"""Mirrors declared in a directory of TOML files, one file for each: acme.toml."""

import os
import tomllib
from pathlib import Path
from typing import Any

from django_mirrors.conf import Conf
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.sources.reading import Declaration, Reading, build_mirrors

__all__ = ["FilesSource"]

_SUFFIX = ".toml"


class FilesSource:
    """`NAME.toml` in one directory; the file's top level is the definition."""

    def __init__(self, directory: Path, conf: Conf) -> None:
        self._directory = directory
        self._conf = conf

    def read(self) -> Reading:
        """Return every mirror of the directory."""
        declarations: list[Declaration] = []
        problems: list[str] = []
        refused: set[str] = set()
        try:
            paths = self._list()
        except OSError as error:
            problem = (
                f"MIRRORS_OPTIONS['FILES']: the directory '{self._directory}' cannot "
                f"be read ({error.strerror}). Create it, or correct the path."
            )
            return Reading((), (problem,))
        for path in paths:
            try:
                declarations.append(
                    Declaration(path.stem, _read_file(path), str(path), str(path))
                )
            except InvalidMirror as error:
                problems.extend(error.problems)
                refused.add(path.stem)
        built = build_mirrors(declarations, self._conf.defaults)
        return Reading(
            built.mirrors, (*problems, *built.problems), built.refused | refused
        )

    def fingerprint(self) -> object:
        """Return name, inode, size and time of every file."""
        try:
            return tuple(_stat(path) for path in self._list())
        except OSError as error:
            return error.errno

    def _list(self) -> list[Path]:
        with os.scandir(self._directory) as entries:
            # Editors keep hidden files beside those they edit.
            return sorted(
                Path(entry.path)
                for entry in entries
                if entry.name.endswith(_SUFFIX) and not entry.name.startswith(".")
            )


def _stat(path: Path) -> tuple[object, ...]:
    stat = path.stat()
    return path.name, stat.st_ino, stat.st_size, stat.st_mtime_ns


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidMirror(
            f"{path} cannot be read ({error.strerror}). Correct its permissions."
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidMirror(
            f"{path} is not valid TOML: {error}. Correct the file."
        ) from error
