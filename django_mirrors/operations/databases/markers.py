"""Whose a database is that is not, or not yet, in the fleet."""

from pathlib import Path
from typing import Any
from uuid import UUID

from django.db.backends.base.base import NO_DB_ALIAS
from django.db.utils import load_backend

from django_mirrors.exceptions import OperationFailed
from django_mirrors.operations.databases.base import Config
from django_mirrors.operations.databases.server import quote
from django_mirrors.records import Marker

__all__ = ["read_marker"]

# What a mirror's database is told when it is opened, such as the kind of its journal,
# would change one that is somebody else's.
_LEFT_OUT = frozenset({"init_command", "pool"})


def read_marker(config: Config) -> UUID | None:
    """Return the uid that the database is marked with, or None.

    Uses a connection of its own, and changes nothing. Raises `DatabaseError`, or
    `OperationFailed` if there is no such file.
    """
    name = str(config["NAME"])
    if "sqlite" in config["ENGINE"] and not Path(name).exists():
        # To connect would make it.
        raise OperationFailed(f"There is no file '{name}'. Put the database there.")
    options = {
        key: item for key, item in config["OPTIONS"].items() if key not in _LEFT_OUT
    }
    connection = load_backend(config["ENGINE"]).DatabaseWrapper(
        {**config, "OPTIONS": options}, alias=NO_DB_ALIAS
    )
    try:
        with connection.cursor() as cursor:
            return _read(cursor, schema=config.get("SCHEMA"))
    finally:
        connection.close()


def _read(cursor: Any, *, schema: str | None) -> UUID | None:
    connection, table = cursor.db, Marker._meta.db_table
    quoted = quote(table)
    if schema:
        quoted = f"{quote(schema)}.{quoted}"
        cursor.execute("SELECT to_regclass(%s)", [quoted])
        is_there = cursor.fetchone()[0] is not None
    else:
        is_there = table in connection.introspection.table_names(cursor)
    if not is_there:
        return None
    if connection.vendor == "mysql":
        quoted = f"`{table}`"
    cursor.execute(f"SELECT uid FROM {quoted}")  # noqa: S608 - quoted
    rows = cursor.fetchall()
    return UUID(str(rows[0][0])) if len(rows) == 1 else None
