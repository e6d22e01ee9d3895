"""PostgreSQL: a schema of a database that many mirrors share."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import ProgrammingError

from django_mirrors.exceptions import OperationFailed
from django_mirrors.operations.databases import transfers
from django_mirrors.operations.databases.base import (
    REPLAY_TABLE,
    Config,
    build_template_name,
    find_template,
)
from django_mirrors.operations.databases.postgresql import PostgresqlServer
from django_mirrors.operations.databases.postgresql_tools import (
    build_session_name,
    use_tools,
)
from django_mirrors.operations.databases.processes import read_output
from django_mirrors.operations.databases.server import quote

__all__ = ["SchemaDatabase"]

_TABLES = f"""
SELECT format('SELECT 1 FROM %%I.%%I t WHERE position(%%L IN t::text) > 0',
              n.nspname, c.relname, n.nspname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind = 'r' AND c.relname <> '{REPLAY_TABLE}'
"""  # noqa: S608 - constants
_NAME_SESSION = "SELECT set_config('application_name', %s, false)"
# Waited for: one that is just committing would make the schema after the drop.
_END_SESSIONS = """
SELECT pg_terminate_backend(pid, %s) FROM pg_stat_activity
WHERE application_name = %s AND datname = current_database()
  AND pid <> pg_backend_pid() AND pg_has_role(usesysid, 'MEMBER')
"""
_PATIENCE = 10_000  # milliseconds
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))"
# What psql is told, with a key that is new each time, and a server cannot read.
_RESTRICTION = re.compile(r"\n\\restrict (\w+)\n")


class SchemaDatabase(PostgresqlServer):
    """A schema; see `DatabaseBackend`."""

    exists_sql = "SELECT 1 FROM pg_namespace WHERE nspname = %s"
    size_sql = (
        "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relkind IN ('r', 'm', 'S')"
    )
    content_sql = (
        "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s LIMIT 1"
    )
    advice = (
        "Check that it runs and that the database is there, and that the user may "
        "create schemas in it."
    )

    def get_name(self, config: Config) -> str:
        """Return the name of the schema. Raises `OperationFailed`."""
        name = str(config["SCHEMA"])
        self._check_name(name)
        return name

    def describe(self, config: Config) -> str:
        """Return what is worked on, for messages."""
        return f"schema '{config['SCHEMA']}' of database '{config['NAME']}'"

    def create(self, config: Config) -> None:
        """Make the empty schema, for its role if it has one."""
        self._run(config, self._build_creation(config))

    def drop(self, config: Config) -> None:
        """End what still works on the schema; remove it and everything in it."""
        name = quote(self.get_name(config))
        try:
            with self._connect(config) as cursor:
                cursor.execute(_END_SESSIONS, [_PATIENCE, build_session_name(config)])
                cursor.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
        except OperationFailed as error:
            if not self._is_missing(error):
                raise

    def rename(self, config: Config, target: Config) -> None:
        """Rename the schema."""
        old, new = quote(self.get_name(config)), quote(self.get_name(target))
        if self.exists(target):
            self._refuse(target)
        self._run(target, f"ALTER SCHEMA {old} RENAME TO {new}")

    def build_template_config(self, config: Config, name: str) -> dict[str, Any]:
        """Return the config of another schema of the database, of no role."""
        return {**config, "SCHEMA": build_template_name(name), "ROLE": None}

    def list_templates(self, config: Config) -> tuple[str, ...]:
        """Return the names of the templates in the database."""
        names = self._ask(config, "SELECT nspname FROM pg_namespace")
        found = (find_template(name) for (name,) in names)
        return tuple(sorted(name for name in found if name is not None))

    def create_from_template(self, template: Config, config: Config) -> None:
        """Run the template's SQL under the new name, as one transaction."""
        name, role = self.get_name(config), config.get("ROLE")
        sql = self._find_replay(template) or self._record_replay(template)
        statements = (
            "BEGIN",
            self._build_creation(config),
            *((f"SET LOCAL ROLE {quote(role)}",) if role else ()),
            _rename(sql, self.get_name(template), name),
            "COMMIT",
        )
        self._run(config, ";\n".join(statements))

    def copy(self, source: Config, target: Config) -> None:
        """Copy the schema in one transaction."""
        if self.exists(target):
            self._refuse(target)
        versions = self._find_server(source), self._find_server(target)
        transfers.copy_schema(source, target, versions=versions)

    def dump(self, config: Config, path: Path) -> None:
        """Write an archive for `pg_restore`."""
        with use_tools(config, server=self._find_server(config)) as tools:
            command = transfers.dump_schema(tools, self.get_name(config))
            transfers.write_archive(command, path)

    def load(self, config: Config, path: Path) -> None:
        """Restore an archive in one transaction."""
        name = self.get_name(config)
        if not self.exists(config):
            raise OperationFailed(
                f"The {self.describe(config)} is not there. Make it to load a dump."
            )
        if self._ask(config, self.content_sql, name):
            self._refuse_filled(config)
        schemas = transfers.find_schemas(path)
        if len(schemas) > 1:
            raise OperationFailed(
                f"The dump '{path}' holds the schemas {', '.join(sorted(schemas))}. "
                "Load it into a database instead of a schema."
            )
        server = self._find_server(config)
        transfers.load_schema(path, schemas[0], config, server=server)

    def _run(self, config: Config, sql: str) -> None:
        with self._connect(config) as cursor:
            cursor.execute(_NAME_SESSION, [build_session_name(config)])
            cursor.execute(sql)

    @contextmanager
    def _connect(self, config: Config) -> Iterator[Any]:
        with self._use(config, config["NAME"]) as connection:
            yield connection.cursor()

    def _build_creation(self, config: Config) -> str:
        role = config.get("ROLE")
        owner = f" AUTHORIZATION {quote(role)}" if role else ""
        return f"CREATE SCHEMA {quote(self.get_name(config))}{owner}"

    def _find_replay(self, template: Config) -> str | None:
        """Return the template's SQL if it was recorded."""
        table = f"{quote(self.get_name(template))}.{REPLAY_TABLE}"
        with self._connect(template) as cursor:
            try:
                cursor.execute(f"SELECT sql FROM {table}")  # noqa: S608 - quoted
            except ProgrammingError:
                return None  # there is no such table
            row = cursor.fetchone()
            return None if row is None else str(row[0])

    def _record_replay(self, template: Config) -> str:
        """Write the template's SQL into the template, for other processes too."""
        name = self.get_name(template)
        sql = self._read_sql(template)
        table = f"{quote(name)}.{REPLAY_TABLE}"
        with self._connect(template) as cursor:
            cursor.db.set_autocommit(False)
            cursor.execute(_LOCK, [name])
            cursor.execute(f"CREATE TABLE IF NOT EXISTS {table} (sql text NOT NULL)")
            cursor.execute(f"DELETE FROM {table}")  # noqa: S608 - quoted
            cursor.execute(f"INSERT INTO {table} VALUES (%s)", [sql])  # noqa: S608
            cursor.db.commit()
        return sql

    def _read_sql(self, template: Config) -> str:
        """Return the statements that fill a schema of the template's name."""
        name = self.get_name(template)
        if find_template(name) is None:
            raise OperationFailed(
                f"The {self.describe(template)} is no template. Make one by "
                "build_template_config()."
            )
        self._check_data(template)
        with use_tools(template, server=self._find_server(template)) as tools:
            dump = tools.dump(
                "--inserts",
                "--rows-per-insert=1000",
                "--strict-names",
                f"--schema={name}",
                f"--exclude-table={name}.{REPLAY_TABLE}",
            )
            text = read_output(dump).decode()
        key = _RESTRICTION.search(text)
        if key is not None:
            for command in ("restrict", "unrestrict"):
                text = text.replace(f"\n\\{command} {key[1]}\n", "\n")
        return text.replace(f"\nCREATE SCHEMA {name};\n", "\n", 1)

    def _check_data(self, template: Config) -> None:
        """Raise if a row holds the name of the template, which is then replaced."""
        with self._connect(template) as cursor:
            cursor.execute(_TABLES, [self.get_name(template)])
            for (query,) in cursor.fetchall():
                cursor.execute(query)
                if cursor.fetchone() is not None:
                    raise OperationFailed(
                        f"The {self.describe(template)} has its own name in a row. "
                        "Make it again under another name."
                    )


def _rename(sql: str, old: str, new: str) -> str:
    """Return `sql` about the schema `new` instead of `old`."""
    identifier = quote(new)
    in_literal = identifier.replace("'", "''")
    literal = quote(new, "'")

    def replace(match: re.Match[str]) -> str:
        if match[1] and match[2]:
            return literal
        return f"'{in_literal}{match[2]}" if match[1] else f"{identifier}{match[2]}"

    return re.sub(rf"('?)(?<![a-z0-9_]){old}(?![a-z0-9_])('?)", replace, sql)
