"""SQLite: a database is a file."""

import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any
from urllib import parse

from django_mirrors.db.readonly import MOVED
from django_mirrors.exceptions import MirrorExists, OperationFailed
from django_mirrors.operations.databases.base import (
    Config,
    Leave,
    build_template_name,
)
from django_mirrors.operations.databases.files import (
    is_placeholder,
    link_file,
    remove_partials,
    use_new_file,
)
from django_mirrors.operations.databases.fingerprints import (
    SEQUENCES,
    Fingerprint,
    digest_rows,
    digest_sequences,
)
from django_mirrors.operations.databases.server import quote
from django_mirrors.records import Marker

__all__ = ["SqliteDatabase"]

_COMPANIONS = ("-wal", "-shm", "-journal")
_LONGEST_NAME = 240  # bytes; its companions have longer ones
_MODE = 0o640
_DUMP_MODE = 0o600
_PAGES = 1024  # copied at once; a writer of another process waits no longer
_PATIENCE = 30.0  # seconds without any progress
_RESTARTS = 3  # before a copy goes on without letting writers in between
_JSON = re.compile(r'json_valid\("((?:[^"]|"")+)"\)', re.IGNORECASE)


class SqliteDatabase:
    """See `DatabaseBackend`."""

    vendor = "sqlite"

    def exists(self, config: Config) -> bool:
        """Whether the file is there."""
        return _get_path(config).exists()

    def create(self, config: Config) -> None:
        """Make the file and the directories above it."""
        path = _get_path(config)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=_MODE, exist_ok=False)
        except OSError as error:
            # Also if what should be its directory is a file.
            if path.exists():
                raise MirrorExists(
                    f"The file '{path}' is there already. Remove it, or name another "
                    "one."
                ) from error
            raise OperationFailed(
                f"The database file '{path}' cannot be made: {error.strerror}. "
                "Make its directory writable, or name another one."
            ) from error

    def drop(self, config: Config) -> None:
        """Remove the file, its companions, and what was left of making it."""
        path = _get_path(config)
        try:
            for suffix in ("", *_COMPANIONS):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            remove_partials(path)
        except NotADirectoryError:
            return  # then it cannot be there
        except OSError as error:
            raise OperationFailed(
                f"The database file '{path}' cannot be removed: {error.strerror}. "
                "Make its directory writable."
            ) from error

    def rename(self, config: Config, target: Config) -> None:
        """Give the file another name."""
        source, path = _get_path(config), _get_path(target)
        _fold_log(source)
        if _has_log(source) or not link_file(source, path):
            with use_new_file(path, mode=_MODE) as partial:
                _back_up(source, partial, named=path)
        self.drop(config)

    def get_size(self, config: Config) -> int:
        """Return the bytes of the file and its write-ahead log."""
        path = Path(config["NAME"])
        files = [path.with_name(path.name + suffix) for suffix in ("", "-wal")]
        return sum(file.stat().st_size for file in files if file.exists())

    def is_unfinished(self, config: Config) -> bool:
        """Whether there is no more than the name, without links taken first."""
        return is_placeholder(_get_path(config))

    def build_template_config(self, config: Config, name: str) -> dict[str, Any]:
        """Return the config of a file in `.templates` beside the database."""
        build_template_name(name)
        directory = _get_path(config).parent / ".templates"
        return {**config, "NAME": str(directory / f"{name}.sqlite3")}

    def list_templates(self, config: Config) -> tuple[str, ...]:
        """Return the names of the files in `.templates`."""
        directory = _get_path(config).parent / ".templates"
        return tuple(sorted(path.stem for path in directory.glob("[a-z0-9_]*.sqlite3")))

    def create_from_template(self, template: Config, config: Config) -> None:
        """Copy the file."""
        source, target = _get_path(template), _get_path(config)
        with use_new_file(target, mode=_MODE) as partial:
            if _has_log(source):  # whoever wrote last did not close it
                _back_up(source, partial, named=target)
            else:
                _copy_file(source, partial)

    def copy(self, source: Config, target: Config) -> None:
        """Copy by SQLite's backup, which sees one state of the database."""
        path = _get_path(target)
        with use_new_file(path, mode=_MODE) as partial:
            _back_up(_get_path(source), partial, named=path)

    def dump(self, config: Config, path: Path) -> None:
        """Write a copy that is an SQLite database itself."""
        with use_new_file(path, mode=_DUMP_MODE) as partial:
            _back_up(_get_path(config), partial, named=path)

    def load(self, config: Config, path: Path) -> None:
        """Fill the file in one transaction."""
        target = _get_path(config)
        with _open(target) as connection:
            if connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                raise MirrorExists(
                    f"The database file '{target}' is not empty. Make a new one to "
                    "load a dump into."
                )
        _check_whole(path)
        with _open(path) as read, _open(target) as written:
            # Of another page size than the dump's, a log could not be kept.
            written.execute("PRAGMA journal_mode=DELETE")
            read.backup(written, pages=_PAGES, progress=_Watch(path), sleep=0.01)

    @contextmanager
    def hold_still(self, config: Config) -> Iterator[Leave]:
        """Hold the lock of a writer, beside which others can read."""
        with _open(_get_path(config)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield lambda: _leave(connection)

    def fingerprint(self, config: Config) -> Fingerprint:
        """Return the rows and the checksum of each table."""
        with _open(_get_path(config)) as connection:
            connection.text_factory = lambda item: item.decode(errors="surrogateescape")
            connection.execute("BEGIN")
            found = dict(_iter_fingerprints(connection))
            return found | {SEQUENCES: digest_sequences(_find_positions(connection))}


def _leave(connection: sqlite3.Connection) -> None:
    """Let the database be no mirror's, and refuse who still waits to write."""
    marker = Marker._meta.db_table
    connection.execute(f'DELETE FROM "{marker}"')  # noqa: S608 - a constant
    # A process that was paused has the file open, and knows nothing of the new one.
    for number, (table, sql) in enumerate(_find_tables(connection).items()):
        if sql.upper().startswith("CREATE VIRTUAL"):
            continue  # which can have none; it writes into tables of its own
        for event in ("INSERT", "UPDATE", "DELETE"):
            connection.execute(
                f'CREATE TRIGGER "django_mirrors_moved_{number}_{event}" '
                f"BEFORE {event} ON {quote(table)} BEGIN "
                f"SELECT RAISE(ABORT, '{MOVED}'); END"
            )
    connection.execute("COMMIT")


def _get_path(config: Config) -> Path:
    name = str(config["NAME"])
    if ":memory:" in name or name.startswith("file:") or not name:
        raise OperationFailed(
            f"The SQLite database '{name}' is in memory or named by a URI, and cannot "
            "be worked on. Name a file."
        )
    path = Path(name)
    if len(os.fsencode(path.name)) > _LONGEST_NAME:
        raise OperationFailed(
            f"The name '{path.name}' of a database file is longer than "
            f"{_LONGEST_NAME} bytes. Choose another one."
        )
    return path


def _has_log(path: Path) -> bool:
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0


def _fold_log(path: Path) -> None:
    """Write what is in the log of a file into the file, as far as nobody uses it."""
    if _has_log(path):
        with _open(path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _copy_file(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError as error:
        raise _build_missing(source) from error


def _build_missing(path: Path) -> OperationFailed:
    return OperationFailed(
        f"The database file '{path}' is not there. Name one that is, or make it."
    )


@contextmanager
def _open(path: Path, *, named: Path | None = None) -> Iterator[sqlite3.Connection]:
    """Open a file that is there; in the block, an error of SQLite becomes ours."""
    if not path.is_file():
        raise _build_missing(path)
    try:
        with closing(
            sqlite3.connect(
                f"file:{parse.quote(str(path))}?mode=rw",
                uri=True,
                isolation_level=None,
                timeout=_PATIENCE,
            )
        ) as connection:
            yield connection
    except sqlite3.Error as error:
        raise OperationFailed(
            f"The database file '{named or path}' cannot be worked on: {error}. Look "
            "whether it is an SQLite database, whole and not locked, and whether the "
            "disk is full."
        ) from error


def _back_up(source: Path, target: Path, *, named: Path) -> None:
    """Write one state of `source`, committed writes in its log included.

    Into a file of ours, which is to become `named`.
    """
    try:
        _copy_pages(source, target, named=named, pages=_PAGES)
    except _Restarted:
        target.write_bytes(b"")
        # Writers come too often. They wait while all is copied at once.
        _copy_pages(source, target, named=named, pages=-1)


def _copy_pages(source: Path, target: Path, *, named: Path, pages: int) -> None:
    with _open(source) as read, _open(target, named=named) as written:
        # Nobody else has the file yet, and it is synchronised when it is whole.
        written.execute("PRAGMA journal_mode=OFF")
        written.execute("PRAGMA synchronous=OFF")
        if read.execute("PRAGMA journal_mode").fetchone() == ("wal",):
            # A snapshot: who writes on neither waits nor lets the copy begin again.
            read.execute("BEGIN")
            read.execute("SELECT 1 FROM sqlite_master").fetchone()
        read.backup(written, pages=pages, progress=_Watch(source), sleep=0.01)


class _Restarted(Exception):
    """A copy was begun again too often."""


class _Watch:
    """Ends a copy that does not come to an end by itself."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.left: int | None = None
        self.restarts = 0
        self.moved = monotonic()

    def __call__(self, status: int, left: int, total: int) -> None:
        if self.left is not None and left > self.left:
            self.restarts += 1
        if left != self.left:
            self.left, self.moved = left, monotonic()
        if self.restarts > _RESTARTS:
            raise _Restarted
        if monotonic() - self.moved > _PATIENCE:
            raise OperationFailed(
                f"The database file '{self.path}' was locked for {_PATIENCE:.0f} "
                "seconds. End what writes into it for so long, and start again."
            )


def _check_whole(path: Path) -> None:
    with _open(path) as connection:
        (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if said != "ok":
        raise OperationFailed(
            f"The dump '{path}' is damaged: {said}. Take another one."
        )


def _iter_fingerprints(
    connection: sqlite3.Connection,
) -> Iterator[tuple[str, tuple[int, str]]]:
    for name, sql in _find_tables(connection).items():
        rows = connection.execute(f"SELECT * FROM {quote(name)}")  # noqa: S608
        columns = [item[0] for item in rows.description]
        found = [text.replace('""', '"') for text in _JSON.findall(sql)]
        yield name, digest_rows(columns, rows, json_columns=found)


def _find_tables(connection: sqlite3.Connection) -> dict[str, str]:
    """Return the tables, and how each was made."""
    rows = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'table'"
        " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    )
    return dict(rows.fetchall())


def _find_positions(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the next number of each column that counts without using one again."""
    tables = connection.execute(
        "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c"
        " WHERE m.type = 'table' AND c.pk AND m.sql LIKE '%AUTOINCREMENT%'"
    ).fetchall()
    if not tables:
        return {}  # and there is no table of numbers
    used = dict(connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
    return {f"{table}.{column}": used.get(table, 0) + 1 for table, column in tables}
