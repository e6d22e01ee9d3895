"""Reads from a replica: where that is right, and never for anybody else's data."""

import asyncio
import logging
from uuid import uuid4

import pytest
from django.db import (
    OperationalError,
    ProgrammingError,
    connection,
    connections,
    transaction,
)
from django.db.models import Count
from django.test import Client

from django_mirrors import Mirror, cross_mirrors, mirrors, use_mirror
from django_mirrors.exceptions import InvalidMirror, MirrorUnavailable, WrongMirror
from django_mirrors.models import Marker
from tests.bookshop.models import Author, Book, Tag

POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)
pytestmark = [
    pytest.mark.django_db(transaction=True),
    # A replica has schemas of the same names, in a server of its own.
    pytest.mark.parametrize("engine", ["sqlite", POSTGRES], indirect=True),
]


@pytest.fixture
def replica(fleet, engine, settings):
    """Give `books` a replica that lags: it has a book that the database has not."""
    database = engine.take()
    url = engine.define(database)["DATABASE"]
    settings.MIRRORS = {
        **settings.MIRRORS,
        "books": {**settings.MIRRORS["books"], "REPLICA": url},
    }
    write_into_replica(uid=mirrors["books"].uid)
    yield database
    close("books")
    engine.give_back(database)


def write_into_replica(*, uid):
    books = mirrors["books"]
    config = connections.settings.build_replica_config(books)
    config.pop("READ_ONLY")
    with connections.settings.lend("books", config), use_mirror("books"):
        Marker.objects.all().delete()
        Marker.objects.create(uid=uid, name="books")
        Book.objects.create(title="in the replica")
        Tag.objects.get_or_create(name="tag")


def close(name):
    for key in (name, f"-replica-{name}"):
        opened = getattr(connections._connections, key, None)
        if opened is not None:
            opened.close()
            del connections[key]


def read():
    return [book.title for book in Book.objects.all()]


IN_REPLICA, IN_DATABASE = ["in the replica"], []


def test_queries_read_from_the_replica(replica):
    with use_mirror("books"):
        assert read() == IN_REPLICA
        assert Book.objects.count() == 1
        assert Book.objects.filter(title__startswith="in").exists()
        assert Author.objects.annotate(count=Count("books")).first() is None
        assert [*Book.objects.values_list("title", flat=True).iterator()] == IN_REPLICA


def test_queries_inside_queries_read_from_the_replica(replica):
    with use_mirror("books"):
        inner = Book.objects.filter(title="in the replica").values("pk")
        assert Book.objects.filter(pk__in=inner).count() == 1
        tags = Tag.objects.order_by().union(Tag.objects.filter(name="x").order_by())
        assert len(tags) == 1


def test_transaction_reads_from_the_database(replica):
    with use_mirror("books"):
        with transaction.atomic():
            assert read() == IN_DATABASE


def test_what_was_written_is_read(replica):
    with use_mirror("books"):
        Book.objects.create(title="new")
        assert read() == ["new"]
        with use_mirror("books"):
            assert read() == ["new"]

    with use_mirror("books"):
        assert read() == IN_REPLICA


def test_what_an_inner_block_wrote_is_read_outside_of_it(replica):
    with use_mirror("books"):
        with use_mirror("books"):
            Book.objects.create(title="new")
        assert read() == ["new"]


def test_object_from_the_replica_is_saved_in_the_database(replica):
    with use_mirror("books"):
        book = Book.objects.get()
        book.title = "changed"
        book.save(force_insert=True)
        assert read() == ["changed"]

    with use_mirror("books"):
        assert read() == IN_REPLICA


def test_rows_are_got_or_created_in_the_database(replica):
    with use_mirror("books"):
        _, is_created = Book.objects.get_or_create(title="in the replica")
        assert is_created


def test_objects_of_both_can_be_related(replica):
    with use_mirror("books"):
        author = Author(name="Austen")
        book = Book.objects.get()
        author.save()
        book.author = author
        book.save(force_insert=True)
        assert Book.objects.get().author == author


def test_rows_to_be_changed_are_locked_in_the_database(replica):
    with use_mirror("books"), transaction.atomic():
        assert list(Book.objects.select_for_update()) == IN_DATABASE


def test_update_and_delete_reach_the_database(replica):
    with use_mirror("books"):
        assert Book.objects.update(stock=1) == 0
    with use_mirror("books"):
        assert Book.objects.all().delete()[0] == 0
    with use_mirror("books"):
        assert Book.objects.get().delete()[0] == 0


def test_own_sql_goes_to_the_database(replica):
    with use_mirror("books"):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM bookshop_book")
            assert cursor.fetchone() == (0,)
        assert len(list(Book.objects.raw("SELECT * FROM bookshop_book"))) == 0


def test_tasks_read_from_the_replica(replica):
    async def ask():
        async with use_mirror("books"):
            return [book.title async for book in Book.objects.all()]

    assert asyncio.run(ask()) == IN_REPLICA


def test_request_reads_from_the_replica_until_it_writes(replica):
    client = Client(headers={"host": "books.example"})

    assert b"in the replica" in client.get("/titles/").content


def test_nothing_is_written_into_a_replica(replica):
    with use_mirror("books"):
        assert read() == IN_REPLICA
        opened = connections.find_replica("books")
        with pytest.raises(Exception, match=r"read-?only|failed"):
            with opened.cursor() as cursor:
                cursor.execute("DELETE FROM bookshop_book")
        opened.close()
        assert read() == IN_REPLICA


def test_replica_of_another_mirror_is_not_read(replica, caplog):
    write_into_replica(uid=uuid4())

    with use_mirror("books"), caplog.at_level(logging.WARNING):
        assert read() == IN_DATABASE

    assert "is not marked as this mirror's" in caplog.text


def test_database_is_read_while_the_replica_is_down(replica, settings):
    address = settings.MIRRORS["books"]["REPLICA"]
    gone = address.replace(replica, "is_not_there")
    settings.MIRRORS = {
        **settings.MIRRORS,
        "books": {**settings.MIRRORS["books"], "REPLICA": gone},
    }

    with use_mirror("books"):
        assert read() == IN_DATABASE
        # The second time it is not tried.
        assert read() == IN_DATABASE


def test_database_that_is_lent_has_no_replica(replica):
    config = connections.settings.build_config(mirrors["books"])
    with connections.settings.lend("books", config), use_mirror("books"):
        assert read() == IN_DATABASE


def test_changed_replica_is_read_at_once(replica, engine, settings):
    with use_mirror("books"):
        assert read() == IN_REPLICA
    books = {**settings.MIRRORS["books"]}
    elsewhere = books.pop("REPLICA").replace(replica, "is_not_there")

    settings.MIRRORS = {**settings.MIRRORS, "books": {**books, "REPLICA": elsewhere}}
    with use_mirror("books"):
        assert read() == IN_DATABASE
    settings.MIRRORS = {**settings.MIRRORS, "books": books}

    with use_mirror("books"):
        assert read() == IN_DATABASE


def test_other_mirror_has_no_part_in_it(replica):
    with use_mirror("films"):
        assert read() == IN_DATABASE
        with pytest.raises(WrongMirror, match="while 'films' is current"):
            connections.find_replica("books")
        with cross_mirrors("a test"):
            assert list(Book.objects.using("books")) == IN_DATABASE


def test_query_that_fails_in_a_replica_is_answered_with_503(replica):
    with use_mirror("books"):
        assert read() == IN_REPLICA
        opened = connections.find_replica("books")

        with pytest.raises(MirrorUnavailable, match="replica of mirror 'books' failed"):
            opened.explain(OperationalError("canceled: conflict with recovery"))
        opened.explain(ProgrammingError("there is no such table"))


def test_replica_of_another_engine_is_refused(fleet, engine, settings):
    other = "mysql://x@localhost/books"
    mirror = Mirror.from_mapping(
        "music",
        {"HOSTS": ["m.example"], **engine.define("dm_music"), "REPLICA": other},
    )

    with pytest.raises(InvalidMirror, match="of another engine"):
        connections.settings.build_replica_config(mirror)
