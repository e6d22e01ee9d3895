"""A database that does not answer costs its own mirror a 503 and the others nothing."""

import asyncio
import socket
import sqlite3
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from time import sleep

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.db import connections
from django.http import HttpResponse
from django.test import Client
from django.urls import path

from django_mirrors.db.breaker import breaker
from tests.bookshop.models import Book

pytestmark = [pytest.mark.postgres, pytest.mark.django_db]

SECONDS = 5  # that the silent server is waited for
CREATE = """
    CREATE TABLE bookshop_book (id INTEGER PRIMARY KEY, title, author_id, owner_id,
                                cover, stock)
"""


def show(request):
    return HttpResponse(",".join(book.title for book in Book.objects.all()))


async def show_async(request):
    return HttpResponse(",".join([book.title async for book in Book.objects.all()]))


urlpatterns = [path("", show), path("async/", show_async)]


@pytest.fixture
def server(settings, tmp_path) -> Iterator[socket.socket]:
    """A server that takes connections and never answers: the database of `books`."""
    with closing(sqlite3.connect(tmp_path / "films.sqlite3")) as database:
        database.execute(CREATE)
        database.execute("INSERT INTO bookshop_book VALUES (1, 'Alien', 0, 0, '', 0)")
        database.commit()
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        settings.ROOT_URLCONF = __name__
        settings.MIDDLEWARE = ["django_mirrors.middleware.MirrorMiddleware"]
        settings.MIRRORS_OPTIONS = {
            "CONNECT_TIMEOUT": SECONDS,
            "RECORDS": False,
            "SNAPSHOT": None,
        }
        settings.MIRRORS = {
            "books": {
                "HOSTS": ["books.example"],
                "DATABASE": f"postgres://app:hunter2@127.0.0.1:{port}/books",
                "STATE": "active",
            },
            "films": {
                "HOSTS": ["films.example"],
                "DATABASE": f"sqlite:///{tmp_path}/films.sqlite3",
                "STATE": "active",
            },
        }
        yield server
    breaker.forget()
    while accepted:
        accepted.pop().close()


accepted: list[socket.socket] = []  # and left without an answer


def count_connections(server: socket.socket) -> int:
    """Return how many connections were made since this was asked."""
    made = 0
    with suppress(BlockingIOError):
        while True:
            accepted.append(server.accept()[0])
            made += 1
    return made


def ask(name: str) -> tuple[int, str]:
    """Ask as a client of a server whose thread is new."""
    try:
        response = Client(raise_request_exception=False).get(
            "/", headers={"host": f"{name}.example"}
        )
        return response.status_code, response.content.decode()
    finally:
        connections.close_all()


async def ask_async(name: str) -> tuple[int, str]:
    """See ask()."""
    sent: list[dict] = []
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/async/",
        "query_string": b"",
        "headers": [(b"host", f"{name}.example".encode())],
    }
    events = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict:
        return next(events, None) or await asyncio.Event().wait()

    async def send(event: dict) -> None:
        sent.append(event)

    await ASGIHandler()(scope, receive, send)
    return sent[0]["status"], sent[1]["body"].decode()


def test_other_mirrors_are_served_while_one_waits_for_its_database(server):
    with ThreadPoolExecutor(4) as pool:
        waiting: Future = pool.submit(ask, "books")
        while not count_connections(server):
            sleep(0.01)
        answers = [pool.submit(ask, "films").result() for _ in range(20)]
        is_waiting = not waiting.done()

    assert is_waiting
    assert answers == [(200, "Alien")] * 20
    assert waiting.result()[0] == 503


def test_database_that_was_silent_is_not_tried_by_every_request(server):
    first = ask("books")
    tried = count_connections(server)

    answers = [ask(name) for name in ("books", "films") * 20]

    assert (first[0], tried) == (503, 1)
    assert {status for status, _ in answers[::2]} == {503}
    assert answers[1::2] == [(200, "Alien")] * 20
    # One request at a time looks again, after a pause.
    assert count_connections(server) <= 2
    assert "hunter2" not in first[1]


def test_tasks_of_other_mirrors_go_on_while_one_waits_for_its_database(server):
    async def ask_all():
        waiting = asyncio.create_task(ask_async("books"))
        while not count_connections(server):
            await asyncio.sleep(0.01)
        answers = await asyncio.gather(*(ask_async("films") for _ in range(20)))
        return answers, waiting.done(), await waiting

    answers, is_done, last = asyncio.run(ask_all())

    assert answers == [(200, "Alien")] * 20
    assert not is_done
    assert last[0] == 503
