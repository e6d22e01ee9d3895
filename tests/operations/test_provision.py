"""Making a mirror: whole, continued, refused."""

import shutil
import sqlite3
from dataclasses import replace

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sites.models import Site
from django.db import connections

from django_mirrors import mirrors, use_mirror
from django_mirrors.exceptions import InvalidMirror, MirrorExists, OperationFailed
from django_mirrors.models import Marker, MirrorRecord
from django_mirrors.operations import add_mirror, plan_mirror
from django_mirrors.operations import provision as provision_module
from tests.bookshop.models import Book

pytestmark = pytest.mark.django_db


def test_new_mirror_is_active_and_has_every_table(defaults):
    report = add_mirror("books", {})

    assert report.count("done") == 1
    assert mirrors["books"].state == "active"
    assert mirrors.for_host("books.example").name == "books"
    with use_mirror("books"):
        assert not Book.objects.exists()


def test_two_new_mirrors_share_nothing(defaults):
    add_mirror("books", {})
    add_mirror("films", {})

    with use_mirror("books"):
        Book.objects.create(title="Emma")
    with use_mirror("films"):
        assert not Book.objects.exists()


def test_database_is_marked_with_the_uid_of_its_mirror(defaults):
    add_mirror("books", {})

    with use_mirror("books"):
        assert Marker.objects.get().uid == mirrors["books"].uid


def test_superuser_is_made_in_the_new_mirror_only(defaults, monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "a password")
    add_mirror("films", {})

    add_mirror("books", {}, superuser="ann")

    with use_mirror("books"):
        assert get_user_model().objects.get().check_password("a password")
    with use_mirror("films"):
        assert not get_user_model().objects.exists()


def test_site_follows_the_primary_host(defaults):
    add_mirror("books", {"HOSTS": ["shop.books.example", "books.example"]})

    with use_mirror("books"):
        assert Site.objects.get(pk=1).domain == "shop.books.example"


def test_site_of_the_owner_stays_when_its_database_is_shared(defaults):
    add_mirror("films", {})

    add_mirror("films-fr", {"SHARES": {"DATABASE": "films", "STORAGE": "films"}})

    with use_mirror("films"):
        assert Site.objects.get(pk=1).domain == "films.example"


def test_mirror_that_shares_a_database_gets_none_of_its_own(defaults, database_of):
    add_mirror("films", {})
    with use_mirror("films"):
        Book.objects.create(title="Metropolis")

    add_mirror("films-fr", {"SHARES": {"DATABASE": "films", "STORAGE": "films"}})

    assert not database_of("films-fr").exists()
    with use_mirror("films-fr"):
        assert Book.objects.get().title == "Metropolis"


def test_existing_database_is_refused_and_left_as_it_was(defaults, database_of):
    with sqlite3.connect(database_of("books")) as connection:
        connection.execute("CREATE TABLE precious (value)")
    before = database_of("books").read_bytes()

    with pytest.raises(MirrorExists, match="is not marked as this mirror's"):
        add_mirror("books", {})

    assert database_of("books").read_bytes() == before
    assert "books" not in mirrors


def test_existing_empty_database_is_refused_twice(defaults, database_of):
    database_of("books").touch()

    for _ in range(2):
        with pytest.raises(MirrorExists, match="is there already"):
            add_mirror("books", {})

    assert database_of("books").read_bytes() == b""


def test_existing_files_are_refused_twice(defaults):
    (defaults / "media" / "books").mkdir(parents=True)
    (defaults / "media" / "books" / "precious.txt").write_text("mine")

    for _ in range(2):
        with pytest.raises(MirrorExists, match="holds files already"):
            add_mirror("books", {})

    assert "books" not in mirrors


def test_active_mirror_cannot_be_added_again(defaults):
    add_mirror("books", {})

    with pytest.raises(MirrorExists, match="Mirror 'books' exists and is active"):
        add_mirror("books", {})


@pytest.fixture
def stop_at(monkeypatch):
    """Return a function that adds `books`, and is interrupted in a step."""

    def stop(step):
        steps = provision_module._STEPS
        monkeypatch.setattr(provision_module, "_STEPS", break_step(steps, step))
        with pytest.raises(KeyboardInterrupt):
            add_mirror("books", {})
        monkeypatch.setattr(provision_module, "_STEPS", steps)

    return stop


def test_database_that_somebody_made_during_a_stop_is_left_alone(
    defaults, database_of, stop_at
):
    stop_at("database")
    with sqlite3.connect(database_of("books")) as connection:
        connection.execute("CREATE TABLE precious (value)")

    with pytest.raises(MirrorExists, match="is not marked as this mirror's"):
        add_mirror("books", {})

    with sqlite3.connect(database_of("books")) as connection:
        tables = connection.execute("SELECT name FROM sqlite_schema").fetchall()
    assert tables == [("precious",)]
    assert mirrors["books"].state == "provisioning"


def test_database_that_somebody_put_in_place_of_a_new_one_is_left_to_its_mirror(
    defaults, database_of, stop_at
):
    add_mirror("films", {})
    with use_mirror("films"):
        Book.objects.create(title="Metropolis")
        connections["films"].close()
    stop_at("database")
    shutil.copy(database_of("films"), database_of("books"))

    with pytest.raises(MirrorExists, match="is not marked as this mirror's"):
        add_mirror("books", {})

    assert mirrors["books"].state == "provisioning"
    with sqlite3.connect(database_of("books")) as connection:
        titles = connection.execute("SELECT title FROM bookshop_book").fetchall()
    assert titles == [("Metropolis",)]


@pytest.mark.parametrize(
    "step", ["storage", "database", "site", "superuser", "hook", "verify"]
)
def test_adding_continues_after_a_stop_in_any_step(
    defaults, settings, monkeypatch, step
):
    settings.MIRRORS_OPTIONS = {
        **settings.MIRRORS_OPTIONS,
        "HOOKS": {"PROVISIONED": "tests.operations.test_provision.count_call"},
    }
    steps = provision_module._STEPS
    monkeypatch.setattr(provision_module, "_STEPS", break_step(steps, step))
    with pytest.raises(KeyboardInterrupt):
        add_mirror("books", {"LABELS": {"tier": "gold"}}, superuser="ann")
    assert mirrors["books"].state == "provisioning"
    monkeypatch.setattr(provision_module, "_STEPS", steps)

    add_mirror("books", {}, superuser="ann")

    assert mirrors["books"].state == "active"
    assert mirrors["books"].labels == {"tier": "gold"}
    with use_mirror("books"):
        assert Marker.objects.count() == 1
        assert get_user_model().objects.count() == 1
        assert Book.objects.get().title == "Made by the hook"


def count_call(mirror):
    Book.objects.create(title="Made by the hook")


def break_step(steps, name):
    def interrupt(work):
        raise KeyboardInterrupt

    return tuple(
        replace(step, do=interrupt) if step.name == name else step for step in steps
    )


def test_half_made_mirror_is_not_served(defaults, stop_at, client):
    stop_at("database")

    mirrors.reload()

    assert client.get("/titles/", headers={"host": "books.example"}).status_code == 404


def raise_value_error(mirror):
    raise ValueError("no such plan")


def test_hook_that_fails_is_told_with_how_to_go_on(defaults, settings):
    path = f"{__name__}.raise_value_error"
    settings.MIRRORS_OPTIONS = {
        **settings.MIRRORS_OPTIONS,
        "HOOKS": {"PROVISIONED": path},
    }

    with pytest.raises(OperationFailed) as caught:
        add_mirror("books", {})

    assert str(caught.value) == (
        "Adding mirror 'books' stopped at 'call the project's hook': ValueError: no "
        "such plan. Mend that, then continue with 'manage.py mirror_add books'."
    )
    assert mirrors["books"].state == "provisioning"


def test_service_that_does_not_work_is_told_with_how_to_go_on(defaults):
    with pytest.raises(OperationFailed) as caught:
        add_mirror("books", {"MAIL": "smtp://127.0.0.1:1/"})

    assert str(caught.value) == (
        "Adding mirror 'books' stopped at 'verify every service': MAIL: "
        "ConnectionRefusedError: [Errno 111] Connection refused. Mend that, or correct "
        "the definition with 'manage.py mirror_change books', then continue with "
        "'manage.py mirror_add books'."
    )


def test_wrong_address_can_be_corrected(defaults, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OperationFailed, match="cannot be made"):
        add_mirror("books", {"DATABASE": f"sqlite:///{tmp_path}/file/books.sqlite3"})

    add_mirror("books", {"DATABASE": f"sqlite:///{tmp_path}/right.sqlite3"})

    assert mirrors["books"].state == "active"


def test_defaults_are_kept_in_the_record(defaults, settings):
    add_mirror("books", {})
    database = mirrors["books"].database

    settings.MIRRORS_OPTIONS = {
        **settings.MIRRORS_OPTIONS,
        "DEFAULTS": {"DATABASE": "sqlite:///elsewhere.sqlite3"},
    }

    assert mirrors["books"].database == database


def test_plan_changes_nothing(defaults, database_of):
    mirror, plan = plan_mirror("books", {})

    assert mirror.name == "books"
    assert plan.steps["books"][0] == "register"
    assert not database_of("books").exists()
    assert not MirrorRecord.objects.exists()


def test_host_of_another_mirror_is_refused(defaults):
    add_mirror("books", {})

    with pytest.raises(InvalidMirror, match=r"'books\.example' is claimed twice"):
        add_mirror("films", {"HOSTS": ["books.example"]})

    assert "films" not in mirrors


def test_declared_mirror_is_added_by_its_name(defaults, settings, tmp_path):
    settings.MIRRORS = {
        "music": {
            "HOSTS": ["music.example"],
            "DATABASE": f"sqlite:///{tmp_path}/music.sqlite3",
        }
    }
    assert mirrors["music"].state == "provisioning"

    add_mirror("music", {})

    assert mirrors["music"].state == "active"
    assert mirrors["music"].source == "settings"


def test_mirror_is_not_served_while_its_database_is_made(defaults, monkeypatch, client):
    answers = []

    def ask(mirror, fill):
        mirrors.reload()
        answers.append(client.get("/titles/", headers={"host": "books.example"}))
        make(mirror, fill)

    make = provision_module.make_database
    monkeypatch.setattr(provision_module, "make_database", ask)

    add_mirror("books", {})

    assert [answer.status_code for answer in answers] == [404]
