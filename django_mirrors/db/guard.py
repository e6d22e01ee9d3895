"""A connection that works for the current mirror only."""

from collections.abc import Callable
from functools import cache
from itertools import count
from typing import Any
from weakref import WeakSet

from django.db.backends.base.base import NO_DB_ALIAS, BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.utils import OperationalError

from django_mirrors.context import bind_mirror, find_current_mirror, is_crossing
from django_mirrors.exceptions import MirrorUnavailable, NoCurrentMirror, WrongMirror

__all__ = ["build_guarded", "check_alias"]

_clock = count()


def check_alias(alias: str) -> None:
    """Raise unless the database `alias` is that of the current mirror.

    `WrongMirror` if another mirror is current, `NoCurrentMirror` if none is.
    """
    mirror = find_current_mirror()
    if mirror is not None and mirror.alias == alias:
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
    is_static = False
    generation = -1
    used = 0
    _is_connecting = False

    def __init__(self, settings_dict: dict[str, Any], alias: str) -> None:
        super().__init__(settings_dict, alias)  # type: ignore[call-arg]
        self._readers: WeakSet[Any] = WeakSet()
        if alias == NO_DB_ALIAS:
            # Django's own work on the server: creating and dropping databases.
            self.is_static = True

    def check_mirror(self) -> None:
        """Raise unless this connection belongs to the current mirror."""
        if not self.is_static and not self._is_connecting:
            check_alias(self.alias)
        self.used = next(_clock)

    def is_in_use(self) -> bool:
        """Whether closing the connection now would break something."""
        wrapper: Any = self
        return bool(
            wrapper.in_atomic_block
            or (wrapper.connection is not None and not wrapper.autocommit)
            or any(not reader.closed for reader in self._readers)
        )

    def connect(self) -> None:
        """Connect. Raises `MirrorUnavailable` if the server does not answer."""
        self._is_connecting = True
        try:
            super().connect()  # type: ignore[misc]
        except self.Database.OperationalError as error:  # type: ignore[attr-defined]
            raise self._build_unavailable(error) from error
        except OperationalError as error:
            raise self._build_unavailable(error) from error
        finally:
            self._is_connecting = False

    def set_autocommit(self, autocommit: bool, **options: Any) -> None:
        """Set autocommit; beginning a transaction counts as use."""
        if not autocommit:
            self.check_mirror()
        super().set_autocommit(autocommit, **options)  # type: ignore[misc]

    def on_commit(self, func: Callable[[], Any], robust: bool = False) -> None:
        """Run `func` after the commit, in the mirror that is current now."""
        bound = bind_mirror(func) if callable(func) and not self.is_static else func
        super().on_commit(bound, robust)  # type: ignore[misc]

    def chunked_cursor(self) -> Any:
        """Return a cursor that is read in chunks, and keeps the connection in use."""
        cursor = super().chunked_cursor()  # type: ignore[misc]
        self._readers.add(cursor)
        return cursor

    def make_cursor(self, cursor: Any) -> CursorWrapper:
        """Return a cursor that asks for the mirror at each use."""
        return self._guard_cursor(super().make_cursor(cursor))  # type: ignore[misc]

    def make_debug_cursor(self, cursor: Any) -> CursorWrapper:
        """See make_cursor()."""
        return self._guard_cursor(super().make_debug_cursor(cursor))  # type: ignore[misc]

    def _guard_cursor(self, cursor: CursorWrapper) -> CursorWrapper:
        self.check_mirror()
        cursor.__class__ = build_guarded_cursor(type(cursor))
        return cursor

    def _build_unavailable(self, error: Exception) -> MirrorUnavailable:
        # The driver's text may hold the connection's parameters: only its type is said.
        return MirrorUnavailable(
            f"The database of mirror '{self.alias}' cannot be reached "
            f"({type(error).__name__}). Check that its server runs, and its address and "
            f"credentials with 'manage.py mirror_check {self.alias}'."
        )


class GuardedCursor:
    """A cursor that works while its connection's mirror is current."""

    db: Any

    def execute(self, sql: Any, params: Any = None) -> Any:
        """Execute one statement."""
        self.db.check_mirror()
        return super().execute(sql, params)  # type: ignore[misc]

    def executemany(self, sql: Any, param_list: Any) -> Any:
        """Execute a statement for each of the parameters."""
        self.db.check_mirror()
        return super().executemany(sql, param_list)  # type: ignore[misc]

    def callproc(self, procname: Any, params: Any = None, kparams: Any = None) -> Any:
        """Call a stored procedure."""
        self.db.check_mirror()
        return super().callproc(procname, params, kparams)  # type: ignore[misc]

    def __getattr__(self, name: str) -> Any:
        # Rows of one mirror must not be fetched in another; `copy` and other names of
        # the driver come this way too. Closing is always allowed.
        if name != "close" and name != "closed":
            self.db.check_mirror()
        return super().__getattr__(name)  # type: ignore[misc]


@cache
def build_guarded(base: type[BaseDatabaseWrapper]) -> type[Any]:
    """Return the guarded subclass of an engine's connection class."""
    # The engine is the project's choice, so this class cannot be written down.
    return type(base.__name__, (Guarded, base), {"__module__": base.__module__})


@cache
def build_guarded_cursor(base: type[CursorWrapper]) -> type[Any]:
    """Return the guarded subclass of a cursor class."""
    return type(base.__name__, (GuardedCursor, base), {"__module__": base.__module__})
