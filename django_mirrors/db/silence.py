"""Do not wait for ever for what a PostgreSQL server that fell silent owes.

A statement may take as long as it needs. While it does, a new connection is tried now
and then: if the server does not answer to that either, it is not working on anything.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from functools import cache
from time import monotonic
from typing import Any, cast
from weakref import ref

from django.db.backends.base.base import NO_DB_ALIAS, BaseDatabaseWrapper
from psycopg import Connection, Error, OperationalError, connect

from django_mirrors.conf import get_conf
from django_mirrors.db.breaker import breaker

__all__ = ["build_watched_engine"]

_PATIENCE_SECONDS = 0.1  # beside the interval in which the driver looks up

Waiting = Generator[Any, Any, Any]


class Silent(OperationalError):
    """The server answers neither to a statement nor to a new connection."""


class Watched:
    """What the connection of an engine adds so that no statement waits for ever."""

    alias: str
    settings_dict: dict[str, Any]

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect as the engine does."""
        connection = super().get_new_connection(conn_params)  # type: ignore[misc]
        if self.alias != NO_DB_ALIAS:
            _watch(connection, self.settings_dict, conn_params)
        return connection


@cache
def build_watched_engine(base: type[BaseDatabaseWrapper]) -> type[Any]:
    """Return the subclass of an engine's connection class that is watched."""
    # PostgreSQL's own, or PostGIS: the project's choice.
    return type(base.__name__, (Watched, base), {"__module__": base.__module__})


def _watch(
    connection: Connection[Any], config: Mapping[str, Any], params: Mapping[str, Any]
) -> None:
    """Let whatever waits for an answer on `connection` look whether one can come."""
    # All that the driver does with a server waits here. Not by a reference to the
    # connection, which would then outlive the last one that somebody else has.
    found, wait = ref(connection), type(connection).wait

    def check(since: float) -> None:
        _check(cast(Any, found()), config, params, since)

    def wait_watched(steps: Waiting, *args: Any, **kwargs: Any) -> Any:
        # Called by the connection, which so is there; for each statement, so in haste.
        return wait(found(), _look(steps, check), *args, **kwargs)  # type: ignore[arg-type]

    connection.wait = wait_watched  # type: ignore[method-assign, assignment]


def _look(steps: Waiting, check: Callable[[float], None]) -> Waiting:
    """Do the steps of the driver, and `check` whenever nothing was there for a while.

    What is sent to them is falsy then.
    """
    since = 0.0
    try:
        wanted, send = next(steps), steps.send
        while True:
            ready = yield wanted
            if not ready:
                since = since or monotonic()
                check(since)
            elif since:
                since = 0.0
            wanted = send(ready)
    except StopIteration as end:
        return end.value


def _check(
    connection: Connection[Any],
    config: Mapping[str, Any],
    params: Mapping[str, Any],
    since: float,
) -> None:
    if monotonic() - since < _PATIENCE_SECONDS:
        return
    if breaker.is_silent(config, since=since, ask=lambda: _is_answered(params)):
        connection.close()
        raise Silent("the server does not answer")


def _is_answered(params: Mapping[str, Any]) -> bool:
    bounded = {"connect_timeout": get_conf().connect_timeout, **params}
    try:
        with closing(connect(**bounded)):
            return True
    except Error:
        return False
