"""What an operation asks of a database server."""

from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ["DatabaseBackend"]


class DatabaseBackend(Protocol):
    """How one engine makes and removes the database of a `DATABASES` dictionary."""

    def exists(self, config: Mapping[str, Any]) -> bool:
        """Whether the database is there, be it empty."""

    def create(self, config: Mapping[str, Any]) -> None:
        """Make the empty database. Raises `MirrorExists` if it is there."""

    def drop(self, config: Mapping[str, Any]) -> None:
        """Remove the database and everything in it."""

    def get_size(self, config: Mapping[str, Any]) -> int:
        """Return how many bytes the database takes on disk."""
