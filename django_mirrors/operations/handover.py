"""The rows of a copied database become those of the mirror that it was made for."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import connections, models, transaction

from django_mirrors.context import hold_mirror
from django_mirrors.db.scope import find_owned_tables
from django_mirrors.mirror import Mirror

__all__ = ["hand_over"]

Config = Mapping[str, Any]
# What the database does itself has another name, since Django 6.1.
_CASCADES = (models.CASCADE, getattr(models, "DB_CASCADE", models.CASCADE))


def hand_over(mirror: Mirror, draft: Config, *, source: UUID | None) -> None:
    """Give the rows of the mirror `source` in the database `draft` to `mirror`.

    Rows of other mirrors, which shared the database of `source`, are removed, and with
    them what refers to them. Without a `source` all rows are given, as those are which
    migrations made in a template.
    """
    owned = find_owned_tables()
    if not owned:
        return
    databases: Any = connections.settings
    with databases.lend(mirror.alias, dict(draft)), hold_mirror(mirror):
        connection = connections[mirror.alias]
        present = set(connection.introspection.table_names())
        with connection.constraint_checks_disabled(), transaction.atomic(mirror.alias):
            emptied = {
                table
                for table, field in owned.items()
                if table in present
                and _give(connection, table, field, mirror, source=source)
            }
            _remove_loose(connection, present, emptied)


def _give(
    connection: Any, table: str, field: Any, mirror: Mirror, *, source: UUID | None
) -> bool:
    """Give the rows of one table; return whether any were removed."""
    name, column = map(connection.ops.quote_name, (table, field.column))
    own = field.get_db_prep_value(mirror.uid, connection)
    removed = 0
    with connection.cursor() as cursor:
        if source is not None:
            theirs = field.get_db_prep_value(source, connection)
            cursor.execute(
                f"DELETE FROM {name} WHERE {column} NOT IN (%s, %s)",  # noqa: S608 - quoted
                [theirs, own],
            )
            removed = cursor.rowcount
        cursor.execute(
            f"UPDATE {name} SET {column} = %s WHERE {column} <> %s",  # noqa: S608 - quoted
            [own, own],
        )
    return removed > 0


def _remove_loose(connection: Any, present: set[str], emptied: set[str]) -> None:
    """Remove, or let refer to nothing, what refers to rows that are gone."""
    keys = [key for key in _iter_keys() if key.model._meta.db_table in present]
    while emptied:
        table = emptied.pop()
        for key in keys:
            if key.target_field.model._meta.db_table != table:
                continue
            if _loosen(connection, key, table):
                emptied.add(key.model._meta.db_table)


def _iter_keys() -> Iterator[Any]:
    for model in apps.get_models(include_auto_created=True):
        if not model._meta.proxy and model._meta.managed:
            for field in model._meta.local_concrete_fields:
                if isinstance(field, models.ForeignKey):
                    yield field


def _loosen(connection: Any, key: Any, target: str) -> bool:
    """Mend the rows of one foreign key; return whether any were removed."""
    quote = connection.ops.quote_name
    table, column = quote(key.model._meta.db_table), quote(key.column)
    kept = quote(key.target_field.column)
    # MySQL looks at no table that it changes, but at a copy of it.
    loose = (
        f"{column} IS NOT NULL AND {column} NOT IN (SELECT kept.{kept} FROM "  # noqa: S608 - quoted
        f"(SELECT {kept} FROM {quote(target)}) kept)"
    )
    is_removed = not key.null or key.remote_field.on_delete in _CASCADES
    with connection.cursor() as cursor:
        if is_removed:
            cursor.execute(f"DELETE FROM {table} WHERE {loose}")  # noqa: S608 - quoted
            return bool(cursor.rowcount > 0)
        cursor.execute(f"UPDATE {table} SET {column} = NULL WHERE {loose}")  # noqa: S608 - quoted
        return False
