"""What an operator types to roll out, and reads before, meanwhile and afterwards."""

import json
import sys

import pytest
from django.db import connections

from django_mirrors import mirrors, use_original
from django_mirrors.models import OperationRecord
from django_mirrors.operations import get_status
from django_mirrors.operations.locks import hold_lock
from tests.management.test_commands import fail, run
from tests.operations.test_rollout import take_back

pytestmark = pytest.mark.django_db

UID = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def three(defaults):
    run("mirror_add", "books", "--label", "tier=gold")
    run("mirror_add", "films", "--label", "tier=silver")
    run("mirror_add", "music", "--label", "tier=silver")


def break_database(name, database_of):
    connections[name].close()
    database_of(name).write_bytes(b"this is no database " * 100)


def read_events(text):
    return [json.loads(line) for line in text.splitlines()]


# --- before


def test_plan_tells_the_waves_the_steps_and_the_sql(three):
    take_back("films")

    text = run("mirror_rollout", "--all", "--canary", "1", "--plan")

    assert text.startswith("Nothing is changed. This would be done:\n")
    lines = [line.split() for line in text.splitlines()]
    assert ["canary", "books", "nothing,", "it", "is", "in", "step"] in lines
    assert ["the", "rest", "films", "apply", "sessions.0001_initial"] in lines
    assert "-- apply sessions.0001_initial (SQLite)\nCREATE TABLE" in text
    assert get_status(mirrors["films"]).behind == ("sessions.0001_initial",)
    with use_original():
        assert not OperationRecord.objects.exists()


def test_plan_as_json_has_waves_and_sql(three):
    take_back("films")

    plan = json.loads(
        run("mirror_rollout", "--all", "--waves", "tier=gold", "--plan", "--json")
    )

    assert [(item["mirror"], item["wave"]) for item in plan["plan"]] == [
        ("books", "tier=gold"),
        ("films", "the rest"),
        ("music", "the rest"),
    ]
    (statements,) = plan["sql"].values()
    assert statements[0].startswith('CREATE TABLE "django_session"')


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--waves", "10"), "'10' is no wave"),
        (("--waves", "50%,10%"), "'10%' does not follow 50%"),
        (("--waves", "101%"), "'101%' does not follow 0%"),
        (("--canary", "0"), "'0' is not a whole number above 0"),
        (("--to", "a", "b", "c"), "--to takes an app and a migration, not 'a b c'"),
        (("--to", "nosuch"), "No app 'nosuch' has migrations"),
        (("--to", "auth", "9"), "No migration of 'auth' has a name that begins"),
        (("--to", "auth", "00"), "Not only one of 'auth' has a name that begins"),
        (("--resume", "--id", "x"), "'x' is no id of a rollout"),
        (("--show", "--id", UID), f"There is no rollout '{UID}'"),
        (("--show",), "There is no rollout."),
        (("--pause",), "There is no rollout."),
    ],
)
def test_bad_usage_is_told_and_changes_nothing(three, options, problem):
    take_back("films")

    error = fail("mirror_rollout", "--all", *options)

    assert problem in str(error)
    assert error.returncode in {1, 2}
    assert get_status(mirrors["films"]).behind == ("sessions.0001_initial",)


# --- meanwhile


def test_each_wave_is_a_line_and_the_end_a_table(three):
    lines = run("mirror_rollout", "--all", "--waves", "tier=gold").splitlines()

    assert lines[0] == "Wave 1 of 2 (tier=gold): 1 mirror."
    assert lines[1] == "Wave 2 of 2 (the rest): 2 mirrors."
    assert lines[2].split() == ["MIRROR", "OUTCOME", "TIME", "DETAIL"]


def test_events_are_lines_of_json(three):
    take_back("films")

    events = read_events(run("mirror_rollout", "--all", "--events"))

    assert [item["event"] for item in events] == ["wave", *["mirror"] * 3, "end"]
    assert events[0]["mirrors"] == ["books", "films", "music"]
    assert (events[2]["mirror"], events[2]["outcome"]) == ("films", "done")
    assert (events[-1]["done"], events[-1]["skipped"]) == (1, 2)


def test_second_rollout_says_which_one_runs_and_who_runs_it(three):
    with hold_lock("rollout", operation=f"Rollout {UID}"):
        error = fail("mirror_rollout", "--all")

    assert error.returncode == 1
    assert f"Rollout {UID} is under way, by " in str(error)


def test_one_that_nobody_works_on_cannot_be_paused_but_cancelled(three, database_of):
    break_database("books", database_of)
    fail("mirror_rollout", "--all", "--max-failures", "1")

    paused = fail("mirror_rollout", "--pause")
    text = run("mirror_rollout", "--cancel")
    resumed = fail("mirror_rollout", "--resume")

    assert "so there is nothing to pause" in str(paused)
    assert "stops after the mirrors at hand" in text
    assert "was cancelled. Begin a new one." in str(resumed)


# --- afterwards


def test_stopped_rollout_is_resumed_and_told_as_one(three, database_of):
    take_back("films")
    before = database_of("books").read_bytes()
    break_database("books", database_of)
    error = fail("mirror_rollout", "--all", "--max-failures", "1")
    connections["books"].close()
    database_of("books").write_bytes(before)

    report = json.loads(run("mirror_rollout", "--resume", "--json"))

    assert "Go on with 'manage.py mirror_rollout --resume'" in str(error)
    outcomes = {item["mirror"]: item["outcome"] for item in report["results"]}
    assert outcomes == {"books": "skipped", "films": "done", "music": "skipped"}
    assert get_status(mirrors["films"]).behind == ()


def test_part_of_a_stopped_rollout_can_be_resumed(three, database_of):
    take_back("films")
    take_back("music")
    break_database("books", database_of)
    fail("mirror_rollout", "--all", "--max-failures", "1")

    error = fail("mirror_rollout", "--resume", "films")

    assert "1 of 3 mirrors failed: books. Stopped with 1 of 3" in str(error)
    assert get_status(mirrors["films"]).behind == ()
    assert get_status(mirrors["music"]).behind == ("sessions.0001_initial",)


def test_rollouts_are_listed_and_shown(three):
    run("mirror_rollout", "books")
    report = json.loads(run("mirror_rollout", "films", "music", "--json"))

    listed = json.loads(run("mirror_rollout", "--list", "--json"))
    table = run("mirror_rollout", "--list")
    shown = json.loads(run("mirror_rollout", "--show", "--json"))
    text = run("mirror_rollout", "--show", "--id", listed[1]["id"])

    assert [item["mirrors"] for item in listed] == [2, 1]
    assert listed[0]["id"] == shown["id"] == report["id"]
    assert {item["outcome"] for item in listed} == {"done"}
    assert table.splitlines()[1].split()[0] == report["id"]
    assert [item["mirror"] for item in shown["results"]] == ["films", "music"]
    assert text.startswith(f"Rollout {listed[1]['id']} of release ")
    assert text.splitlines()[-1].split()[0] == "books"


def test_reason_for_breaking_migrations_is_recorded(three):
    run("mirror_rollout", "--all", "--allow-breaking", "nobody uses it")

    (listed,) = json.loads(run("mirror_rollout", "--list", "--json"))

    assert listed["allow_breaking"] == "nobody uses it"


def test_status_tells_the_rollout_and_when(three):
    report = json.loads(run("mirror_rollout", "books", "--json"))

    books, films, _ = json.loads(run("mirror_status", "--json"))

    assert books["rollout"] == report["id"]
    assert books["rolled_out"]
    assert (films["rollout"], films["rolled_out"]) == ("", None)


def test_mirror_is_brought_back_and_forth(three):
    run("mirror_rollout", "books", "--to", "sessions", "zero")
    behind = get_status(mirrors["books"]).behind

    text = run("mirror_rollout", "books", "--to", "sessions", "0001")

    assert behind == ("sessions.0001_initial",)
    assert "sessions.0001_initial applied" in text
    assert get_status(mirrors["books"]).behind == ()


def test_migration_that_was_applied_by_hand_is_recorded(three):
    run("mirror_rollout", "books", "--to", "sessions", "zero", "--fake")
    assert get_status(mirrors["books"]).behind == ("sessions.0001_initial",)

    text = run("mirror_rollout", "books", "--fake")

    assert "sessions.0001_initial recorded" in text
    assert get_status(mirrors["books"]).behind == ()


def test_celery_that_is_not_installed_is_told(three, monkeypatch):
    ours = "django_mirrors.integrations.celery"
    monkeypatch.delitem(sys.modules, ours, raising=False)  # of another test
    monkeypatch.setitem(sys.modules, "celery", None)

    error = fail("mirror_rollout", "--all", "--executor", "celery")

    assert "Install 'dj-mirrors[celery]'" in str(error)
    assert error.returncode == 2
