"""What is written down of mirrors that the command `migrate` changed."""

import logging
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.core.management.sql import emit_post_migrate_signal
from django.db import OperationalError, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from django_mirrors import behind, mirrors, use_mirror, use_original
from django_mirrors.models import MigrationState, MirrorRecord
from django_mirrors.operations import add_mirror, get_status, ledger, roll_out
from django_mirrors.operations.ledger import Entry, read_ledger
from tests.operations.test_rollout import take_back

pytestmark = pytest.mark.django_db

LACKING = "sessions.0001_initial"


@pytest.fixture
def two(defaults):
    """Two mirrors, and `books-fr`, which shares the database of `books`."""
    for name in ("books", "films"):
        add_mirror(name, {})
    add_mirror("books-fr", {"SHARES": {"DATABASE": "books"}})


@pytest.fixture
def old(two):
    """Let a rollout have written down that `books` lacks a migration."""
    take_back("books")
    with use_mirror("books"):
        applied = ledger.read_applied(mirrors["books"])
    ledger.enter(
        ["books", "books-fr"],
        rollout=str(uuid4()),
        release="old",
        migrations=ledger.write_state(applied),
    )
    mirrors.reload()


def migrate(name, *arguments):
    with use_mirror(name):
        call_command("migrate", *arguments, database=name, verbosity=0)
    mirrors.reload()


def find_record(name):
    with use_original():
        return MirrorRecord.objects.get(name=name)


def list_applied(name):
    with use_original():
        digest = find_record(name).migrations
        return MigrationState.objects.get(digest=digest).applied


def test_mirror_that_was_migrated_has_the_migrations_and_the_release_of_the_code(old):
    assert LACKING not in list_applied("books")

    migrate("books")

    record, other = find_record("books"), find_record("films")
    assert LACKING in list_applied("books")
    assert (record.migrations, record.release) == (other.migrations, other.release)
    assert record.rollout is None
    assert record.rolled_out is not None
    assert other.rolled_out is None


def test_status_tells_of_no_rollout_after_a_mirror_was_migrated(old):
    before = get_status(mirrors["books"])

    migrate("books")

    status = get_status(mirrors["books"])
    assert (before.mirror.release, before.behind) == ("old", (LACKING,))
    assert (status.mirror.release, status.behind) == (mirrors["films"].release, ())
    assert status.as_json()["rollout"] == ""
    assert status.entry.rolled_out > before.entry.rolled_out


def test_mirror_that_was_migrated_is_not_held_any_more(old, settings):
    settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "BEHIND": "hold"}
    behind._verdicts.clear()
    client = Client(headers={"host": "books.example"})
    held = client.get("/titles/")

    migrate("books")

    assert held.status_code == 503
    assert client.get("/titles/").status_code == 200


def test_command_run_in_mirrors_is_written_down_in_each(old):
    call_command("mirror_run", "books", "films", "--", "migrate", stdout=StringIO())

    assert LACKING in list_applied("books")
    assert find_record("books").release == find_record("films").release


def test_mirror_that_shares_the_database_is_written_down_too(old):
    migrate("books")

    names = ("books", "books-fr")
    assert {find_record(name).migrations for name in names} == {
        find_record("films").migrations
    }
    assert find_record("books-fr").rollout is None


def test_release_stays_where_a_mirror_was_migrated_in_part(old):
    migrate("books", "admin", "zero")

    assert "admin.0001_initial" not in list_applied("books")
    assert find_record("books").release == "old"


def test_what_was_migrated_unnoticed_is_written_down_by_a_later_command(old):
    with use_mirror("books"):
        connections["books"].cursor().execute(
            "INSERT INTO django_migrations (app, name, applied)"
            " VALUES ('sessions', '0001_initial', '2026-11-26')"
        )

    migrate("books")

    assert LACKING in list_applied("books")
    assert find_record("books").rollout is None


def test_rollout_stays_where_there_was_nothing_to_do(two):
    report = roll_out(mirrors.select())

    migrate("books")

    assert str(find_record("books").rollout) == report.id


def test_release_follows_the_code_where_there_was_nothing_to_do(two):
    MirrorRecord.objects.filter(name="books").update(release="old")

    migrate("books")

    assert find_record("books").release == find_record("films").release
    assert find_record("books").rolled_out is None


def test_command_is_written_down_once(old, monkeypatch):
    entered = []
    monkeypatch.setattr(ledger, "_enter_migrated", lambda *it, **_: entered.append(it))

    migrate("books")

    assert entered == [("books",)]


def test_new_mirror_has_no_entry_yet(two):
    assert read_ledger(["books", "films"]) == {}


def test_rollout_is_written_down_by_itself(old, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("It was written down twice.")

    monkeypatch.setattr(ledger, "_enter_migrated", refuse)

    report = roll_out(mirrors.select())
    add_mirror("music", {})

    assert report.count("done") == 1
    assert read_ledger(["books"])["books"].rollout == report.id


def test_signal_of_other_commands_is_not_of_interest(old):
    with use_mirror("books"), CaptureQueriesContext(connections["books"]) as queries:
        ledger.enter_migrated("books", plan=None)

    assert not queries.captured_queries
    assert find_record("books").release == "old"


def test_the_original_has_no_entry(old, monkeypatch):
    monkeypatch.setattr(ledger, "enter_migrated", None)

    with use_original():
        emit_post_migrate_signal(0, False, "original", plan=[])


@pytest.mark.parametrize("plan", [None, [], ["a migration"]])
def test_databases_of_the_project_have_no_entry(old, plan):
    ledger.enter_migrated("analytics", plan=plan)

    assert read_ledger(["analytics"]) == {}


def test_original_that_is_down_does_not_stop_a_migration(old, monkeypatch, caplog):
    def fail(applied):
        raise OperationalError("gone")

    monkeypatch.setattr(ledger, "write_state", fail)

    with caplog.at_level(logging.WARNING, "django_mirrors.operations"):
        migrate("books")

    assert get_status(mirrors["books"]).behind == ()
    assert find_record("books").release == "old"
    assert (
        "Which migrations 'books' has now is not written down (OperationalError). Run "
        "'manage.py mirror_rollout books' when the database of the original answers."
    ) in caplog.text


def test_rollout_writes_down_what_could_not_be_written(old, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "_enter_migrated", lambda *_, **__: None)
        migrate("books")

    report = roll_out(mirrors.select())

    assert report.count("done") == 0
    assert find_record("books").release == find_record("films").release
    assert read_ledger(["books"])["books"].rollout == report.id


def test_entry_without_a_rollout_has_a_time(old):
    migrate("books")

    found = read_ledger(["books", "films"])

    assert found == {"books": Entry(rolled_out=find_record("books").rolled_out)}
