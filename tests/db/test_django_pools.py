"""Django's own pools of connections, of databases that change while they are used."""

import dj_database_url
import pytest
from django.db import connections, transaction

from django_mirrors import mirrors, use_mirror
from django_mirrors.db.reaching import build_guarded
from tests.bookshop.models import Book

POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.parametrize("engine", [POSTGRES], indirect=True),
]


@pytest.fixture
def lead(fleet, engine, settings):
    """Return a function that leads `books` to one of two databases, with a pool."""
    second = engine.take()
    first = settings.MIRRORS["books"]["DATABASE"]
    urls = [first, engine.define(second)["DATABASE"]]

    def lead_to(number):
        config = dj_database_url.parse(urls[number])
        options = {**config.get("OPTIONS", {}), "pool": {"min_size": 1, "max_size": 2}}
        settings.MIRRORS = {
            **settings.MIRRORS,
            "books": {
                "HOSTS": ["books.example"],
                "DATABASE": {**config, "CONN_MAX_AGE": 0, "OPTIONS": options},
            },
        }
        _ = mirrors["books"]

    yield lead_to
    connections["books"].close()
    connections["books"].close_pool()
    del connections["books"]
    engine.give_back(second)


def list_titles():
    with use_mirror("books"):
        titles = [book.title for book in Book.objects.all()]
        connections["books"].close()
        return titles


def test_pool_leads_to_the_changed_database(lead):
    lead(0)
    with use_mirror("books"):
        Book.objects.create(title="in the first")
        connections["books"].close()
    assert list_titles() == ["in the first"]

    lead(1)

    assert list_titles() == []


def test_connection_in_use_ends_where_it_began(lead):
    lead(0)
    with use_mirror("books"):
        with transaction.atomic():
            Book.objects.create(title="in the first")
            lead(1)
            assert Book.objects.count() == 1
        assert Book.objects.count() == 0
        connections["books"].close()

    lead(0)
    assert list_titles() == ["in the first"]


def test_pool_that_was_left_is_closed(lead):
    lead(0)
    list_titles()
    left = connections["books"].pool

    lead(1)
    list_titles()

    assert left.closed
    assert connections["books"].pool is not left


def test_pools_of_the_project_are_its_own(lead):
    from django.db.backends.postgresql.base import DatabaseWrapper

    lead(0)
    config = {**connections.settings["books"]}

    original = build_guarded(DatabaseWrapper)(config, "original")

    assert original._connection_pools is DatabaseWrapper._connection_pools


def test_connection_does_not_become_one_of_another_engine(lead, settings, tmp_path):
    lead(0)
    list_titles()
    asked = connections["books"]
    settings.MIRRORS = {
        **settings.MIRRORS,
        "books": {
            "HOSTS": ["books.example"],
            "DATABASE": f"sqlite:///{tmp_path}/books.sqlite3",
        },
    }

    assert asked._follow_change() is False

    lead(0)


def test_connection_asked_for_before_the_change_follows_it(lead):
    lead(0)
    list_titles()
    with use_mirror("books"):
        asked = connections["books"]
        lead(1)
        connections.settings.forget_changed(["books"])
        with asked.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM bookshop_book")
            assert cursor.fetchone() == (0,)
        asked.close()
        asked.close_pool()
