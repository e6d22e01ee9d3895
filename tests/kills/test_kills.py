"""A command that is killed at any moment is run again, and all is as if it was not."""

import re
from pathlib import Path

import pytest

from tests.isolation.sizes import get_seed, scaled
from tests.kills.scenes import (
    SCENES,
    Case,
    choose_events,
    choose_moments,
    choose_some,
    find_problems,
    find_problems_again,
)

SERVERS = [
    pytest.param("postgres", marks=pytest.mark.postgres),
    pytest.param("schema", marks=pytest.mark.postgres),
    pytest.param("mariadb", marks=pytest.mark.mariadb),
]


@pytest.fixture
def try_moments(report_figure):
    """Return a function that kills at some moments and returns what is wrong then."""

    def try_moments(case, moments, **options):
        problems = [
            problem
            for moment in moments
            for problem in find_problems(case, moment, **options)
        ]
        name = f"kills: {case.name}"
        report_figure(
            f"{name}, cancelled" if options else name,
            f"{len(case.events)} events, killed {len(moments)} times "
            f"(seed {get_seed(7)}), {len(problems)} problems",
        )
        return problems

    return try_moments


@pytest.mark.parametrize("name", SCENES)
def test_command_that_was_killed_is_continued_by_the_same(
    name, build_fleet, try_moments
):
    case = Case(build_fleet("sqlite"), SCENES[name])

    problems = try_moments(case, choose_moments(case, timed=scaled(200) // 10))

    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("name", ["add", "clone", "move"])
@pytest.mark.parametrize("engine", SERVERS)
def test_command_that_was_killed_is_continued_on_servers(
    engine, name, build_fleet, try_moments
):
    case = Case(build_fleet(engine), SCENES[name])

    problems = try_moments(
        case, choose_moments(case, coarse=10, timed=scaled(50) // 10)
    )

    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("engine", SERVERS)
def test_first_command_that_was_killed_leaves_no_template_in_part(
    engine, build_fleet, try_moments
):
    case = Case(build_fleet(engine), SCENES["first add"])
    wanted = r"(CREATE|ALTER|DROP) (DATABASE|SCHEMA) |unfinished|replay"

    moments = choose_some(case, choose_events(case, wanted), at_most=scaled(20))
    problems = try_moments(case, moments)

    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    ("name", "path"),
    [("add", "databases/new.sqlite3"), ("move", "databases/moved.sqlite3")],
)
def test_database_that_somebody_makes_meanwhile_is_not_taken(name, path, build_fleet):
    case = Case(build_fleet("sqlite"), SCENES[name])
    (*_, link, _) = choose_events(
        case, f"os.link .*{Path(path).name}|os.link .*(dra|mo)"
    )
    case.fleet.go_back(case.scene.state)
    case.run(**link)
    case.fleet.do(("block", path))

    said, text, look = case.fleet.do(
        ("command", *case.command), ("read", path), ("look",)
    )

    case.fleet.do(("unblock", path))
    assert said["code"] == 1
    assert re.search("is there", said["said"])
    assert text == "somebody else's"
    assert look["visits"] == case.before[0]["visits"]
    assert not find_problems_again(case)


def test_move_that_was_killed_can_be_taken_back(build_fleet, try_moments):
    case = Case(build_fleet("sqlite"), SCENES["move"])

    moments = choose_moments(case, timed=scaled(200) // 10)
    problems = try_moments(case, moments, is_cancelled=True)

    assert not problems, "\n".join(problems)
