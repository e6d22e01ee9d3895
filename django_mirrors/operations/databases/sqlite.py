"""SQLite: a database is a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django_mirrors.exceptions import MirrorExists, OperationFailed

__all__ = ["SqliteDatabase"]

_COMPANIONS = ("-wal", "-shm", "-journal")


class SqliteDatabase:
    """See `DatabaseBackend`."""

    def exists(self, config: Mapping[str, Any]) -> bool:
        """Whether the file is there."""
        return Path(config["NAME"]).exists()

    def create(self, config: Mapping[str, Any]) -> None:
        """Make the file and the directories above it."""
        path = Path(config["NAME"])
        if path.exists():
            raise MirrorExists(
                f"The file '{path}' is there already. Remove it, or name another one."
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o640, exist_ok=False)
        except OSError as error:
            raise OperationFailed(
                f"The database file '{path}' cannot be made: {error.strerror}. "
                "Make its directory writable, or name another one."
            ) from error

    def drop(self, config: Mapping[str, Any]) -> None:
        """Remove the file and its companions."""
        path = Path(config["NAME"])
        for suffix in ("", *_COMPANIONS):
            path.with_name(path.name + suffix).unlink(missing_ok=True)

    def get_size(self, config: Mapping[str, Any]) -> int:
        """Return the bytes of the file and its write-ahead log."""
        path = Path(config["NAME"])
        files = [path.with_name(path.name + suffix) for suffix in ("", "-wal")]
        return sum(file.stat().st_size for file in files if file.exists())
