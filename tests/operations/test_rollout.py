"""Bringing mirrors in step."""

import os
import socket
import time

import pytest
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder

from django_mirrors import mirrors, use_mirror, use_original
from django_mirrors.exceptions import OperationFailed, OperationLocked
from django_mirrors.operations import (
    add_mirror,
    get_status,
    plan_rollout,
    roll_out,
)
from django_mirrors.operations.reports import Outcome
from django_mirrors.operations.runner import run_steps

pytestmark = pytest.mark.django_db


@pytest.fixture
def two(defaults):
    add_mirror("books", {})
    add_mirror("films", {})


def take_back(name: str) -> None:
    """Let a mirror be one migration behind."""
    with use_mirror(name):
        recorder = MigrationRecorder(connections[name])
        recorder.record_unapplied("sessions", "0001_initial")
        with connections[name].cursor() as cursor:
            cursor.execute("DROP TABLE django_session")


def test_mirrors_in_step_are_skipped(two):
    report = roll_out(mirrors.select())

    assert report.count("skipped") == 2


def test_mirror_that_is_behind_is_migrated(two):
    take_back("books")
    assert get_status(mirrors["books"]).behind == ("sessions.0001_initial",)

    report = roll_out(mirrors.select())

    assert [item.outcome for item in report.results] == ["done", "skipped"]
    assert get_status(mirrors["books"]).behind == ()


def test_failure_in_one_mirror_hides_no_other(two, defaults):
    take_back("films")
    path = defaults / "databases" / "books.sqlite3"
    connections["books"].close()
    path.write_bytes(b"this is no database " * 100)

    report = roll_out(mirrors.select())

    assert [item.outcome for item in report.results] == ["failed", "done"]
    assert "DatabaseError" in report.failures[0].error


def test_no_mirror_is_begun_after_too_many_failures(two, defaults):
    connections["books"].close()
    (defaults / "databases" / "books.sqlite3").write_bytes(
        b"this is no database " * 100
    )

    report = roll_out(mirrors.select(), max_failures=1)

    assert report.results[1].detail == "not begun"


def test_declared_mirror_is_provisioned(two, settings, tmp_path):
    settings.MIRRORS = {
        "music": {
            "HOSTS": ["music.example"],
            "DATABASE": f"sqlite:///{tmp_path}/music.sqlite3",
        }
    }

    roll_out(mirrors.select("music"))

    assert mirrors["music"].state == "active"


def test_plan_names_the_missing_migrations_and_applies_none(two):
    take_back("books")

    plan = plan_rollout(mirrors.select())

    assert plan.steps["books"] == ("apply sessions.0001_initial",)
    assert plan.steps["films"] == ("nothing, it is in step",)
    assert get_status(mirrors["books"]).behind == ("sessions.0001_initial",)


def test_rollout_refuses_while_the_original_is_behind(two):
    with use_original():
        recorder = MigrationRecorder(connections["original"])
        recorder.record_unapplied("sessions", "0001_initial")

    with pytest.raises(OperationFailed, match="original lacks 1 migration, first"):
        roll_out(mirrors.select())


def test_second_rollout_says_who_holds_the_lock(two):
    refused = []

    def roll_out_again(result):
        try:
            roll_out(mirrors.select())
        except OperationLocked as error:
            refused.append(str(error))

    report = roll_out(mirrors.select("books"), on_step=roll_out_again)

    [message] = refused
    assert message.startswith(f"Rollout {report.id} is under way, by ")
    assert f"@{socket.gethostname()}:{os.getpid()} since 20" in message


def test_sharing_mirror_waits_for_its_owner_though_a_job_is_free(two):
    add_mirror("films-fr", {"SHARES": {"DATABASE": "films", "STORAGE": "films"}})
    seen = []

    def work_slowly(mirror):
        seen.append(f"{mirror} begins")
        time.sleep(0.3)
        seen.append(f"{mirror} ends")
        return Outcome("done")

    run_steps("test", mirrors.select("films", "films-fr"), work_slowly, jobs=2)

    assert seen == [
        "films begins",
        "films ends",
        "films-fr begins",
        "films-fr ends",
    ]


def test_rollout_to_a_sharing_mirror_alone_asks_for_its_owner(two):
    add_mirror("films-fr", {"SHARES": {"DATABASE": "films", "STORAGE": "films"}})
    take_back("films")

    report = roll_out(mirrors.select("films-fr"))

    assert "Roll out to 'films'" in report.failures[0].error
