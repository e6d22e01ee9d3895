"""Whether something between here and PostgreSQL mixes the sessions of its clients.

A pooler that gives each transaction another connection, as pgbouncer does in its mode
`transaction`, lets the schema that one mirror chose be the schema of the next.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections

from django_mirrors.mirror import Mirror
from django_mirrors.registry import mirrors

__all__ = ["find_pooler_problem"]

_ROUNDS = 3
_PID = "SELECT pg_backend_pid()"
_LOGIN = ("HOST", "PORT", "NAME", "USER")


def find_pooler_problem(mirror: Mirror) -> str:
    """Return why the schema of `mirror` is not its own behind this pooler, or ''.

    Where each mirror logs in as a user of its own, a pooler keeps them apart.
    """
    connection = connections[mirror.alias]
    if not connection.settings_dict.get("SCHEMA"):
        return ""
    with _open(connection) as one, _open(connection) as two:
        if not _is_pooled_by_transaction(one, two):
            return ""
        user = _ask(one, "SELECT session_user::text")
    # The pooler may itself log in as one user for all. To find the others who do looks
    # through the fleet.
    if user == connection.settings_dict["USER"] and not _shares_login(mirror):
        return ""
    return (
        "what answers at the address of DATABASE is a pooler that gives each "
        "transaction another connection, such as pgbouncer with pool_mode = "
        "transaction, so a mirror could get the schema of another one. Set pool_mode "
        "= session, or let each mirror log in as a user of its own."
    )


def _is_pooled_by_transaction(one: Any, two: Any) -> bool:
    """Whether two clients get one session, or one client gets two."""
    for _ in range(_ROUNDS):
        before = _ask(one, _PID)
        two.execute("BEGIN")
        other = _ask(two, _PID)
        # Asked only if it cannot have to wait for what the other one holds.
        is_mixed = other == before or _ask(one, _PID) != before
        two.execute("ROLLBACK")
        if is_mixed:
            return True
    return False


@contextmanager
def _open(connection: Any) -> Iterator[Any]:
    """Yield a connection of its own, which is not taken from our pool."""
    parameters = {**connection.get_connection_params(), "autocommit": True}
    opened = connection.Database.connect(**parameters)
    try:
        yield opened
    finally:
        opened.close()


def _ask(opened: Any, sql: str) -> Any:
    return opened.execute(sql).fetchone()[0]


def _shares_login(mirror: Mirror) -> bool:
    own = _get_login(mirror)
    return any(
        other.schema is not None
        and other.alias != mirror.alias
        and _get_login(other) == own
        for other in mirrors.values()
    )


def _get_login(mirror: Mirror) -> tuple[Any, ...]:
    config = connections.settings.build_config(mirror)  # type: ignore[attr-defined]
    return tuple(config.get(key) for key in _LOGIN)
