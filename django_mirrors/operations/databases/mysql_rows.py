"""Read every row of a MySQL or MariaDB database, as of one moment."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from django_mirrors.operations.databases.base import REPLAY_TABLE
from django_mirrors.operations.databases.fingerprints import (
    SEQUENCES,
    Fingerprint,
    digest_rows,
    digest_sequences,
)
from django_mirrors.operations.databases.server import quote

__all__ = ["fingerprint"]

_COLUMNS = """
SELECT c.table_name, c.column_name, c.data_type, c.extra, t.auto_increment
FROM information_schema.columns c
JOIN information_schema.tables t
    ON t.table_schema = c.table_schema AND t.table_name = c.table_name
WHERE c.table_schema = %s AND t.table_type = 'BASE TABLE'
ORDER BY c.table_name, c.ordinal_position
"""
# MariaDB keeps JSON as text, and a check.
_JSON_CHECKS = """
SELECT table_name, check_clause FROM information_schema.check_constraints
WHERE constraint_schema = %s
"""
_JSON = re.compile(r"json_valid\(`((?:[^`]|``)+)`\)", re.IGNORECASE)


def fingerprint(connection: Any, name: str) -> Fingerprint:
    """Return the rows and the checksum of each table; see `DatabaseBackend`."""
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        if not connection.mysql_is_mariadb and connection.mysql_version >= (8,):
            # Else the positions of sequences are those of some time ago.
            cursor.execute("SET SESSION information_schema_stats_expiry = 0")
        cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        cursor.execute(_COLUMNS, [name])
        tables: dict[str, dict[str, str]] = defaultdict(dict)
        positions = {}
        for table, column, kind, extra, position in cursor.fetchall():
            tables[table][column] = str(kind).lower()
            if "auto_increment" in str(extra).lower():
                positions[f"{table}.{column}"] = int(position or 1)
        checked = _find_json(connection, cursor, name)
    found = {
        table: _digest(connection, table, columns, checked[table])
        for table, columns in tables.items()
        if table != REPLAY_TABLE
    }
    return found | {SEQUENCES: digest_sequences(positions)}


def _find_json(connection: Any, cursor: Any, name: str) -> Mapping[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    if connection.mysql_is_mariadb:
        cursor.execute(_JSON_CHECKS, [name])
        for table, clause in cursor.fetchall():
            names = _JSON.findall(clause)
            found[table].update(name.replace("``", "`") for name in names)
    return found


def _digest(
    connection: Any, table: str, columns: Mapping[str, str], checked: set[str]
) -> tuple[int, str]:
    selected = ", ".join(
        f"REPLACE({quote(name, '`')}, '-', '')" if kind == "uuid" else quote(name, "`")
        for name, kind in columns.items()
    )
    # The driver's usual cursor holds all rows in memory.
    cursor = connection.connection.cursor(connection.Database.cursors.SSCursor)
    try:
        cursor.execute(f"SELECT {selected} FROM {quote(table, '`')}")  # noqa: S608 - quoted
        in_json = {name for name, kind in columns.items() if kind == "json"} | checked
        return digest_rows(list(columns), _iter_rows(cursor), json_columns=in_json)
    finally:
        cursor.close()


def _iter_rows(cursor: Any) -> Iterator[tuple[Any, ...]]:
    while row := cursor.fetchone():
        yield row
