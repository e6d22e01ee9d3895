"""Steps that are done by others: messages may be lost, late, or arrive twice."""

from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from django_mirrors import mirrors, use_mirror, use_original
from django_mirrors.exceptions import OperationFailed
from django_mirrors.models import Errand, LockRecord, OperationRecord, StepRecord
from django_mirrors.operations import add_mirror, roll_out
from django_mirrors.operations.elsewhere import Elsewhere
from django_mirrors.operations.reports import Outcome
from django_mirrors.operations.rollout import PAUSE, Options, stop_rollout
from django_mirrors.operations.rollout.errands import do_errand, name_lock
from django_mirrors.operations.runner import run_steps

pytestmark = pytest.mark.django_db

REMEDY = "Start a worker."


@pytest.fixture
def two(defaults, settings):
    """Mirrors that lack a migration, and workers that are given up soon."""
    for name in ("books", "films"):
        add_mirror(name, {})
        with use_mirror(name):
            recorder = MigrationRecorder(connections[name])
            recorder.record_unapplied("sessions", "0001_initial")
            with connections[name].cursor() as cursor:
                cursor.execute("DROP TABLE django_session")
    settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "WORKER_TIMEOUT": 2}


class Broker:
    """Sends errands to nobody, and counts that."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def __call__(self, errand: str, mirror: str) -> None:
        self.sent.append((errand, mirror))


class Worker(Broker):
    """Does the errands that it is sent, each of them `times`."""

    def __init__(self, *, times: int = 1) -> None:
        super().__init__()
        self.times = times

    def __call__(self, errand: str, mirror: str) -> None:
        super().__call__(errand, mirror)
        for _ in range(self.times):
            do_errand(errand)


def opening(send, *, at_most=10):
    @contextmanager
    def open_elsewhere(jobs):
        elsewhere = Elsewhere(send, at_most=at_most, remedy=REMEDY)
        yield elsewhere
        elsewhere.end()

    return open_elsewhere


def find_outcomes(report) -> list[str]:
    return [item.outcome for item in report.results]


def test_step_is_done_by_whom_it_is_sent_to(two):
    report = roll_out(mirrors.select(), executor=opening(Worker()))

    assert find_outcomes(report) == ["done", "done"]
    assert report.results[0].detail == "sessions.0001_initial applied"
    with use_original():
        assert not Errand.objects.exists()


def test_errand_that_arrives_twice_is_done_once(two):
    report = roll_out(mirrors.select(), executor=opening(Worker(times=2)))

    assert find_outcomes(report) == ["done", "done"]


def test_errand_of_a_rollout_that_ended_does_nothing(two):
    broker = Broker()
    roll_out(mirrors.select("books"), executor=opening(broker))

    do_errand(broker.sent[0][0])

    with use_original():
        assert StepRecord.objects.get().outcome == "failed"
    assert find_outcomes(roll_out(mirrors.select("books"))) == ["done"]


def test_result_of_a_step_is_in_the_journal_before_anybody_takes_it(two):
    seen = []

    def send(errand, mirror):
        do_errand(errand)
        with use_original():
            seen.extend(StepRecord.objects.values_list("mirror", "outcome", "wave"))

    roll_out(mirrors.select("books"), executor=opening(send))

    assert seen == [("books", "done", 1)]


def test_step_that_the_journal_knows_as_done_is_not_done_again(two):
    def send(errand, mirror):
        do_errand(errand)
        with use_original():
            Errand.objects.update(outcome="")
        do_errand(errand)

    report = roll_out(mirrors.select("books"), executor=opening(send))

    assert find_outcomes(report) == ["done"]


def test_message_that_is_lost_is_sent_again(two):
    sent = []

    def send(errand, mirror):
        sent.append(mirror)
        if len(sent) > 1:
            do_errand(errand)

    report = roll_out(mirrors.select("books"), executor=opening(send))

    assert find_outcomes(report) == ["done"]
    assert sent == ["books", "books"]


def test_message_that_cannot_be_sent_is_tried_again(two):
    sent = []

    def send(errand, mirror):
        sent.append(mirror)
        if len(sent) == 1:
            raise OperationFailed("The broker is away.")
        do_errand(errand)

    report = roll_out(mirrors.select("books"), executor=opening(send))

    assert find_outcomes(report) == ["done"]


def test_broker_that_stays_away_is_told_and_no_other_mirror_is_begun(two):
    def send(errand, mirror):
        raise OperationFailed("The broker is away.")

    report = roll_out(mirrors.select(), executor=opening(send, at_most=1))

    assert find_outcomes(report) == ["failed", "skipped"]
    assert report.results[0].error == (
        "No worker has begun it within 2 seconds. The broker is away. Then go on with "
        "'manage.py mirror_rollout --resume'."
    )


def test_worker_that_nobody_hears_of_is_named(two):
    def send(errand, mirror):
        with use_original():
            Errand.objects.update(attempts=1, worker="ann@far:7")

    report = roll_out(mirrors.select("books"), executor=opening(send))

    assert report.results[0].error == (
        "The worker ann@far:7 that was at it has given no sign of life for 2 seconds, "
        f"and no other has taken its place. {REMEDY} Then go on with 'manage.py "
        "mirror_rollout --resume'."
    )


def test_worker_that_lives_is_waited_for(two):
    """Longer than `WORKER_TIMEOUT`; the message is not sent again meanwhile."""
    expires = timezone.now() + timedelta(seconds=3)
    sent = []

    def send(errand, mirror):
        sent.append(mirror)
        if len(sent) == 1:
            with use_original():
                LockRecord.objects.create(
                    name=name_lock(mirror), holder="ann@far:7", expires=expires
                )
            return
        assert timezone.now() >= expires
        do_errand(errand)

    report = roll_out(mirrors.select("books"), executor=opening(send))

    assert find_outcomes(report) == ["done"]
    assert sent == ["books", "books"]


def test_paused_rollout_leaves_what_was_sent_and_not_begun(two):
    def send(errand, mirror):
        stop_rollout(PAUSE)
        do_errand(errand)

    report = roll_out(mirrors.select("books"), executor=opening(send))

    assert [item.detail for item in report.results] == ["not begun"]
    with use_original():
        assert not StepRecord.objects.exists()
        assert OperationRecord.objects.latest("started").outcome == "paused"


def test_errand_of_a_rollout_whose_lock_another_holds_does_nothing(two):
    def send(errand, mirror):
        with use_original():
            Errand.objects.update(fence=0)
        do_errand(errand)

    report = roll_out(mirrors.select("books"), executor=opening(send))

    assert report.results[0].error.startswith("No worker has begun it")


def test_mirror_that_took_six_workers_down_fails(two):
    def send(errand, mirror):
        with use_original():
            Errand.objects.update(attempts=6, worker="ann@far:7")
        do_errand(errand)

    report = roll_out(mirrors.select("books"), executor=opening(send))

    assert report.results[0].error == (
        "The process that worked on it has ended 6 times, the last one being "
        "ann@far:7. See its log, then roll out to it again; what was not complete is "
        "continued."
    )


def test_worker_of_another_release_refuses(two, settings):
    def send(errand, mirror):
        settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "RELEASE": "old"}
        do_errand(errand)

    settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "RELEASE": "new"}
    report = roll_out(mirrors.select("books"), executor=opening(send))

    assert f"Rollout {report.id} is of release 'new', and" in report.results[0].error
    assert "runs 'old'. Start the workers again with the" in report.results[0].error


def test_other_operations_are_not_for_workers_elsewhere(two):
    elsewhere = Elsewhere(Worker(), at_most=1, remedy=REMEDY)

    with pytest.raises(OperationFailed, match="Use the executor 'local'"):
        run_steps(
            "run", mirrors.select(), lambda _: Outcome("done"), executor=elsewhere
        )


def test_health_after_a_wave_is_looked_at_by_workers_too(two):
    worker = Worker()

    report = roll_out(
        mirrors.select(),
        options=Options(canary=1),
        executor=opening(worker),
    )

    assert find_outcomes(report) == ["done", "done"]
    assert [mirror for _, mirror in worker.sent] == ["books", "books", "films"]
