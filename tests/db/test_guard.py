"""No connection runs SQL for a mirror that is not current, however it was got."""

import socket
from contextlib import closing
from time import monotonic

import pytest
from django.db import (
    DatabaseError,
    OperationalError,
    ProgrammingError,
    connection,
    connections,
    transaction,
)
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test.utils import CaptureQueriesContext

from django_mirrors import cross_mirrors, use_mirror
from django_mirrors.db.breaker import Breaker, _build_key, breaker
from django_mirrors.exceptions import MirrorUnavailable, NoCurrentMirror, WrongMirror
from django_mirrors.testing import no_mirror
from tests.bookshop.models import Author, Book

pytestmark = pytest.mark.django_db

COUNT = "SELECT COUNT(*) FROM bookshop_book"


def fill(mirror, number=3):
    with use_mirror(mirror):
        Book.objects.bulk_create(Book(title=f"{mirror} {i}") for i in range(number))


def test_raw_cursor_reads_the_current_mirror(fleet):
    fill("books")

    with use_mirror("books"), connection.cursor() as cursor:
        cursor.execute(COUNT)
        assert cursor.fetchone() == (3,)
    with use_mirror("films"), connection.cursor() as cursor:
        cursor.execute(COUNT)
        assert cursor.fetchone() == (0,)


def test_connection_of_another_mirror_gives_no_cursor(fleet):
    with use_mirror("films"), pytest.raises(WrongMirror) as caught:
        connections["books"].cursor()

    assert str(caught.value) == (
        "The database of mirror 'books' was used while 'films' is current. "
        "Enter that mirror first, or say why in 'with cross_mirrors(reason):'."
    )


def test_no_cursor_without_a_mirror(fleet):
    with no_mirror(), pytest.raises(NoCurrentMirror) as caught:
        connection.cursor()

    assert str(caught.value) == (
        "The database of mirror 'original' was used while no mirror is current. "
        "Wrap the code in 'with use_mirror('original'):'."
    )


def test_refused_connection_is_not_made(fleet):
    with use_mirror("films"), pytest.raises(WrongMirror):
        connections["books"].cursor()

    assert connections["books"].connection is None


CURSOR_USES = {
    "execute": lambda cursor: cursor.execute(COUNT),
    "executemany": lambda cursor: cursor.executemany("SELECT 1", []),
    "callproc": lambda cursor: cursor.callproc("version"),
    "fetchone": lambda cursor: cursor.fetchone(),
    "fetchmany": lambda cursor: cursor.fetchmany(2),
    "fetchall": lambda cursor: cursor.fetchall(),
    "iterate": list,
    "a name of the driver": lambda cursor: cursor.description,
}


@pytest.mark.parametrize("use", CURSOR_USES.values(), ids=CURSOR_USES)
def test_cursor_of_one_mirror_raises_in_another(fleet, use):
    fill("books")
    with use_mirror("books"):
        cursor = connection.cursor()
        cursor.execute("SELECT * FROM bookshop_book")

    with use_mirror("films"), pytest.raises(WrongMirror):
        use(cursor)

    cursor.close()


@pytest.mark.parametrize("use", CURSOR_USES.values(), ids=CURSOR_USES)
def test_cursor_that_logs_queries_is_guarded_too(fleet, use):
    fill("books")
    with use_mirror("books"), CaptureQueriesContext(connections["books"]):
        cursor = connection.cursor()
        cursor.execute("SELECT * FROM bookshop_book")

    with use_mirror("films"), pytest.raises(WrongMirror):
        use(cursor)

    cursor.close()


def test_rows_of_a_mirror_stop_where_it_is_left(fleet):
    fill("books")
    with use_mirror("books"):
        cursor = connection.cursor()
        cursor.execute("SELECT * FROM bookshop_book")
        rows = iter(cursor)
        next(rows)

    with use_mirror("films"), pytest.raises(WrongMirror):
        next(rows)

    cursor.close()


def test_cursor_of_another_mirror_can_be_closed(fleet):
    with use_mirror("books"):
        cursor = connection.cursor()

    with use_mirror("films"):
        cursor.close()


@pytest.mark.parametrize(
    "engine", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
def test_procedure_is_called_in_the_current_mirror(fleet):
    with use_mirror("books"), connection.cursor() as cursor:
        cursor.callproc("current_database")
        (name,) = cursor.fetchone()

    assert name == connections["books"].settings_dict["NAME"]


def test_many_statements_at_once_run_in_the_current_mirror(fleet):
    with use_mirror("books"), connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO bookshop_author (name) VALUES (%s)", [("Austen",), ("Lem",)]
        )

    with use_mirror("books"):
        assert set(Author.objects.values_list("name", flat=True)) == {"Austen", "Lem"}
    with use_mirror("films"):
        assert not Author.objects.exists()


@pytest.mark.django_db(databases=["default", "analytics"])
def test_database_of_the_projects_own_needs_no_mirror(fleet):
    analytics = connections["analytics"]
    with no_mirror(), CaptureQueriesContext(analytics) as captured:
        with analytics.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert cursor.fetchall() == [(1,)]
        with analytics.chunked_cursor() as cursor:
            cursor.execute("SELECT 2")
            assert list(cursor) == [(2,)]

    assert len(captured) == 2
    assert not analytics.is_in_use() or analytics.in_atomic_block


@pytest.mark.django_db(databases=["default", "analytics"])
def test_database_of_the_projects_own_fails_as_in_django(monkeypatch, tmp_path):
    lost = tmp_path / "missing" / "analytics.sqlite3"
    monkeypatch.setitem(connections.settings["analytics"], "NAME", str(lost))
    analytics = connections.create_connection("analytics")

    with pytest.raises(OperationalError, match="unable to open") as caught:
        analytics.ensure_connection()

    assert not isinstance(caught.value, MirrorUnavailable)


def test_crossing_lets_a_connection_be_used(fleet):
    fill("books")

    with use_mirror("films"), cross_mirrors("compare"):
        with connections["books"].cursor() as cursor:
            cursor.execute(COUNT)
            assert cursor.fetchone() == (3,)


def test_copied_connection_is_guarded(fleet):
    with use_mirror("books"):
        copied = connection.copy("another")
    with use_mirror("films"), pytest.raises(WrongMirror):
        copied.cursor()

    with use_mirror("books"), closing(copied), copied.cursor() as cursor:
        cursor.execute(COUNT)


def test_transaction_of_another_mirror_is_not_begun_on_an_open_connection(fleet):
    fill("books")

    # Some drivers tell the server of it with the first statement only.
    with use_mirror("films"), pytest.raises(WrongMirror):
        transaction.atomic(using="books").__enter__()

    assert connections["books"].get_autocommit()


def test_schema_editor_of_another_mirror_raises(fleet):
    with use_mirror("films"), pytest.raises(WrongMirror):
        with connections["books"].schema_editor() as editor:
            editor.delete_model(Book)

    with use_mirror("books"):
        assert Book.objects.count() == 0


def test_introspection_of_another_mirror_raises(fleet):
    with use_mirror("films"), pytest.raises(WrongMirror):
        connections["books"].introspection.table_names()


def test_iterator_of_one_mirror_raises_in_another(fleet):
    fill("books", 30)
    with use_mirror("books"):
        books = Book.objects.iterator(chunk_size=10)
        next(books)

    with use_mirror("films"), pytest.raises(WrongMirror):
        list(books)


def test_iterators_of_two_mirrors_interleave(fleet):
    fill("books", 5)
    fill("films", 5)
    with use_mirror("books"):
        books = Book.objects.iterator(chunk_size=2)
    with use_mirror("films"):
        films = Book.objects.iterator(chunk_size=2)

    titles = []
    for _ in range(5):
        with use_mirror("books"):
            titles.append(next(books).title)
        with use_mirror("films"):
            titles.append(next(films).title)

    assert titles[::2] == [f"books {i}" for i in range(5)]
    assert titles[1::2] == [f"films {i}" for i in range(5)]


def test_logged_queries_belong_to_the_mirror(fleet):
    with use_mirror("books"):
        books = connections["books"]
    with use_mirror("books"), CaptureQueriesContext(books) as captured:
        list(Book.objects.all())
        with use_mirror("films"):
            list(Book.objects.all())

    assert len(captured) == 1


def test_execute_wrapper_stays_with_its_mirror(fleet):
    seen = []

    def note(execute, sql, params, many, context):
        seen.append(context["connection"].alias)
        return execute(sql, params, many, context)

    with use_mirror("books"), connection.execute_wrapper(note):
        list(Book.objects.all())
        with use_mirror("films"):
            list(Book.objects.all())

    assert seen == ["books"]


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_sqlite_file_that_is_not_there_is_not_made(fleet, settings, tmp_path):
    path = tmp_path / "lost.sqlite3"
    settings.MIRRORS = {
        "lost": {"HOSTS": ["lost.example"], "DATABASE": f"sqlite:///{path}"}
    }

    with use_mirror("lost"), pytest.raises(MirrorUnavailable) as caught:
        Book.objects.count()

    assert str(caught.value) == (
        f"The database of mirror 'lost' does not exist: there is no file '{path}'. "
        "Make it with 'manage.py mirror_add lost', or restore it."
    )
    assert not path.exists()


@pytest.mark.parametrize(
    "name", [":memory:", "file:kept?mode=memory&cache=shared", "file:{path}?mode=rwc"]
)
def test_sqlite_database_in_memory_or_by_uri_needs_no_file(
    db, settings, tmp_path, name
):
    settings.MIRRORS = {
        "swift": {
            "HOSTS": ["swift.example"],
            "DATABASE": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": name.format(path=tmp_path / "swift.sqlite3"),
                "OPTIONS": {"uri": True},
            },
        }
    }

    with use_mirror("swift"), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
    connections["swift"].close()


@pytest.fixture
def silent_server(settings):
    """A server that takes connections and never answers, as the database of `books`."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        port = server.getsockname()[1]
        settings.MIRRORS = {
            "books": {
                "HOSTS": ["books.example"],
                "DATABASE": f"postgres://app:hidden@127.0.0.1:{port}/books",
            }
        }
        yield server
    breaker.forget()


def test_silent_server_costs_the_connect_timeout_once(db, silent_server):
    began = monotonic()
    with use_mirror("books"), pytest.raises(MirrorUnavailable) as caught:
        Book.objects.count()
    first = monotonic() - began
    began = monotonic()
    with use_mirror("books"), pytest.raises(MirrorUnavailable, match="not tried again"):
        Book.objects.count()
    second = monotonic() - began

    assert isinstance(caught.value, OperationalError)
    assert "hidden" not in str(caught.value)
    assert str(caught.value) == (
        "The database of mirror 'books' cannot be reached (ConnectionTimeout). Check "
        "that its server runs, and its address and credentials with "
        "'manage.py mirror_check books'."
    )
    assert first < 4
    assert second < 0.5


def test_refusing_server_is_tried_each_time(db, settings):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    settings.MIRRORS = {
        "books": {
            "HOSTS": ["books.example"],
            "DATABASE": f"postgres://app:hidden@127.0.0.1:{port}/books",
        }
    }

    with use_mirror("books"):
        for _ in range(2):
            with pytest.raises(
                MirrorUnavailable, match=r"cannot be reached \(Operational"
            ):
                Book.objects.count()


def test_one_thread_tries_a_silent_server_again(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("django_mirrors.db.breaker.monotonic", lambda: now[0])
    watcher = Breaker()

    def attempt(*, seconds=0.0, fails=True, options=None):
        config = {"ENGINE": "x", "HOST": "db", "OPTIONS": options or {}}
        with watcher.watched(config, mirror="books"):
            now[0] += seconds
            if fails:
                raise TimeoutError

    with pytest.raises(TimeoutError):
        attempt(seconds=2)
    with pytest.raises(MirrorUnavailable):
        attempt()
    now[0] += 1
    with pytest.raises(TimeoutError):
        attempt(seconds=2)
    now[0] += 1
    with pytest.raises(MirrorUnavailable, match=r"again for 1\.0 s"):
        attempt()
    now[0] += 1
    attempt(fails=False)
    attempt(fails=False)


def test_exhausted_pool_is_tried_each_time(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("django_mirrors.db.breaker.monotonic", lambda: now[0])
    watcher = Breaker()

    def attempt(*, fails=True):
        with watcher.watched({"OPTIONS": {"pool": True}}, mirror="books"):
            now[0] += 5
            if fails:
                raise TimeoutError

    with pytest.raises(TimeoutError):
        attempt()
    with pytest.raises(TimeoutError):
        attempt()
    attempt(fails=False)


def test_server_that_answers_while_a_thread_waits_to_try_it_is_tried(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("django_mirrors.db.breaker.monotonic", lambda: now[0])
    watcher = Breaker()

    class AnsweredMeanwhile:
        def __enter__(self):
            watcher.forget()

        def __exit__(self, *details):
            pass

    def attempt(*, fails):
        with watcher.watched({"OPTIONS": {}, "HOST": "db"}, mirror="books"):
            now[0] += 2
            if fails:
                raise TimeoutError
        return "connected"

    with pytest.raises(TimeoutError):
        attempt(fails=True)
    monkeypatch.setattr(watcher, "_lock", AnsweredMeanwhile())

    assert attempt(fails=False) == "connected"


def test_silence_that_another_thread_found_out_counts():
    watcher, config = Breaker(), {"NAME": "books"}
    began = monotonic()

    def ask():
        watcher._hold(_build_key(config))
        return True

    assert watcher.is_silent(config, since=began, ask=ask)
    assert watcher.is_silent(config, since=began, ask=lambda: pytest.fail("asked"))
    assert not watcher.is_silent(config, since=monotonic(), ask=lambda: True)


def test_error_of_many_statements_stays_what_it_is(fleet):
    with use_mirror("books"), connection.cursor() as cursor:
        with pytest.raises(DatabaseError, match="nothing"):
            cursor.executemany("INSERT INTO nothing VALUES (%s)", [(1,)])


def test_error_of_a_commit_stays_what_it_is(fleet, monkeypatch):
    with use_mirror("books"):
        opened = connections["books"]
        opened.ensure_connection()

        def fail(self):
            raise OperationalError("disk is full")

        monkeypatch.setattr(BaseDatabaseWrapper, "_commit", fail)
        with pytest.raises(OperationalError, match="disk is full"):
            opened._commit()


def test_error_on_a_database_that_was_left_says_so(fleet, monkeypatch):
    with use_mirror("books"):
        opened = connections["books"]
        opened.ensure_connection()
        monkeypatch.setattr(connections.settings, "get_current", lambda alias: {})

        with pytest.raises(MirrorUnavailable, match="was changed while it was used"):
            opened.explain(OperationalError("terminated"))
        opened.explain(ProgrammingError("no such table"))
