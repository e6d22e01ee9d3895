"""Read every row of a PostgreSQL database or schema, as of one moment."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from django_mirrors.operations.databases.base import REPLAY_TABLE, Config
from django_mirrors.operations.databases.fingerprints import (
    SEQUENCES,
    Fingerprint,
    digest_rows,
    digest_sequences,
)
from django_mirrors.operations.databases.server import quote

__all__ = ["fingerprint"]

_ROWS = 100  # fetched at once; some are large

_MAIN = "public"
_SCHEMAS = """
    (n.nspname = %(schema)s OR %(schema)s IS NULL
     AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%%')
    AND NOT EXISTS
        (SELECT FROM pg_depend e WHERE e.objid = c.oid AND e.deptype = 'e')
"""
_COLUMNS = f"""
SELECT n.nspname, c.relname, a.attname, t.typname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
WHERE c.relkind = 'r' AND {_SCHEMAS}
ORDER BY 1, 2, a.attnum
"""  # noqa: S608 - constants
_POSITIONS = f"""
SELECT n.nspname, c.relname, t.relname, a.attname, s.seqincrement
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_sequence s ON s.seqrelid = c.oid
LEFT JOIN pg_depend d ON d.objid = c.oid AND d.classid = 'pg_class'::regclass
    AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
LEFT JOIN pg_class t ON t.oid = d.refobjid
LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
WHERE {_SCHEMAS}
"""  # noqa: S608 - constants

# As the engines have them that know fewer types; anything else is read as text.
_PLAIN = "{}"
_AS_TIME = "replace(to_char({}, 'HH24:MI:SS.US'), '.000000', '')"
_AS_DATETIME = "replace(to_char({}, 'YYYY-MM-DD HH24:MI:SS.US'), '.000000', '')"
_EXPRESSIONS: Mapping[str, str] = {
    **dict.fromkeys(("int2", "int4", "int8", "numeric", "float4", "float8"), _PLAIN),
    **dict.fromkeys(("text", "varchar", "bpchar", "bytea"), _PLAIN),
    "bool": "{}::int",
    "inet": "abbrev({})",
    "uuid": "replace({}::text, '-', '')",
    "interval": "(extract(epoch FROM {}) * 1000000)::bigint",
    "time": _AS_TIME,
    "timestamp": _AS_DATETIME,
    "timestamptz": _AS_DATETIME.replace("{}", "{} AT TIME ZONE 'UTC'"),
}
# How values are written that are read as text; elsewhere a session has others.
_SETTINGS = """
SELECT set_config('DateStyle', 'ISO', true), set_config('TimeZone', 'UTC', true),
    set_config('IntervalStyle', 'postgres', true),
    set_config('bytea_output', 'hex', true), set_config('extra_float_digits', '1', true)
"""
_JSON = frozenset({"json", "jsonb"})


def fingerprint(connection: Any, config: Config) -> Fingerprint:
    """Return the rows and the checksum of each table; see `DatabaseBackend`."""
    schema = config.get("SCHEMA")
    connection.set_autocommit(False)
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        cursor.execute(_SETTINGS)
        if config.get("ROLE"):
            cursor.execute(f"SET LOCAL ROLE {quote(config['ROLE'])}")
        cursor.execute(_COLUMNS, {"schema": schema})
        tables: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
        for namespace, table, column, kind in cursor.fetchall():
            tables[namespace, table][column] = kind
        found = {
            _name(namespace, table, schema): _digest(
                connection, f"{quote(namespace)}.{quote(table)}", columns
            )
            for (namespace, table), columns in tables.items()
            if table != REPLAY_TABLE
        }
        positions = dict(_iter_positions(cursor, schema))
    return found | {SEQUENCES: digest_sequences(positions)}


def _digest(connection: Any, table: str, columns: Mapping[str, str]) -> tuple[int, str]:
    selected = ", ".join(
        _EXPRESSIONS.get(kind, "{}::text").format(quote(name))
        for name, kind in columns.items()
    )
    with connection.chunked_cursor() as cursor:
        cursor.execute(f"SELECT {selected} FROM ONLY {table}")  # noqa: S608 - quoted
        return digest_rows(
            list(columns),
            _iter_rows(cursor),
            json_columns=[name for name, kind in columns.items() if kind in _JSON],
        )


def _iter_rows(cursor: Any) -> Iterator[tuple[Any, ...]]:
    while rows := cursor.fetchmany(_ROWS):
        yield from rows


def _iter_positions(cursor: Any, schema: str | None) -> Iterator[tuple[str, int]]:
    cursor.execute(_POSITIONS, {"schema": schema})
    for namespace, sequence, table, column, step in cursor.fetchall():
        cursor.execute(
            f"SELECT last_value, is_called FROM {quote(namespace)}.{quote(sequence)}"  # noqa: S608 - quoted
        )
        last, is_called = cursor.fetchone()
        name = sequence if table is None else f"{table}.{column}"
        yield _name(namespace, name, schema), last + (step if is_called else 0)


def _name(namespace: str, name: str, schema: str | None) -> str:
    return name if namespace in (schema, _MAIN) else f"{namespace}.{name}"
