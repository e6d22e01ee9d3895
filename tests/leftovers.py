"""What runs make on servers under names of their own, and what is left of it.

The names hold a word that no other run has. Whatever a fixture that failed, or a run
that was ended, did not remove is found by it at the end.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from types import FrameType
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

__all__ = ["claim", "clean_up", "end_orderly", "make_token", "remove_left"]

_words: set[str] = set()


def make_token(kind: str = "dm") -> str:
    """Return a word of this run to begin the names of databases and schemas with."""
    token = f"{kind}{uuid4().hex[:10]}"
    claim(token)
    return token


def claim(word: str) -> None:
    """Let what has `word` in its name be removed at the end."""
    _words.add(word)


def remove_left() -> list[str]:
    """Remove the databases and schemas of this run; return their names."""
    if not _words:
        return []
    return [*_remove_from_postgres(), *_remove_from_mariadb()]


@contextmanager
def clean_up() -> Iterator[None]:
    """Remove at the end of a block what is left, also if the process is ended."""
    end_orderly()
    try:
        yield
    finally:
        remove_left()


def end_orderly() -> None:
    """Let SIGTERM end this process as Ctrl-C does, with what follows in `finally`."""
    process = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one ends it at once
        if os.getpid() != process:
            os.kill(os.getpid(), signal.SIGTERM)  # a fork has nothing to remove
            return
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)


def _remove_from_postgres() -> list[str]:
    # Not above: pytest wants to be the first that imports its plugins.
    from tests.plugins.services import find_postgres_problem, get_postgres_url

    if find_postgres_problem() is not None:
        return []
    import psycopg

    with psycopg.connect(get_postgres_url(), autocommit=True) as connection:

        def ask(sql: Any) -> list[Any]:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

        return [
            *_remove(
                ask,
                "SELECT datname FROM pg_database",
                'DROP DATABASE IF EXISTS "{}" WITH (FORCE)',
            ),
            *_remove(
                ask,
                "SELECT nspname FROM pg_namespace",
                'DROP SCHEMA IF EXISTS "{}" CASCADE',
            ),
        ]


def _remove_from_mariadb() -> list[str]:
    from tests.plugins.services import find_mariadb_problem, get_mariadb_url

    if find_mariadb_problem() is not None:
        return []
    import MySQLdb

    parts = urlsplit(get_mariadb_url())
    with closing(
        MySQLdb.connect(
            host=parts.hostname or "",
            port=parts.port or 3306,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
        )
    ) as connection:

        def ask(sql: str) -> list[Any]:
            with closing(connection.cursor()) as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall())

        return _remove(ask, "SHOW DATABASES", "DROP DATABASE IF EXISTS `{}`")


def _remove(ask: Callable[[str], list[Any]], listing: str, removing: str) -> list[str]:
    names = [name for (name,) in ask(listing) if any(word in name for word in _words)]
    for name in names:
        mark = removing.partition("{}")[0][-1]
        ask(removing.format(name.replace(mark, mark * 2)))
    return names
