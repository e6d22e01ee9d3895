"""A rollout that is killed, and how it is told that nothing came of it."""

import shutil
from typing import Any

from tests.isolation.sizes import scaled
from tests.kills.fleets import Fleet

__all__ = ["AGAIN", "ALL", "RESUME", "Rollout", "choose_events"]

Answer = dict[str, Any]

ALL = ("mirror_rollout", "--all")
RESUME = ("mirror_rollout", "--resume")
AGAIN = {"resumed": RESUME, "repeated": ALL}
_SHOWN = 1500  # characters of what is wrong


class Rollout:
    """A fleet at the first release, and where it stands after an unkilled rollout."""

    def __init__(self, fleet: Fleet, **options: Any) -> None:
        self.fleet = fleet
        self.go_back()
        (self.before,) = fleet.do(("survey",))
        said, self.after = fleet.do(("apart", options, *ALL), ("survey",))
        assert said["code"] == 0, said["said"]
        self.events = said["events"]
        self.names = list(self.after["mirrors"])

    def go_back(self) -> None:
        """Have the first release again everywhere."""
        shutil.rmtree(self.fleet.directory)
        shutil.copytree(self.fleet.kept / "usual", self.fleet.directory, symlinks=True)
        if self.fleet.engine != "sqlite":
            self.fleet.do(("take_back",))

    def find_problems(
        self, *steps: tuple[Any, ...], again: tuple[str, ...] = RESUME
    ) -> list[str]:
        """Do `steps`, go on with the rollout, and return what is wrong then."""
        self.go_back()
        *_, rollouts, said, end = self.fleet.do(
            *steps, ("list_rollouts",), ("command", *again), ("survey",)
        )
        problems = []
        if again == RESUME and not rollouts:
            # It was killed before it wrote down that it begins.
            assert "There is no rollout" in said["said"], said
            said, end = self.fleet.do(("command", *ALL), ("survey",))
        if said["code"] != 0:
            problems.append(f"it says {said['said'][-_SHOWN:]} {said.get('out')}")
        return [*problems, *find_differences(self.after, end)]


def find_differences(wanted: Any, found: Any, place: str = "") -> list[str]:
    """Return where two surveys differ."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return [
            difference
            for key in sorted(wanted.keys() | found.keys())
            for difference in find_differences(
                wanted.get(key), found.get(key), f"{place} {key}"
            )
        ]
    if wanted == found:
        return []
    return [f"{place}: {found} instead of {wanted}"[:_SHOWN]]


def choose_events(count: int, *, at_most: int | None = None, shift: int = 0) -> range:
    """Return at which of `count` events to kill: every one, or a part of them."""
    step = 100 // scaled(100)
    if at_most is not None:
        step = max(step, count // max(at_most, 1))
    return range(1 + shift % step, count + 1, step)
