"""Whether a mirror lacks migrations of the running code, asked at each request."""

import logging
from functools import cache
from typing import Any

from django.db.migrations.loader import MigrationLoader

from django_mirrors.conf import get_conf
from django_mirrors.mirror import Mirror
from django_mirrors.sources.records import RecordsUnavailable, read_migration_states

__all__ = ["is_behind", "learn_migrations"]

logger = logging.getLogger("django_mirrors.behind")

_SERVE = "serve"
# Digest of a set of applied migrations -> whether some of the running code lack.
_verdicts: dict[str, bool] = {}


def is_behind(mirror: Mirror) -> bool:
    """Return whether the running code has migrations that `mirror` was not brought to.

    Asks no database. What was never written down counts as not behind, and so does a
    mirror that is ahead: on which a later release was rolled out already.
    """
    return _verdicts.get(mirror.migrations, False)


def learn_migrations(**_: Any) -> None:
    """Read which migrations mirrors have, if visitors shall not see those behind.

    A receiver of `fleet_changed`. What cannot be read now stays as it was known.
    """
    if get_conf().behind == _SERVE:
        return
    try:
        for digest, applied in read_migration_states():
            if digest not in _verdicts:
                _verdicts[digest] = _is_lacking(frozenset(applied))
    except RecordsUnavailable as error:
        logger.warning("Which mirrors are behind is not known: %s", error)


def _is_lacking(applied: frozenset[str]) -> bool:
    return any(
        name not in applied and not (replaced and applied.issuperset(replaced))
        for name, replaced in _list_migrations()
    )


@cache
def _list_migrations() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return each migration of the running code, and those that it replaces."""
    nodes: dict[Any, Any] = MigrationLoader(None, ignore_no_migrations=True).graph.nodes
    return tuple(
        (f"{app}.{name}", tuple(f"{one}.{two}" for one, two in migration.replaces))
        for (app, name), migration in nodes.items()
    )
