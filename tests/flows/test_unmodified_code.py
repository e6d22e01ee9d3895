"""Code that knows nothing of mirrors acts on the mirror of the request's host, wholly.

Each test runs on SQLite and on PostgreSQL, under WSGI and under ASGI. The two mirrors
hold rows of equal keys, and the second one is checked for the absence of the first's.
"""

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.db import connections
from django.test import AsyncClient, Client

from django_mirrors import use_mirror
from tests.bookshop.models import Author, Book

pytestmark = pytest.mark.django_db

Ask = Callable[..., Any]


class HostClient(AsyncClient):
    """An AsyncClient that can ask another host; Django's always asks testserver too."""

    def _base_scope(self, **request: Any) -> dict[str, Any]:
        scope = super()._base_scope(**request)
        scope["headers"] = [
            header for header in scope["headers"] if header != (b"host", b"testserver")
        ]
        return scope


@pytest.fixture(params=["wsgi", "asgi"])
def ask(request, fleet) -> Ask:
    """Return a function that asks a path of a host, and keeps cookies by host."""
    clients: dict[str, Any] = {}

    def send(host: str, path: str, data: dict[str, Any] | None = None) -> Any:
        kind = Client if request.param == "wsgi" else HostClient
        client = clients.setdefault(host, kind(raise_request_exception=False))
        method = client.get if data is None else client.post
        if request.param == "asgi":
            method = async_to_sync(method)
        return method(path, data, headers={"host": host})

    return send


def list_titles(name: str) -> list[str]:
    with use_mirror(name):
        return list(Book.objects.values_list("title", flat=True))


def make_book(name: str, title: str, **values: Any) -> int:
    with use_mirror(name):
        return Book.objects.create(title=title, **values).pk


def test_each_host_shows_its_own_rows(ask):
    make_book("books", "Emma")
    make_book("films", "Metropolis")

    assert ask("books.example", "/titles/").json() == {"titles": ["Emma"]}
    assert ask("films.example", "/titles/").json() == {"titles": ["Metropolis"]}
    assert ask("fr.films.example", "/titles/").json() == {"titles": ["Metropolis"]}


def test_async_view_shows_its_own_rows(ask):
    make_book("books", "Emma")

    assert ask("books.example", "/titles-async/").json() == {"titles": ["Emma"]}
    assert ask("films.example", "/titles-async/").json() == {"titles": []}


def test_atomic_rolls_back_where_the_request_is(ask):
    ask("books.example", "/add/?title=Emma")

    response = ask("books.example", "/add/?title=Persuasion&fail")

    assert response.status_code == 500
    assert list_titles("books") == ["Emma"]
    assert list_titles("films") == []


def test_on_commit_waits_for_the_commit_of_the_mirror(ask):
    key = make_book("books", "Emma", stock=3)
    make_book("films", "Metropolis", stock=3)

    answer = ask("books.example", f"/buy/?pk={key}").json()

    assert answer == {"stock": 2, "before": 0, "done": ["Emma"]}
    with use_mirror("films"):
        assert Book.objects.get(pk=key).stock == 3


def test_raw_cursor_counts_the_rows_of_the_mirror(ask):
    make_book("books", "Emma")
    make_book("books", "Persuasion")
    make_book("films", "Metropolis")

    assert ask("books.example", "/count/").json() == {"count": 2}
    assert ask("films.example", "/count/").json() == {"count": 1}


def test_get_or_create_looks_in_the_mirror_only(ask):
    ask("books.example", "/find-or-make/?title=Emma")

    assert ask("films.example", "/find-or-make/?title=Emma").json()["made"] is True
    assert ask("books.example", "/find-or-make/?title=Emma").json()["made"] is False


def test_atomic_requests_undoes_the_request_of_the_mirror(ask, monkeypatch):
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)

    assert ask("books.example", "/break-off/?title=Emma").status_code == 500

    assert list_titles("books") == []
    assert list_titles("films") == []


def test_without_atomic_requests_the_same_request_leaves_its_row(ask):
    ask("books.example", "/break-off/?title=Emma")

    assert list_titles("books") == ["Emma"]
    assert list_titles("films") == []


def test_session_lives_in_the_mirror_of_its_host(ask):
    ask("books.example", "/visit/")

    assert ask("books.example", "/visit/").json() == {"visits": 2}
    assert ask("films.example", "/visit/").json() == {"visits": 1}
    with use_mirror("books"):
        assert Session.objects.count() == 1


def test_admin_logs_in_and_writes_in_its_mirror_only(ask):
    with use_mirror("books"):
        get_user_model().objects.create_superuser("ann", password="a password")

    login = {"username": "ann", "password": "a password"}
    refused = ask("films.example", "/admin/login/", login)
    accepted = ask("books.example", "/admin/login/?next=/admin/", login)
    added = ask("books.example", "/admin/bookshop/author/add/", {"name": "Austen"})

    assert refused.status_code == 200
    assert accepted.status_code == 302
    assert added.status_code == 302
    with use_mirror("books"):
        assert Author.objects.get().name == "Austen"
    with use_mirror("films"):
        assert not Author.objects.exists()
    assert ask("films.example", "/admin/").status_code == 302


def test_stream_reads_its_mirror_at_every_step(ask):
    make_book("books", "Emma")
    make_book("films", "Metropolis")

    body = ask("books.example", "/stream/?n=2").getvalue()
    other = ask("films.example", "/stream/?n=2").getvalue()

    assert body == b"0:Emma;1:Emma;"
    assert other == b"0:Metropolis;1:Metropolis;"


def test_absolute_addresses_are_those_of_the_host(ask):
    assert ask("books.example", "/where/").content == b"http://books.example/where/"


def test_unknown_host_gets_nothing(ask):
    response = ask("nobody.example", "/titles/")

    assert response.status_code == 404
    assert not response.cookies
    assert b"nobody" not in response.content
