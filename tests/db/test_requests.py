"""Requests of unmodified views: one transaction, in the mirror of the host."""

import asyncio

import pytest
from django.db import connection, connections, transaction
from django.http import JsonResponse
from django.test import Client
from django.urls import path

from django_mirrors import use_mirror
from django_mirrors.testing import no_mirror
from tests.bookshop import views
from tests.bookshop.models import Book
from tests.flows.test_unmodified_code import HostClient

pytestmark = pytest.mark.django_db


def show(request):
    book = Book.objects.create(title=request.GET["title"])
    if "fail" in request.GET:
        raise ValueError(book.title)
    in_transaction = [
        item.alias for item in connections.all(True) if item.in_atomic_block
    ]
    return JsonResponse(
        {"blocks": len(connection.atomic_blocks), "in_transaction": in_transaction}
    )


@transaction.non_atomic_requests
def show_without(request):
    return JsonResponse({"blocks": len(connection.atomic_blocks)})


def commit_later(request):
    transaction.on_commit(lambda: Book.objects.create(title=connection.alias))
    return JsonResponse({"before": Book.objects.count()})


urlpatterns = [
    path("add/", views.add),
    path("titles-async/", views.titles_async),
    path("show/", show),
    path("show-without/", show_without),
    path("commit-later/", commit_later),
]


@pytest.fixture
def atomic_requests(fleet, settings, monkeypatch):
    """Every request is a transaction. The test's own one, in the original, is not."""
    settings.ROOT_URLCONF = __name__
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    return fleet


@pytest.fixture
def ask():
    """Return a function that gets a page as a browser would, outside any mirror."""

    def get(url, host, **options):
        with no_mirror():
            return Client(**options).get(url, headers={"host": host})

    return get


def list_titles(mirror):
    with use_mirror(mirror):
        return list(Book.objects.values_list("title", flat=True))


def test_request_is_one_transaction_of_its_mirror(atomic_requests, ask):
    response = ask("/show/?title=Emma", "books.example")

    assert response.json()["blocks"] == 1
    assert set(response.json()["in_transaction"]) - {"original"} == {"books"}
    assert list_titles("books") == ["Emma"]


def test_request_begins_one_transaction(atomic_requests, ask):
    statements = []

    def note(execute, sql, params, many, context):
        statements.append(sql.split()[0])
        return execute(sql, params, many, context)

    with use_mirror("books"):
        wrapper = connection.execute_wrapper(note)
    with wrapper:
        ask("/show/?title=Emma", "books.example")

    # Django writes BEGIN itself on SQLite; a second block would make a savepoint.
    assert [word for word in statements if word != "BEGIN"] == ["INSERT"]


def test_failed_request_is_rolled_back(atomic_requests, ask):
    response = ask(
        "/show/?title=Emma&fail=1", "books.example", raise_request_exception=False
    )

    assert response.status_code == 500
    assert list_titles("books") == []


def test_view_may_refuse_the_transaction(atomic_requests, ask):
    assert ask("/show-without/", "books.example").json()["blocks"] == 0


def test_callbacks_run_after_the_request_in_its_mirror(atomic_requests, ask):
    ask("/commit-later/", "films.example")

    assert list_titles("films") == ["films"]
    assert list_titles("books") == []


def test_sharing_mirror_has_a_transaction_of_the_owner(atomic_requests, ask):
    ask("/show/?title=Alien", "fr.films.example")

    assert list_titles("films") == ["Alien"]


def test_async_requests_of_two_mirrors_interleave(fleet, settings):
    settings.ROOT_URLCONF = __name__

    async def get(host, number):
        client = HostClient()
        response = await client.get(
            f"/add/?title={host} {number}", headers={"host": host}
        )
        assert response.status_code == 200
        response = await client.get("/titles-async/", headers={"host": host})
        return response.json()["titles"]

    async def get_all():
        hosts = ["books.example", "films.example"] * 5
        return await asyncio.gather(*(get(host, i) for i, host in enumerate(hosts)))

    with no_mirror():
        answers = asyncio.run(get_all())

    for name, titles in zip(["books", "films"] * 5, answers, strict=True):
        assert all(title.startswith(name) for title in titles)
    assert len(list_titles("books")) == len(list_titles("films")) == 5
