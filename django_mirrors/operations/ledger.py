"""Which release and which migrations each mirror runs, since when and by whom."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from uuid import UUID

from django.utils import timezone

from django_mirrors.context import use_original
from django_mirrors.records import MigrationState, MirrorRecord

__all__ = ["Entry", "enter", "read_ledger", "remember", "write_state"]

logger = logging.getLogger("django_mirrors.operations")

Applied = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """By which rollout a mirror was brought where it stands, and when."""

    rollout: str = ""
    rolled_out: datetime | None = None


def read_ledger(names: Iterable[str]) -> dict[str, Entry]:
    """Return the entries of these mirrors."""
    with use_original():
        found = MirrorRecord.objects.exclude(rollout=None)
        rows = found.values_list("name", "rollout", "rolled_out").iterator()
        wanted = frozenset(names)
        return {
            name: Entry(rollout=str(rollout), rolled_out=rolled_out)
            for name, rollout, rolled_out in rows
            if name in wanted
        }


def write_state(applied: Applied) -> str:
    """Keep a set of applied migrations with the fleet; return its digest."""
    names = sorted(f"{app}.{name}" for app, name in applied)
    digest = sha256("\n".join(names).encode()).hexdigest()[:32]
    with use_original():
        MigrationState.objects.get_or_create(digest=digest, defaults={"applied": names})
    return digest


@lru_cache(maxsize=64)
def remember(applied: Applied, *, rollout: str) -> str:
    """See write_state(). Once a rollout and process: most mirrors have the same."""
    digest = write_state(applied)
    logger.debug("Rollout %s knows the migrations %s.", rollout, digest)
    return digest


def enter(
    names: Iterable[str], *, rollout: str, release: str | None, migrations: str
) -> None:
    """Write down that these mirrors now have `migrations`.

    `release` is None if they are not in step with the running code.
    """
    with use_original():
        found = MirrorRecord.objects.filter(name__in=list(names))
        found.update(rollout=UUID(rollout), rolled_out=timezone.now())
        # Every change of these is read again by each process of the fleet.
        if migrations:
            found.exclude(migrations=migrations).update(migrations=migrations)
        if release is not None:
            found.exclude(release=release).update(release=release)
