"""Making, copying and removing databases, one class for each engine."""

from collections.abc import Mapping

from django_mirrors.exceptions import OperationFailed
from django_mirrors.operations.databases.base import Config, DatabaseBackend
from django_mirrors.operations.databases.mysql import MysqlDatabase
from django_mirrors.operations.databases.postgresql import PostgresqlDatabase
from django_mirrors.operations.databases.schema import SchemaDatabase
from django_mirrors.operations.databases.sqlite import SqliteDatabase

__all__ = ["DatabaseBackend", "get_database_backend"]

_BACKENDS: Mapping[str, DatabaseBackend] = {
    "sqlite": SqliteDatabase(),
    "spatialite": SqliteDatabase(),
    "postgresql": PostgresqlDatabase(),
    "postgis": PostgresqlDatabase(),
    "mysql": MysqlDatabase(),
}
_SCHEMA = SchemaDatabase()


def get_database_backend(config: Config) -> DatabaseBackend:
    """Return how databases of this engine are made. Raises `OperationFailed`."""
    if config.get("SCHEMA"):
        return _SCHEMA
    engine = str(config["ENGINE"])
    for name, backend in _BACKENDS.items():
        if name in engine:
            return backend
    raise OperationFailed(
        f"Databases of the engine '{engine}' cannot be made by this package. "
        "Use SQLite, PostgreSQL or MySQL."
    )
