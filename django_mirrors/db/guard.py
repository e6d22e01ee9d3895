"""A connection that works for the current mirror only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any
from weakref import WeakSet

from django.db import DEFAULT_DB_ALIAS, OperationalError, connections
from django.db.backends.base.base import NO_DB_ALIAS, BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from django_mirrors.context import (
    Frame,
    bind_mirror,
    find_current_mirror,
    find_frame,
    is_crossing,
)
from django_mirrors.db.breaker import breaker
from django_mirrors.exceptions import (
    MirrorUnavailable,
    NoCurrentMirror,
    WrongMirror,
)
from django_mirrors.mirror import ORIGINAL_NAME

__all__ = ["Guarded", "build_guarded", "check_alias"]

_clock = count()


def check_alias(alias: str) -> None:
    """Raise unless the database `alias` is that of the current mirror.

    `WrongMirror` if another mirror is current, `NoCurrentMirror` if none is.
    """
    mirror = find_current_mirror()
    if mirror is not None and alias in (mirror.alias, DEFAULT_DB_ALIAS):
        return
    if is_crossing():
        return
    if mirror is None:
        raise NoCurrentMirror(
            f"The database of mirror '{alias}' was used while no mirror is current. "
            f"Wrap the code in 'with use_mirror({alias!r}):'."
        )
    raise WrongMirror(
        f"The database of mirror '{alias}' was used while '{mirror}' is current. "
        "Enter that mirror first, or say why in 'with cross_mirrors(reason):'."
    )


class Guarded:
    """What every connection of a project with mirrors adds to its engine's."""

    alias: str
    vendor: str
    Database: Any
    settings_dict: dict[str, Any]
    generation = -1
    used = 0
    _is_free = False  # whether SQL runs whatever mirror is current
    _allowed: Frame | None = None  # where it was last checked, and passed

    def __init__(
        self, settings_dict: dict[str, Any], alias: str = DEFAULT_DB_ALIAS
    ) -> None:
        super().__init__(settings_dict, alias)  # type: ignore[call-arg]
        self.owner = alias  # whose data it leads to; a copy may have another alias
        # The project's own databases, and Django's own work on a server: creating and
        # dropping them.
        self.is_static = alias == NO_DB_ALIAS or connections.settings.is_static(alias)  # type: ignore[attr-defined]
        self._readers: WeakSet[Any] = WeakSet()
        self._kinds: dict[str, type[Any]] = {}

    def copy(self, alias: str | None = None) -> Any:
        """Return another connection to the same database, guarded alike."""
        copied = super().copy(alias)  # type: ignore[misc]
        copied.owner, copied.is_static = self.owner, self.is_static
        return copied

    def check_mirror(self) -> None:
        """Raise unless this connection belongs to the current mirror."""
        frame = find_frame()
        if frame is not None and frame is self._allowed:
            return
        if not (self.is_static or self._is_free):
            check_alias(self.owner)
            self._allowed = frame

    @contextmanager
    def freed(self) -> Iterator[None]:
        """Let what belongs to no mirror alone run, and make cursors that go on so."""
        before, self._is_free = self._is_free, True
        try:
            yield
        finally:
            self._is_free = before

    def is_in_use(self) -> bool:
        """Whether closing the connection now would break something."""
        wrapper: Any = self
        return bool(
            wrapper.in_atomic_block
            or (wrapper.connection is not None and not wrapper.autocommit)
            or any(not reader.is_closed for reader in self._readers)
        )

    def ensure_connection(self) -> None:
        """Connect if need be. Raises `MirrorUnavailable` if nothing answers."""
        wrapper: Any = self
        if wrapper.connection is not None:
            return
        try:
            super().ensure_connection()  # type: ignore[misc]
        except MirrorUnavailable:
            raise
        except OperationalError as error:
            if self.is_static:
                raise
            databases: Any = connections.settings
            if not databases.read_again(self.owner):
                raise self._build_unavailable(error) from error
            self._connect_again()

    def _connect_again(self) -> None:
        try:
            super().ensure_connection()  # type: ignore[misc]
        except OperationalError as error:
            raise self._build_unavailable(error) from error

    def connect(self) -> None:
        """Connect to a database that is there, is the current mirror's, and answers."""
        # The records of the fleet are read whatever mirror is current, or none.
        if self.owner != ORIGINAL_NAME:
            self.check_mirror()
        if self.is_static:
            super().connect()  # type: ignore[misc]
            return
        self._check_file()
        with self.freed(), breaker.watched(self.settings_dict, mirror=self.owner):
            super().connect()  # type: ignore[misc]

    def set_autocommit(self, autocommit: bool, **options: Any) -> None:  # noqa: FBT001 - Django's
        """Set autocommit; beginning a transaction counts as use."""
        # Models of the original alone are saved while any mirror is current.
        if not autocommit and not self._is_original_in_mirror():
            self.check_mirror()
        super().set_autocommit(autocommit, **options)  # type: ignore[misc]

    def _savepoint(self, sid: str) -> None:
        if not self._is_original_in_mirror():
            self.check_mirror()
        self._run_freed(super()._savepoint, sid)  # type: ignore[misc]

    def _savepoint_rollback(self, sid: str) -> None:
        # An atomic block must end well, wherever its end is reached.
        self._run_freed(super()._savepoint_rollback, sid)  # type: ignore[misc]

    def _savepoint_commit(self, sid: str) -> None:
        self._run_freed(super()._savepoint_commit, sid)  # type: ignore[misc]

    def _run_freed(self, run: Callable[[str], None], sid: str) -> None:
        # As freed() does, in a third of the time.
        before, self._is_free = self._is_free, True
        try:
            run(sid)
        finally:
            self._is_free = before

    def on_commit(self, func: Any, robust: bool = False) -> None:  # noqa: FBT001, FBT002 - Django's
        """Run `func` after the commit, in the mirror that is current now."""
        # The project's own databases need no mirror. Django refuses other things.
        if callable(func) and not (self.is_static and find_current_mirror() is None):
            func = BoundCallback(func)
        super().on_commit(func, robust)  # type: ignore[misc]

    def _cursor(self, name: str | None = None) -> Any:
        # Before the connection is made: another mirror's server is not to be asked.
        self.check_mirror()
        self.used = next(_clock)
        return super()._cursor(name)  # type: ignore[misc]

    def chunked_cursor(self) -> Any:
        """Return a cursor that is read in chunks, and keeps the connection in use."""
        cursor = super().chunked_cursor()  # type: ignore[misc]
        if not self.is_static:
            self._readers.add(cursor)
        return cursor

    def make_cursor(self, cursor: Any) -> CursorWrapper:
        """Return a cursor that asks for the mirror at each use."""
        if self.is_static:
            return super().make_cursor(cursor)  # type: ignore[misc, no-any-return]
        return self._make_guarded(cursor, super().make_cursor)  # type: ignore[misc]

    def make_debug_cursor(self, cursor: Any) -> CursorWrapper:
        """See make_cursor()."""
        if self.is_static:
            return super().make_debug_cursor(cursor)  # type: ignore[misc, no-any-return]
        return self._make_guarded(cursor, super().make_debug_cursor)  # type: ignore[misc]

    def _make_guarded(self, cursor: Any, make: Callable[[Any], Any]) -> CursorWrapper:
        # One of the engine's is made to see its class. Later ones are made guarded:
        # an object that changes its class is slow for all its life.
        kind = self._kinds.get(make.__name__)
        if kind is None:
            own: Any = type(make(cursor))
            kind = self._kinds[make.__name__] = build_guarded_cursor(own)
        made: CursorWrapper = kind(cursor, self)
        if self._is_free:
            made.is_free = True  # type: ignore[attr-defined]
        return made

    def _is_original_in_mirror(self) -> bool:
        return self.owner == ORIGINAL_NAME and find_current_mirror() is not None

    def _check_file(self) -> None:
        # SQLite makes a file that is not there: an empty database that looks lost.
        if self.vendor != "sqlite" or self.owner == ORIGINAL_NAME:
            return
        name = str(self.settings_dict["NAME"])
        if ":memory:" in name or name.startswith("file:") or Path(name).exists():
            return
        raise MirrorUnavailable(
            f"The database of mirror '{self.owner}' does not exist: there is no file "
            f"'{name}'. Make it with 'manage.py mirror_add {self.owner}', or restore "
            "it."
        )

    def _build_unavailable(self, error: OperationalError) -> MirrorUnavailable:
        # The driver's text may hold the connection's parameters: only its type shows.
        kind = type(error.__cause__ or error).__name__
        return MirrorUnavailable(
            f"The database of mirror '{self.owner}' cannot be reached ({kind}). Check "
            "that its server runs, and its address and credentials with "
            f"'manage.py mirror_check {self.owner}'."
        )


class GuardedCursor:
    """A cursor that works while its connection's mirror is current."""

    db: Any
    cursor: Any
    is_free = False
    is_closed = False

    def execute(self, sql: Any, params: Any = None) -> Any:
        """Execute one statement."""
        self._check()
        return super().execute(sql, params)  # type: ignore[misc]

    def executemany(self, sql: Any, param_list: Any) -> Any:
        """Execute a statement for each of the parameters."""
        self._check()
        return super().executemany(sql, param_list)  # type: ignore[misc]

    def callproc(self, procname: Any, params: Any = None, kparams: Any = None) -> Any:
        """Call a stored procedure."""
        self._check()
        return super().callproc(procname, params, kparams)  # type: ignore[misc]

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        self._check()
        with self.db.wrap_database_errors:
            return self.cursor.fetchone()

    def fetchmany(self, *size: Any, **named: Any) -> Any:
        """Return the next rows."""
        self._check()
        with self.db.wrap_database_errors:
            return self.cursor.fetchmany(*size, **named)

    def fetchall(self) -> Any:
        """Return all rows that are left."""
        self._check()
        with self.db.wrap_database_errors:
            return self.cursor.fetchall()

    def close(self) -> None:
        """Close the cursor, which any mirror may."""
        self.is_closed = True
        self.cursor.close()

    def __iter__(self) -> Iterator[Any]:
        for row in super().__iter__():  # type: ignore[misc]
            self._check()
            yield row

    def __getattr__(self, name: str) -> Any:
        # Other names of the driver, such as psycopg's `copy`.
        self._check()
        return super().__getattr__(name)  # type: ignore[misc]

    def _check(self) -> None:
        if not self.is_free:
            self.db.check_mirror()


class BoundCallback:
    """What to run after a commit, in the mirror that is current now.

    Shows the function's own name in the logs.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self._run = bind_mirror(function)

    def __call__(self) -> None:
        self._run()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["function"], name)

    def __eq__(self, other: object) -> bool:
        # Tests look for the functions they registered.
        return bool(self.function == other)

    def __hash__(self) -> int:
        return hash(self.function)

    def __repr__(self) -> str:
        return repr(self.function)


@cache
def build_guarded(base: type[BaseDatabaseWrapper]) -> type[Any]:
    """Return the guarded subclass of an engine's connection class."""
    # The engine is the project's choice, so this class cannot be written down.
    return type(base.__name__, (Guarded, base), {"__module__": base.__module__})


@cache
def build_guarded_cursor(base: Any) -> type[Any]:
    """Return the guarded subclass of a cursor class."""
    return type(base.__name__, (GuardedCursor, base), {"__module__": base.__module__})
