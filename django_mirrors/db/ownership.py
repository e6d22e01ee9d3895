"""Whether a database that the environment names is the pinned mirror's.

`DATABASE_URL` overrides the database of the mirror that `DJANGO_MIRROR` names. Where it
is left over from another mirror, or from the original, everything would go there.
"""

from typing import Any
from uuid import UUID

from django_mirrors.conf import get_conf
from django_mirrors.exceptions import MirrorUnavailable
from django_mirrors.mirror import DATABASE
from django_mirrors.registry import mirrors

__all__ = ["check_ownership", "check_replica", "is_given"]

# Connections are made before there are models.
_MARKERS = "django_mirrors_marker"
_RECORDS = "django_mirrors_mirrorrecord"


def is_given(alias: str) -> bool:
    """Whether the database `alias` is given by the environment of this process."""
    conf = get_conf()
    return conf.pinned == alias and DATABASE in conf.pinned_services


def check_ownership(connection: Any) -> None:
    """Raise `MirrorUnavailable` if the database is marked as another's.

    One that nothing says about may be the mirror's: a container brings its own.
    """
    alias = connection.owner
    tables = set(connection.introspection.table_names())
    uids = _find_uids(connection, tables)
    if mirrors[alias].uid in uids:
        return
    if uids:
        whose = "another mirror"
    elif _holds_records(connection, tables):
        whose = "the original"
    else:
        return
    raise MirrorUnavailable(
        f"The database of mirror '{alias}', which DATABASE_URL names, is that of "
        f"{whose}. Correct the variable, or remove it to use the database of the "
        "mirror's definition."
    )


def check_replica(connection: Any) -> None:
    """Raise `MirrorUnavailable` unless the database is marked as this mirror's."""
    alias = connection.owner
    tables = set(connection.introspection.table_names())
    if mirrors[alias].uid not in _find_uids(connection, tables):
        raise MirrorUnavailable(
            f"The REPLICA of mirror '{alias}' is not marked as this mirror's, so it is "
            "not read. Correct its address: this may be the data of another mirror."
        )


def _find_uids(connection: Any, tables: set[str]) -> set[UUID]:
    if _MARKERS not in tables:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT uid FROM {_MARKERS}")  # noqa: S608 - a constant
        return {UUID(str(uid)) for (uid,) in cursor.fetchall()}


def _holds_records(connection: Any, tables: set[str]) -> bool:
    if _RECORDS not in tables:
        return False
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {_RECORDS}")  # noqa: S608 - a constant
        return cursor.fetchone() is not None
