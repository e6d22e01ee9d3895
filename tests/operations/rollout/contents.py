"""Everything that the databases of two mirrors must have alike, app by app."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Content", "read_content"]

Rows = list[tuple[Any, ...]]


@dataclass
class Content:
    """What belongs to one app in one database."""

    schema: list[str] = field(default_factory=list)
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    content_types: list[str] = field(default_factory=list)
    permissions: Rows = field(default_factory=list)
    recorded: list[str] = field(default_factory=list)


def read_content(connection: Any, labels: Iterable[str]) -> dict[str, Content]:
    """Return the content of each app."""
    found = {label: Content() for label in labels}
    for label, text in _iter_schema(connection):
        if label in found:
            found[label].schema.append(text)
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        for table in sorted(tables):
            label = _find_label(table, found)
            if label is not None:
                found[label].rows[table] = _read_rows(cursor, table)
        _read_shared(cursor, found)
    return found


def _find_label(table: str, labels: Iterable[str]) -> str | None:
    """Return the longest label that the name begins with."""
    fitting = [label for label in labels if table.startswith(f"{label}_")]
    return max(fitting, key=len, default=None)


def _read_rows(cursor: Any, table: str) -> list[dict[str, Any]]:
    cursor.execute(f"SELECT * FROM {cursor.db.ops.quote_name(table)}")
    names = [column[0] for column in cursor.description]
    rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return sorted(rows, key=lambda row: str(row.get("id")))


def _read_shared(cursor: Any, found: dict[str, Content]) -> None:
    cursor.execute("SELECT app_label, model FROM django_content_type ORDER BY 1, 2")
    for label, model in cursor.fetchall():
        if label in found:
            found[label].content_types.append(model)
    cursor.execute(
        "SELECT app_label, model, codename, name FROM auth_permission"
        " JOIN django_content_type ON django_content_type.id = content_type_id"
        " ORDER BY 1, 2, 3"
    )
    for label, *permission in cursor.fetchall():
        if label in found:
            found[label].permissions.append(tuple(permission))
    cursor.execute("SELECT app, name FROM django_migrations ORDER BY 1, 2")
    for label, name in cursor.fetchall():
        if label in found:
            found[label].recorded.append(name)


def _iter_schema(connection: Any) -> Iterable[tuple[str, str]]:
    read = {"sqlite": _read_sqlite, "mysql": _read_mysql}
    return read.get(connection.vendor, _read_postgresql)(connection)


def _read_sqlite(connection: Any) -> Iterable[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tbl_name, name, sql FROM sqlite_master ORDER BY 1, 2")
        rows = cursor.fetchall()
    labels = _Labels(connection)
    return [(labels.find(table), f"{name}: {sql}") for table, name, sql in rows]


def _read_mysql(connection: Any) -> Iterable[tuple[str, str]]:
    labels, found = _Labels(connection), []
    with connection.cursor() as cursor:
        for table in sorted(connection.introspection.table_names(cursor)):
            if not labels.find(table):
                continue
            cursor.execute(f"SHOW CREATE TABLE {connection.ops.quote_name(table)}")
            text = re.sub(r" AUTO_INCREMENT=\d+", "", cursor.fetchone()[1])
            found.append((labels.find(table), text))
    return found


# As pg_dump reads it, in one query.
_CATALOGUE = """
WITH own AS (
    SELECT oid, relname, relkind FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace
)
SELECT relname, 1, attnum, concat_ws(
    ' ', attname, format_type(atttypid, atttypmod), attnotnull, attgenerated,
    attidentity, pg_get_expr(adbin, adrelid), attcollation::regcollation,
    col_description(own.oid, attnum)
) FROM own
JOIN pg_attribute ON attrelid = own.oid AND attnum > 0 AND NOT attisdropped
LEFT JOIN pg_attrdef ON adrelid = own.oid AND adnum = attnum
WHERE relkind = 'r'
UNION ALL SELECT relname, 2, 0, concat_ws(
    ' ', conname, pg_get_constraintdef(pg_constraint.oid), convalidated
) FROM own JOIN pg_constraint ON conrelid = own.oid
UNION ALL SELECT relname, 3, 0, concat_ws(
    ' ', pg_get_indexdef(indexrelid), indisvalid
) FROM own JOIN pg_index ON indrelid = own.oid
UNION ALL SELECT relname, 4, 0, concat_ws(
    ' ', seqtypid::regtype, seqstart, seqincrement, seqmin, seqmax, seqcycle
) FROM own JOIN pg_sequence ON seqrelid = own.oid
UNION ALL SELECT relname, 5, 0, obj_description(oid) FROM own WHERE relkind = 'r'
ORDER BY 1, 2, 3, 4
"""


def _read_postgresql(connection: Any) -> Iterable[tuple[str, str]]:
    """Return what stands in the catalogue, without the name of the schema."""
    schema = connection.settings_dict.get("SCHEMA") or "public"
    with connection.cursor() as cursor:
        cursor.execute(_CATALOGUE)
        rows = cursor.fetchall()
    labels = _Labels(connection)
    return [
        (labels.find(table), f"{table}: {text}".replace(schema, "public"))
        for table, _, _, text in rows
    ]


class _Labels:
    """Finds the app that a table, sequence or index of the table belongs to."""

    def __init__(self, connection: Any) -> None:
        self._known = defaultdict(str)
        with connection.cursor() as cursor:
            cursor.execute("SELECT DISTINCT app FROM django_migrations")
            self._labels = [row[0] for row in cursor.fetchall()]

    def find(self, name: str) -> str:
        """Return the label, or ''."""
        if name not in self._known:
            self._known[name] = _find_label(name, self._labels) or ""
        return self._known[name]
