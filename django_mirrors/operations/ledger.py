"""Which release and which migrations each mirror runs, since when and by whom."""

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.db import DatabaseError, connections, transaction
from django.utils import timezone

from django_mirrors.conf import get_conf
from django_mirrors.context import use_mirror, use_original
from django_mirrors.db.settings import MirrorDatabases
from django_mirrors.exceptions import MirrorError
from django_mirrors.mirror import ORIGINAL_NAME, State
from django_mirrors.operations.release import (
    find_missing_migrations,
    get_release,
    read_applied,
)
from django_mirrors.records import MigrationState, MirrorRecord
from django_mirrors.registry import mirrors

__all__ = [
    "Entry",
    "enter",
    "enter_migrated",
    "read_ledger",
    "remember",
    "write_state",
]

logger = logging.getLogger("django_mirrors.operations")

Applied = frozenset[tuple[str, str]]

# Of these it is written down when they are active.
_NEW = frozenset({State.PROVISIONING, State.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """By which rollout a mirror was brought where it stands, and when."""

    rollout: str = ""  # none, if the command `migrate` was the last
    rolled_out: datetime | None = None


def read_ledger(names: Iterable[str]) -> dict[str, Entry]:
    """Return the entries of these mirrors."""
    with use_original():
        found = MirrorRecord.objects.exclude(rolled_out=None)
        rows = found.values_list("name", "rollout", "rolled_out").iterator()
        wanted = frozenset(names)
        return {
            name: Entry(rollout=str(rollout or ""), rolled_out=rolled_out)
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

    `rollout` is "" if no rollout did it, and `release` None if they are not in step
    with the running code.
    """
    with use_original():
        found = MirrorRecord.objects.filter(name__in=list(names))
        by = UUID(rollout) if rollout else None
        found.update(rollout=by, rolled_out=timezone.now())
        # Every change of these is read again by each process of the fleet.
        if migrations:
            found.exclude(migrations=migrations).update(migrations=migrations)
        if release is not None:
            found.exclude(release=release).update(release=release)


def enter_migrated(
    alias: str,
    *,
    plan: Collection[Any] | None = None,
    by_rollout: bool = False,
    **_: object,
) -> None:
    """Write down which migrations a mirror has after the command `migrate`.

    With the arguments of `post_migrate`. It does not raise: they are applied already.
    """
    databases = connections.settings
    # Only `migrate` has a plan, which may be empty. Rollouts write it down themselves,
    # and so does who makes a mirror, in a database that is lent to it.
    if plan is None or by_rollout or not isinstance(databases, MirrorDatabases):
        return
    if databases.is_static(alias) or databases.is_lent(alias):
        return
    try:
        _enter_migrated(alias, has_plan=bool(plan))
    except (DatabaseError, MirrorError) as error:
        logger.warning(
            "Which migrations '%s' has now is not written down (%s). Run 'manage.py "
            "mirror_rollout %s' when the database of the original answers.",
            alias,
            type(error).__name__,
            alias,
        )


def _enter_migrated(alias: str, *, has_plan: bool) -> None:
    if not get_conf().records:
        return
    names = [
        mirror.name
        for mirror in mirrors.values()
        if mirror.alias == alias and mirror.state not in _NEW
    ]
    if not names:
        return
    with use_mirror(alias):
        applied = read_applied(mirrors[alias])
        is_in_step = not find_missing_migrations(mirrors[alias])
    release = get_release() if is_in_step else None
    with use_original(), transaction.atomic(using=ORIGINAL_NAME):
        digest = write_state(applied)
        records = MirrorRecord.objects.filter(name__in=names)
        if has_plan or records.exclude(migrations=digest).exists():
            enter(names, rollout="", release=release, migrations=digest)
        elif release is not None:
            records.exclude(release=release).update(release=release)
