"""A rollout that is killed, stopped or met by another ends as if nothing had been."""

import pytest

from tests.isolation.sizes import scaled
from tests.kills.rollouts import (
    AGAIN,
    ALL,
    Rollout,
    choose_events,
    find_problems_of_a_stopped_one,
    find_problems_of_a_worker,
    find_problems_of_an_orphan,
    find_problems_of_two,
)

SERVERS = [
    pytest.param("postgres", marks=pytest.mark.postgres),
    pytest.param("schema", marks=pytest.mark.postgres),
    pytest.param("mariadb", marks=pytest.mark.mariadb),
]
SLOW = {"seconds": 0.3, "look": 0.05}
TWO_JOBS = (*ALL, "--jobs=2")

# At full size there is a kill at every event.
KILLS = 12 if scaled(100) < 100 else 100_000


@pytest.fixture
def build_rollout(build_orchards):
    """Return a function that gives a rollout to the mirrors of an engine."""

    def build(engine: str, **options) -> Rollout:
        count = max(4, scaled(20)) if engine == "sqlite" else 3
        return Rollout(build_orchards(engine, count), **options)

    return build


@pytest.fixture
def try_events(report_figure):
    """Return a function that tries several events, and returns what is wrong then."""

    def try_events(name, rollout, events, find_problems):
        problems = [
            f"at {number}, {rollout.events[number - 1]!r}: {problem}"
            for number in events
            for problem in find_problems(number)
        ]
        report_figure(
            f"rollout {name}, on {rollout.fleet.engine}",
            f"{len(rollout.names)} mirrors, {len(rollout.events)} events, "
            f"{len(events)} tried, {len(problems)} problems",
        )
        return problems

    return try_events


@pytest.mark.parametrize("again", AGAIN)
def test_rollout_that_was_killed_is_completed(again, build_rollout, try_events):
    rollout = build_rollout("sqlite")
    events = choose_events(rollout, at_most=KILLS, shift=len(again))

    problems = try_events(
        f"killed and {again}",
        rollout,
        events,
        lambda number: rollout.find_problems(
            ("apart", {"kill_at": number}, *ALL), again=AGAIN[again]
        ),
    )

    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("engine", SERVERS)
def test_rollout_that_was_killed_is_completed_on_servers(
    engine, build_rollout, try_events
):
    rollout = build_rollout(engine)
    events = choose_events(rollout, at_most=scaled(60))

    problems = try_events(
        "killed and resumed",
        rollout,
        events,
        lambda number: rollout.find_problems(("apart", {"kill_at": number}, *ALL)),
    )

    assert not problems, "\n".join(problems)


def test_worker_that_was_killed_hurts_only_its_mirror(build_rollout, try_events):
    rollout = build_rollout("sqlite", mirror="m01")

    problems = try_events(
        "whose worker is killed",
        rollout,
        choose_events(rollout, at_most=scaled(60)),
        lambda number: find_problems_of_a_worker(rollout, number),
    )

    assert not problems, "\n".join(problems)


def test_workers_that_end_with_their_guardians_leave_the_rest_to_be_resumed(
    build_rollout,
):
    rollout = build_rollout("sqlite")
    options = {"kill_at": 20, "mirror": "m01", "is_guardian_killed": True}

    (said,) = rollout.begin(("apart", options, *ALL, "--jobs=2"))

    assert said["code"] == 1
    assert said["said"] == f"1 of {len(rollout.names)} mirrors failed: m01."
    assert "ended with the one that watched over it" in " ".join(said["out"].split())
    assert not rollout.find_problems_again()


@pytest.mark.parametrize("again", AGAIN)
def test_rollout_begun_beside_the_workers_of_a_killed_one_does_not_conflict(
    again, build_rollout, try_events
):
    rollout = build_rollout("sqlite", mirror="m01")
    options = {"mirror": "m01", "is_parent_killed": True}

    problems = try_events(
        f"whose parent is killed and that is at once {again}",
        rollout,
        choose_events(rollout, at_most=scaled(60), shift=len(again)),
        lambda number: rollout.find_problems(
            ("apart", {**options, "kill_at": number}, *ALL, "--jobs=2"),
            again=AGAIN[again],
        ),
    )

    assert not problems, "\n".join(problems)


def test_worker_of_a_killed_rollout_changes_nothing_once_another_was_there(
    build_rollout, try_events
):
    rollout = build_rollout("sqlite", mirror="m01")

    problems = try_events(
        "whose parent is killed and whose worker is late",
        rollout,
        choose_events(rollout, at_most=scaled(60), shift=6),
        lambda number: find_problems_of_an_orphan(rollout, number),
    )

    assert not problems, "\n".join(problems)


def test_of_two_rollouts_one_works_and_the_other_says_who_does(
    build_rollout, report_figure
):
    rollout, rounds = build_rollout("sqlite"), scaled(50)

    problems = [item for _ in range(rounds) for item in find_problems_of_two(rollout)]

    report_figure("two rollouts at once", f"{rounds} rounds, {len(problems)} problems")
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("again", AGAIN)
def test_rollout_that_was_stopped_changes_nothing_after_its_lease(
    again, build_rollout, try_events
):
    rollout = build_rollout("sqlite", mirror="m01")
    events = choose_events(rollout, at_most=scaled(60), shift=len(again))

    problems = try_events(
        f"stopped and {again} by another",
        rollout,
        events,
        lambda number: find_problems_of_a_stopped_one(rollout, number, AGAIN[again]),
    )

    assert not problems, "\n".join(problems)
