"""Changing what is recorded."""

import shutil
from pathlib import Path

import pytest
from django.db import connection, connections

from django_mirrors import mirrors, use_mirror
from django_mirrors.checks import services
from django_mirrors.dsn import build_database
from django_mirrors.exceptions import InvalidMirror, OperationFailed, UnknownMirror
from django_mirrors.models import MirrorRecord
from django_mirrors.operations import (
    add_mirror,
    change_mirror,
    check_mirrors,
    definitions,
    set_state,
)
from django_mirrors.operations.fleet import plan_registration
from tests.bookshop.models import Book

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


@pytest.mark.parametrize("storage", ["{0}/books/", "{0}/books/new/", "{0}/", "{0}/../"])
def test_mirror_in_the_files_of_another_is_not_added(books, defaults, storage):
    place = storage.format(f"file://{defaults}/media")

    with pytest.raises(InvalidMirror, match=r"that of 'books' (are|lie) .* be mixed"):
        add_mirror("films", {"STORAGE": place})

    assert "films" not in mirrors
    assert not MirrorRecord.objects.filter(name="films").exists()


@pytest.fixture
def bucket(defaults, settings):
    """Declare `books` with a prefix in a bucket."""
    books = {"HOSTS": ["books.example"], "DATABASE": f"sqlite:///{defaults}/b"}
    settings.MIRRORS = {"books": {**books, "STORAGE": "s3://media/books/"}}


@pytest.mark.parametrize(
    "storage", ["s3://media/books", "s3://key:secret@media/books/inner", "s3://media/"]
)
def test_mirror_under_the_prefix_of_another_is_refused(bucket, storage):
    with pytest.raises(InvalidMirror, match=r"so their data would be mixed\."):
        plan_registration("films", {"STORAGE": storage})


@pytest.mark.parametrize(
    "storage", ["s3://media/books2", "s3://media/book", "memory://"]
)
def test_mirror_beside_the_prefix_of_another_is_accepted(bucket, storage):
    planned = plan_registration("films", {"STORAGE": storage})

    assert planned.storages == {"default": storage}


@pytest.mark.parametrize(
    "storages",
    [
        {"STORAGE": "s3://media/"},
        {"STORAGE": "s3://media/books/"},
        {"STORAGES": {"default": "s3://media/{name}/", "private": "s3://media/books/"}},
    ],
)
def test_defaults_that_are_not_of_one_mirror_alone_are_found_out(
    bucket, settings, storages
):
    rest = {
        key: settings.MIRRORS_OPTIONS["DEFAULTS"][key] for key in ("HOSTS", "DATABASE")
    }
    settings.MIRRORS_OPTIONS = {
        **settings.MIRRORS_OPTIONS,
        "DEFAULTS": {**rest, **storages},
    }

    with pytest.raises(InvalidMirror, match=r"so their data would be mixed\."):
        plan_registration("films", {})


def test_mirrors_whose_storages_the_defaults_tell_apart_are_not_compared(
    bucket, monkeypatch
):
    compared = []
    monkeypatch.setattr(
        definitions, "find_mixed_storages", lambda *given: compared.append(given)
    )

    plan_registration("films", {})

    assert compared == []


def test_mirror_in_the_media_of_the_original_is_not_added(defaults, settings):
    with pytest.raises(InvalidMirror, match="that of 'original' lie one in the other"):
        add_mirror("films", {"STORAGE": f"file://{settings.MEDIA_ROOT}/films/"})


def test_mirror_is_not_moved_into_the_files_of_another(books, defaults):
    add_mirror("films", {})
    place = f"file://{defaults}/media/books/films/"

    with pytest.raises(InvalidMirror, match="that of 'books' lie one in the other"):
        change_mirror("films", lambda definition: definition.update(STORAGE=place))

    assert mirrors["films"].storages == {"default": f"file://{defaults}/media/films/"}


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


def change_to(key, value):
    def change(definition):
        definition[key] = value

    return change


def test_database_of_another_mirror_is_found_out(books, defaults):
    add_mirror("films", {})
    films = mirrors["films"].database
    MirrorRecord.objects.filter(name="films").delete()
    record = MirrorRecord.objects.get(name="books")
    record.definition["DATABASE"] = films
    record.save()
    mirrors.reload()

    report = check_mirrors(mirrors.select("books"))

    assert "not marked as that of mirror 'books'" in report.failures[0].error


def test_mirror_is_not_moved_into_the_database_of_another(books, defaults):
    add_mirror("films", {})
    before = mirrors["books"].database

    with pytest.raises(
        InvalidMirror, match="DATABASE of mirror 'books' and that of 'films' are the"
    ):
        change_mirror("books", change_to("DATABASE", mirrors["films"].database))

    assert mirrors["books"].database == before


def test_mirror_is_not_moved_into_the_database_of_the_original(books, monkeypatch):
    place = "postgres://app@db.example/shop"
    databases = {"default": build_database(place, directory=Path(), place="")}
    monkeypatch.setattr(services, "find_setting", {"DATABASES": databases}.get)

    with pytest.raises(InvalidMirror, match="that of 'original' are the same"):
        change_mirror("books", change_to("DATABASE", place))


def test_mirror_is_not_added_in_a_database_that_another_is_declared_with(
    defaults, settings
):
    place = f"sqlite:///{defaults}/films.sqlite3"
    settings.MIRRORS = {"films": {"HOSTS": ["films.example"], "DATABASE": place}}

    with pytest.raises(InvalidMirror, match="that of 'films' are the same"):
        add_mirror("books", {"DATABASE": place})

    assert "books" not in mirrors


@pytest.mark.parametrize("dry_run", [False, True])
def test_mirror_is_not_moved_to_a_database_that_was_another_ones(
    books, defaults, dry_run
):
    add_mirror("films", {})
    films, before = mirrors["films"].database, mirrors["books"].database
    MirrorRecord.objects.filter(name="films").delete()

    with pytest.raises(
        OperationFailed,
        match=r"'books' was not changed.*not marked as that of mirror 'books'",
    ):
        change_mirror("books", change_to("DATABASE", films), dry_run=dry_run)

    assert mirrors["books"].database == before


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("DATABASE", "postgres://u:pw@127.0.0.1:1/x", "Connection refused"),
        ("DATABASE", "sqlite:///no/such.sqlite3", "There is no file"),
        ("STORAGE", "file:///dev/null/x/", "STORAGE 'default': NotADirectoryError"),
        ("MAIL", "smtp://u:pw@127.0.0.1:1/", "MAIL: ConnectionRefusedError"),
    ],
)
def test_mirror_is_not_moved_to_a_service_that_does_not_answer(
    books, key, value, message
):
    with pytest.raises(OperationFailed, match=message) as caught:
        change_mirror("books", change_to(key, value))

    assert "pw@" not in str(caught.value)
    assert key not in {"DATABASE"} or mirrors["books"].database != value
    assert MirrorRecord.objects.get(name="books").definition.get(key) != value


def test_mirror_is_moved_to_where_its_database_was_copied(books, defaults):
    place = defaults / "moved.sqlite3"
    connections["books"].close()
    shutil.copy(defaults / "databases" / "books.sqlite3", place)

    change_mirror("books", change_to("DATABASE", f"sqlite:///{place}"))

    with use_mirror("books"):
        assert connection.settings_dict["NAME"] == str(place)
        assert Book.objects.count() == 0


def test_check_finds_nothing_wrong_with_a_new_mirror(books):
    assert check_mirrors(mirrors.select()).count("done") == 1
    with use_mirror("books"):
        pass
