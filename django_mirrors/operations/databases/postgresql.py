"""PostgreSQL: a database of a server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import Any

from django.db import OperationalError

from django_mirrors.operations.databases import postgresql_rows, transfers
from django_mirrors.operations.databases.base import (
    Config,
    Leave,
    build_template_name,
    find_template,
)
from django_mirrors.operations.databases.fingerprints import Fingerprint
from django_mirrors.operations.databases.postgresql_tools import use_tools
from django_mirrors.operations.databases.processes import feed, iter_file
from django_mirrors.operations.databases.server import ServerDatabase, quote
from django_mirrors.records import Marker

__all__ = ["PostgresqlDatabase", "PostgresqlServer"]

_IN_USE = "55006"
_DEADLOCK = "40P01"
_CREATE = "CREATE DATABASE "
_PATIENCE = 30_000  # milliseconds, for those who write to end
# Indexes of the server's own, which keep names apart.
_NAMES = frozenset({"pg_database_datname_index", "pg_namespace_nspname_index"})
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)  # seconds, while a template is in use

_END_CONNECTIONS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = %s AND pid <> pg_backend_pid()"
)
# What a killed process had begun goes on in the server, and would end after a drop.
_END_CREATION = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE state = 'active' AND pid <> pg_backend_pid() AND starts_with(query, %s)
  AND pg_has_role(usesysid, 'MEMBER')
"""
_END_WAITING = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    " AND pg_has_role(usesysid, 'MEMBER')"
)
_TABLES = """
SELECT format('%%I.%%I', n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND coalesce(n.nspname = %s,
    n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%%')
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1
"""
# What extensions brought along is there in an empty database too.
_CONTENT = """
SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
LIMIT 1
"""


class PostgresqlServer(ServerDatabase):
    """What both ways to use a PostgreSQL server have in common."""

    vendor = "postgresql"
    longest_name = 63
    codes_of_existing = frozenset({"42P04", "42P06"})
    codes_of_missing = frozenset({"3D000"})

    def is_unfinished(self, config: Config) -> bool:
        """Return False: everything is made in one transaction."""
        return False

    @contextmanager
    def hold_still(self, config: Config) -> Iterator[Leave]:
        """Lock every table, as beside readers only."""
        with self._use(config, config["NAME"]) as connection:
            connection.set_autocommit(False)
            with connection.cursor() as cursor:
                self._lock_tables(cursor, config)
                yield lambda: self._leave(cursor, config)

    def _lock_tables(self, cursor: Any, config: Config) -> None:
        for pause in (*_PAUSES, None):
            cursor.execute(f"SET LOCAL lock_timeout = {_PATIENCE}")
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            if config.get("ROLE"):
                cursor.execute(f"SET LOCAL ROLE {quote(config['ROLE'])}")
            cursor.execute(_TABLES, [config.get("SCHEMA") or None])
            tables = ", ".join(table for (table,) in cursor.fetchall())
            try:
                if tables:
                    cursor.execute(f"LOCK TABLE {tables} IN EXCLUSIVE MODE")
            except OperationalError as error:
                if self._find_code(error) != _DEADLOCK or pause is None:
                    raise
                cursor.db.rollback()
                sleep(pause)
            else:
                return

    def _leave(self, cursor: Any, config: Config) -> None:
        schema = quote(str(config.get("SCHEMA") or "public"))
        table = f"{schema}.{quote(Marker._meta.db_table)}"
        cursor.execute(f"DELETE FROM {table}")  # noqa: S608 - quoted
        cursor.execute("RESET ROLE")
        # They would write into what nobody reads any more.
        cursor.execute(_END_WAITING)
        cursor.db.commit()

    def fingerprint(self, config: Config) -> Fingerprint:
        """Return the rows and the checksum of each table, as of one moment."""
        with self._use(config, config["NAME"]) as connection:
            return postgresql_rows.fingerprint(connection, config)

    def _find_server(self, config: Config) -> int:
        """Return the version of the server of a database that must be there."""
        with self._use(config, config["NAME"]) as connection:
            return int(connection.pg_version) // 10000

    def _prepare(self, connection: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")

    def _find_code(self, error: BaseException | None) -> str | None:
        cause = getattr(error, "__cause__", None)
        code: str | None = getattr(cause, "sqlstate", None)
        details = getattr(cause, "diag", None)
        if getattr(details, "constraint_name", None) in _NAMES:
            return "42P06"  # two made it at the same moment
        return code or _guess_code(error)


def _guess_code(error: BaseException | None) -> str | None:
    # A refused connection has no code, but a text.
    return "3D000" if 'database "' in str(error) and "not exist" in str(error) else None


class PostgresqlDatabase(PostgresqlServer):
    """A database of a PostgreSQL server."""

    maintenance_name = "postgres"
    exists_sql = "SELECT 1 FROM pg_database WHERE datname = %s"
    size_sql = "SELECT pg_database_size(datname) FROM pg_database WHERE datname = %s"

    def create(self, config: Config) -> None:
        """Make the empty database."""
        self._create(config)

    def drop(self, config: Config) -> None:
        """Remove the database, and end who is connected to it or still makes it."""
        name = quote(self.get_name(config))
        with self._connect(config) as cursor:
            self._end_creation(cursor, name)
            cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _end_creation(self, cursor: Any, name: str) -> None:
        for pause in (*_PAUSES, None):
            cursor.execute(_END_CREATION, [_CREATE + name])
            if not cursor.fetchall() or pause is None:
                return
            sleep(pause)

    def rename(self, config: Config, target: Config) -> None:
        """Rename the database, after ending who is connected to it."""
        old, new = self.get_name(config), self.get_name(target)
        if self.exists(target):
            self._refuse(target)
        with self._connect(target) as cursor:
            cursor.execute(_END_CONNECTIONS, [old])
            cursor.execute(f"ALTER DATABASE {quote(old)} RENAME TO {quote(new)}")

    def build_template_config(self, config: Config, name: str) -> dict[str, Any]:
        """Return the config of another database of the server."""
        return {**config, "NAME": build_template_name(name)}

    def list_templates(self, config: Config) -> tuple[str, ...]:
        """Return the names of the templates on the server, of whatever project."""
        names = self._ask(config, "SELECT datname FROM pg_database")
        found = (find_template(name) for (name,) in names)
        return tuple(sorted(name for name in found if name is not None))

    def create_from_template(self, template: Config, config: Config) -> None:
        """Let the server copy the template's files."""
        self._create(config, template=self.get_name(template))

    def copy(self, source: Config, target: Config) -> None:
        """Dump the one and restore it as the other, without a file in between."""
        with self._undo(target):
            versions = self._find_server(source), self._find_server(target)
            if source.get("SCHEMA"):
                transfers.copy_schema(source, target, versions=versions)
            else:
                transfers.copy_database(source, target, versions=versions)

    def dump(self, config: Config, path: Path) -> None:
        """Write an archive for `pg_restore`."""
        with use_tools(config, server=self._find_server(config)) as tools:
            transfers.write_archive(tools.dump("--format=custom"), path)

    def load(self, config: Config, path: Path) -> None:
        """Restore an archive in one transaction."""
        server = self._find_server(config)
        if self._has_content(config):
            self._refuse_filled(config)
        schemas = transfers.find_schemas(path)
        if schemas != (transfers.PUBLIC,) and len(schemas) == 1:
            transfers.load_schema(path, schemas[0], config, server=server)
            return
        with use_tools(config, server=server) as tools:
            feed(tools.restore(), iter_file(path))

    def _has_content(self, config: Config) -> bool:
        with self._use(config, config["NAME"]) as connection:
            cursor = connection.cursor()
            cursor.execute(_CONTENT)
            return cursor.fetchone() is not None

    @contextmanager
    def _undo(self, config: Config) -> Iterator[None]:
        """Make the database, and remove it if the block fails."""
        self._create(config, template="template0")
        try:
            yield
        except BaseException:
            self.drop(config)
            raise

    def _create(self, config: Config, *, template: str = "") -> None:
        name = quote(self.get_name(config))
        like = f" TEMPLATE {quote(template)}" if template else ""
        with self._connect(config) as cursor:
            for pause in (*_PAUSES, None):
                try:
                    cursor.execute(f"{_CREATE}{name}{like}")
                except OperationalError as error:
                    if self._find_code(error) != _IN_USE or pause is None:
                        raise
                else:
                    return
                if find_template(template):
                    cursor.execute(_END_CONNECTIONS, [template])
                sleep(pause)
