"""In which order mirrors come: canaries first, then one wave after the other."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from django_mirrors.exceptions import OperationFailed
from django_mirrors.mirror import Mirror

__all__ = ["Wave", "build_waves", "parse_waves"]

_NUMBER = re.compile(r"[0-9]{1,9}")
_LABEL = re.compile(r"[^=]+=.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """Mirrors that are worked on before the next ones are begun."""

    title: str  # "canary", "5%", "tier=free", "the rest", "all"
    mirrors: tuple[str, ...]  # owners of a database before those that share it


def parse_waves(text: str) -> tuple[str, ...]:
    """Return the waves that "5%,25%,100%" or "tier=free,50%" asks for.

    Percentages are of all mirrors and include what came before; a label takes the
    mirrors that have it. Raises `OperationFailed` for anything else.
    """
    items = tuple(item.strip() for item in text.split(","))
    before = 0
    for item in items:
        if _LABEL.fullmatch(item):
            continue
        number = item.removesuffix("%")
        if not item.endswith("%") or not _NUMBER.fullmatch(number):
            raise OperationFailed(
                f"'{item}' is no wave. Write percentages that grow, or labels, such as "
                "'--waves 5%,25%,100%' or '--waves tier=free,100%'."
            )
        if not before < int(number) <= 100:
            raise OperationFailed(
                f"The wave '{item}' does not follow {before}%. Write percentages that "
                "grow, up to 100%."
            )
        before = int(number)
    return items


def build_waves(
    mirrors: Sequence[Mirror], *, canary: int = 0, waves: Iterable[str] = ()
) -> tuple[Wave, ...]:
    """Return the waves of a rollout to `mirrors`, none of them empty.

    A mirror that shares a database comes in the wave of its owner, after it. Whatever
    no wave names comes last.
    """
    wanted = tuple(waves)
    names = {item.name for item in mirrors}
    owners: list[Mirror] = []
    followers: dict[str, list[str]] = {}
    for item in mirrors:
        # It follows if the owner of its database is rolled out to as well.
        if item.alias != item.name and item.alias in names:
            followers.setdefault(item.alias, []).append(item.name)
        else:
            owners.append(item)
    left = sorted(owners, key=lambda item: item.name)
    found: list[tuple[str, list[Mirror]]] = []
    if canary:
        found.append(("canary", left[:canary]))
        left = left[canary:]
    for title in wanted:
        taken, left = _take(title, left, len(owners))
        found.append((title, taken))
    found.append(("the rest" if found else "all", left))
    return tuple(
        Wave(title=title, mirrors=_complete(taken, followers))
        for title, taken in found
        if taken
    )


def _take(
    item: str, left: list[Mirror], total: int
) -> tuple[list[Mirror], list[Mirror]]:
    if item.endswith("%"):
        count = ceil(total * int(item.removesuffix("%")) / 100) - (total - len(left))
        return left[: max(count, 0)], left[max(count, 0) :]
    key, _, value = item.partition("=")
    taken, rest = list[Mirror](), list[Mirror]()
    for mirror in left:
        (taken if mirror.labels.get(key) == value else rest).append(mirror)
    return taken, rest


def _complete(
    taken: Iterable[Mirror], followers: Mapping[str, list[str]]
) -> tuple[str, ...]:
    names = [item.name for item in taken]
    shared = [name for owner in names for name in sorted(followers.get(owner, ()))]
    return (*names, *shared)
