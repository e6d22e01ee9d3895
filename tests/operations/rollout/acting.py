"""What tests do to one mirror, and what they look at."""

from typing import Any

from django.db import connections
from django.db.migrations.recorder import MigrationRecorder

from django_mirrors import mirrors, use_mirror, use_original
from django_mirrors.operations.reports import Outcome
from django_mirrors.operations.rollout.bringing import bring, find_path
from django_mirrors.operations.rollout.changes import Path
from django_mirrors.operations.rollout.orders import Order
from tests.operations.rollout.trips import build_order

__all__ = [
    "ask", "execute", "go", "has_column", "list_recorded", "list_tables", "look",
    "record", "record_in_original",
]  # fmt: skip


def go(name: str, order: Order | None = None, **options: Any) -> Outcome:
    """Bring a mirror where an order wants it."""
    with use_mirror(name):
        return bring(mirrors[name], order=order or build_order(**options))


def look(name: str, order: Order | None = None, **options: Any) -> Path:
    """Return the path of a mirror."""
    with use_mirror(name):
        return find_path(mirrors[name], order or build_order(**options))[1]


def execute(name: str, *statements: str) -> None:
    """Execute SQL in the database of a mirror."""
    with use_mirror(name), connections[name].cursor() as cursor:
        for sql in statements:
            cursor.execute(sql)


def ask(name: str, sql: str) -> list[Any]:
    """Return the first column of what a query finds."""
    with use_mirror(name), connections[name].cursor() as cursor:
        cursor.execute(sql)
        return [row[0] for row in cursor.fetchall()]


def list_recorded(name: str, app: str) -> list[str]:
    """Return the migrations that are recorded, those that are so twice as well."""
    return ask(
        name, f"SELECT name FROM django_migrations WHERE app = '{app}' ORDER BY name"
    )


def list_tables(name: str, app: str) -> list[str]:
    """Return the tables of an app."""
    with use_mirror(name):
        tables = connections[name].introspection.table_names()
    return sorted(table for table in tables if table.startswith(f"{app}_"))


def has_column(name: str, table: str, column: str) -> bool:
    """Whether a table has a column."""
    with use_mirror(name), connections[name].cursor() as cursor:
        found = connections[name].introspection.get_table_description(cursor, table)
    return column in {item.name for item in found}


def record(name: str, app: str, migration: str, *, is_applied: bool = True) -> None:
    """Record a migration as applied, or as not applied, and do nothing else."""
    with use_mirror(name):
        _record(name, app, migration, is_applied=is_applied)


def record_in_original(*migrations: tuple[str, str]) -> None:
    """Let the original have applied migrations; it has no table of theirs."""
    with use_original():
        for app, name in migrations:
            _record("original", app, name, is_applied=True)


def _record(alias: str, app: str, name: str, *, is_applied: bool) -> None:
    recorder = MigrationRecorder(connections[alias])
    write = recorder.record_applied if is_applied else recorder.record_unapplied
    write(app, name)
