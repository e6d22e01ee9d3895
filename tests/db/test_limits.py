"""No more connections to one server than may be, whatever mirrors are used."""

import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep

import pytest
from django.db import OperationalError, close_old_connections, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from django_mirrors import use_mirror
from django_mirrors.db.limits import limits
from django_mirrors.exceptions import MirrorUnavailable
from tests.bookshop.models import Book

POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.parametrize("engine", [POSTGRES], indirect=True),
]


@pytest.fixture
def limit(fleet, settings):
    """Return a function that sets how many connections there may be."""

    def set_limit(most, **options):
        connections.close_all()
        settings.MIRRORS_OPTIONS = {
            **settings.MIRRORS_OPTIONS,
            "MAX_SERVER_CONNECTIONS": most,
            **options,
        }

    return set_limit


def read(name):
    with use_mirror(name):
        return Book.objects.count()


def count(name="books"):
    return limits.count(connections[name])


def test_thread_closes_what_it_does_not_use(limit):
    limit(1)

    assert [read(name) for name in ("books", "films", "books")] == [0, 0, 0]

    assert count() == 1
    assert connections["films"].connection is None


def test_thread_waits_until_another_one_closes_its_connection(limit):
    limit(1, CONNECT_TIMEOUT=9)
    taken, ending = threading.Event(), threading.Event()

    def hold():
        with use_mirror("films"), transaction.atomic():
            read("films")
            taken.set()
            ending.wait(10)
        connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait(10)
    threading.Timer(0.2, ending.set).start()

    assert read("books") == 0

    thread.join()
    assert count() == 1


def test_mirror_is_unavailable_if_none_gets_free(limit):
    limit(1, CONNECT_TIMEOUT=1)
    taken, ending = threading.Event(), threading.Event()

    def hold():
        read("films")
        taken.set()
        ending.wait(20)
        connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait(10)
    began = monotonic()
    with pytest.raises(MirrorUnavailable, match="all 1 to its server are in use"):
        read("books")
    took = monotonic() - began
    ending.set()
    thread.join()

    assert 0.9 < took < 5
    assert read("books") == 0


def test_connection_that_is_kept_is_closed_when_somebody_waits(limit):
    limit(1, CONNECT_TIMEOUT=9)
    taken, asked = threading.Event(), threading.Event()

    def serve():
        with use_mirror("films"):
            connections["films"].settings_dict["CONN_MAX_AGE"] = None
        read("films")
        taken.set()
        asked.wait(10)
        sleep(0.2)
        close_old_connections()  # as the end of a request does
        connections["films"].close()

    thread = threading.Thread(target=serve)
    thread.start()
    taken.wait(10)
    asked.set()

    assert read("books") == 0

    thread.join()


def test_threads_never_have_more_than_may_be(limit):
    limit(3, CONNECT_TIMEOUT=30)
    seen = []

    def work(name):
        for _ in range(20):
            read(name)
            seen.append(count(name))
            close_old_connections()
        connections.close_all()

    with ThreadPoolExecutor(8) as executor:
        list(executor.map(work, ["books", "films"] * 4))

    assert max(seen) <= 3
    assert count() == 0


def test_connection_that_was_dropped_does_not_count(limit):
    limit(1)
    read("books")
    connections["books"].close()
    read("books")
    opened = connections["books"].connection
    del connections["books"]
    gc.collect()

    assert read("films") == 0
    opened.close()


def test_connection_that_was_not_made_does_not_count(limit, monkeypatch):
    limit(1)

    def fail(self):
        raise OperationalError("too many clients")

    with monkeypatch.context() as patch:
        patch.setattr(BaseDatabaseWrapper, "connect", fail)
        with pytest.raises(MirrorUnavailable):
            read("books")

    assert count() == 0
    assert read("books") == 0
