"""How each mirror stands: state, release, migrations, health, size."""

from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, connections

from django_mirrors.context import use_mirror
from django_mirrors.exceptions import MirrorError
from django_mirrors.mirror import Mirror, State
from django_mirrors.operations.databases import get_database_backend
from django_mirrors.operations.release import find_missing_migrations
from django_mirrors.operations.runner import describe

__all__ = ["Status", "get_status"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One mirror at one moment."""

    mirror: Mirror
    behind: tuple[str, ...] = ()  # migrations it lacks, as "app.0001_name"
    health: str = "ok"
    database_bytes: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the status for machines."""
        return {
            "name": self.mirror.name,
            "state": self.mirror.state,
            "release": self.mirror.release,
            "behind": list(self.behind),
            "health": self.health,
            "database_bytes": self.database_bytes,
        }


def get_status(mirror: Mirror) -> Status:
    """Return the status of `mirror`, asking its database."""
    if mirror.state in {State.PROVISIONING, State.FAILED, State.ARCHIVED}:
        return Status(mirror=mirror, health=mirror.state)
    try:
        with use_mirror(mirror):
            config = connections.settings[mirror.alias]
            return Status(
                mirror=mirror,
                behind=find_missing_migrations(mirror),
                database_bytes=get_database_backend(config).get_size(config),
            )
    except (MirrorError, DatabaseError) as error:
        return Status(mirror=mirror, health=describe(error))
