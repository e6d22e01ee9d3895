"""MySQL and MariaDB: a database of a server."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from django.db import OperationalError, ProgrammingError

from django_mirrors.exceptions import OperationFailed
from django_mirrors.operations.databases import mysql_rows
from django_mirrors.operations.databases.base import (
    REPLAY_TABLE,
    Config,
    Leave,
    build_template_name,
    find_template,
)
from django_mirrors.operations.databases.files import use_new_file
from django_mirrors.operations.databases.fingerprints import Fingerprint
from django_mirrors.operations.databases.mysql_tools import Tools
from django_mirrors.operations.databases.processes import (
    feed,
    iter_file,
    iter_lines,
    iter_output,
)
from django_mirrors.operations.databases.server import ServerDatabase, quote
from django_mirrors.records import Marker

__all__ = ["MysqlDatabase"]

# Statements that change tables cannot be taken back here. While this table is there,
# the database is not whole.
_UNFINISHED = "django_mirrors_unfinished"
_PATIENCE = 30  # seconds, for those who write to end
_LONGEST_HOLD = 24 * 3600  # seconds without a statement
_LARGEST_REPLAY = 4 << 20  # bytes; more does not go through a connection at once
_TAIL = 4096
_END = b"-- Dump completed"
_DEFINER = re.compile(rb"DEFINER=`(?:[^`]|``)*`@`(?:[^`]|``)*`")
_SANDBOX = (b"/*M!999999", b"/*!999999")  # of MariaDB's client, unknown to MySQL's


class MysqlDatabase(ServerDatabase):
    """A database of a MySQL or MariaDB server; see `DatabaseBackend`."""

    vendor = "mysql"
    maintenance_name = ""
    longest_name = 64
    codes_of_existing = frozenset({1007})
    codes_of_missing = frozenset({1049})
    exists_sql = "SELECT 1 FROM information_schema.schemata WHERE schema_name = %s"
    size_sql = (
        "SELECT SUM(data_length + index_length) FROM information_schema.tables "
        "WHERE table_schema = %s"
    )
    content_sql = (
        "SELECT 1 FROM information_schema.tables WHERE table_schema = %s UNION "
        "SELECT 1 FROM information_schema.routines WHERE routine_schema = %s LIMIT 1"
    )
    unfinished_sql = (
        "SELECT 1 FROM information_schema.tables "
        "WHERE table_schema = %s AND table_name = %s"
    )
    tables_sql = (
        "SELECT table_name FROM information_schema.tables "
        "WHERE table_schema = %s AND table_type = 'BASE TABLE' ORDER BY table_name"
    )
    waiting_sql = (
        "SELECT id FROM information_schema.processlist "
        "WHERE db = %s AND id <> CONNECTION_ID() AND state LIKE 'Waiting for table%%'"
    )
    collation_sql = (
        "SELECT default_collation_name FROM information_schema.schemata "
        "WHERE schema_name = %s"
    )

    def create(self, config: Config) -> None:
        """Make the empty database, in the character set of all of Unicode."""
        self._create(config)

    def drop(self, config: Config) -> None:
        """Remove the database."""
        self._run(config, f"DROP DATABASE IF EXISTS {_quote(self.get_name(config))}")

    def rename(self, config: Config, target: Config) -> None:
        """Copy the database, since MySQL cannot rename one, and remove the old one."""
        self.copy(config, target)
        self.drop(config)

    def is_unfinished(self, config: Config) -> bool:
        """Whether the mark of what is being filled was left in the database."""
        name = self.get_name(config)
        return bool(self._ask(config, self.unfinished_sql, name, _UNFINISHED))

    def build_template_config(self, config: Config, name: str) -> dict[str, Any]:
        """Return the config of another database of the server."""
        return {**config, "NAME": build_template_name(name)}

    def list_templates(self, config: Config) -> tuple[str, ...]:
        """Return the names of the templates on the server, of whatever project."""
        names = self._ask(config, "SELECT schema_name FROM information_schema.schemata")
        found = (find_template(name) for (name,) in names)
        return tuple(sorted(name for name in found if name is not None))

    def create_from_template(self, template: Config, config: Config) -> None:
        """Run the template's SQL at once."""
        sql = self._find_replay(template) or self._record_replay(template)
        statements = (sql, f"{_end(config)};")
        with (
            self._undo(config, self._find_collation(template)),
            self._use(config, config["NAME"]) as connection,
        ):
            _run_at_once(connection, "\n".join(statements))

    def copy(self, source: Config, target: Config) -> None:
        """Dump the one and run that as the other, without a file in between."""
        collation = self._find_collation(source)
        self._check_finished(source)
        dump = self._find_tools(source).dump()
        with self._undo(target, collation):
            script = self._find_tools(target).run_script()
            feed(script, _clean(iter_lines(iter_output(dump))))
            self._run(target, _end(target))

    def dump(self, config: Config, path: Path) -> None:
        """Write a file of SQL."""
        self._check_finished(config)
        dump = self._find_tools(config).dump()
        with use_new_file(path, mode=0o600) as partial, partial.open("wb") as file:
            file.writelines(iter_output(dump))

    def load(self, config: Config, path: Path) -> None:
        """Run a file of SQL; if that fails, the database is empty as it was."""
        name = self.get_name(config)
        collation = self._find_collation(config)
        if self._ask(config, self.content_sql, name, name):
            self._refuse_filled(config)
        _check_whole(path)
        try:
            script = self._find_tools(config).run_script()
            with self._fill(config):
                feed(script, _clean(iter_lines(iter_file(path))))
        except BaseException:
            self.drop(config)
            self._create(config, collation)
            raise

    @contextmanager
    def hold_still(self, config: Config) -> Iterator[Leave]:
        """Lock every table for readers only."""
        name = self.get_name(config)
        with self._use(config, config["NAME"]) as connection:
            cursor = connection.cursor()
            cursor.execute(f"SET SESSION lock_wait_timeout = {_PATIENCE}")
            cursor.execute(f"SET SESSION wait_timeout = {_LONGEST_HOLD}")
            cursor.execute(self.tables_sql, [name])
            tables = [_quote(table) for (table,) in cursor.fetchall()]
            if tables:
                locks = ", ".join(f"{table} READ" for table in tables)
                cursor.execute(f"LOCK TABLES {locks}")
            yield lambda: self._leave(cursor, name)

    def _leave(self, cursor: Any, name: str) -> None:
        # They would write into what nobody reads any more.
        cursor.execute(self.waiting_sql, [name])
        for (number,) in cursor.fetchall():
            with suppress(OperationalError):  # it has ended already
                cursor.execute(f"KILL {int(number)}")
        cursor.execute("UNLOCK TABLES")
        cursor.execute(f"DELETE FROM {_quote(Marker._meta.db_table)}")  # noqa: S608

    def fingerprint(self, config: Config) -> Fingerprint:
        """Return the rows and the checksum of each table, as of one moment."""
        self._check_finished(config)
        with self._use(config, config["NAME"]) as connection:
            return mysql_rows.fingerprint(connection, self.get_name(config))

    def _find_code(self, error: BaseException | None) -> int | None:
        code = next(iter(getattr(error, "args", ())), None)
        return code if isinstance(code, int) else None

    def _create(
        self, config: Config, collation: str = "", *, is_marked: bool = False
    ) -> None:
        collate = f" COLLATE {collation}" if collation else ""
        name = _quote(self.get_name(config))
        sql = f"CREATE DATABASE {name} CHARACTER SET utf8mb4{collate}"
        with self._use(config, self.maintenance_name) as connection:
            # As one message: whoever is killed leaves no empty database without a mark.
            _run_at_once(connection, f"{sql}; {_begin(config)}" if is_marked else sql)

    def _find_collation(self, config: Config) -> str:
        """Return how a database that must be there compares texts."""
        rows = self._ask(config, self.collation_sql, self.get_name(config))
        if not rows:
            raise OperationFailed(
                f"The {self.describe(config)} is not there. Name one that is, or make "
                "it."
            )
        # New tables take it over, and must fit those that are there.
        collation = str(rows[0][0])
        return collation if collation.startswith("utf8mb4") else ""

    def _check_finished(self, config: Config) -> None:
        if self.is_unfinished(config):
            raise OperationFailed(
                f"The {self.describe(config)} is not whole: what filled it was "
                "killed. Drop it, and make it again."
            )

    @contextmanager
    def _undo(self, config: Config, collation: str) -> Iterator[None]:
        """Make the database, marked as not whole, and remove it if the block fails."""
        self._create(config, collation, is_marked=True)
        try:
            yield
        except BaseException:
            self.drop(config)
            raise

    @contextmanager
    def _fill(self, config: Config) -> Iterator[None]:
        """Mark the database as not whole until the block has ended well."""
        # Two connections: a server ends one that has nothing to do for long.
        self._run(config, _begin(config))
        yield
        self._run(config, _end(config))

    def _find_tools(self, config: Config) -> Tools:
        with self._use(config, config["NAME"]) as connection:
            version, is_mariadb = connection.mysql_version, connection.mysql_is_mariadb
        return Tools(config, version=version, is_mariadb=is_mariadb)

    def _find_replay(self, template: Config) -> str | None:
        """Return the template's SQL if it was recorded."""
        with self._connect(template) as cursor:
            try:
                cursor.execute(f"SELECT replay FROM {_build_table(template)}")  # noqa: S608 - quoted
            except ProgrammingError:
                return None  # there is no such table
            row = cursor.fetchone()
            return None if row is None else str(row[0])

    def _record_replay(self, template: Config) -> str:
        """Write the template's SQL into the template, for other processes too."""
        self._check_finished(template)
        name = self.get_name(template)
        if find_template(name) is None:
            raise OperationFailed(
                f"The {self.describe(template)} is no template. Make one by "
                "build_template_config()."
            )
        ignored = f"--ignore-table={name}.{REPLAY_TABLE}"
        dump = self._find_tools(template).dump("--skip-comments", ignored)
        lines = _clean(iter_lines(iter_output(dump)))
        sql = b"".join(_join_statements(lines))
        text = sql.decode()
        if len(sql) <= _LARGEST_REPLAY:
            table = _build_table(template)
            with self._connect(template) as cursor:
                cursor.execute(
                    f"CREATE TABLE IF NOT EXISTS {table}"
                    " (id integer PRIMARY KEY, replay longtext NOT NULL)"
                    " CHARACTER SET utf8mb4"
                )
                cursor.execute(f"REPLACE INTO {table} VALUES (1, %s)", [text])  # noqa: S608 - quoted
        return text


def _begin(config: Config) -> str:
    return f"CREATE TABLE {_quote(config['NAME'])}.{_UNFINISHED} (id integer)"


def _end(config: Config) -> str:
    return f"DROP TABLE {_quote(config['NAME'])}.{_UNFINISHED}"


def _build_table(template: Config) -> str:
    return f"{_quote(template['NAME'])}.{REPLAY_TABLE}"


def _quote(name: str) -> str:
    return quote(name, "`")


def _clean(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Leave out who made things elsewhere, and what only one client understands."""
    for line in lines:
        if line.startswith(_SANDBOX):
            continue
        if line.startswith((b"/*!", b"CREATE DEFINER")):
            yield _DEFINER.sub(b"DEFINER=CURRENT_USER", line, count=1)
        else:
            yield line


def _join_statements(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Leave out `DELIMITER`: a server sees by itself where a statement ends."""
    delimiter = b";"
    for line in lines:
        if line.startswith(b"DELIMITER "):
            delimiter = line.split()[1]
        elif delimiter != b";" and line.rstrip().endswith(delimiter):
            yield line.rstrip()[: -len(delimiter)].rstrip() + b";\n"
        else:
            yield line


def _run_at_once(connection: Any, sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        # What goes wrong in a later statement is told only when its result is read.
        while cursor.nextset():
            pass


def _check_whole(path: Path) -> None:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            tail = file.read()
    except OSError as error:
        raise OperationFailed(
            f"The dump '{path}' cannot be read: {error.strerror}. Name one that can be."
        ) from error
    if _END not in tail:
        raise OperationFailed(
            f"The dump '{path}' is damaged: its end is missing. Take another one."
        )
