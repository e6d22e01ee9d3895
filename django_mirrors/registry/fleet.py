"""What is made of declarations and records, and how little of it a change touches."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from django_mirrors.conf import Conf
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.mirror import Mirror
from django_mirrors.registry.building import (
    build_original,
    build_recorded,
    overlay_record,
    pin_services,
)
from django_mirrors.registry.snapshot import (
    Draft,
    Snapshot,
    describe_double,
)
from django_mirrors.sources.records import RECORDS, Record

__all__ = ["Fleet", "build_fleet", "build_old", "change_fleet", "redeclare"]

FindOld = Callable[[str], Mirror | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The snapshot to serve, and what it was made of.

    A record that is wrong, or claims what another mirror has, is refused: its mirror
    stays as it was, all others follow, and it is tried again at the next change.
    """

    conf: Conf
    declared: Mapping[str, Mirror]  # as they are written
    overlays: Mapping[str, Record]  # the records of declared mirrors
    refused: Mapping[str, Record]
    ghosts: frozenset[str]  # deleted, and kept since others share their services
    problems: tuple[str, ...]  # of what was refused
    snapshot: Snapshot
    changed: frozenset[str] | None = (
        None  # names that may differ from before; None: all
    )


def build_fleet(
    conf: Conf,
    declared: Mapping[str, Mirror],
    records: Iterable[Record],
    *,
    recorded: Iterable[Mirror] = (),
    find_old: FindOld,
) -> Fleet:
    """Return the fleet of all declarations and records.

    `recorded` are mirrors whose records did not change. A mirror that must stay as it
    was is asked of `find_old`. Raises `InvalidMirror` if there is no such mirror, or if
    a declared one does not fit: declarations are taken all or not at all.
    """
    draft = Draft(build_original(conf))
    assembly = _Assembly(conf, declared, find_old, draft, is_strict=True)
    waiting = dict(declared)
    for mirror in recorded:
        assembly.put(mirror)
    for record in records:
        if record.declared:
            waiting.pop(record.name, None)
        found = assembly.resolve(record)
        if found is not None:
            assembly.put(found, record)
    for declaration in waiting.values():
        assembly.put(declaration)
    return assembly.finish()


def redeclare(fleet: Fleet, conf: Conf, declared: Mapping[str, Mirror]) -> Fleet:
    """Return the fleet with other declarations and the same records."""
    again = {**fleet.overlays, **fleet.refused}
    old = fleet.snapshot.mirrors
    recorded = (
        mirror
        for name, mirror in old.items()
        if mirror.source == RECORDS and name not in again and name not in fleet.ghosts
    )
    return build_fleet(
        conf, declared, again.values(), recorded=recorded, find_old=old.get
    )


def change_fleet(
    fleet: Fleet, records: Mapping[str, Record], names: frozenset[str] | None
) -> Fleet:
    """Return the fleet after some records changed; `names` are those still there."""
    old, declared = fleet.snapshot.mirrors, fleet.declared
    tried = {**fleet.refused, **records}
    if names is not None:
        tried = {name: record for name, record in tried.items() if name in names}

    def claims_more(mirror: Mirror) -> bool:
        # Who has a host already keeps it, if another one claims it at the same time.
        before = old.get(mirror.name)
        return before is None or not set(mirror.hosts) <= set(before.hosts)

    draft = Draft(fleet.snapshot.original, fleet.snapshot)
    assembly = _Assembly(fleet.conf, declared, old.get, draft)
    built = {name: assembly.resolve(record) for name, record in tried.items()}
    gone = fleet.ghosts | _find_gone(fleet, names) | _find_renamed(old, built)
    for name in {*gone, *built} - assembly.wrong.keys():
        draft.take_out(name)
    for mirror in sorted(filter(None, built.values()), key=claims_more):
        assembly.put(mirror, tried[mirror.name])
    for name in gone & declared.keys():
        # As it is written again.
        assembly.put(declared[name])
    assembly.has_shares = assembly.has_shares or bool(gone)
    for name, record in fleet.overlays.items():
        if name not in tried and name not in gone:
            assembly.overlays[name] = record
    return replace(assembly.finish(), changed=frozenset({*tried, *gone}))


def build_old(
    record: Record, declared: Mapping[str, Mirror], conf: Conf
) -> Mirror | None:
    """Return the mirror of a record that was good once, or None if it is not now."""
    declaration = declared.get(record.name)
    try:
        if not record.declared:
            return pin_services(build_recorded(record), conf)
        if declaration is not None:
            return pin_services(overlay_record(declaration, record), conf)
    except InvalidMirror:
        return None
    return None


def _find_gone(fleet: Fleet, names: frozenset[str] | None) -> set[str]:
    if names is None:
        return set()
    recorded = {
        name
        for name, mirror in fleet.snapshot.mirrors.items()
        if mirror.source == RECORDS
    }
    return (recorded | fleet.overlays.keys()) - names


def _find_renamed(
    old: Mapping[str, Mirror], built: Mapping[str, Mirror | None]
) -> set[str]:
    """Return the names that records had before; their uids stay the same."""
    # Numbers, since Python makes the hash of a UUID itself, for each mirror here.
    new = {
        mirror.uid.int
        for name, mirror in built.items()
        if mirror is not None and name not in old
    }
    if not new:
        return set()
    return {
        name
        for name, mirror in old.items()
        if mirror.uid.int in new and mirror.source == RECORDS
    }


class _Assembly:
    """A fleet being made: what fits is put, what does not is kept as it was."""

    def __init__(
        self,
        conf: Conf,
        declared: Mapping[str, Mirror],
        find_old: FindOld,
        draft: Draft,
        *,
        is_strict: bool = False,  # whether a declared mirror must fit
    ) -> None:
        self._conf = conf
        self._declared = declared
        self._find_old = find_old
        self._draft = draft
        self._is_strict = is_strict
        self._refused: dict[str, Record] = {}
        self._sharing: dict[str, Record] = {}  # may be refused once all are there
        self.wrong: dict[str, list[str]] = {}  # by name, what is wrong
        self.overlays: dict[str, Record] = {}
        self.has_shares = False  # whether a share may have lost its owner

    def resolve(self, record: Record) -> Mirror | None:
        """Return the mirror of a record; None if it has none, or is refused."""
        declared = self._declared.get(record.name)
        try:
            if record.declared:
                self.overlays[record.name] = record
                return None if declared is None else overlay_record(declared, record)
            mirror = build_recorded(record)
            if declared is None:
                return mirror
            problems: tuple[str, ...] = (describe_double(declared, mirror),)
        except InvalidMirror as error:
            problems = error.problems
        self._refuse(record.name, problems, record)
        return None

    def put(self, mirror: Mirror, record: Record | None = None) -> None:
        """Add a mirror beside the others, or refuse it."""
        problems = self._draft.find_problems(mirror)
        if problems and self._is_strict and mirror.source != RECORDS:
            raise InvalidMirror(*problems)
        if problems:
            self._refuse(mirror.name, problems, record)
            return
        if mirror.shares:
            self.has_shares = True
            if record is not None:
                self._sharing[mirror.name] = record
        self._draft.put(pin_services(mirror, self._conf))

    def finish(self) -> Fleet:
        """Return the fleet. Raises `InvalidMirror` if what is wrong was not known."""
        for name in tuple(self.wrong):
            self._keep(name)
        if self.has_shares or self.wrong:
            self._keep_shares()
        return Fleet(
            conf=self._conf,
            declared=self._declared,
            overlays=self.overlays,
            refused=self._refused,
            ghosts=frozenset(self.wrong) - self._refused.keys() - self._declared.keys(),
            problems=tuple(self._list_problems()),
            snapshot=self._draft.freeze(),
        )

    def _refuse(
        self, name: str, problems: Iterable[str], record: Record | None
    ) -> None:
        self.wrong.setdefault(name, []).extend(problems)
        if record is not None:
            self._refused[name] = record

    def _keep(self, name: str) -> None:
        old = self._find_old(name)
        if old is not None and self._draft.find(name) is old:
            return
        if old is None or self._draft.find_problems(old):
            raise InvalidMirror(*self._list_problems())
        self._draft.put(old)

    def _keep_shares(self) -> None:
        """Undo the changes that left a mirror without the owner of what it shares."""
        for loss in self._draft.find_lost_shares():
            for name in (loss.mirror, loss.owner):
                old = self._find_old(name)
                if old is not None and self._draft.find(name) is not old:
                    self._draft.take_out(name)
                    self._refuse(name, (loss.problem,), self._sharing.get(name))
                    self._keep(name)
        still = self._draft.find_lost_shares()
        if still:
            raise InvalidMirror(*(loss.problem for loss in still))

    def _list_problems(self) -> list[str]:
        return [problem for problems in self.wrong.values() for problem in problems]
