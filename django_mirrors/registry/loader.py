"""Read all sources into a snapshot, reading again only what changed."""

import gc
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

from django_mirrors.conf import Conf, get_conf
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.mirror import Mirror
from django_mirrors.registry.building import build_original
from django_mirrors.registry.fleet import (
    Fleet,
    build_fleet,
    build_old,
    change_fleet,
    redeclare,
)
from django_mirrors.registry.last_known import (
    Unsaved,
    read_last_known,
    save_last_known,
)
from django_mirrors.registry.snapshot import Snapshot, find_clashes, find_doubles
from django_mirrors.sources import build_declared_sources
from django_mirrors.sources.records import (
    NOTHING,
    FleetVersion,
    Record,
    RecordsUnavailable,
    read_names,
    read_records,
    read_version,
)

__all__ = ["Loader"]

logger = logging.getLogger("django_mirrors.registry")

# The version of records that came from the file: any real one differs from it.
_LAST_KNOWN = FleetVersion(-2, 0)

Records = Mapping[str, Record]


class Update(NamedTuple):
    """What the original's database says since the last look."""

    version: FleetVersion
    records: Iterable[Record]
    is_whole: bool  # whether these are all records
    names: frozenset[str] | None = None  # of all records, if some were deleted


class Loader:
    """What was read last, so that a change costs what it changes.

    Not safe for threads: the registry calls it under its lock.
    """

    def __init__(self) -> None:
        self._fleet: Fleet | None = None
        self._fingerprint: object = None  # of the declared sources
        self._version: FleetVersion | None = None  # None until records were read
        self._unsaved: Unsaved | None = None
        self._reported: frozenset[str] = frozenset()
        self._is_down = False

    @property
    def changed(self) -> frozenset[str] | None:
        """The names that may differ from those before the last look; None for all."""
        return None if self._fleet is None else self._fleet.changed

    def load(self, *, ask: bool = True) -> Snapshot:
        """Return the fleet from every source, at the start of a process.

        Falls back to the last known records when the original's database is down, or
        is not to be asked. Raises `InvalidMirror` if a definition is wrong.
        """
        conf = get_conf()
        read_last = cache(lambda: _read_last_known(conf))
        update = self._read_first(read_last, ask=ask) if conf.records else None
        fingerprint, declared = _read_declared(conf)

        def find_old(name: str) -> Mirror | None:
            record = read_last().get(name)
            return None if record is None else build_old(record, declared, conf)

        records = update.records if update else ()
        with _without_collecting():
            fleet = build_fleet(conf, declared, records, find_old=find_old)
        self._report(fleet.problems)
        self._take(fleet, fingerprint, update)
        return fleet.snapshot

    def refresh(self) -> Snapshot | None:
        """Return the fleet if it changed, else None.

        A source that is down or wrong is logged once, and leaves everything as it was.
        """
        if self._fleet is None:
            return self.load()
        conf = get_conf()
        fleet, update, problems = self._fleet, None, self._fleet.problems
        fingerprint = self._fingerprint
        try:
            fleet, update = self._read_changes(fleet, conf)
            problems = fleet.problems
            # Last, so that a mirror can move from a declaration to a record, and back.
            if conf is not fleet.conf or _find_fingerprint(conf) != fingerprint:
                fingerprint, declared = _read_declared(conf)
                fleet = redeclare(fleet, conf, declared)
                problems = fleet.problems
        except InvalidMirror as error:
            fingerprint = self._fingerprint
            problems = (*problems, *error.problems)
        self._report(problems)
        if fleet is self._fleet:
            return None
        self._take(fleet, fingerprint, update)
        return fleet.snapshot

    def save(self) -> None:
        """Keep the records for a start while the original's database is down."""
        path, unsaved = get_conf().snapshot, self._unsaved
        if path is None or unsaved is None:
            return
        try:
            save_last_known(path, unsaved)
        except RecordsUnavailable:
            # To be tried again after the next look.
            return
        if self._unsaved is unsaved:
            self._unsaved = None

    def _take(self, fleet: Fleet, fingerprint: object, update: Update | None) -> None:
        if update is not None:
            self._note(update, fleet)
        self._fleet, self._fingerprint = fleet, fingerprint
        if update is not None:
            # Last: whoever is interrupted before reads the same again.
            self._version = update.version

    def _note(self, update: Update, fleet: Fleet) -> None:
        """Remember what of `update` the file does not hold yet."""
        if update.version.number < 0:
            return
        refused = frozenset(fleet.refused)
        unsaved = Unsaved(
            version=update.version,
            read_all=lambda: read_records(after=-1),
            kept=refused,
        )
        if not update.is_whole and self._unsaved is None and self._fleet is not None:
            tried = (*self._fleet.refused.values(), *update.records)
            unsaved = unsaved._replace(
                previous=self._version,
                changed=tuple(item for item in tried if item.name not in refused),
                names=update.names,
            )
        self._unsaved = unsaved

    def _read_first(self, read_last: Callable[[], Records], *, ask: bool) -> Update:
        if not ask:
            return _build_last_update(read_last())
        try:
            update = _read_update(None, read_version())
        except RecordsUnavailable as error:
            self._is_down = True
            logger.warning("%s The last known fleet is used.", error)
            return _build_last_update(read_last())
        if update.version == NOTHING and read_last():
            # A database without our tables is not the one the fleet was recorded in:
            # SQLite, for one, makes an empty file in place of a missing one.
            logger.warning(
                "The original's database has no tables for the fleet, which it had "
                "before. The last known fleet is used. Run 'manage.py migrate'."
            )
            return _build_last_update(read_last())
        return update

    def _read_changes(self, fleet: Fleet, conf: Conf) -> tuple[Fleet, Update | None]:
        """Return the fleet with the records as they are now, and what changed."""
        if not conf.records:
            return fleet, None
        try:
            version = read_version(known=self._version)
            is_same = version == self._version or version == NOTHING
            update = None if is_same else _read_update(self._version, version)
        except RecordsUnavailable as error:
            if not self._is_down:
                logger.warning("%s", error)
            self._is_down = True
            return fleet, None
        if self._is_down:
            self._is_down = False
            logger.info("The original's database answers again.")
        if update is None:
            return fleet, None
        if update.is_whole:
            old, declared = fleet.snapshot.mirrors, fleet.declared
            with _without_collecting():
                fleet = build_fleet(conf, declared, update.records, find_old=old.get)
        else:
            changed = {record.name: record for record in update.records}
            fleet = change_fleet(fleet, changed, update.names)
        return fleet, update

    def _report(self, problems: Iterable[str]) -> None:
        """Log what is wrong, each problem once for as long as it lasts."""
        found = frozenset(problems)
        for problem in sorted(found - self._reported):
            logger.error("A change is refused, what was known is kept: %s", problem)
        self._reported = found


def _read_update(known: FleetVersion | None, now: FleetVersion) -> Update:
    if now == NOTHING:
        return Update(now, (), is_whole=True)
    # A smaller number is another database, or one restored from a backup.
    if (
        known is None
        or known.number < 0
        or now.number < known.number
        or now.deletions < known.deletions
    ):
        return Update(now, read_records(after=-1), is_whole=True)
    changed = tuple(read_records(after=known.number))
    names = read_names() if now.deletions != known.deletions else None
    return Update(now, changed, is_whole=False, names=names)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Pause the search for garbage: a third of the time of a big fleet, for nothing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _build_last_update(records: Records) -> Update:
    return Update(_LAST_KNOWN, records.values(), is_whole=True)


def _find_fingerprint(conf: Conf) -> object:
    return tuple(source.fingerprint() for source in build_declared_sources(conf))


def _read_declared(conf: Conf) -> tuple[object, Mapping[str, Mirror]]:
    fingerprint = _find_fingerprint(conf)
    readings = [source.read() for source in build_declared_sources(conf)]
    problems = [problem for reading in readings for problem in reading.problems]
    declared = [mirror for reading in readings for mirror in reading.mirrors]
    problems += find_doubles(declared)
    problems += find_clashes([build_original(conf), *declared])
    if problems:
        raise InvalidMirror(*problems)
    return fingerprint, {mirror.name: mirror for mirror in declared}


def _read_last_known(conf: Conf) -> Records:
    return {} if conf.snapshot is None else read_last_known(conf.snapshot)
