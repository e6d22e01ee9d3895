"""A rollout that is killed, stopped or met by another ends as if nothing had been."""

import pytest

from tests.isolation.sizes import scaled
from tests.kills.rollouts import AGAIN, ALL, Rollout, choose_events


@pytest.fixture
def build_rollout(build_orchards):
    """Return a function that gives a rollout to the mirrors of an engine."""

    def build(engine: str) -> Rollout:
        count = max(3, scaled(20) * 2) if engine == "sqlite" else 3
        return Rollout(build_orchards(engine, min(count, 20)))

    return build


@pytest.mark.parametrize("again", AGAIN)
def test_rollout_that_was_killed_is_completed(again, build_rollout, report_figure):
    rollout = build_rollout("sqlite")
    events = choose_events(len(rollout.events), shift=len(again))

    problems = [
        f"killed at {number}, {rollout.events[number - 1]!r}: {problem}"
        for number in events
        for problem in rollout.find_problems(
            ("apart", {"kill_at": number}, *ALL), again=AGAIN[again]
        )
    ]

    report_figure(
        f"rollout killed and {again}, on sqlite",
        f"{len(rollout.names)} mirrors, {len(rollout.events)} events, killed "
        f"{len(events)} times, {len(problems)} problems",
    )
    assert not problems, "\n".join(problems)
