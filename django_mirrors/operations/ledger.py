"""Which release and which migrations each mirror runs, since when and by whom."""

import logging
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from uuid import UUID

from django.utils import timezone

from django_mirrors.context import use_original
from django_mirrors.models import MigrationState, MirrorRecord

__all__ = ["enter", "remember"]

logger = logging.getLogger("django_mirrors.operations")

Applied = frozenset[tuple[str, str]]


@lru_cache(maxsize=64)
def remember(applied: Applied, *, rollout: str) -> str:
    """Keep a set of applied migrations in the original's database; return its digest.

    Once a rollout and process: most mirrors have the same.
    """
    names = sorted(f"{app}.{name}" for app, name in applied)
    digest = sha256("\n".join(names).encode()).hexdigest()[:32]
    with use_original():
        MigrationState.objects.get_or_create(digest=digest, defaults={"applied": names})
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
