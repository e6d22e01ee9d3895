"""Connections of mirrors that have a schema each in one PostgreSQL database.

An alias is one mirror's, as with a database for each. The physical connection behind it
is taken from the pool of the server when it is needed, set to the mirror's schema, and
given back when Django closes it.
"""

from collections.abc import Hashable
from functools import cache
from typing import Any, NamedTuple
from weakref import WeakSet

from django.db import connections
from django.db.backends.base.base import NO_DB_ALIAS, BaseDatabaseWrapper
from django.db.backends.postgresql.base import Cursor
from django.db.backends.postgresql.client import DatabaseClient
from psycopg import Error, IsolationLevel

from django_mirrors.conf import get_conf
from django_mirrors.db.breaker import breaker
from django_mirrors.db.pools import (
    Pool,
    PoolExhausted,
    SetupRefused,
    get_pool,
    prune_pools,
)
from django_mirrors.db.readonly import is_read_only
from django_mirrors.db.traces import Trace, TracedCursor, follow
from django_mirrors.exceptions import MirrorUnavailable
from django_mirrors.options import PoolConf

__all__ = ["build_schema_engine"]

# How values of one connection are read; Django looks at it again for each cursor.
_NOT_OF_THE_SERVER = frozenset({"context"})


class _Place(NamedTuple):
    config: dict[str, Any]  # a copy of what the others were made of
    zone: tuple[Any, str]
    params: dict[str, Any]
    key: Hashable
    setup: bytes


class SchemaClient(DatabaseClient):
    """Starts `psql` in the schema."""

    @classmethod
    def settings_to_cmd_args_env(
        cls, settings_dict: dict[str, Any], parameters: Any
    ) -> Any:
        """Return the arguments and the environment of `psql`."""
        arguments, environment = super().settings_to_cmd_args_env(
            settings_dict, parameters
        )
        options = _build_options(settings_dict)
        return arguments, {**(environment or {}), "PGOPTIONS": options}


class InSchema:
    """What the connection of a mirror with a schema adds to its engine's."""

    alias: str
    owner: str
    connection: Any
    settings_dict: dict[str, Any]
    timezone: Any
    timezone_name: str
    client_class = SchemaClient
    _readers: WeakSet[Any]  # of Guarded: the cursors that were made
    _place: "_Place | None" = None
    _pool: Pool | None = None  # where the connection is from
    _trace = Trace()  # of the connection; this one is of none
    _taken: "_Place | None" = None  # what it was set up for
    _has_stayed = False  # whether the thread has outlived a request
    _kept_until: float | None = None  # if it is from a request that has ended
    _kept_steps = 0  # what was done until then
    _state: tuple[Any, ...] = ()  # of the driver, as it was taken

    def get_connection_params(self) -> dict[str, Any]:
        """Return what the driver connects with, which nobody may change."""
        if self.alias == NO_DB_ALIAS:
            return self._build_params()
        return self._find_place().params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Take a connection from the pool, set to the schema.

        Raises `MirrorUnavailable` if none gets free in time.
        """
        connect = super().get_new_connection  # type: ignore[misc]
        if self.alias == NO_DB_ALIAS:
            return connect(conn_params)  # Django's own work on the server
        conf, place = get_conf().pool, self._find_place()
        pool = get_pool(place.key, conf)
        self._give_idle_back(pool, conf)
        try:
            with breaker.watched_server(
                self.settings_dict, mirror=self.owner, ignoring=PoolExhausted
            ):
                connection: Any = pool.take(
                    place.setup, lambda: _follow(connect(conn_params)), conf
                )
        except PoolExhausted as error:
            raise MirrorUnavailable(
                f"No connection is free for mirror '{self.owner}': {error}. Raise "
                "'MAX_SIZE' in MIRRORS_OPTIONS['POOL'], or use fewer mirrors at once."
            ) from error
        except SetupRefused as error:
            raise MirrorUnavailable(
                f"The schema of mirror '{self.owner}' cannot be used: {error}. Make "
                f"it with 'manage.py mirror_add {self.owner}', or correct 'SCHEMA'."
            ) from error
        if not connection.autocommit:
            connection.autocommit = True
        self.isolation_level = (
            connection.isolation_level or IsolationLevel.READ_COMMITTED
        )
        self._pool, self._taken, self._trace = pool, place, connection.trace
        self._state = _read_state(connection)
        self._trace.forget()
        return connection

    def close_pool(self) -> None:
        """Close what nobody uses, so that Django can drop or copy the database."""
        prune_pools()

    def close_if_unusable_or_obsolete(self) -> None:
        """Give the connection back at the end of a request, or keep it for the next."""
        if self.connection is None:
            # Other threads end with their request, and what they had would be lost.
            self._has_stayed = True
        elif self._pool is None or not self._stays(self._pool):
            super().close_if_unusable_or_obsolete()  # type: ignore[misc]

    def close_if_health_check_failed(self) -> None:
        """Give back what was kept if it cannot be used as it is; asked at each use."""
        until, self._kept_until = self._kept_until, None
        if until is None or self._pool is None:
            return
        is_same = self._find_place() is self._taken and self._is_as_it_was()
        if not is_same or not self._pool.is_ready(self.connection, until):
            self.close()  # type: ignore[attr-defined]

    def is_idle_of(self, pool: Pool, *, is_full: bool = True) -> bool:
        """Whether a connection of `pool` could be given back now, and had better be."""
        wrapper: Any = self
        return (
            self._pool is pool
            and self.connection is not None
            and (is_full or self._kept_until is None)
            and not wrapper.allow_thread_sharing
            and not wrapper.is_in_use()
        )

    def _stays(self, pool: Pool) -> bool:
        """Keep the connection for the thread's next request if that may be."""
        until, steps = self._kept_until, self._trace.steps
        if until is not None and steps == self._kept_steps and pool.may_stay(until):
            return True  # nothing was done with it since it was kept; asked often
        self._kept_until = None
        if self._has_stayed and self._is_clean() and self.is_idle_of(pool):
            self._kept_steps = steps
            self._kept_until = pool.keep(self.connection, get_conf().pool)
        return self._kept_until is not None

    def _is_clean(self) -> bool:
        has_failed: bool = self.errors_occurred  # type: ignore[attr-defined]
        return self._trace.is_empty and not has_failed and self._is_as_it_was()

    def _is_as_it_was(self) -> bool:
        is_same = _read_state(self.connection) == self._state
        return is_same and not is_read_only(self.settings_dict)

    def _give_idle_back(self, pool: Pool, conf: PoolConf) -> None:
        # A thread needs one for each transaction that is open, and one more, however
        # many mirrors it goes through. What it keeps is no more than all may keep.
        is_full = pool.is_full(conf)
        opened: Any = connections.all(initialized_only=True)
        for other in opened:
            is_other = other is not self and isinstance(other, InSchema)
            if is_other and other.is_idle_of(pool, is_full=is_full):
                other.close()

    def _find_place(self) -> "_Place":
        """Return where the connection leads to, as long as the settings say so."""
        # Compared and not remembered by identity: credentials are changed in place.
        config, place = self.settings_dict, self._place
        zone = self.timezone, self.timezone_name
        if place is None or place.config != config or place.zone != zone:
            params = self._build_params()
            place = self._place = _Place(
                config=config | {"OPTIONS": {**config["OPTIONS"]}},
                zone=zone,
                params=params,
                key=_build_key(params),
                setup=self._build_setup(),
            )
        return place

    def _build_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().get_connection_params()  # type: ignore[misc]
        if self.alias == NO_DB_ALIAS:
            return params
        # The tables of the next schema may differ from those that were prepared for.
        params |= {"autocommit": True, "prepare_threshold": None}
        if params["cursor_factory"] is Cursor:
            params["cursor_factory"] = TracedCursor
        return params

    def _build_setup(self) -> bytes:
        config = self.settings_dict
        schema = _quote(config["SCHEMA"])
        role = config.get("ROLE") or config["OPTIONS"].get("assume_role")
        zone = str(self.timezone_name or "").replace("'", "''")
        # The first one fails where there is no such schema, which SET does not.
        sql = f"SELECT {_quote(schema, chr(39))}::regnamespace; "
        sql += f"SET search_path TO {schema}"
        # Each of them always: what the setup before this one chose must go.
        sql += f"; SET ROLE {_quote(role)}" if role else "; RESET ROLE"
        sql += f"; SET TimeZone TO '{zone}'" if zone else "; RESET TimeZone"
        return sql.encode()

    def _configure_connection(self, connection: Any) -> bool:
        return False  # the setup did it

    def _commit(self) -> None:
        self._trace.run_harmless(super()._commit)  # type: ignore[misc]

    def _rollback(self) -> None:
        self._trace.run_harmless(super()._rollback)  # type: ignore[misc]

    def _set_autocommit(self, autocommit: bool) -> None:  # noqa: FBT001 - Django's
        if autocommit != self.connection.autocommit:  # which asks nobody
            self._trace.run_harmless(super()._set_autocommit, autocommit)  # type: ignore[misc]

    def _close(self) -> None:
        connection, pool = self.connection, self._pool
        if connection is None or pool is None:
            super()._close()  # type: ignore[misc]
            return
        is_as_it_was = self._is_as_it_was()
        # Django does not use it again, not even to find out that it is closed.
        trace, taken = self._trace, self._taken
        self.connection = self._pool = self._taken = None
        self._trace, self._kept_until = InSchema._trace, None
        try:
            # Else they would be used again, and act in another mirror's schema.
            for cursor in [*self._readers]:
                cursor.close()
        except Error:
            pool.drop(connection)
            return
        if is_as_it_was and taken is not None:
            pool.give_back(connection, taken.setup, is_clean=trace.is_empty)
        else:
            pool.drop(connection)


@cache
def build_schema_engine(base: type[BaseDatabaseWrapper]) -> type[Any]:
    """Return the subclass of an engine's connection class that has a schema."""
    # PostgreSQL's own, or PostGIS: the project's choice.
    return type(base.__name__, (InSchema, base), {"__module__": base.__module__})


def _follow(connection: Any) -> Any:
    follow(connection)
    return connection


def _build_key(params: dict[str, Any]) -> Hashable:
    return tuple(
        (name, repr(value))
        for name, value in sorted(params.items())
        if name not in _NOT_OF_THE_SERVER
    )


def _read_state(connection: Any) -> tuple[Any, ...]:
    """Return what the driver keeps for a connection and the server does not know."""
    return (
        connection.isolation_level,
        connection.read_only,
        connection.deferrable,
        connection.row_factory,
        connection.cursor_factory,
        connection.prepare_threshold,
    )


def _quote(name: str, mark: str = '"') -> str:
    return f"{mark}{name.replace(mark, mark * 2)}{mark}"


def _build_options(config: dict[str, Any]) -> str:
    """Return the command-line options of a session in the schema."""
    role = config.get("ROLE") or config["OPTIONS"].get("assume_role")
    own = {"search_path": _quote(config["SCHEMA"]), **({"role": role} if role else {})}
    given = config["OPTIONS"].get("options")
    return " ".join(
        [*([given] if given else []), *(f"-c {key}={_escape(own[key])}" for key in own)]
    )


def _escape(text: str) -> str:
    return "".join(
        f"\\{mark}" if mark.isspace() or mark == "\\" else mark for mark in text
    )
