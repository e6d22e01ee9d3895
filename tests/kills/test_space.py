"""A full disk and a directory that is none are told; with room, all goes on."""

import math
import re
from random import Random

import pytest

from tests.isolation.sizes import get_seed, scaled
from tests.kills.scenes import SCENES, Case, find_problems_again

SMALLEST, LARGEST = 1_000, 400_000  # bytes; the largest file of a fleet has fewer


def find_problems_of_space(case, size) -> list[str]:
    """Run the command where no file can be larger than `size`, then as usual."""
    case.fleet.go_back(case.scene.state)
    (said,) = case.fleet.do(("command", *case.command), largest_file=size)
    problems = find_problems_again(case)
    if said["code"] not in {0, 1}:
        problems.append(f"it says {said['said'][-1500:]}")
    return [f"{case.name}, {size} bytes: {problem}" for problem in problems]


@pytest.mark.parametrize(
    "name",
    ["add", "first add", "clone", "restore", "move", "export", "retire"],
)
def test_full_disk_is_told_and_the_command_goes_on_when_there_is_room(
    name, build_fleet, report_figure
):
    case = Case(build_fleet("sqlite"), SCENES[name])
    random = Random(f"{get_seed(7)} {case.name}")
    low, high = math.log(SMALLEST), math.log(LARGEST)
    sizes = [int(math.exp(random.uniform(low, high))) for _ in range(scaled(20))]

    problems = [item for size in sizes for item in find_problems_of_space(case, size)]

    report_figure(
        f"full disk: {case.name}",
        f"{len(sizes)} limits (seed {get_seed(7)}), {len(problems)} problems",
    )
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    ("name", "path", "told"),
    [
        ("add", "media/new", "media/new' of mirror 'new' cannot be made"),
        ("clone", "media/new", "media/new' of mirror 'new' cannot be made"),
        ("export", "archives", "archives/.*' cannot be written"),
        ("retire", "archives", "archives/.*' cannot be written"),
        ("export", "tmp", "tmp' cannot be written"),
        ("retire", "tmp", "tmp' cannot be written"),
        ("restore", "tmp", "tmp' cannot be written"),
        ("move", "moved", "moved' of mirror 'books' cannot be made"),
    ],
)
def test_file_in_place_of_a_directory_is_told_and_the_command_goes_on_without(
    name, path, told, build_fleet
):
    case = Case(build_fleet("sqlite"), SCENES[name])
    case.fleet.go_back(case.scene.state)
    case.fleet.do(("block", path))

    (said,) = case.fleet.do(("command", *case.command))

    case.fleet.do(("unblock", path))
    assert said["code"] == 1, said["said"]
    assert re.search(told, said["said"])
    assert not find_problems_again(case)
