"""How each mirror stands: state, release, migrations, health, size."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import DatabaseError, connections

from django_mirrors.context import use_mirror
from django_mirrors.exceptions import MirrorError
from django_mirrors.mirror import Mirror, State
from django_mirrors.operations.databases import get_database_backend
from django_mirrors.operations.ledger import Entry, read_ledger
from django_mirrors.operations.rollout.groups import Groups
from django_mirrors.operations.rollout.standing import read_standing
from django_mirrors.operations.runner import describe

__all__ = ["Status", "get_status", "iter_status"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One mirror at one moment."""

    mirror: Mirror
    behind: tuple[str, ...] = ()  # migrations it lacks, as "app.0001_name"
    health: str = "ok"
    database_bytes: int = 0
    entry: Entry = field(default_factory=Entry)

    def as_json(self) -> dict[str, Any]:
        """Return the status for machines."""
        return {
            "name": self.mirror.name,
            "state": self.mirror.state,
            "release": self.mirror.release,
            "rollout": self.entry.rollout,
            "rolled_out": self.entry.rolled_out,
            "behind": list(self.behind),
            "health": self.health,
            "database_bytes": self.database_bytes,
        }


def get_status(mirror: Mirror) -> Status:
    """Return the status of `mirror`, asking its database."""
    return next(iter_status([mirror]))


def iter_status(mirrors: Iterable[Mirror]) -> Iterator[Status]:
    """Yield the status of each mirror, asking its database."""
    chosen = list(mirrors)
    ledger = read_ledger(mirror.name for mirror in chosen)
    groups = Groups((), is_fake=True)
    for mirror in chosen:
        yield _find_status(mirror, groups, ledger.get(mirror.name, Entry()))


def _find_status(mirror: Mirror, groups: Groups, entry: Entry) -> Status:
    if mirror.state in {State.PROVISIONING, State.FAILED, State.ARCHIVED}:
        return Status(mirror=mirror, health=mirror.state, entry=entry)
    try:
        with use_mirror(mirror):
            connection: Any = connections[mirror.alias]
            config = connections.settings[mirror.alias]
            path = groups.get(connection, read_standing(connection).applied)
            return Status(
                mirror=mirror,
                behind=tuple(change.name for change in path.changes),
                database_bytes=get_database_backend(config).get_size(config),
                entry=entry,
            )
    except (MirrorError, DatabaseError) as error:
        return Status(mirror=mirror, health=describe(error), entry=entry)
