"""Connections are opened on demand, kept per thread, and follow the definitions."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import (
    close_old_connections,
    connection,
    connections,
    reset_queries,
    transaction,
)
from django.db.backends.sqlite3.base import DatabaseWrapper
from django.utils.connection import ConnectionDoesNotExist

from django_mirrors import bind_mirror, use_mirror, use_original
from django_mirrors.exceptions import InvalidMirror, MirrorUnavailable, NoCurrentMirror
from django_mirrors.registry import mirrors
from django_mirrors.testing import no_mirror
from tests.bookshop.models import Book

pytestmark = pytest.mark.django_db


@pytest.fixture
def long_fleet(build_engine, db, settings, tmp_path):
    """Twelve mirrors, and room for four connections in a thread."""
    from tests.conftest import migrate_template

    engine = build_engine("sqlite")
    migrate_template(engine, settings)
    names = [f"shop-{number}" for number in range(12)]
    for name in names:
        engine.create(name, template=engine.template)
    settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "MAX_OPEN_CONNECTIONS": 4}
    settings.MIRRORS = {
        name: {"HOSTS": [f"{name}.example"], "DATABASE": engine.build_url(name)}
        for name in names
    }
    yield names
    for name in names:
        connections[name].close()
        del connections[name]


def list_open():
    return [item.alias for item in connections.all(initialized_only=True)]


def count_books(mirror):
    with use_mirror(mirror):
        return Book.objects.count()


def test_connection_is_the_current_mirrors(fleet):
    with use_mirror("films"):
        assert connection.alias == "films"
        assert connections["default"] is connections["films"]


def test_connection_of_the_original_is_called_original(db):
    with use_original():
        assert connections["default"] is connections["original"]
        assert connection.alias == "original"


def test_alias_that_is_nobodys_does_not_exist(fleet):
    with pytest.raises(
        ConnectionDoesNotExist, match="The connection 'music' doesn't exist"
    ):
        connections["music"]


def test_iterating_shows_the_projects_databases_only(fleet):
    assert list(connections) == ["default", "analytics"]
    assert "books" in connections.settings


def test_no_more_than_the_limit_stay_open(long_fleet):
    for name in long_fleet:
        count_books(name)

        assert sum(alias.startswith("shop") for alias in list_open()) <= 4


def test_connection_used_longest_ago_is_closed_first(long_fleet):
    first, second, *others = long_fleet
    for name in (first, second, *others[:2], first):
        count_books(name)

    count_books(others[2])

    assert second not in list_open()
    assert first in list_open()


def test_connection_in_a_transaction_stays_open(long_fleet):
    with use_mirror(long_fleet[0]), transaction.atomic():
        Book.objects.create(title="Emma")
        for name in long_fleet[1:]:
            count_books(name)

    assert count_books(long_fleet[0]) == 1


def test_connection_without_autocommit_stays_open(long_fleet):
    with use_mirror(long_fleet[0]):
        transaction.set_autocommit(False)
        Book.objects.create(title="Emma")
    for name in long_fleet[1:]:
        count_books(name)
    with use_mirror(long_fleet[0]):
        transaction.commit()
        transaction.set_autocommit(True)

    assert count_books(long_fleet[0]) == 1


def test_connection_that_is_read_from_stays_open(long_fleet):
    with use_mirror(long_fleet[0]):
        Book.objects.bulk_create(Book(title=str(number)) for number in range(9))
        books = Book.objects.iterator(chunk_size=2)
        next(books)
    for name in long_fleet[1:]:
        count_books(name)

    with use_mirror(long_fleet[0]):
        assert len(list(books)) == 8


def test_connection_that_was_read_from_is_closed_in_time(long_fleet):
    with use_mirror(long_fleet[0]):
        list(Book.objects.iterator(chunk_size=2))
    for name in long_fleet[1:]:
        count_books(name)

    assert long_fleet[0] not in list_open()


def test_connection_of_an_entered_mirror_stays_open(long_fleet):
    with use_mirror(long_fleet[0]):
        Book.objects.count()
        held = connection.connection
        for name in long_fleet[1:]:
            count_books(name)

        assert connection.connection is held


def test_connection_of_the_original_stays_open(long_fleet):
    connections["original"].ensure_connection()
    for name in long_fleet:
        count_books(name)

    assert "original" in list_open()


def test_requests_end_without_a_mirror(fleet):
    count_books("books")

    with no_mirror():
        reset_queries()
        close_old_connections()


def test_close_all_closes_what_the_thread_has_open(fleet):
    count_books("books")
    with no_mirror():
        connections["books"].close()

        assert connections["books"].connection is None


def test_thread_has_no_mirror(fleet):
    with use_mirror("books"), ThreadPoolExecutor(1) as executor:
        with pytest.raises(NoCurrentMirror):
            executor.submit(Book.objects.count).result()


def test_bound_function_keeps_its_mirror_in_a_reused_thread(fleet):
    def add(title):
        try:
            Book.objects.create(title=title)
            return connection.alias
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as executor:
        with use_mirror("books"):
            first = executor.submit(bind_mirror(add), "Emma")
        with use_mirror("films"):
            second = executor.submit(bind_mirror(add), "Alien")
        assert (first.result(), second.result()) == ("books", "films")

    assert count_books("books") == count_books("films") == 1


def test_threads_of_two_mirrors_work_side_by_side(fleet):
    def fill():
        try:
            for number in range(20):
                with transaction.atomic():
                    Book.objects.create(title=f"{connection.alias} {number}")
        finally:
            connections.close_all()

    threads = []
    for name in ("books", "films", "books", "films"):
        with use_mirror(name):
            threads.append(Thread(target=bind_mirror(fill)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for name in ("books", "films"):
        with use_mirror(name):
            titles = set(Book.objects.values_list("title", flat=True))
            assert titles == {f"{name} {number}" for number in range(20)}
            assert Book.objects.count() == 40


def test_tasks_of_two_mirrors_interleave_in_one_thread(fleet):
    async def fill(name):
        async with use_mirror(name):
            for number in range(10):
                await Book.objects.acreate(title=f"{name} {number}")
                await asyncio.sleep(0)
                assert connection.alias == name
            return await sync_to_async(lambda: connection.alias)()

    async def fill_all():
        return await asyncio.gather(*(fill(name) for name in ("books", "films") * 3))

    assert async_to_sync(fill_all)() == ["books", "films"] * 3
    for name in ("books", "films"):
        with use_mirror(name):
            assert Book.objects.count() == 30
            assert Book.objects.filter(title__startswith=name).count() == 30


def test_task_is_cancelled_out_of_its_mirror(fleet):
    async def wait():
        async with use_mirror("books"):
            await asyncio.sleep(60)

    async def cancel():
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return connection.alias

    assert async_to_sync(cancel)() == "original"


@pytest.fixture
def second_home(fleet):
    """A second, empty database for `books`."""
    database = fleet.take()
    yield fleet.define(database)
    fleet.give_back(database)


def move(settings, mirror, home):
    kept = {
        key: item
        for key, item in settings.MIRRORS[mirror].items()
        if key not in {"DATABASE", "SCHEMA"}
    }
    settings.MIRRORS = {**settings.MIRRORS, mirror: {**kept, **home}}
    _ = mirrors[mirror]


def test_changed_database_is_used_at_once(fleet, second_home, settings):
    with use_mirror("books"):
        Book.objects.create(title="Emma")

        move(settings, "books", second_home)

        assert Book.objects.count() == 0


def test_changed_database_is_not_used_within_a_transaction(
    fleet, second_home, settings
):
    with use_mirror("books"):
        with transaction.atomic():
            Book.objects.create(title="Emma")
            move(settings, "books", second_home)
            assert Book.objects.count() == 1

        assert Book.objects.count() == 0


def test_changed_database_is_not_used_while_rows_are_read(fleet, second_home, settings):
    with use_mirror("books"):
        Book.objects.bulk_create(Book(title=str(number)) for number in range(9))
        books = Book.objects.iterator(chunk_size=2)
        next(books)
        move(settings, "books", second_home)

        assert len(list(books)) == 8
        assert Book.objects.count() == 0


def test_mirror_moves_to_another_engine(fleet, settings, tmp_path):
    with use_mirror("books"):
        Book.objects.count()

        engine = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
        move(settings, "books", {"DATABASE": engine})

        assert connection.vendor == "sqlite"
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")


def test_unchanged_mirror_keeps_its_connection(fleet, second_home, settings):
    with use_mirror("films"):
        Book.objects.count()
        before = connection.connection

    move(settings, "books", second_home)

    with use_mirror("films"):
        assert connection.connection is before


def test_mirror_that_begins_to_share_uses_the_owners_database(fleet, settings):
    with use_mirror("films"):
        Book.objects.create(title="Alien")
    count_books("books")
    books = {
        key: item
        for key, item in settings.MIRRORS["books"].items()
        if key not in {"DATABASE", "SCHEMA"}
    }
    settings.MIRRORS = {
        **settings.MIRRORS,
        "books": {**books, "SHARES": {"DATABASE": "films"}},
    }

    assert count_books("books") == 1


def test_connection_of_a_removed_mirror_is_closed(fleet, settings):
    with use_mirror("books"):
        Book.objects.count()
    held = connections["books"]
    settings.MIRRORS = {"films": settings.MIRRORS["films"]}
    assert "books" not in mirrors

    with pytest.raises(ConnectionDoesNotExist):
        connections["books"]

    assert held.connection is None
    assert "books" not in list_open()


@pytest.mark.parametrize(
    "engine", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
def test_secret_that_was_replaced_is_read_when_the_old_one_fails(
    fleet, settings, tmp_path
):
    secret = tmp_path / "url"
    right = settings.MIRRORS["books"]["DATABASE"]
    secret.write_text("postgres://app:old@127.0.0.1:1/books")
    move(settings, "books", {"DATABASE": f"file:{secret}"})
    with use_mirror("books"), pytest.raises(MirrorUnavailable):
        Book.objects.count()

    secret.write_text(right)

    assert count_books("books") == 0


def test_a_mirror_without_a_database_says_so(db, settings):
    settings.MIRRORS = {"books": {"HOSTS": ["books.example"]}}

    with use_mirror("books"), pytest.raises(InvalidMirror) as caught:
        Book.objects.count()

    assert str(caught.value) == (
        "Mirror 'books' has no database. Add 'DATABASE' to its definition, "
        "or to MIRRORS_OPTIONS['DEFAULTS']."
    )


@pytest.mark.parametrize(
    "engine", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
def test_secret_that_was_replaced_by_a_wrong_one_is_told_without_it(
    fleet, settings, tmp_path
):
    secret = tmp_path / "url"
    secret.write_text("postgres://app:old@127.0.0.1:1/books")
    move(settings, "books", {"DATABASE": f"file:{secret}"})
    with use_mirror("books"), pytest.raises(MirrorUnavailable):
        Book.objects.count()

    secret.write_text("postgres://app:hidden@127.0.0.1:1/books")

    with use_mirror("books"), pytest.raises(MirrorUnavailable) as caught:
        Book.objects.count()
    assert "cannot be reached" in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_connection_of_the_current_mirror_can_be_dropped(fleet):
    count_books("films")
    with use_mirror("books"):
        Book.objects.count()
        before = connections["books"]
        before.close()

        del connections["default"]

        assert connections["books"] is not before
    assert "films" in list_open()


def test_plain_connection_that_a_test_put_in_place_stays(long_fleet):
    first, *others = long_fleet
    plain = DatabaseWrapper(connections.settings[first], first)
    with use_mirror(first):
        connections[first] = plain

    for name in others:
        count_books(name)

    assert connections[first] is plain


def test_connection_set_by_hand_is_the_current_mirrors(fleet):
    with use_mirror("books"):
        own = connection.copy()
        before = connections["default"]
        connections["default"] = own
        assert connections["books"] is own
        connections["default"] = before
