"""What the configuration says, read without stopping at the first mistake."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from django.db import connections
from django.utils.connection import ConnectionDoesNotExist

from django_mirrors.conf import Conf, build_conf
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.mirror import ORIGINAL_NAME, Mirror
from django_mirrors.registry.building import (
    build_original,
    build_recorded,
    overlay_record,
)
from django_mirrors.sources import Reading, Source, build_declared_sources
from django_mirrors.sources.files import FilesSource
from django_mirrors.sources.records import (
    NOTHING,
    Record,
    RecordsUnavailable,
    read_records,
    read_version,
)

__all__ = ["Findings", "build_findings"]

# Larger fleets are read when a check may ask the database: with `--database`. Every
# command that is about mirrors runs these checks first.
_MOST_RECORDS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The fleet as far as it can be built, and what is wrong with the rest."""

    conf: Conf
    original: Mirror
    mirrors: tuple[Mirror, ...]  # without the original; a name may be there twice
    refused: frozenset[str]  # names of mirrors whose definition is wrong
    knows_records: bool  # whether `mirrors` has all that are recorded
    in_options: tuple[str, ...]  # problems, by where they are
    in_settings: tuple[str, ...]
    in_files: tuple[str, ...]
    in_records: tuple[str, ...]

    @property
    def all(self) -> tuple[Mirror, ...]:
        """The original and all mirrors."""
        return (self.original, *self.mirrors)


def build_findings(*, read_all: bool) -> Findings:
    """Read options, declared mirrors and, if there are not too many, the records."""
    conf, in_options = build_conf()
    in_settings: list[str] = []
    in_files: list[str] = []
    declared: list[Mirror] = []
    refused: set[str] = set()
    for source in build_declared_sources(conf):
        reading = _read_source(source)
        declared += reading.mirrors
        refused |= reading.refused
        problems = in_files if isinstance(source, FilesSource) else in_settings
        problems += reading.problems
    records = _read_records(conf, read_all=read_all)
    taken = _Taken(declared)
    for record in records or ():
        taken.take(record)
    return Findings(
        conf=conf,
        original=build_original(conf),
        mirrors=tuple(taken.iter_mirrors()),
        refused=frozenset(refused | taken.refused),
        knows_records=records is not None,
        in_options=in_options,
        in_settings=tuple(in_settings),
        in_files=tuple(in_files),
        in_records=tuple(taken.problems),
    )


def _read_source(source: Source) -> Reading:
    try:
        return source.read()
    except Exception as error:  # noqa: BLE001 - the other topics must still be seen
        name = type(source).__name__
        return Reading((), (f"{name} fails ({type(error).__name__}). Correct it.",))


class _Taken:
    """Declared mirrors with what the records say of them, and recorded ones."""

    def __init__(self, declared: list[Mirror]) -> None:
        self._declared = declared
        self._overlaid: dict[str, Mirror] = {}
        self._recorded: list[Mirror] = []
        self._by_name: Mapping[str, Mirror] = {item.name: item for item in declared}
        self.problems: list[str] = []
        self.refused: set[str] = set()

    def take(self, record: Record) -> None:
        """Add what one record says."""
        declared = self._by_name.get(record.name)
        try:
            if not record.declared:
                self._recorded.append(build_recorded(record))
            elif declared is not None:
                self._overlaid[record.name] = overlay_record(declared, record)
        except InvalidMirror as error:
            self.problems.extend(error.problems)
            self.refused.add(record.name)

    def iter_mirrors(self) -> Iterator[Mirror]:
        """Yield every mirror."""
        for mirror in self._declared:
            yield self._overlaid.get(mirror.name, mirror)
        yield from self._recorded


def _read_records(conf: Conf, *, read_all: bool) -> tuple[Record, ...] | None:
    """Return all records, or None if they cannot be read now: that is no mistake."""
    if not conf.records:
        return ()
    try:
        if _is_missing() or read_version() == NOTHING:
            return None
        records = read_records(after=-1)
        first = tuple(islice(records, _MOST_RECORDS + 1))
        if len(first) > _MOST_RECORDS and not read_all:
            return None
        return tuple(chain(first, records))
    except (RecordsUnavailable, InvalidMirror, ConnectionDoesNotExist):
        return None


def _is_missing() -> bool:
    """Whether to ask would make an empty SQLite file in place of the original's."""
    config = connections[ORIGINAL_NAME].settings_dict
    name = str(config["NAME"])
    if connections[ORIGINAL_NAME].vendor != "sqlite" or "memory" in name:
        return False
    return not name.startswith("file:") and not Path(name).exists()
