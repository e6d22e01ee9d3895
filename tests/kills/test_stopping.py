"""A rollout that an operator stops ends after the mirrors at hand, and goes on."""

import re

import pytest

from tests.kills.rollouts import ALL, RESUME, Rollout

SLOW = {"seconds": 0.3, "look": 0.02}
INTERRUPT = ("send", "SIGINT")


@pytest.fixture
def rollout(build_orchards):
    return Rollout(build_orchards("sqlite", 4))


def interrupt(rollout, request, *command) -> tuple[str, str, list[str]]:
    """Stop a slow rollout in its first mirror: what is said, and not begun."""
    _, _, asked, said = rollout.begin(
        ("begin", SLOW, *command),
        ("await_begin",),
        request,
        ("join",),
    )
    assert said["code"] == 1, said
    left = re.findall(r"^(m\d+) +skipped .*not begun", said["out"], re.MULTILINE)
    return said["said"], (asked or {"said": ""})["said"], left


def test_paused_rollout_ends_after_the_mirror_at_hand_and_is_resumed(rollout):
    request = ("command", "mirror_rollout", "--pause")

    said, asked, left = interrupt(rollout, request, *ALL)

    assert re.fullmatch(r"Rollout \S+ stops after the mirrors at hand\.\n", asked)
    assert said == (
        f"Stopped with {len(left)} of {len(rollout.names)} mirrors not begun. Go on "
        "with 'manage.py mirror_rollout --resume', or begin a new rollout."
    )
    assert left == rollout.names[-len(left) :]
    assert not rollout.find_problems_again()


def test_cancelled_rollout_is_not_resumed_and_another_completes_it(rollout):
    request = ("command", "mirror_rollout", "--cancel")

    _, _, left = interrupt(rollout, request, *ALL)

    (said,) = rollout.fleet.do(("command", *RESUME))
    assert left
    assert re.fullmatch(r"Rollout \S+ was cancelled\. Begin a new one\.", said["said"])
    assert said["code"] == 1
    assert not rollout.find_problems_again(ALL)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_rollout_that_is_interrupted_finishes_mirrors_at_hand_and_is_resumed(
    jobs, rollout
):
    said, _, left = interrupt(rollout, INTERRUPT, *ALL, f"--jobs={jobs}")

    assert left == rollout.names[int(jobs) :]
    assert "mirror_rollout --resume" in said
    assert not rollout.find_problems_again()


def test_interrupt_in_the_last_mirror_of_a_wave_stops_the_next_wave(rollout):
    command = (*ALL, "--canary=1")

    _, _, left = interrupt(rollout, INTERRUPT, *command)

    assert left == rollout.names[1:]
    assert not rollout.find_problems_again()


def test_no_mirror_is_begun_after_too_many_failures_until_it_is_resumed(rollout):
    failing = ("break_orchards", ["m00", "m01"])

    _, said = rollout.begin(failing, ("apart", {}, *ALL, "--max-failures=2"))

    assert said["code"] == 1
    assert said["said"].startswith(
        f"2 of {len(rollout.names)} mirrors failed: m00, m01. Stopped with "
        f"{len(rollout.names) - 2} of {len(rollout.names)} mirrors not begun."
    )
    rollout.fleet.do(("mend_orchards", ["m00", "m01"]))
    assert not rollout.find_problems_again()


def test_wave_whose_health_was_not_looked_at_stops_the_next_when_it_is_resumed(
    rollout,
):
    command = (*ALL, "--canary=1")
    killed, said = rollout.begin(
        ("apart", {"is_killed_by_hook": True}, *command),
        ("apart", {"ill": "m00"}, *RESUME),
    )

    assert killed == {"killed": True}
    assert said["code"] == 1
    assert "m00 is ill" in " ".join(said["out"].split())
    assert re.findall(r"^(m\d+) +done", said["out"], re.MULTILINE) == []
    assert not rollout.find_problems_again()


def test_ill_canary_is_looked_at_again_when_it_is_resumed(rollout):
    command = (*ALL, "--canary=1")

    first, second = rollout.begin(
        ("apart", {"ill": "m00"}, *command),
        ("apart", {"ill": "m00"}, *RESUME),
    )

    assert first["code"] == second["code"] == 1
    assert "m00 is ill" in " ".join(second["out"].split())
    assert re.findall(r"^(m\d+) +done", second["out"], re.MULTILINE) == []
    assert not rollout.find_problems_again()


def test_migration_that_was_taken_back_in_part_is_not_said_to_be_in_step(rollout):
    back = (*ALL, "--to", "orchard", "0003")
    _, said = rollout.begin(("command", *ALL), ("apart", {}, *back))
    number = find_event(said["events"], 'DELETE FROM "django_migrations"')

    _, killed, refused, completed = rollout.begin(
        ("command", *ALL),
        ("apart", {"kill_at": number}, *back),
        ("command", *ALL),
        ("command", *back),
    )

    assert killed == {"killed": True}
    assert refused["said"] == f"1 of {len(rollout.names)} mirrors failed: m00."
    told = "orchard.0004_label was taken back in part, and this rollout would leave it"
    assert told in " ".join(refused["out"].split())
    assert completed["code"] == 0
    assert not rollout.find_problems_again(ALL)


def find_event(events: list[str], text: str) -> int:
    """Return the number of the first event that begins with `text`."""
    return next(i for i, event in enumerate(events, 1) if event.startswith(text))
