"""A connection that works for the current mirror only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any
from weakref import WeakSet

from django.db import (
    DEFAULT_DB_ALIAS,
    connections,
)
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.utils import CursorWrapper

from django_mirrors.context import (
    Frame,
    find_current_mirror,
    find_frame,
    is_crossing,
)
from django_mirrors.db.callbacks import BoundCallback
from django_mirrors.db.cursors import build_guarded_cursor
from django_mirrors.exceptions import (
    NoCurrentMirror,
    WrongMirror,
)
from django_mirrors.mirror import ORIGINAL_NAME

__all__ = ["Guarded", "check_alias"]

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
    is_replica = False
    _is_free = False  # whether SQL runs whatever mirror is current
    _pools: dict[str, Any] | None = None
    _allowed: Frame | None = None  # where it was last checked, and passed

    def __init__(
        self, settings_dict: dict[str, Any], alias: str = DEFAULT_DB_ALIAS
    ) -> None:
        super().__init__(settings_dict, alias)  # type: ignore[call-arg]
        self.owner = alias  # whose data it leads to; a copy may have another alias
        # The project's own databases, and Django's own work on a server: creating and
        # dropping them.
        self.is_static = alias == NO_DB_ALIAS or connections.settings.is_static(alias)  # type: ignore[attr-defined]
        # What is read in chunks; of a connection that others have later, all cursors.
        self._readers: WeakSet[Any] = WeakSet()
        self._keeps_cursors = "SCHEMA" in settings_dict
        self._kinds: dict[str, type[Any]] = {}

    def copy(self, alias: str | None = None) -> Any:
        """Return another connection to the same database, guarded alike."""
        copied = super().copy(alias)  # type: ignore[misc]
        copied.owner, copied.is_static = self.owner, self.is_static
        copied.is_replica = self.is_replica
        copied._pools = self._pools  # noqa: SLF001 - of its own class
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
            or (self._readers and any(not item.is_closed for item in self._readers))
        )

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

    def _run_freed(self, run: Callable[..., None], *args: Any) -> None:
        # As freed() does, in a third of the time.
        before, self._is_free = self._is_free, True
        try:
            run(*args)
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
        cursor = super()._cursor(name)  # type: ignore[misc]
        if self._keeps_cursors:
            self._readers.add(cursor)
        return cursor

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
