"""Commands that are killed, and how it is told that nothing came of it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.isolation.sizes import get_seed, scaled
from tests.kills.fleets import Fleet

__all__ = [
    "SCENES",
    "Case",
    "Scene",
    "choose_events",
    "choose_moments",
    "choose_some",
    "find_problems",
    "find_problems_again",
    "find_problems_at_end",
]

Answer = dict[str, Any]
Moment = dict[str, Any]  # `kill_at` an event, or `kill_after` so many seconds

CANCEL = ("mirror_move", "books", "--cancel")
_SHOWN = 1500  # characters of what is wrong


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A command, what it begins with, and what it says when all was done already."""

    name: str
    command: tuple[str, ...]
    refusal: str
    state: str = "usual"
    between: tuple[int, ...] = ()  # how hosts may answer meanwhile, beside as usual
    is_repeated: bool = False  # whether it does all again, beside what it did
    is_long: bool = False  # whether it has so many events that fewer are tried
    has_links: bool = True  # whether the file system gives files a second name


SCENES = {
    scene.name: scene
    for scene in (
        Scene(
            name="add",
            command=("mirror_add", "new", "--superuser", "boss"),
            refusal="exists and is active",
        ),
        Scene(
            name="first add",
            command=("mirror_add", "new"),
            refusal="exists and is active",
            state="without template",
            is_long=True,
        ),
        Scene(
            name="first add without links",
            command=("mirror_add", "new"),
            refusal="exists and is active",
            state="without template",
            is_long=True,
            has_links=False,
        ),
        Scene(
            name="clone",
            command=("mirror_clone", "books", "new"),
            refusal="exists and is active",
        ),
        Scene(
            name="restore",
            command=("mirror_restore", "{directory}/archives/books.tar", "new"),
            refusal="exists and is active",
            state="exported",
        ),
        Scene(
            name="move",
            command=("mirror_move", "books", "{place}"),
            refusal="is there already",
        ),
        Scene(
            name="export",
            command=("mirror_export", "books"),
            refusal="never",
            is_repeated=True,
        ),
        Scene(
            name="export to a file",
            command=("mirror_export", "books", "{directory}/archives/b.tar"),
            refusal="is there already and is not overwritten",
        ),
        Scene(
            name="retire",
            command=("mirror_retire", "books"),
            refusal="is retired already",
            between=(503,),
        ),
        Scene(
            name="purge",
            command=("mirror_purge", "books", "--confirm", "books"),
            refusal="There is no mirror 'books'",
            state="retired",
        ),
    )
}


class Case:
    """A scene in a fleet: how it begins, and how it ends if nothing is killed."""

    def __init__(self, fleet: Fleet, scene: Scene) -> None:
        self.fleet, self.scene = fleet, scene
        self.command = fleet.fill_in(scene.command)
        fleet.go_back(scene.state)
        self.before = fleet.do(("look",), ("describe",))
        run = self.run()
        self.events, self.seconds = run["events"], run["seconds"]
        assert run["results"][0]["code"] == 0, run["results"][0]["said"]
        self.after = fleet.do(("look",), ("describe",))

    @property
    def name(self) -> str:
        """What is killed, and where."""
        return f"{self.scene.name} on {self.fleet.engine}"

    def run(self, **moment: Any) -> Answer:
        """Run the command, killed at a moment if one is given."""
        step, has_links = ("command", *self.command), self.scene.has_links
        return self.fleet.run(step, is_watched=True, has_links=has_links, **moment)


def choose_moments(case: Case, *, coarse: int = 1, timed: int) -> list[Moment]:
    """Return when to kill: at every n-th event, within files, and at random times."""
    random = _build_random(case)
    events, step = len(case.events), coarse * (100 // scaled(100))
    if step > 1 and case.scene.is_long:
        step *= 4
    offset = random.randrange(min(step, events)) + 1
    return [
        *({"kill_at": number} for number in range(offset, events + 1, step)),
        *choose_some(case, choose_events(case, "readinto"), at_most=scaled(20)),
        *({"kill_after": random.uniform(0, case.seconds)} for _ in range(timed)),
    ]


def choose_events(case: Case, wanted: str) -> list[Moment]:
    """Return when to kill: before and after each event that matches `wanted`."""
    found = {
        number
        for number, event in enumerate(case.events, 1)
        if re.search(wanted, event)
    }
    return [{"kill_at": number} for number in sorted(found | {n + 1 for n in found})]


def choose_some(case: Case, moments: list[Moment], *, at_most: int) -> list[Moment]:
    """Return some of `moments`, chosen at random."""
    return _build_random(case).sample(moments, min(len(moments), at_most))


def _build_random(case: Case) -> Random:
    return Random(f"{get_seed(7)} {case.name}")


def find_problems(
    case: Case, moment: Moment, *, is_cancelled: bool = False
) -> list[str]:
    """Kill the command at one moment, run it again, and return what is wrong then."""
    case.fleet.go_back(case.scene.state)
    case.run(**moment)
    found = find_problems_again(case, is_cancelled=is_cancelled)
    return [f"{_name(case, moment)}: {problem}" for problem in found]


def find_problems_again(case: Case, *, is_cancelled: bool = False) -> list[str]:
    """Run the command again, or take it back, and return what is wrong then."""
    again = CANCEL if is_cancelled else case.command
    try:
        look, said, *end = case.fleet.do(
            ("look",),
            ("command", *again),
            ("look",),
            ("describe",),
            has_links=case.scene.has_links,
        )
    except AssertionError as error:
        return [str(error)[-_SHOWN:]]
    check = _iter_wrong_ends if is_cancelled else _iter_wrong_continuations
    return [*_iter_wrong_visits(case, look), *check(case, look, said, end)]


def find_problems_at_end(case: Case) -> list[str]:
    """Return in what the fleet differs from what the command makes of it."""
    end = case.fleet.do(("look",), ("describe",))
    return [*_compare(case, case.after, end)]


def _name(case: Case, moment: Moment) -> str:
    name = f"{case.name}, killed "
    if "kill_after" in moment:
        return f"{name}after {moment['kill_after'] * 1000:.0f} ms"
    number = moment["kill_at"]
    return f"{name}at {number}, {case.events[number - 1]!r}"


def _iter_wrong_visits(case: Case, look: Answer) -> Iterator[str]:
    """Yield the hosts that answer neither as before nor as after."""
    for host, visit in look["visits"].items():
        usual = case.before[0]["visits"][host], case.after[0]["visits"][host]
        if visit not in usual and visit[0] not in case.scene.between:
            yield f"{host} answers {visit}"


def _iter_wrong_continuations(
    case: Case, look: Answer, said: Answer, end: list[Answer]
) -> Iterator[str]:
    is_refused = look == case.after[0] and case.scene.refusal in said["said"]
    if said["code"] != 0 and not is_refused:
        yield f"run again, it says {said['said'][-_SHOWN:]}"
    yield from _compare(case, case.after, end)


def _iter_wrong_ends(
    case: Case, look: Answer, said: Answer, end: list[Answer]
) -> Iterator[str]:
    """Yield what is wrong after a move that was taken back, or could not be."""
    is_switched = look["definitions"] != case.before[0]["definitions"]
    if not look["begun"]:
        if "No move of mirror" not in said["said"]:
            yield f"without a move it says {said['said']}"
    elif is_switched:
        if "is at its new place already" not in said["said"]:
            yield f"at the new place it says {said['said']}"
    else:
        if said["code"] != 0:
            yield f"it says {said['said'][-_SHOWN:]}"
        yield from _compare(case, case.before, end)


def _compare(case: Case, wanted: list[Answer], end: list[Answer]) -> Iterator[str]:
    merge = _merge_kinds if case.scene.is_repeated else _merge
    yield from _iter_differences(merge(wanted), merge(end))


def _merge(pair: list[Answer]) -> Answer:
    return {**pair[0], **pair[1]}


def _merge_kinds(pair: list[Answer]) -> Answer:
    """Tell several archives of a kind as one: each of them is whole."""
    names = {key: sorted({*pair[1][key]}) for key in ("files", "archived")}
    archives = sorted({*pair[0]["archives"]})
    return {**_merge(pair), **names, "archives": archives}


def _iter_differences(wanted: Any, found: Any, place: str = "") -> Iterator[str]:
    """Yield where two descriptions differ."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key in wanted.keys() | found.keys():
            pair = wanted.get(key), found.get(key)
            yield from _iter_differences(*pair, f"{place} {key}")
    elif isinstance(wanted, list) and isinstance(found, list):
        missing, extra = _subtract(wanted, found), _subtract(found, wanted)
        if missing or extra:
            yield f"{place}: missing {missing}, left {extra}"[:_SHOWN]
    elif wanted != found:
        yield f"{place}: {found} instead of {wanted}"[:_SHOWN]


def _subtract(items: list[Any], others: list[Any]) -> list[Any]:
    left = list(items)
    for item in others:
        if item in left:
            left.remove(item)
    return left
