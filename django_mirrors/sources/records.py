"""What the original's database knows of the fleet.

Read with a bare cursor, below the ORM: the registry is asked while connections are
made, with or without a current mirror, so it must neither be routed nor guarded.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, NamedTuple

from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.connection import ConnectionDoesNotExist

from django_mirrors import _compat
from django_mirrors.exceptions import InvalidMirror, MirrorUnavailable
from django_mirrors.mirror import ORIGINAL_NAME

__all__ = [
    "NOTHING",
    "RECORDS",
    "FleetVersion",
    "Record",
    "RecordsUnavailable",
    "read_migration_states",
    "read_names",
    "read_records",
    "read_version",
]

# The source of mirrors whose definitions are kept in records.
RECORDS = "records"

_VERSION = "SELECT number, deletions FROM django_mirrors_fleetversion"
_NAMES = "SELECT name FROM django_mirrors_mirrorrecord"
_RECORDS = (
    "SELECT name, uid, state, declared, definition, reason, retry_after, "
    '"release", version, read_only, migrations FROM django_mirrors_mirrorrecord '
    "WHERE version > %s"
)
_STATES = "SELECT digest, applied FROM django_mirrors_migrationstate"
_STATES_TABLE = "django_mirrors_migrationstate"
_TABLE = "django_mirrors_fleetversion"
_HAS_TABLE: Mapping[str, str] = {
    "sqlite": "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = %s",
    "postgresql": "SELECT 1 WHERE to_regclass(%s) IS NOT NULL",
    "mysql": "SELECT 1 FROM information_schema.tables "
    "WHERE table_schema = DATABASE() AND table_name = %s",
    "oracle": "SELECT 1 FROM user_tables WHERE table_name = UPPER(%s)",
}
# Rows fetched at once: a fleet is read without holding it twice.
_CHUNK = 2000


class RecordsUnavailable(MirrorUnavailable):
    """The original's database does not answer, so the records cannot be read."""


class FleetVersion(NamedTuple):
    """How often the records changed, and how often one was deleted."""

    number: int
    deletions: int


class Record(NamedTuple):
    """One row of the records, as the database gives it."""

    name: str
    uid: Any  # a UUID, or its text
    state: str
    declared: Any  # a flag
    definition: Any  # JSON text
    reason: str
    retry_after: int
    release: str
    version: int
    read_only: Any = False  # a flag
    migrations: str = ""


# The version while there are no tables for records.
NOTHING = FleetVersion(-1, 0)


def read_version(*, known: FleetVersion | None = None) -> FleetVersion:
    """Return the version of the records, `NOTHING` while they have no tables.

    Raises `RecordsUnavailable` when the original's database does not answer. Give the
    version that is `known` to ask for the number only, once the tables were seen.
    """
    if known is None or known.number < 0:
        has_table = _HAS_TABLE[_get_connection().vendor]
        if not list(_select(has_table, (_TABLE,))):
            return NOTHING
    rows = list(_select(_VERSION, ()))
    return FleetVersion(*rows[0]) if rows else FleetVersion(0, 0)


def read_records(*, after: int) -> Iterator[Record]:
    """Yield the records that changed after version `after`; all of them for -1."""
    return map(Record._make, _select(_RECORDS, (after,)))


def read_migration_states() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each set of applied migrations that mirrors have, after its digest."""
    if not list(_select(_HAS_TABLE[_get_connection().vendor], (_STATES_TABLE,))):
        return
    for digest, applied in _select(_STATES, ()):
        listed = json.loads(applied) if isinstance(applied, str | bytes) else applied
        yield digest, tuple(listed)


def read_names() -> frozenset[str]:
    """Return the names of all records."""
    return frozenset(name for (name,) in _select(_NAMES, ()))


def _get_connection() -> BaseDatabaseWrapper:
    try:
        return connections[ORIGINAL_NAME]
    except ConnectionDoesNotExist:
        raise InvalidMirror(
            "DATABASES has no 'original'. Write DATABASES = mirror_databases({...}), "
            "from django_mirrors.db, in the settings."
        ) from None


def _get_errors() -> tuple[type[Exception], ...]:
    return (DatabaseError, *_compat.get_forbidden_database_errors())


def _select(sql: str, parameters: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    connection = _get_connection()
    if connection.vendor == "mysql":
        sql = sql.replace('"', "`")
    try:
        connection.ensure_connection()
        with (
            connection.wrap_database_errors,
            closing(connection.create_cursor()) as cursor,
        ):
            cursor.execute(sql, parameters)
            while rows := cursor.fetchmany(_CHUNK):
                yield from rows
    except _get_errors() as error:
        if not connection.in_atomic_block:
            # It may be broken for good: the next look connects anew.
            connection.close()
        raise RecordsUnavailable(
            "The records of the fleet cannot be read: the original's database gave "
            f"{type(error).__name__}. Known mirrors go on being served."
        ) from error
