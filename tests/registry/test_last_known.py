"""The file of the last known records."""

import logging
import os
import sqlite3
from contextlib import closing

import pytest

from django_mirrors.registry.last_known import (
    Unsaved,
    read_last_known,
    save_last_known,
)
from django_mirrors.sources.records import FleetVersion
from tests.registry.records import build_record, build_uid, by_name

ONE, TWO, THREE = FleetVersion(1, 0), FleetVersion(2, 0), FleetVersion(3, 1)
BOOKS, FILMS = build_record("books"), build_record("films")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "known.sqlite3"


def never():
    raise AssertionError("Everything was read.")


def save(path, version, *records, **changes):
    save_last_known(path, Unsaved(version, lambda: iter(records), **changes))


def save_change(path, previous, version, *changed, names=None):
    unsaved = Unsaved(version, never, previous, changed, names)
    save_last_known(path, unsaved)


def test_what_is_saved_is_read(path):
    save(path, ONE, BOOKS, FILMS._replace(uid=build_uid("films")))

    assert read_last_known(path) == {
        "books": BOOKS,
        "films": FILMS._replace(uid=str(build_uid("films"))),
    }


def test_only_its_user_can_read_the_file(path):
    os.umask(0o022)

    save(path, ONE, BOOKS)

    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_others_could_read_is_closed_to_them(path):
    path.touch(mode=0o644)
    path.chmod(0o644)

    save(path, ONE, BOOKS)

    assert path.stat().st_mode & 0o777 == 0o600


def test_a_missing_file_holds_nothing(path):
    assert read_last_known(path) == {}
    assert not path.exists()


def test_an_empty_file_holds_nothing(path):
    path.touch()

    assert read_last_known(path) == {}


def test_a_change_writes_what_changed(path):
    save(path, ONE, BOOKS, FILMS)

    suspended = FILMS._replace(state="suspended")
    save_change(path, ONE, TWO, suspended)
    save_change(path, TWO, THREE, names=frozenset({"films"}))

    assert read_last_known(path) == by_name(suspended)


def test_a_version_that_is_there_is_not_written_again(path):
    save(path, TWO, BOOKS)

    save_last_known(path, Unsaved(TWO, never))

    assert read_last_known(path) == by_name(BOOKS)


def test_a_process_that_is_behind_writes_nothing(path):
    save(path, THREE, BOOKS)

    save_change(path, ONE, TWO, FILMS)

    assert read_last_known(path) == by_name(BOOKS)


def test_a_file_that_missed_a_change_is_written_anew(path):
    save(path, ONE, BOOKS)

    save(path, THREE, FILMS, previous=TWO)

    assert read_last_known(path) == by_name(FILMS)


def test_rows_can_be_kept_as_they_are(path):
    save(path, ONE, BOOKS, FILMS)

    wrong = BOOKS._replace(definition="wrong")
    save(path, THREE, wrong, build_record("toys"), kept=frozenset({"books"}))

    assert read_last_known(path) == by_name(BOOKS, build_record("toys"))


def test_another_database_replaces_the_file(path):
    save(path, THREE, BOOKS)

    save(path, ONE, FILMS)

    assert read_last_known(path) == by_name(FILMS)


@pytest.mark.parametrize(
    "content", [b"garbage" * 100, b"SQLite format 3\x00" + b"\xff" * 99]
)
def test_a_broken_file_is_told_and_replaced(path, caplog, content):
    path.write_bytes(content)

    read = read_last_known(path)
    save(path, ONE, BOOKS)

    assert read == {}
    assert f"The last known fleet in '{path}' cannot be read" in caplog.text
    assert read_last_known(path) == by_name(BOOKS)


def test_a_file_of_another_format_is_replaced(path):
    save(path, ONE, BOOKS)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")

    assert read_last_known(path) == {}
    save(path, ONE, FILMS)
    assert read_last_known(path) == by_name(FILMS)


def test_what_is_interrupted_leaves_the_file_as_it_was(path):
    save(path, ONE, BOOKS)

    def stop():
        yield FILMS
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_last_known(path, Unsaved(TWO, stop))

    assert read_last_known(path) == by_name(BOOKS)


def test_a_file_that_cannot_be_written_is_told(tmp_path, caplog):
    path = tmp_path / "missing" / "known.sqlite3"

    save(path, ONE, BOOKS)

    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert (
        f"The last known fleet cannot be kept in '{path}' ([Errno 2] No such file or "
        f"directory: '{path}'). A process that starts while the original's database is "
        "down will know declared mirrors only."
    ) in caplog.text


def test_a_file_that_is_locked_is_told(path, caplog, monkeypatch):
    monkeypatch.setattr("django_mirrors.registry.last_known._SECONDS", 0)
    save(path, ONE, BOOKS)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")

        save_change(path, ONE, TWO, FILMS)

    assert "database is locked" in caplog.text
    assert read_last_known(path) == by_name(BOOKS)
