"""What the original's database knows of the fleet.

Read with a bare cursor, below the ORM: the registry is asked while connections are
made, with or without a current mirror, so it must neither be routed nor guarded.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.connection import ConnectionDoesNotExist

from django_mirrors import _compat
from django_mirrors.exceptions import InvalidMirror, MirrorUnavailable
from django_mirrors.mirror import ORIGINAL_NAME

__all__ = ["FleetVersion", "Record", "RecordsUnavailable", "read_records", "read_version"]

_VERSION = "SELECT number, deletions FROM django_mirrors_fleetversion"
_COLUMNS = (
    "SELECT name, uid, state, declared, definition, reason, retry_after, "
    '"release", version FROM django_mirrors_mirrorrecord WHERE version > %s'
)
_TABLE = "django_mirrors_fleetversion"
_HAS_TABLE: Mapping[str, str] = {
    "sqlite": "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = %s",
    "postgresql": "SELECT 1 WHERE to_regclass(%s) IS NOT NULL",
    "mysql": "SELECT 1 FROM information_schema.tables "
    "WHERE table_schema = DATABASE() AND table_name = %s",
    "oracle": "SELECT 1 FROM user_tables WHERE table_name = UPPER(%s)",
}


class RecordsUnavailable(MirrorUnavailable):
    """The original's database does not answer, so the records cannot be read."""


class FleetVersion(NamedTuple):
    """How often the records changed, and how often one was deleted."""

    number: int
    deletions: int


class Record(NamedTuple):
    """One row of the records."""

    name: str
    uid: UUID
    state: str
    declared: bool
    definition: Mapping[str, Any]
    reason: str
    retry_after: int
    release: str
    version: int


NOTHING = FleetVersion(-1, 0)


def read_version(*, known: FleetVersion | None = None) -> FleetVersion:
    """Return the version of the records, `NOTHING` while they have no tables.

    Raises `RecordsUnavailable` when the original's database does not answer. Give the
    version that is `known` to ask for the number only, once the tables were seen.
    """
    if known is None or known.number < 0:
        has_table = _HAS_TABLE[_get_connection().vendor]
        if not _select(has_table, (_TABLE,)):
            return NOTHING
    rows = _select(_VERSION, ())
    return FleetVersion(*rows[0]) if rows else FleetVersion(0, 0)


def read_records(*, after: int) -> list[Record]:
    """Return the records that changed after version `after`; all of them for -1."""
    return [_build(row) for row in _select(_COLUMNS, (after,))]


def _build(row: tuple[Any, ...]) -> Record:
    name, uid, state, declared, definition, *rest = row
    if isinstance(definition, str | bytes):
        definition = json.loads(definition)
    uid = uid if isinstance(uid, UUID) else UUID(str(uid))
    return Record(name, uid, state, bool(declared), definition, *rest)


def _get_connection() -> BaseDatabaseWrapper:
    try:
        return connections[ORIGINAL_NAME]
    except ConnectionDoesNotExist:
        raise InvalidMirror(
            "DATABASES has no 'original'. Write DATABASES = mirror_databases({...}), "
            "from django_mirrors.db, in the settings."
        ) from None


def _select(sql: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    connection = _get_connection()
    if connection.vendor == "mysql":
        sql = sql.replace('"', "`")
    try:
        connection.ensure_connection()
        with connection.wrap_database_errors:
            cursor = connection.create_cursor()
            try:
                cursor.execute(sql, parameters)
                return list(cursor.fetchall())
            finally:
                cursor.close()
    except (DatabaseError, *_compat.get_forbidden_database_errors()) as error:
        raise RecordsUnavailable(
            "The records of the fleet cannot be read: the original's database gave "
            f"{type(error).__name__}. Known mirrors go on being served."
        ) from error
