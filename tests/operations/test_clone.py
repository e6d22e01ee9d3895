"""Copies of a mirror: the same data, and nothing that leads back."""

import sqlite3

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.core.files.base import ContentFile
from django.db.backends.signals import connection_created
from django.test import Client

from django_mirrors import mirrors, use_mirror, use_original
from django_mirrors.exceptions import InvalidMirror, MirrorExists, OperationFailed
from django_mirrors.models import Marker, MirrorRecord
from django_mirrors.operations import add_mirror, clone_mirror, plan_clone
from django_mirrors.operations import contents as contents_module
from tests.bookshop.models import Book

pytestmark = pytest.mark.django_db


@pytest.fixture
def books(defaults):
    """Add a mirror with a book that has a cover, and a customer."""
    add_mirror("books", {"SETTINGS": {"SHOP_TITLE": "Books"}, "LABELS": {"tier": "a"}})
    with use_mirror("books"):
        book = Book(title="Emma")
        book.cover.save("emma.txt", ContentFile(b"a cover"))
        get_user_model().objects.create_user(
            "ann", "ann@books.example", "a password", first_name="Ann"
        )
    return mirrors["books"]


def test_clone_has_the_rows_and_files_of_its_source(books):
    clone_mirror("books", "films", {})

    with use_mirror("films"):
        book = Book.objects.get()
        assert book.title == "Emma"
        assert book.cover.read() == b"a cover"
        book.cover.close()


def test_clone_and_source_have_nothing_in_common_afterwards(books):
    clone_mirror("books", "films", {})

    with use_mirror("films"):
        Book.objects.update(title="Metropolis")
        Book.objects.get().cover.storage.delete("covers/emma.txt")

    with use_mirror("books"):
        assert Book.objects.get().title == "Emma"
        assert Book.objects.get().cover.storage.exists("covers/emma.txt")


def test_clone_is_marked_as_itself_alone(books):
    clone_mirror("books", "films", {})

    with use_mirror("films"):
        assert [item.uid for item in Marker.objects.all()] == [mirrors["films"].uid]
    assert mirrors["films"].uid != books.uid


def test_clone_takes_over_settings_but_neither_hosts_nor_services(books):
    clone_mirror("books", "films", {"LABELS": {"tier": "b"}})

    films = mirrors["films"]
    assert films.settings["SHOP_TITLE"] == "Books"
    assert films.labels == {"tier": "b"}
    assert films.hosts == ("films.example",)
    assert films.database != books.database


def test_nobody_stays_logged_in_in_a_clone(books):
    client = Client(headers={"host": "books.example"})
    client.get("/visit/")
    client.post("/admin/login/", {"username": "ann", "password": "a password"})
    with use_mirror("books"):
        assert Session.objects.exists()

    clone_mirror("books", "films", {})

    with use_mirror("films"):
        assert not Session.objects.exists()
    with use_mirror("books"):
        assert Session.objects.exists()


def test_original_can_be_cloned_without_the_records_of_the_fleet(books, settings):
    with use_original():
        Book.objects.create(title="Of the original")

    with pytest.raises(OperationFailed, match="in memory"):
        clone_mirror("original", "films", {})


def test_plan_of_a_clone_changes_nothing(books, database_of):
    plan = plan_clone("books", "films", {})

    assert "make the database" in plan.steps["films"]
    assert "films" not in mirrors
    assert not database_of("films").exists()


def test_clone_of_a_mirror_that_shares_its_database_is_refused(books):
    add_mirror("books-fr", {"SHARES": {"DATABASE": "books", "STORAGE": "books"}})

    with pytest.raises(OperationFailed, match="Clone 'books'"):
        clone_mirror("books-fr", "films", {})


def test_clone_over_a_mirror_that_exists_is_refused(books):
    add_mirror("films", {})

    with pytest.raises(MirrorExists, match="exists and is active"):
        clone_mirror("books", "films", {})


def test_half_made_clone_is_not_continued_as_an_empty_mirror(books, monkeypatch):
    stop_at_the_database(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        clone_mirror("books", "films", {})
    monkeypatch.undo()

    with pytest.raises(OperationFailed, match="begun as a copy of mirror books"):
        add_mirror("films", {})
    clone_mirror("books", "films", {})

    with use_mirror("films"):
        assert Book.objects.get().title == "Emma"


def test_clone_that_stopped_leaves_no_database(books, monkeypatch, database_of):
    stop_at_the_database(monkeypatch)

    with pytest.raises(KeyboardInterrupt):
        clone_mirror("books", "films", {})

    assert not database_of("films").exists()
    folder = database_of("films").parent
    assert not list(folder.glob(".templates/draft_*"))


def stop_at_the_database(monkeypatch) -> None:
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(contents_module, "apply_migrations", interrupt)


RULES = {
    "auth.User.email": "email",
    "auth.User.password": "password",
    "auth.User.username": "name",
    "auth.User.first_name": {"value": "Somebody"},
    "bookshop.Book.title": "tests.operations.test_clone.shout",
    "sessions.Session": "delete",
}


def shout(book, value):
    return f"{value.upper()} {book.pk}"


def add_rules(settings, rules) -> None:
    settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "SCRUB": rules}


def test_scrubbed_clone_holds_nothing_personal(books, settings, database_of):
    add_rules(settings, RULES)

    clone_mirror("books", "films", {}, is_scrubbed=True)

    with use_mirror("films"):
        user = get_user_model().objects.get()
        assert user.email == f"user-{user.pk}@example.invalid"
        assert user.first_name == "Somebody"
        assert not user.has_usable_password()
        assert Book.objects.get().title == f"EMMA {Book.objects.get().pk}"
    with use_mirror("books"):
        user = get_user_model().objects.get()
        assert (user.email, user.first_name) == ("ann@books.example", "Ann")


@pytest.fixture
def careless():
    """SQLite as others build it: what is deleted stays in the file."""

    def let_be(connection, **_):
        if connection.vendor == "sqlite":
            with connection.connection:
                connection.connection.execute("PRAGMA secure_delete = OFF")

    connection_created.connect(let_be)
    yield
    connection_created.disconnect(let_be)


def test_scrubbed_clone_has_no_trace_in_its_file(
    books, settings, database_of, careless
):
    add_rules(settings, RULES)
    users = get_user_model().objects
    with use_mirror("books"):  # some of them on pages that are not filled again
        users.bulk_create(
            users.model(
                username=f"u{number}", email=f"{'x' * 99}{number}@books.example"
            )
            for number in range(200)
        )

    clone_mirror("books", "films", {}, is_scrubbed=True)

    for name in ("books", "films"):
        with sqlite3.connect(database_of(name)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"@books.example" not in database_of("films").read_bytes()
    assert b"@books.example" in database_of("books").read_bytes()


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ({"auth.User.mail": "email"}, r"names nothing that is there"),
        ({"auth.Nobody": "delete"}, r"names nothing that is there"),
        ({"auth.User.email": "hash"}, r"Use one of delete, email, empty"),
        ({"auth.User.username": "null"}, r"is 'null', which the field cannot be"),
        ({"auth.User.email": {"values": 1}}, r"Write \{'value': ...\}"),
    ],
)
def test_wrong_rule_is_refused_before_anything_is_made(books, settings, rules, text):
    add_rules(settings, rules)

    with pytest.raises(InvalidMirror, match=text):
        clone_mirror("books", "films", {}, is_scrubbed=True)

    assert not MirrorRecord.objects.filter(name="films").exists()


def test_hook_scrubs_the_clone_only(books, settings):
    settings.MIRRORS_OPTIONS = {
        **settings.MIRRORS_OPTIONS,
        "HOOKS": {"SCRUB": "tests.operations.test_clone.drop_titles"},
    }

    clone_mirror("books", "films", {}, is_scrubbed=True)

    with use_mirror("films"):
        assert Book.objects.get().title == "Of films"
    with use_mirror("books"):
        assert Book.objects.get().title == "Emma"


def drop_titles(mirror):
    Book.objects.update(title=f"Of {mirror}")
