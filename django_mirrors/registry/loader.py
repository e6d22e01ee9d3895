"""Read all sources into a snapshot, reading again only what changed."""

import logging
from dataclasses import dataclass, field, replace

from django_mirrors.conf import Conf, get_conf
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.mirror import Mirror
from django_mirrors.registry.last_known import read_last_known, save_last_known
from django_mirrors.registry.snapshot import (
    Snapshot,
    build_recorded,
    build_snapshot,
    overlay_record,
)
from django_mirrors.sources import build_declared_sources
from django_mirrors.sources.records import (
    NOTHING,
    FleetVersion,
    Record,
    RecordsUnavailable,
    read_records,
    read_version,
)

__all__ = ["Loader"]

logger = logging.getLogger("django_mirrors.registry")

# The version of records that came from the file: any real one differs from it.
_LAST_KNOWN = FleetVersion(-2, 0)


@dataclass(slots=True)
class Loader:
    """What was read last, so that a change costs what it changes.

    Not safe for threads: the registry calls it under its lock.
    """

    declared_fingerprint: object = None
    declared: tuple[Mirror, ...] = ()
    version: FleetVersion | None = None  # None until the records were read
    records: dict[str, Record] = field(default_factory=dict)
    recorded: dict[str, Mirror] = field(default_factory=dict)
    refused: object = None  # the fingerprint of what was refused, to say it once

    def load(self) -> Snapshot:
        """Return the fleet from every source, at the start of a process.

        Falls back to the last known records when the original's database is down.
        Raises `InvalidMirror` if a definition is wrong.
        """
        conf = get_conf()
        self._read_declared()
        if conf.records:
            self._read_first_records(conf)
        return self._build(conf)

    def refresh(self) -> Snapshot | None:
        """Return the fleet if it changed, else None.

        A source that is down or wrong is logged, and leaves everything as it was.
        """
        conf = get_conf()
        before = replace(self, records=self.records, recorded=self.recorded)
        try:
            changed = self._read_declared()
            if conf.records:
                changed = self._read_changed_records() or changed
            return self._build(conf) if changed else None
        except RecordsUnavailable as error:
            logger.warning("%s", error)
            if not changed:
                return None
            return self._build(conf)
        except InvalidMirror as error:
            refused = (self.version, self.declared_fingerprint)
            if before.refused != refused:
                logger.error("The changed fleet is refused, the old one kept: %s", error)
            self._restore(before, refused)
            return None

    def save(self) -> None:
        """Keep the records for a start while the original's database is down."""
        path = get_conf().snapshot
        if path is not None and self.version is not None and self.version.number >= 0:
            save_last_known(path, self.records.values(), self.version)

    def _read_declared(self) -> bool:
        sources = build_declared_sources()
        fingerprint = tuple(source.fingerprint() for source in sources)
        if fingerprint == self.declared_fingerprint:
            return False
        self.declared_fingerprint = fingerprint
        self.declared = tuple(mirror for source in sources for mirror in source.read())
        return True

    def _read_first_records(self, conf: Conf) -> None:
        try:
            self._read_changed_records()
        except (RecordsUnavailable, InvalidMirror) as error:
            last = read_last_known(conf.snapshot) if conf.snapshot else None
            if last is None and isinstance(error, InvalidMirror):
                raise
            logger.warning("%s The last known fleet is used.", error)
            self._take(last or (), _LAST_KNOWN, whole=True)

    def _read_changed_records(self) -> bool:
        version = read_version(known=self.version)
        if version == self.version:
            return False
        # A smaller number is another database, or one restored from a backup.
        whole = (
            self.version is None
            or version.deletions != self.version.deletions
            or version.number < self.version.number
            or self.version.number < 0
        )
        after = -1 if self.version is None or whole else self.version.number
        records = () if version == NOTHING else read_records(after=after)
        self._take(records, version, whole=whole)
        return True

    def _take(
        self, records: tuple[Record, ...] | list[Record], version: FleetVersion, *, whole: bool
    ) -> None:
        known = {} if whole else dict(self.records)
        built = {} if whole else dict(self.recorded)
        errors = []
        for record in records:
            known[record.name] = record
            built.pop(record.name, None)
            if record.declared:
                continue
            try:
                built[record.name] = build_recorded(record)
            except InvalidMirror as error:
                errors.append(error)
        self.version, self.records, self.recorded = version, known, built
        if errors:
            raise InvalidMirror.collect(errors)

    def _build(self, conf: Conf) -> Snapshot:
        records = self.records
        declared = (
            overlay_record(mirror, records[mirror.name])
            if mirror.name in records and records[mirror.name].declared
            else mirror
            for mirror in self.declared
        )
        return build_snapshot([*declared, *self.recorded.values()], conf)

    def _restore(self, before: "Loader", refused: object) -> None:
        # The declared fingerprint and the version stay at the old values, so that the
        # next look reads again: a corrected source is taken at once.
        self.declared_fingerprint = before.declared_fingerprint
        self.declared = before.declared
        self.version, self.records = before.version, before.records
        self.recorded, self.refused = before.recorded, refused
