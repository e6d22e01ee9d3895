"""Changing what is recorded."""

import pytest

from django_mirrors import mirrors, use_mirror
from django_mirrors.exceptions import InvalidMirror, OperationFailed, UnknownMirror
from django_mirrors.models import MirrorRecord
from django_mirrors.operations import (
    add_mirror,
    change_mirror,
    check_mirrors,
    set_state,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def books(defaults):
    add_mirror("books", {})
    return mirrors["books"]


def add_host(definition):
    definition["HOSTS"] = [*definition["HOSTS"], "www.books.example"]


def test_changed_host_is_served_at_once(books, client):
    change_mirror("books", add_host)

    assert mirrors.for_host("www.books.example").name == "books"
    response = client.get("/titles/", headers={"host": "www.books.example"})
    assert response.status_code == 200


def test_wrong_change_changes_nothing(books):
    def spoil(definition):
        definition["HOSTS"] = ["not a host"]

    with pytest.raises(InvalidMirror, match="'not a host' is not valid"):
        change_mirror("books", spoil)

    assert mirrors["books"].hosts == ("books.example",)


def test_dry_run_of_a_change_changes_nothing(books):
    planned = change_mirror("books", add_host, dry_run=True)

    assert planned.hosts == ("books.example", "www.books.example")
    assert mirrors["books"].hosts == ("books.example",)


def test_declared_mirror_is_not_changed_here(settings, defaults):
    settings.MIRRORS = {"music": {"HOSTS": ["music.example"], "STATE": "active"}}

    with pytest.raises(InvalidMirror, match="is declared in settings"):
        change_mirror("music", add_host)


def test_suspended_mirror_answers_503_and_comes_back(books, client):
    set_state("books", "suspended", reason="Not paid", retry_after=60)

    response = client.get("/titles/", headers={"host": "books.example"})
    assert response.status_code == 503
    assert response["Retry-After"] == "60"
    set_state("books", "active")
    response = client.get("/titles/", headers={"host": "books.example"})
    assert response.status_code == 200


def test_declared_mirror_can_be_suspended(settings, defaults):
    settings.MIRRORS = {"music": {"HOSTS": ["music.example"], "STATE": "active"}}

    set_state("music", "maintenance")

    assert mirrors["music"].state == "maintenance"
    assert mirrors["music"].source == "settings"


def test_state_of_a_half_made_mirror_cannot_be_set(defaults, settings):
    settings.MIRRORS = {"music": {"HOSTS": ["music.example"]}}

    with pytest.raises(OperationFailed, match="is provisioning"):
        set_state("music", "active")


def test_state_of_an_unknown_mirror_is_an_error(defaults):
    with pytest.raises(UnknownMirror, match="no mirror 'nobody'"):
        set_state("nobody", "active")


def test_change_by_the_orm_is_noticed(books):
    MirrorRecord.objects.update(state="maintenance")
    mirrors.reload()

    assert mirrors["books"].state == "maintenance"


def test_database_of_another_mirror_is_found_out(books, defaults):
    add_mirror("films", {})
    films = mirrors["films"].database

    def swap(definition):
        definition["DATABASE"] = films

    MirrorRecord.objects.filter(name="films").delete()
    change_mirror("books", swap)

    report = check_mirrors(mirrors.select("books"))
    assert "not marked as that of mirror 'books'" in report.failures[0].error


def test_check_finds_nothing_wrong_with_a_new_mirror(books):
    assert check_mirrors(mirrors.select()).count("done") == 1
    with use_mirror("books"):
        pass
