"""What a rollout did so far."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from django_mirrors import use_original
from django_mirrors.exceptions import OperationFailed, OperationLocked
from django_mirrors.models import (
    LockRecord,
    MirrorRecord,
    OperationRecord,
    StepRecord,
)
from django_mirrors.operations import ledger
from django_mirrors.operations.locks import describe_process, hold_lock
from django_mirrors.operations.reports import DONE, FAILED, SKIPPED, StepResult
from django_mirrors.operations.rollout import journal as journals
from django_mirrors.operations.rollout.journal import Journal

pytestmark = pytest.mark.django_db

NIL = str(UUID(int=0))
PLAN = {
    "targets": [],
    "fake": False,
    "allow_breaking": "",
    "release": "7",
    "waves": [["canary", ["books"]], ["the rest", ["films", "music"]]],
}


@pytest.fixture
def clock(monkeypatch):
    """Return what the time is, to be changed."""
    now = [1000.0]
    monkeypatch.setattr(journals, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def lock(defaults):
    with hold_lock("rollout", operation="Rollout") as held:
        yield held


@pytest.fixture
def journal(lock, clock):
    for name in ("books", "films", "music"):
        add_record(name)
    return Journal.begin(uuid4(), PLAN, lock=lock)


def add_record(name, **values):
    definition = {"HOSTS": [f"{name}.example"]}
    MirrorRecord.objects.create(
        name=name, state="active", definition=definition, **values
    )


def step(mirror, outcome=DONE, **values):
    return StepResult(mirror=mirror, outcome=outcome, **values)


def list_steps():
    return sorted(StepRecord.objects.values_list("mirror", "outcome"))


def test_results_are_written_in_batches(journal, clock):
    journal.add(step("books"), wave=1)
    assert list_steps() == []

    clock[0] += 1
    journal.add(step("films"), wave=2)

    assert list_steps() == [("books", "done"), ("films", "done")]


def test_full_batch_is_written_at_once(journal, monkeypatch):
    monkeypatch.setattr(journals, "_FLUSH_ROWS", 2)

    journal.add(step("books"), wave=1)
    journal.add(step("films"), wave=1)

    assert len(list_steps()) == 2


def test_failure_is_written_at_once(journal):
    journal.add(step("books", FAILED, error="Closed."), wave=1)

    assert list_steps() == [("books", "failed")]


def test_what_waits_is_written_when_it_is_due(journal, clock):
    journal.add(step("books"), wave=1)
    journal.flush_if_due()
    assert list_steps() == []

    clock[0] += 0.6
    journal.flush_if_due()

    assert list_steps() == [("books", "done")]


def count_queries(journal, names):
    for name in names:
        journal.add(step(name, SKIPPED), wave=1)
    with use_original(), CaptureQueriesContext(connections["original"]) as found:
        journal.flush()
    return len(found)


def test_batch_takes_as_many_statements_as_one_result(journal):
    assert count_queries(journal, ["m"]) == count_queries(
        journal, [f"m{number}" for number in range(50)]
    )


def test_nothing_to_write_asks_nobody(journal, django_assert_num_queries):
    with django_assert_num_queries(0):
        journal.flush()


def test_later_result_replaces_the_one_before(journal):
    journal.add(step("books", FAILED, error="Closed."), wave=1)

    journal.add(step("books", detail="applied", seconds=2.5), wave=1)
    journal.flush()

    record = StepRecord.objects.get()
    assert (record.outcome, record.error, record.seconds) == ("done", "", 2.5)


def test_report_tells_of_everything_by_name(journal):
    journal.add(step("films", FAILED, error="Closed."), wave=2)
    journal.add(step("books", SKIPPED, detail="in step"), wave=1)
    journal.flush()

    report = Journal.find(journal.id).read_report()

    assert report.id == journal.id
    assert report.results == (
        step("books", SKIPPED, detail="in step"),
        step("films", FAILED, error="Closed."),
    )


def test_failures_are_to_be_tried_again_and_the_rest_is_done(journal):
    journal.add(step("books"), wave=1)
    journal.add(step("films", FAILED, error="Closed."), wave=2)
    journal.add(step("music", SKIPPED), wave=2)
    journal.flush()

    assert journal.read_done() == {"books", "music"}
    assert journal.find_done("books") == step("books")
    assert journal.find_done("films") is None
    assert journal.find_done("poems") is None


def test_waves_that_are_well_are_remembered(journal):
    assert journal.passed == 0

    journal.pass_wave(2)

    assert Journal.find(journal.id).passed == 2


def test_ledger_knows_which_release_and_rollout_a_mirror_has(journal):
    digest = ledger.write_state(frozenset({("shop", "0001_initial")}))

    journal.add(step("books", migrations=digest), wave=1)
    journal.add(step("films", SKIPPED, migrations=digest), wave=1)
    journal.add(step("music", FAILED, error="Closed."), wave=1)
    journal.flush()

    found = MirrorRecord.objects.order_by("name").values_list(
        "name", "release", "migrations", "rollout"
    )
    assert list(found) == [
        ("books", "7", digest, UUID(journal.id)),
        ("films", "7", digest, UUID(journal.id)),
        ("music", "", "", None),
    ]


def test_rollout_to_a_target_says_nothing_of_the_release(lock):
    add_record("books", release="6")
    plan = {**PLAN, "targets": [["shop", "0001"]]}
    journal = Journal.begin(uuid4(), plan, lock=lock)

    journal.add(step("books", migrations="a" * 32), wave=1)
    journal.flush()

    record = MirrorRecord.objects.get()
    assert (record.release, record.migrations) == ("6", "a" * 32)


def test_record_that_stays_the_same_is_not_read_again_by_the_fleet(journal):
    journal.add(step("books", SKIPPED, migrations="a" * 32), wave=1)
    journal.flush()
    before = MirrorRecord.objects.get(name="books").changed

    journal.add(step("books", SKIPPED, migrations="a" * 32), wave=1)
    journal.flush()

    assert MirrorRecord.objects.get(name="books").changed == before


def test_new_rollout_supersedes_those_that_did_not_end(journal, lock):
    newer = Journal.begin(uuid4(), PLAN, lock=lock)

    assert Journal.find(journal.id).summarise().outcome == "superseded"
    assert Journal.find().id == newer.id
    with pytest.raises(OperationFailed, match=r"was superseded\. Begin a new one"):
        Journal.find(journal.id).resume(lock)


def test_nothing_is_written_once_another_has_the_lock(journal, lock):
    LockRecord.objects.update(fence=lock.fence + 1)

    with pytest.raises(OperationLocked):
        journal.add(step("books", FAILED, error="Closed."), wave=1)
    with pytest.raises(OperationLocked):
        journal.end("done")

    assert list_steps() == []
    assert Journal.find(journal.id).summarise().outcome == ""


def test_cancelled_rollout_is_not_resumed(journal, lock):
    journal.end("cancelled")

    with pytest.raises(OperationFailed, match=r"was cancelled\. Begin a new one"):
        Journal.find(journal.id).resume(lock)


def test_resumed_rollout_is_under_way_again(journal, lock):
    journal.ask("pause")
    journal.stop("paused")
    assert journal.find_request() == "pause"

    Journal.find(journal.id).resume(lock)

    found = Journal.find(journal.id)
    assert found.find_request() == ""
    assert found.summarise().outcome == ""
    assert found.summarise().finished is None


def test_summary_is_one_line(journal):
    journal.end("done")

    found = Journal.find(journal.id).summarise()

    assert found.id == journal.id
    assert (found.release, found.outcome, found.mirrors) == ("7", "done", 3)
    assert found.holder == describe_process()
    assert found.started <= found.finished <= datetime.now(UTC)
    assert found.as_json()["allow_breaking"] == ""


def test_latest_rollouts_come_first(journal, lock):
    newer = Journal.begin(uuid4(), PLAN, lock=lock)

    assert [item.id for item in Journal.list(at_most=5)] == [newer.id, journal.id]
    assert [item.id for item in Journal.list(at_most=1)] == [newer.id]


@pytest.mark.parametrize(
    ("uid", "message"),
    [
        ("", "There is no rollout. See 'manage.py mirror_rollout --list'."),
        ("7", "'7' is no id of a rollout. See 'manage.py mirror_rollout --list'."),
        (
            NIL,
            f"There is no rollout '{NIL}'. See 'manage.py mirror_rollout --list'.",
        ),
    ],
)
def test_rollout_that_is_not_there_is_named(defaults, uid, message):
    with pytest.raises(OperationFailed) as caught:
        Journal.find(uid)

    assert str(caught.value) == message


def test_other_operations_are_no_rollouts(defaults):
    with use_original():
        OperationRecord.objects.create(operation="provision", holder="x")

    with pytest.raises(OperationFailed, match="There is no rollout"):
        Journal.find()
