"""A rollout that is killed, and how it is told that nothing came of it."""

import re
import shutil
from typing import Any

from tests.kills.fleets import Fleet

__all__ = [
    "AGAIN",
    "ALL",
    "RESUME",
    "Rollout",
    "choose_events",
    "find_problems_of_a_stopped_one",
    "find_problems_of_a_worker",
    "find_problems_of_an_orphan",
    "find_problems_of_two",
]

Answer = dict[str, Any]
Step = tuple[Any, ...]

ALL = ("mirror_rollout", "--all")
RESUME = ("mirror_rollout", "--resume")
AGAIN = {"resumed": RESUME, "repeated": ALL}
_SHOWN = 1500  # characters of what is wrong
_VARYING = 5  # events of a mirror, more or fewer
# Between the last look at the lock and the end of a transaction.
_ENDING = ("PRAGMA foreign_key_check", "COMMIT")
_REFUSED = (
    r"Rollout {} is under way, by \S+@\S+:\d+ since "
    r"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\. Wait for its end\."
)
_LOST = "was taken over while this process was paused. Nothing more is done here."


class Rollout:
    """A fleet at the first release, and where it stands after an unkilled rollout."""

    def __init__(self, fleet: Fleet, **options: Any) -> None:
        self.fleet = fleet
        self.go_back()
        said, self.after = fleet.do(("apart", options, *ALL), ("survey",))
        assert said["code"] == 0, said["said"]
        self.events = said["events"]
        if "mirror" in options:
            # How often the fleet is looked at meanwhile depends on the time.
            self.events = self.events[:-_VARYING]
        self.names = list(self.after["mirrors"])

    def go_back(self) -> None:
        """Have the first release again everywhere."""
        shutil.rmtree(self.fleet.directory)
        shutil.copytree(self.fleet.kept / "usual", self.fleet.directory, symlinks=True)
        if self.fleet.engine != "sqlite":
            self.fleet.do(("take_back",))

    def begin(self, *steps: Step) -> list[Any]:
        """Do `steps` in a fleet at the first release; return what each one gives."""
        self.go_back()
        return self.fleet.do(*steps)

    def find_problems(self, *steps: Step, again: tuple[str, ...] = RESUME) -> list[str]:
        """Do `steps`, at once go on with the rollout, and return what is wrong then."""
        *_, rollouts, said, end = self.begin(
            *steps, ("list_rollouts",), ("command", *again), ("survey",)
        )
        if again == RESUME and not rollouts:
            # It was killed before it wrote down that it begins.
            assert "There is no rollout" in said["said"], said
            return self.find_problems_again(ALL)
        return self._judge(said, end)

    def find_problems_again(self, again: tuple[str, ...] = RESUME) -> list[str]:
        """Go on with the rollout, and return what is wrong then."""
        return self._judge(*self.fleet.do(("command", *again), ("survey",)))

    def _judge(self, said: Answer, end: Answer) -> list[str]:
        problems = list(find_differences(self.after, end))
        if said["code"] != 0:
            text = f"it says {said['said'][-_SHOWN:]} {said['out']}"
            problems.append(text)
        return problems


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


def choose_events(rollout: Rollout, *, at_most: int, shift: int = 0) -> range:
    """Return which events to try: all, or so many, evenly."""
    count = len(rollout.events)
    step = max(1, count // max(at_most, 1))
    return range(1 + shift % step, count + 1, step)


def find_problems_of_a_worker(rollout: Rollout, number: int) -> list[str]:
    """Kill the worker of the mirror m01 at an event, and return what is wrong then."""
    options = {"kill_at": number, "mirror": "m01"}
    said, *_ = rollout.begin(("apart", options, *ALL, "--jobs=2"))
    done = re.findall(r"^(m\d+) +done ", said["out"], re.MULTILINE)
    problems = []
    if done != [name for name in rollout.names if name != "m01"]:
        problems.append(f"only {done} are done")
    if said["said"] != f"1 of {len(rollout.names)} mirrors failed: m01.":
        problems.append(f"it says {said['said']}")
    if "signal 9 (SIGKILL)" not in " ".join(said["out"].split()):
        problems.append(f"it prints {said['out']}")
    return [*problems, *rollout.find_problems_again()]


def find_problems_of_two(rollout: Rollout) -> list[str]:
    """Begin two rollouts at once, and return what is wrong then."""
    rollout.go_back()
    request = {"steps": [("apart", {"seconds": 0.05}, *ALL)]}
    answers = rollout.fleet.zygote.run(request, request)
    winner, loser = sorted(
        (answer["results"][0] for answer in answers), key=lambda said: said["code"]
    )
    uids, end = rollout.fleet.do(("list_rollouts",), ("survey",))
    problems = find_differences(rollout.after, end)
    if winner["code"] != 0:
        problems.append(f"nobody wins: {winner['said']}")
    told = _REFUSED.format("|".join(uids))
    if loser["code"] != 1 or not re.fullmatch(told, loser["said"]):
        problems.append(f"the other is told {loser}")
    return problems


def find_problems_of_a_stopped_one(
    rollout: Rollout, number: int, other: tuple[str, ...]
) -> list[str]:
    """Stop a rollout at an event until another has ended; return what is wrong then."""
    _, stopped, _, _, said, before, _, woken, after = rollout.begin(
        ("hurry",),
        ("apart", {"stop_at": number, "mirror": "m01"}, *ALL),
        ("end_leases",),
        ("begin", {}, *other),
        ("join", -1),
        ("survey",),
        ("send", "SIGCONT"),
        ("join",),
        ("survey",),
    )
    problems = []
    if stopped != {"stopped": True}:
        problems.append(f"it is not stopped: {stopped}")
    is_held = "database is locked" in said["out"]
    # A transaction that was complete is still committed; nobody else could begin one.
    if not is_held or woken["events"][number - 1] not in _ENDING:
        problems += [f"woken: {text}" for text in find_differences(before, after)]
    if woken["code"] != 1 or _LOST not in woken["said"] + woken["out"]:
        problems.append(f"the stopped one says {woken}")
    # A database can be held by a transaction of the one that is stopped.
    if said["code"] != 0 and not is_held:
        problems.append(f"the other says {said}")
    if said["code"] == 0 and before != rollout.after:
        problems.append("the other has not done all")
    return [*problems, *rollout.find_problems_again()]


def find_problems_of_an_orphan(rollout: Rollout, number: int) -> list[str]:
    """Kill a rollout while its worker stands still at an event, and begin another."""
    options = {"stop_at": number, "mirror": "m01", "is_parent_killed": True}
    _, killed, _, said, before, _, after = rollout.begin(
        ("hurry",),
        ("apart", options, *ALL, "--jobs=2"),
        ("await_stop",),
        ("apart", {}, *ALL),
        ("survey",),
        ("wake",),
        ("survey",),
    )
    problems = []
    if killed != {"killed": True}:
        problems.append(f"it is not killed: {killed}")
    if said["code"] == 0:
        problems += find_differences(rollout.after, before)
        problems += [f"woken: {text}" for text in find_differences(before, after)]
    elif "database is locked" not in said["out"]:
        problems.append(f"the other says {said}")
    return [*problems, *rollout.find_problems_again()]
