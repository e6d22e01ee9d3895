"""How a guarded connection reaches its database: the right one, and not for ever."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from time import monotonic
from typing import Any

from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    OperationalError,
    connections,
)
from django.db.backends.base.base import BaseDatabaseWrapper

from django_mirrors import _compat
from django_mirrors.conf import get_conf
from django_mirrors.db.breaker import breaker
from django_mirrors.db.guard import Guarded
from django_mirrors.db.limits import limits
from django_mirrors.db.ownership import check_ownership, check_replica, is_given
from django_mirrors.db.readonly import (
    begin_reading,
    is_end,
    is_read_only,
    is_refusal,
)
from django_mirrors.exceptions import (
    MirrorUnavailable,
)
from django_mirrors.mirror import ORIGINAL_NAME

__all__ = ["MirrorConnection", "build_guarded"]

# Where each alias led to when it connected last.
_places: dict[str, tuple[Any, ...]] = {}

# What MySQL's driver says of a connection that is gone.
_MYSQL_LOST = frozenset({2006, 2013, 2055})


class MirrorConnection(Guarded):
    """A guarded connection that knows where its mirror's database is now."""

    _opened = 0.0
    _is_counted = False  # among the connections to its server

    @property
    def _connection_pools(self) -> dict[str, Any]:
        """Where Django's own pools are, if the database has the option."""
        if self.is_static or self.owner in (ORIGINAL_NAME, DEFAULT_DB_ALIAS):
            shared: dict[str, Any] = super()._connection_pools  # type: ignore[misc]
            return shared
        if self._pools is None:
            databases: Any = connections.settings
            self._pools = databases.find_pools(self.settings_dict)
        return self._pools

    def explain(self, error: DatabaseError) -> None:
        """Raise `MirrorUnavailable` if the mirror is being moved, and that is why."""
        if self.is_replica:
            if isinstance(error, OperationalError):
                raise MirrorUnavailable(
                    f"The replica of mirror '{self.owner}' failed "
                    f"({type(error.__cause__ or error).__name__}). Try again."
                ) from error
            return
        if is_read_only(self.settings_dict) and is_refusal(error):
            raise MirrorUnavailable(
                f"Mirror '{self.owner}' is read-only while it is moved, so nothing was "
                "written. Try again in a few seconds; 'manage.py mirror_show "
                f"{self.owner}' tells whether that has ended."
            ) from error
        if self.is_static or not is_end(error):
            return
        if self._is_lost(error):
            raise MirrorUnavailable(
                f"The connection to the database of mirror '{self.owner}' was lost "
                f"({type(error.__cause__ or error).__name__}), and what was not "
                "committed is not written. Check that its server runs, and try again."
            ) from error
        databases: Any = connections.settings
        if databases.get_current(self.owner) is not self.settings_dict:
            raise MirrorUnavailable(
                f"The database of mirror '{self.owner}' was changed while it was used, "
                "and nothing was written. Try again."
            ) from error

    def ensure_connection(self) -> None:
        """Connect if need be. Raises `MirrorUnavailable` if nothing answers."""
        wrapper: Any = self
        self._leave_silent()
        if wrapper.connection is not None:
            return
        try:
            super().ensure_connection()  # type: ignore[misc]
        except MirrorUnavailable:
            raise
        except OperationalError as error:
            if self.is_static:
                raise
            if self.is_replica:
                raise self._build_unavailable(error) from error
            databases: Any = connections.settings
            if not (databases.read_again(self.owner) or self._follow_change()):
                raise self._build_unavailable(error) from error
            self._pools = None
            self._connect_again()

    def _leave_silent(self) -> None:
        """Close what was opened before its server fell silent, if it is not in use.

        The next use connects, which fails at once as long as the server is not back.
        """
        wrapper: Any = self
        if wrapper.connection is None or self.is_static:
            return
        # Asked for each connection of the thread, twice a request: in this order.
        has_failed = breaker.has_failed(self.settings_dict, since=self._opened)
        if has_failed and not self.is_in_use():
            self.close()

    def _is_lost(self, error: DatabaseError) -> bool:
        wrapper: Any = self
        # Other drivers do not know it before they use the connection again.
        is_closed = bool(getattr(wrapper.connection, "closed", False))
        return is_closed or next(iter(error.args), None) in _MYSQL_LOST

    def _follow_change(self) -> bool:
        """Take over where the alias leads to now; return whether that is elsewhere.

        The definition may have changed after this connection was asked for.
        """
        databases: Any = connections.settings
        current = databases.get_current(self.owner)
        mine = self.settings_dict
        if current is None or current is mine:
            return False
        if any(current.get(key) != mine.get(key) for key in ("ENGINE", "SCHEMA")):
            return False  # which another class of connection is for
        self.settings_dict = current
        return True

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
        if "SCHEMA" in self.settings_dict:
            # Its pool counts the connections, and watches what it does with the server.
            self._run_freed(self._connect_freed)
        else:
            # A server is not slow because its connections are in use: in this order.
            with (
                self._counted(),
                breaker.watched(self.settings_dict, mirror=self.owner),
            ):
                self._run_freed(self._connect_freed)
        if self.is_replica:
            self._check_replica()
            return
        # The checks use the original even if the options are wrong, and tell of them.
        if self.owner != ORIGINAL_NAME and is_given(self.owner):
            self._check_ownership()

    def _connect_freed(self) -> None:
        self._opened = monotonic()  # Django asks for the connection meanwhile
        if self.vendor == "postgresql" and not self.is_replica:
            _notice_types(self.alias, self.settings_dict)
        super().connect()  # type: ignore[misc]
        if is_read_only(self.settings_dict):
            begin_reading(self, is_moved=not self.is_replica)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Wait until one more connection to the server may be made."""
        config = self.settings_dict
        is_pooled = "pool" in config["OPTIONS"]
        is_free = self.vendor == "sqlite" or self.owner == ORIGINAL_NAME or is_pooled
        # The checks use the original even if the options are wrong, and tell of them.
        most = None if is_free else get_conf().max_server_connections
        if most is None or self._is_counted:
            yield
            return
        limits.take(
            self,
            most=most,
            seconds=get_conf().connect_timeout,
            close_idle=self._close_another,
        )
        self._is_counted = True
        try:
            yield
        except BaseException:
            self._end_count()
            raise

    def _end_count(self) -> None:
        if self._is_counted:
            self._is_counted = False
            limits.give(self)

    def _close_another(self) -> bool:
        """Close what this thread has open and does not use, of another mirror."""
        opened: Any = connections.all(initialized_only=True)
        for other in opened:
            is_other = isinstance(other, MirrorConnection) and other is not self
            if is_other and other._is_counted and not other.is_in_use():  # noqa: SLF001
                other.close()
                return True
        return False

    def close(self) -> None:
        """Close the connection, unless a transaction is to end first."""
        super().close()  # type: ignore[misc]
        wrapper: Any = self
        if wrapper.connection is None:
            self._end_count()

    def close_if_unusable_or_obsolete(self) -> None:
        """Close the connection at the end of a request if it shall not be kept."""
        self._leave_silent()
        super().close_if_unusable_or_obsolete()  # type: ignore[misc]
        wrapper: Any = self
        is_kept = wrapper.connection is not None and not wrapper.in_atomic_block
        if is_kept and self._is_counted and limits.is_wanted(self):
            self.close()

    def _check_replica(self) -> None:
        wrapper: Any = self
        try:
            with self.freed():
                check_replica(self)
        except BaseException:
            wrapper.close()
            raise

    def _check_ownership(self) -> None:
        wrapper: Any = self
        try:
            with self.freed():
                check_ownership(self)
        except MirrorUnavailable:
            wrapper.close()
            raise

    def _commit(self) -> None:
        try:
            super()._commit()  # type: ignore[misc]
        except OperationalError as error:
            self.explain(error)
            raise

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


def _notice_types(alias: str, config: dict[str, Any]) -> None:
    """Let Django ask for the types of extensions anew if `alias` leads elsewhere."""
    place = config, config.get("HOST"), config.get("PORT"), config.get("NAME")
    known = _places.setdefault(alias, place)
    # A mirror that was destroyed and restored has an equal config, and other types.
    if known[0] is not config or known[1:] != place[1:]:
        _compat.forget_types()
        _places[alias] = place


@cache
def build_guarded(base: type[BaseDatabaseWrapper]) -> type[Any]:
    """Return the guarded subclass of an engine's connection class."""
    # The engine is the project's choice, so this class cannot be written down.
    return type(
        base.__name__, (MirrorConnection, base), {"__module__": base.__module__}
    )
