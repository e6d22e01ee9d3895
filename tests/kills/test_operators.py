"""Two operators who do the same at the same moment: one does it, the other is told."""

import re

import pytest

from tests.isolation.sizes import scaled
from tests.kills.scenes import SCENES, Case, find_problems_at_end


def find_problems_of_two(case) -> list[str]:
    """Run the command twice at once, and return what is wrong then."""
    case.fleet.go_back(case.scene.state)
    request = {"steps": [("command", *case.command)]}
    answers = case.fleet.zygote.run(request, request)
    winner, loser = sorted(
        (answer["results"][0] for answer in answers), key=lambda said: said["code"]
    )
    problems = find_problems_at_end(case)
    if winner["code"] != 0:
        problems.append(f"nobody wins: {winner['said']}")
    told = f"is under way, by|was taken over|{re.escape(case.scene.refusal)}"
    if loser["code"] not in {1, 2} or not re.search(told, loser["said"]):
        problems.append(f"the other is told {loser}")
    return problems


@pytest.mark.parametrize("name", ["add", "first add", "clone", "move", "purge"])
def test_of_two_operators_one_wins_and_the_other_gets_an_error(
    name, build_fleet, report_figure
):
    case, rounds = Case(build_fleet("sqlite"), SCENES[name]), scaled(50)

    problems = [item for _ in range(rounds) for item in find_problems_of_two(case)]

    report_figure(
        f"two operators: {case.name}", f"{rounds} rounds, {len(problems)} problems"
    )
    assert not problems, "\n".join(problems)
