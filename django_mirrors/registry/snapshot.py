"""The fleet at one moment: an immutable value with its index of hosts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from django_mirrors.conf import Conf
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.mirror import ORIGINAL_NAME, Mirror, State
from django_mirrors.registry.building import build_original, pin_services
from django_mirrors.sources.records import RECORDS

__all__ = [
    "Draft",
    "Loss",
    "Snapshot",
    "build_snapshot",
    "describe_double",
    "find_clashes",
    "find_doubles",
    "find_lost_shares",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Every mirror by name and by host. Replaced whole, never changed."""

    original: Mirror
    mirrors: Mapping[str, Mirror]  # sorted by name, without the original
    exact: Mapping[str, Mirror]  # canonical host -> mirror
    wildcards: Mapping[str, Mirror]  # what follows "*." -> mirror

    def find(self, host: str) -> Mirror | None:
        """Return the mirror of the canonical `host`, or None: exact beats wildcard."""
        mirror = self.exact.get(host)
        if mirror is None and self.wildcards:
            mirror = self.wildcards.get(host.partition(".")[2])
        return mirror

    def get(self, name: str) -> Mirror | None:
        """Return the mirror `name`, the original included, or None."""
        mirror = self.mirrors.get(name)
        if mirror is None and name == ORIGINAL_NAME:
            return self.original
        return mirror


class Loss(NamedTuple):
    """A share that leads nowhere."""

    mirror: str
    owner: str
    problem: str


class Draft:
    """A snapshot being made: of nothing, or of an old one with some mirrors changed."""

    def __init__(self, original: Mirror, base: Snapshot | None = None) -> None:
        self._original = original
        self._mirrors: dict[str, Mirror] = dict(base.mirrors) if base else {}
        self._exact: dict[str, Mirror] = dict(base.exact) if base else {}
        self._wildcards: dict[str, Mirror] = dict(base.wildcards) if base else {}
        # Left in `_mirrors` until the end, so that what comes back keeps its place.
        self._out: set[str] = set()
        self._is_sorted = True
        if base is None:
            self._index(original)

    def find(self, name: str) -> Mirror | None:
        """Return the mirror `name` if it is there."""
        return None if name in self._out else self._mirrors.get(name)

    def take_out(self, name: str) -> None:
        """Remove the mirror `name`, if it is there, with its hosts."""
        mirror = self.find(name)
        if mirror is None:
            return
        self._out.add(name)
        for host in mirror.hosts:
            index, key = self._find_index(host)
            if index.get(key) is mirror:
                del index[key]

    def find_problems(self, mirror: Mirror) -> list[str]:
        """Return why `mirror` cannot be put beside those that are there."""
        other = self.find(mirror.name)
        problems = [] if other is None else [describe_double(other, mirror)]
        if mirror.state == State.ARCHIVED:
            return problems
        for host in mirror.hosts:
            index, key = self._find_index(host)
            other = index.get(key)
            if other is not None:
                problems.append(_describe_clash(host, other, mirror))
        return problems

    def put(self, mirror: Mirror) -> None:
        """Add a mirror that has no problems."""
        if mirror.name in self._out:
            self._out.discard(mirror.name)
        else:
            self._is_sorted = False
        self._mirrors[mirror.name] = mirror
        self._index(mirror)

    def find_lost_shares(self) -> list[Loss]:
        """Return the shares of services that nobody owns."""
        self._clear()
        return find_lost_shares(self._mirrors)

    def freeze(self) -> Snapshot:
        """Return the snapshot."""
        self._clear()
        if not self._is_sorted:
            # Nearly sorted already, which Python's sort is quick with.
            self._mirrors = {
                name: self._mirrors[name] for name in sorted(self._mirrors)
            }
        return Snapshot(
            original=self._original,
            mirrors=self._mirrors,
            exact=self._exact,
            wildcards=self._wildcards,
        )

    def _clear(self) -> None:
        for name in self._out:
            del self._mirrors[name]
        self._out.clear()

    def _index(self, mirror: Mirror) -> None:
        if mirror.state == State.ARCHIVED:
            return
        for host in mirror.hosts:
            index, key = self._find_index(host)
            index[key] = mirror

    def _find_index(self, host: str) -> tuple[dict[str, Mirror], str]:
        return (self._wildcards, host[2:]) if host[0] == "*" else (self._exact, host)


def build_snapshot(mirrors: Iterable[Mirror], conf: Conf) -> Snapshot:
    """Return the snapshot of `mirrors` and the original.

    Raises `InvalidMirror` naming both places of every name or host claimed twice, and
    every share that leads nowhere.
    """
    draft = Draft(build_original(conf))
    problems: list[str] = []
    for mirror in sorted(mirrors, key=lambda item: item.name):
        found = draft.find_problems(mirror)
        if found:
            problems += found
        else:
            draft.put(pin_services(mirror, conf))
    problems += (loss.problem for loss in draft.find_lost_shares())
    if problems:
        raise InvalidMirror(*problems)
    return draft.freeze()


def find_doubles(mirrors: Iterable[Mirror]) -> list[str]:
    """Return a sentence for each name that is defined twice."""
    problems = []
    seen: dict[str, Mirror] = {}
    for mirror in mirrors:
        other = seen.setdefault(mirror.name, mirror)
        if other is not mirror:
            problems.append(describe_double(other, mirror))
    return problems


def find_clashes(mirrors: Iterable[Mirror]) -> list[str]:
    """Return a sentence for each host that two mirrors claim."""
    problems = []
    seen: dict[str, Mirror] = {}
    for mirror in mirrors:
        for host in mirror.hosts if mirror.state != State.ARCHIVED else ():
            other = seen.setdefault(host, mirror)
            if other is not mirror:
                problems.append(_describe_clash(host, other, mirror))
    return problems


def find_lost_shares(
    mirrors: Mapping[str, Mirror], *, refused: frozenset[str] = frozenset()
) -> list[Loss]:
    """Return the shares of services that nobody owns.

    The mirrors in `refused` exist, though their definitions are wrong.
    """
    losses = []
    for mirror in mirrors.values():
        for service, owner in mirror.shares.items():
            if owner == ORIGINAL_NAME or owner in refused:
                continue
            reason = _find_loss(mirror, service, mirrors.get(owner))
            if reason:
                problem = (
                    f"{describe_place(mirror)}: '{mirror}' shares {service} of "
                    f"'{owner}', {reason}"
                )
                losses.append(Loss(mirror.name, owner, problem))
    return losses


def describe_place(mirror: Mirror) -> str:
    """Return where the definition of `mirror` stands."""
    if mirror.source == "settings":
        return f"MIRRORS['{mirror.name}']"
    if mirror.source == ORIGINAL_NAME:
        return "MIRRORS_OPTIONS['ORIGINAL']"
    if mirror.source == RECORDS:
        return "the records"
    return mirror.source


def _find_loss(mirror: Mirror, service: str, owner: Mirror | None) -> str:
    if owner is None:
        return "which does not exist. Name an existing mirror."
    if owner.name == mirror.name:
        return "which is itself. Remove the entry."
    if service in owner.shares:
        real = owner.shares[service]
        return f"which shares it from '{real}' itself. Name '{real}' directly."
    return ""


def describe_double(one: Mirror, two: Mirror) -> str:
    """Return the sentence about one name that is defined twice."""
    return (
        f"Mirror '{one}' is defined twice: in {describe_place(one)} and in "
        f"{describe_place(two)}. Remove one of them."
    )


def _describe_clash(host: str, one: Mirror, two: Mirror) -> str:
    return (
        f"Host '{host}' is claimed twice: by mirror '{one}' in {describe_place(one)} "
        f"and by mirror '{two}' in {describe_place(two)}. Remove it from one of them."
    )
