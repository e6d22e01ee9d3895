"""What the databases of servers have in common: connecting, asking, refusing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from django.db import DatabaseError
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.utils import load_backend

from django_mirrors.exceptions import MirrorExists, OperationFailed
from django_mirrors.operations.databases.base import Config
from django_mirrors.redaction import redact_text

__all__ = ["ServerDatabase", "describe", "quote"]

# Options that are about requests: operations have a connection of their own, and wait.
_FOR_REQUESTS = ("pool", "read_timeout", "write_timeout")


class ServerDatabase:
    """What both servers have in common; see `DatabaseBackend`."""

    vendor: str
    maintenance_name: str | None = None  # the database to connect to for this work
    longest_name: int
    exists_sql: str
    size_sql: str
    codes_of_existing: frozenset[str | int]  # the server's for a name that is taken
    codes_of_missing: frozenset[str | int]  # and for one that is not there
    advice = "Check that it runs, and that the user may create databases."

    def exists(self, config: Config) -> bool:
        """Whether the server has a database of the name."""
        return bool(self._ask(config, self.exists_sql, self.get_name(config)))

    def get_size(self, config: Config) -> int:
        """Return what the server says."""
        rows = self._ask(config, self.size_sql, self.get_name(config))
        return int(rows[0][0] or 0) if rows else 0

    def get_name(self, config: Config) -> str:
        """Return what the server calls the database. Raises `OperationFailed`."""
        name = str(config["NAME"])
        self._check_name(name)
        return name

    def _check_name(self, name: str) -> None:
        # A server would cut it off, and so take two names for one.
        if not name or "\0" in name or len(name.encode()) > self.longest_name:
            raise OperationFailed(
                f"The name '{name}' of a database is empty, holds a null character, "
                f"or is longer than {self.longest_name} bytes. Choose another one."
            )

    def describe(self, config: Config) -> str:
        """Return what is worked on, for messages."""
        return f"database '{config['NAME']}'"

    def _refuse(self, config: Config) -> NoReturn:
        raise MirrorExists(
            f"The {self.describe(config)} is there already. Drop it, or name another "
            "one."
        )

    def _refuse_filled(self, config: Config) -> NoReturn:
        raise MirrorExists(
            f"The {self.describe(config)} is not empty. Make a new one to load a dump "
            "into."
        )

    def _ask(self, config: Config, sql: str, *values: object) -> list[Any]:
        with self._connect(config) as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall())

    def _run(self, config: Config, sql: str) -> None:
        with self._connect(config) as cursor:
            cursor.execute(sql)

    @contextmanager
    def _connect(self, config: Config) -> Iterator[Any]:
        """Yield a cursor in the database for this work."""
        with self._use(config, self.maintenance_name) as connection:
            yield connection.cursor()

    @contextmanager
    def _use(self, config: Config, name: str | None) -> Iterator[Any]:
        """Yield a connection; in the block, an error of the database becomes ours."""
        backend = load_backend(config["ENGINE"])
        options = {
            key: item
            for key, item in config["OPTIONS"].items()
            if key not in _FOR_REQUESTS
        }
        own = {**config, "NAME": name, "OPTIONS": options}
        connection = backend.DatabaseWrapper(own, alias=NO_DB_ALIAS)
        try:
            connection.ensure_connection()
            self._prepare(connection)
            yield connection
        except DatabaseError as error:
            if self._find_code(error) in self.codes_of_existing:
                self._refuse(config)
            raise OperationFailed(
                f"The server of {self.describe(config)} at "
                f"'{config['HOST'] or 'localhost'}' refused: {describe(error)}. "
                f"{self.advice}"
            ) from error
        finally:
            connection.close()

    def _prepare(self, connection: Any) -> None:
        """Let statements take as long as they need."""

    def _is_missing(self, error: OperationFailed) -> bool:
        """Whether the server said that there is no such database."""
        return self._find_code(error.__cause__) in self.codes_of_missing

    def _find_code(self, error: BaseException | None) -> str | int | None:
        """Return the server's own code of an error."""
        raise NotImplementedError


def describe(error: BaseException) -> str:
    """Return what a server said, in one line."""
    return redact_text(" ".join(str(error).split())).rstrip(".")


def quote(name: str, mark: str = '"') -> str:
    """Return a name as SQL has it."""
    # Django's own leaves the quotes in a name alone: the rest would be run as SQL.
    return f"{mark}{name.replace(mark, mark * 2)}{mark}"
