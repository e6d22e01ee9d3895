"""Rollouts by Celery's workers, on real brokers: what is lost on the way is done."""

import os
import signal
from contextlib import suppress
from pathlib import Path
from random import Random
from time import monotonic, sleep

import pytest

from tests.integrations.broken_way import BrokenWay
from tests.integrations.celery_fleet import CeleryFleet
from tests.isolation.sizes import get_seed, scaled

BOTH = pytest.mark.parametrize(
    "broker",
    [
        pytest.param("rabbitmq", marks=pytest.mark.rabbitmq),
        pytest.param("redis", marks=pytest.mark.redis),
    ],
)
PORTS = {"rabbitmq": 5672, "redis": 6379}
SMALL = ("m000", "m001", "m002", "m003")
IN_WAVES = (*SMALL, "--canary", "1", "--waves", "50%")
MOST_KILLS = max(scaled(60), 3)
UNUSABLE = "Celery's broker at 127.0.0.1:1 cannot be used"
AWAY = {  # nobody listens there
    "amqp://guest:hidden@127.0.0.1:1//": UNUSABLE,
    "redis://:hidden@127.0.0.1:1/6": UNUSABLE,
    "nonsense://guest:hidden@there/": "Celery's broker at there cannot be used",
    "": "This process has no Celery app that knows a broker",
}


@pytest.fixture(scope="module")
def whole_fleet(tmp_path_factory):
    fleet = CeleryFleet(tmp_path_factory.mktemp("celery"), max(scaled(200), 10))
    yield fleet
    fleet.end()


@pytest.fixture
def fleet(whole_fleet):
    """The fleet, whose mirrors all lack a release."""
    yield whole_fleet
    whole_fleet.end()


def kill_at_random(fleet, run, workers, random) -> int:
    """Kill workers and their children while a rollout runs; return how many."""
    killed = 0
    until = monotonic() + fleet.seconds
    while run.process.poll() is None:
        assert monotonic() < until, "The rollout does not end."
        sleep(random.uniform(0.3, 1.5))
        if killed >= MOST_KILLS or run.process.poll() is not None:
            continue
        number = random.randrange(len(workers))
        if not fleet.is_ready(workers[number]):
            continue  # nobody would ever get to work
        children = find_children(workers[number].pid)
        if children and random.random() < 0.5:
            with suppress(ProcessLookupError):
                os.kill(random.choice(children), signal.SIGKILL)
        else:
            # Its children go on: what they do is done once all the same.
            fleet.kill_one(workers[number])
            workers[number] = fleet.start_worker(*get_pool(fleet))
        killed += 1
    return killed


def find_children(process) -> list[int]:
    path = Path(f"/proc/{process}/task/{process}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def get_pool(fleet) -> tuple[str, ...]:
    if fleet.broker.startswith("redis"):
        return ("--pool=solo",)
    return ("--pool=prefork", "--concurrency=2")


def without_times(report) -> list[dict[str, object]]:
    return [{**item, "seconds": 0} for item in report["results"]]


@pytest.fixture(scope="module")
def local(whole_fleet):
    """What a rollout by local processes reports, and what it leaves in the records."""
    whole_fleet.begin_again("")
    run = whole_fleet.roll_out(*IN_WAVES, "--jobs", "2", executor="local").wait()
    assert run.code == 0
    return without_times(run.report), whole_fleet.describe()


@BOTH
def test_workers_do_the_same_as_local_processes(broker, fleet, local):
    fleet.begin_again(broker)
    fleet.start_worker()

    run = fleet.roll_out(*IN_WAVES).wait()

    assert run.code == 0
    assert (without_times(run.report), fleet.describe()) == local
    assert not fleet.find_problems(SMALL)


@BOTH
def test_workers_killed_at_random_leave_nothing_undone_and_do_nothing_twice(
    broker, fleet, report_figure
):
    random = Random(f"{get_seed(3)} {broker}")
    fleet.begin_again(broker)
    fleet.pause(0.1)
    workers = [fleet.start_worker(*get_pool(fleet)) for _ in range(2)]
    run = fleet.roll_out()

    fleet.wait_for(1)
    killed = kill_at_random(fleet, run, workers, random)

    run.wait()
    begun = [name for name, _ in fleet.list_begun()]
    report_figure(
        f"workers killed, {broker}",
        f"{fleet.mirrors} mirrors, {killed} kills (seed {get_seed(3)}), "
        f"{len(begun) - len({*begun})} mirrors begun again",
    )
    assert run.code == 0, run.errors
    assert not fleet.find_problems(fleet.names)
    assert [row[0] for row in fleet.describe()["steps"]] == fleet.names


@BOTH
def test_message_that_arrives_twice_is_done_once(broker, fleet):
    fleet.begin_again(broker)
    fleet.pause(0.3)
    for _ in range(2):
        fleet.start_worker()

    run = fleet.roll_out(*SMALL, FLEET_TWICE="1").wait()

    assert run.code == 0
    assert sorted(name for name, _ in fleet.list_begun()) == [*SMALL]
    assert {item["outcome"] for item in run.report["results"]} == {"done"}


@BOTH
def test_broker_may_be_away_for_a_while(broker, fleet):
    fleet.begin_again(broker)
    fleet.pause(0.5)
    fleet.start_worker()
    way = BrokenWay(fleet.broker, port=PORTS[broker])
    run = fleet.roll_out(*SMALL, "--jobs", "1", FLEET_BROKER=way.url)
    fleet.wait_for(1)

    way.cut()
    sleep(2)
    way.mend()

    run.wait()
    way.cut()
    assert run.code == 0, run.errors
    assert not fleet.find_problems(SMALL)


@pytest.mark.rabbitmq
def test_worker_of_another_release_refuses(fleet):
    fleet.begin_again("rabbitmq")
    fleet.start_worker(KILLS_RELEASE="first")

    run = fleet.roll_out(*SMALL).wait()

    assert run.code == 1
    assert "is of release 'migrations-" in run.errors
    assert "Start the workers again with the new code" in run.errors
    assert fleet.list_behind() == fleet.names


@pytest.mark.rabbitmq
def test_cancelled_rollout_leaves_the_rest_alone(fleet):
    fleet.begin_again("rabbitmq")
    fleet.pause(2)
    fleet.start_worker()
    run = fleet.roll_out()
    fleet.wait_for(1)

    fleet.command("mirror_rollout", "--cancel").wait()

    run.wait()
    begun = [name for name, _ in fleet.list_begun()]
    assert run.code == 1
    assert fleet.describe()["operations"][-1] == ("rollout", "cancelled")
    assert len(begun) < len(fleet.names) // 2
    assert fleet.list_behind() == [name for name in fleet.names if name not in begun]


@pytest.mark.redis
def test_rollout_whose_command_was_killed_is_resumed(fleet):
    fleet.begin_again("redis")
    fleet.pause(0.2)
    fleet.start_worker()
    killed = fleet.roll_out(*SMALL)
    fleet.wait_for(2)
    fleet.kill(killed.process)

    run = fleet.roll_out("--resume").wait()

    assert run.code == 0, run.errors
    assert not fleet.find_problems(SMALL)
    assert sorted(name for name, _ in fleet.list_begun()) == [*SMALL]
    assert [item["mirror"] for item in run.report["results"]] == [*SMALL]


@pytest.mark.rabbitmq
def test_rollout_without_a_worker_ends_and_goes_on_with_one(fleet):
    fleet.begin_again("rabbitmq")
    fleet.timeout = 1.5

    alone = fleet.roll_out(*SMALL, "--jobs", "2").wait()

    fleet.timeout = 20
    fleet.start_worker()
    run = fleet.roll_out("--resume").wait()
    results = alone.report["results"]
    assert alone.code == 1
    assert [item["outcome"] for item in results[:3]] == ["failed", "failed", "skipped"]
    assert results[0]["error"].startswith(
        "No worker has begun it within 1.5 seconds. Start workers of this release that "
        "listen to the queue 'dmcelery_"
    )
    assert run.code == 0, run.errors
    assert not fleet.find_problems(SMALL)


@pytest.mark.redis
def test_worker_that_is_gone_for_good_is_named(fleet):
    fleet.begin_again("redis")
    fleet.pause(30)
    worker = fleet.start_worker()
    fleet.wait_for_worker(worker)
    fleet.timeout = 3
    run = fleet.roll_out("m000")
    fleet.wait_for(1)

    fleet.kill(worker)

    run.wait()
    assert run.code == 1
    assert f":{worker.pid} that was at it has given no sign of life" in run.errors


@pytest.mark.redis
def test_slow_migration_is_waited_for_while_its_worker_lives(fleet):
    fleet.begin_again("redis")
    fleet.pause(5)
    fleet.wait_for_worker(fleet.start_worker())
    fleet.timeout = 3

    run = fleet.roll_out("m000").wait()

    assert run.code == 0, run.errors
    assert len(fleet.list_begun()) == 1


@pytest.mark.rabbitmq
def test_mirror_that_kills_each_worker_fails_and_hides_no_other(fleet):
    fleet.begin_again("rabbitmq")
    fleet.take_down("m001")
    fleet.wait_for_worker(fleet.start_worker("--pool=prefork", "--concurrency=1"))
    fleet.timeout = 4

    run = fleet.roll_out("m000", "m001", "m002").wait()

    outcomes = [item["outcome"] for item in run.report["results"]]
    assert outcomes == ["done", "failed", "done"]
    assert "The process that worked on it has ended 6 times" in run.errors


@pytest.mark.parametrize("url", AWAY, ids=["amqp", "redis", "unknown", "none"])
def test_broker_that_is_away_is_told_at_once(url, fleet):
    fleet.begin_again("")
    began = monotonic()

    run = fleet.roll_out(FLEET_BROKER=url).wait()

    assert run.code == 1
    assert AWAY[url] in run.err
    assert "hidden" not in run.err
    assert monotonic() - began < 15
    assert fleet.describe()["steps"] == []
    assert ("rollout", "") not in fleet.describe()["operations"]
