"""PostgreSQL and MySQL: a database of a server, made through another one."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.utils import load_backend

from django_mirrors.exceptions import MirrorExists, OperationFailed

__all__ = ["MysqlDatabase", "PostgresqlDatabase"]


class ServerDatabase:
    """What both servers have in common; see `DatabaseBackend`."""

    maintenance_name: str | None = None  # the database to connect to for this work
    exists_sql: str
    size_sql: str

    def exists(self, config: Mapping[str, Any]) -> bool:
        """Whether the server has a database of the name."""
        return bool(self._ask(config, self.exists_sql))

    def create(self, config: Mapping[str, Any]) -> None:
        """Make the empty database."""
        if self.exists(config):
            raise MirrorExists(
                f"The database '{config['NAME']}' is there already. Drop it, or name "
                "another one."
            )
        self._change(config, "CREATE DATABASE {}")

    def drop(self, config: Mapping[str, Any]) -> None:
        """Remove the database."""
        self._change(config, "DROP DATABASE IF EXISTS {}")

    def get_size(self, config: Mapping[str, Any]) -> int:
        """Return what the server says."""
        rows = self._ask(config, self.size_sql)
        return int(rows[0][0] or 0) if rows else 0

    def _ask(self, config: Mapping[str, Any], sql: str) -> list[Any]:
        with self._connect(config) as cursor:
            cursor.execute(sql, [config["NAME"]])
            return list(cursor.fetchall())

    def _change(self, config: Mapping[str, Any], sql: str) -> None:
        with self._connect(config) as cursor:
            cursor.execute(sql.format(cursor.db.ops.quote_name(config["NAME"])))

    @contextmanager
    def _connect(self, config: Mapping[str, Any]) -> Iterator[Any]:
        backend = load_backend(config["ENGINE"])
        options = {
            key: item for key, item in config["OPTIONS"].items() if key != "pool"
        }
        own = {**config, "NAME": self.maintenance_name, "OPTIONS": options}
        connection = backend.DatabaseWrapper(own, alias=NO_DB_ALIAS)
        try:
            with connection.cursor() as cursor:
                yield cursor
        except DatabaseError as error:
            text = " ".join(str(error).split())
            raise OperationFailed(
                f"The server of database '{config['NAME']}' at "
                f"'{config['HOST'] or 'localhost'}' refused: {text}. Check that it "
                "runs, and that the user may create databases."
            ) from error
        finally:
            connection.close()


class PostgresqlDatabase(ServerDatabase):
    """A database of a PostgreSQL server."""

    maintenance_name = "postgres"
    exists_sql = "SELECT 1 FROM pg_database WHERE datname = %s"
    size_sql = "SELECT pg_database_size(datname) FROM pg_database WHERE datname = %s"


class MysqlDatabase(ServerDatabase):
    """A database of a MySQL or MariaDB server."""

    maintenance_name = ""
    exists_sql = "SELECT 1 FROM information_schema.schemata WHERE schema_name = %s"
    size_sql = (
        "SELECT SUM(data_length + index_length) FROM information_schema.tables "
        "WHERE table_schema = %s"
    )

    def create(self, config: Mapping[str, Any]) -> None:
        """Make the empty database, in the character set of all of Unicode."""
        if self.exists(config):
            raise MirrorExists(
                f"The database '{config['NAME']}' is there already. Drop it, or name "
                "another one."
            )
        self._change(config, "CREATE DATABASE {} CHARACTER SET utf8mb4")
