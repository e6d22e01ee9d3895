"""The last known good records, in a file for starts without the original's database.

The file is an SQLite database, so that a change of one record writes one row, several
processes can write it, and a process that is killed leaves it as it was.
"""

import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from django_mirrors.sources.records import FleetVersion, Record

__all__ = ["Unsaved", "read_last_known", "save_last_known"]

logger = logging.getLogger("django_mirrors.registry")

_FORMAT = 3
_SECONDS = 5  # to wait for another process that writes
_TABLES = """
    CREATE TABLE version (number INTEGER, deletions INTEGER);
    CREATE TABLE record (
        name TEXT PRIMARY KEY,
        uid TEXT UNIQUE,  -- so that a mirror of another name replaces what it was
        state TEXT, declared INTEGER, definition TEXT, reason TEXT,
        retry_after INTEGER, release TEXT, version INTEGER,
        read_only INTEGER, migrations TEXT
    ) WITHOUT ROWID;
"""
_COLUMNS = ", ".join(Record._fields)
_SELECT = f"SELECT {_COLUMNS} FROM record"  # noqa: S608 - names of columns
_MARKS = ", ".join("?" for _ in Record._fields)
_REPLACE = f"INSERT OR REPLACE INTO record ({_COLUMNS}) VALUES ({_MARKS})"  # noqa: S608


class Unsaved(NamedTuple):
    """What the file lacks: what changed since `previous`, or everything."""

    version: FleetVersion
    read_all: Callable[[], Iterable[Record]]
    previous: FleetVersion | None = None
    changed: Iterable[Record] = ()
    names: frozenset[str] | None = None  # of all records, if some were deleted
    kept: frozenset[str] = frozenset()  # whose rows stay as they are


def save_last_known(path: Path, unsaved: Unsaved) -> None:
    """Bring the file up to date, unless another process did; only its user can read it.

    A file that cannot be written is logged: the processes that run do not need it.
    """
    try:
        try:
            _save(path, unsaved)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            # Not a database, or a broken one: only this module writes it.
            path.unlink()
            _save(path, unsaved)
    except (OSError, sqlite3.Error) as error:
        logger.warning(
            "The last known fleet cannot be kept in '%s' (%s). A process that starts "
            "while the original's database is down will know declared mirrors only.",
            path,
            error,
        )


def read_last_known(path: Path) -> dict[str, Record]:
    """Return the records kept in `path`; none if it cannot be read."""
    if not path.exists():
        return {}
    try:
        with _open(path) as database:
            if not _has_tables(database):
                return {}
            return {row[0]: Record._make(row) for row in database.execute(_SELECT)}
    except (OSError, sqlite3.Error) as error:
        logger.warning("The last known fleet in '%s' cannot be read: %s", path, error)
        return {}


def _save(path: Path, unsaved: Unsaved) -> None:
    with _open(path) as database:
        # The lock comes before the question whether another process was faster.
        database.execute("BEGIN IMMEDIATE")
        if not _has_tables(database):
            _make_tables(database)
        stored = _read_version(database)
        if stored == unsaved.version:
            return
        if stored is not None and stored == unsaved.previous:
            _change(database, unsaved)
        elif stored is None or not _is_ahead(stored, unsaved):
            _replace(database, unsaved)
        else:
            return
        database.execute("DELETE FROM version")
        database.execute("INSERT INTO version VALUES (?, ?)", unsaved.version)
        database.execute("COMMIT")


def _is_ahead(stored: FleetVersion, unsaved: Unsaved) -> bool:
    """Whether another process of the same fleet has already saved a later version."""
    return unsaved.previous is not None and stored.number > unsaved.version.number


def _replace(database: sqlite3.Connection, unsaved: Unsaved) -> None:
    stored = {name for (name,) in database.execute("SELECT name FROM record")}
    _delete(database, stored - unsaved.kept)
    records = unsaved.read_all()
    _write(database, (item for item in records if item.name not in unsaved.kept))


def _change(database: sqlite3.Connection, unsaved: Unsaved) -> None:
    _write(database, unsaved.changed)
    if unsaved.names is not None:
        stored = {name for (name,) in database.execute("SELECT name FROM record")}
        _delete(database, stored - unsaved.names)


def _delete(database: sqlite3.Connection, names: Iterable[str]) -> None:
    rows = ((name,) for name in names)
    database.executemany("DELETE FROM record WHERE name = ?", rows)


def _write(database: sqlite3.Connection, records: Iterable[Record]) -> None:
    rows = (record._replace(uid=str(record.uid)) for record in records)
    database.executemany(_REPLACE, rows)


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    # Made before SQLite does, which would let everybody read it.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    with closing(
        sqlite3.connect(path, timeout=_SECONDS, isolation_level=None)
    ) as database:
        yield database


def _has_tables(database: sqlite3.Connection) -> bool:
    (number,) = database.execute("PRAGMA user_version").fetchone()
    return bool(number == _FORMAT)


def _make_tables(database: sqlite3.Connection) -> None:
    for name in ("record", "version"):
        database.execute(f"DROP TABLE IF EXISTS {name}")
    for statement in _TABLES.split(";"):
        database.execute(statement)
    database.execute(f"PRAGMA user_version = {_FORMAT}")


def _read_version(database: sqlite3.Connection) -> FleetVersion | None:
    row = database.execute("SELECT number, deletions FROM version").fetchone()
    return None if row is None else FleetVersion(*row)
