"""Three mirrors of each engine through all migrations of the table, and back.

`plain` is brought by `migrate`, `first` by a rollout that records, and `second` by the
same rollout, which replays what it recorded.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.db import connections
from django.test import override_settings

from django_mirrors import mirrors, use_mirror
from django_mirrors.operations.databases import get_database_backend
from django_mirrors.operations.drafts import mark
from django_mirrors.operations.locks import Lock
from django_mirrors.operations.release import migrate
from django_mirrors.operations.rollout.bringing import bring, find_path
from django_mirrors.operations.rollout.changes import Path as Way
from django_mirrors.operations.rollout.orders import Order
from tests.leftovers import make_token
from tests.operations.rollout.contents import Content, read_content
from tests.operations.rollout.releases import Release, migrate_plainly, use_release
from tests.operations.rollout.table import Case, list_cases
from tests.plugins.services import get_mariadb_url, get_postgres_url

__all__ = ["NAMES", "Trip", "build_order", "disconnect", "make_trip", "use_mirrors"]

NAMES = ("plain", "first", "second")
STAGES = ("before", "after", "back")
_BATCH = 20


@dataclass
class Trip:
    """What was there at each stage."""

    contents: dict[tuple[str, str], dict[str, Content]] = field(default_factory=dict)
    replayed: dict[tuple[str, str], list[bool]] = field(default_factory=dict)

    def get(self, stage: str, name: str, label: str) -> Content:
        """Return the content of an app in a mirror."""
        return self.contents[stage, name][label]

    def note_way(self, stage: str, way: Way) -> None:
        """Note of each migration whether its SQL was recorded."""
        for change in way.changes:
            key = stage, change.migration.app_label
            self.replayed.setdefault(key, []).append(change.statements is not None)


def build_order(**options: Any) -> Order:
    """Return an order of a rollout that holds its lock."""
    return Order(rollout=str(uuid4()), lock=Lock(name="rollout", fence=1), **options)


@contextmanager
def use_mirrors(
    mode: str, directory: Path, names: tuple[str, ...] = NAMES, **options: Any
) -> Iterator[None]:
    """Let there be active mirrors with databases of their own, empty and marked."""
    token = make_token()
    definitions = {
        name: {
            "HOSTS": [f"{name}.example"],
            "STORAGE": f"file://{directory}/{name}/",
            "STATE": "active",
            **_define(mode, directory, f"{token}_{name}"),
        }
        for name in names
    }
    with override_settings(MIRRORS=definitions, **options):
        configs = {
            name: connections.settings.build_config(mirrors[name]) for name in names
        }
        try:
            for name, config in configs.items():
                get_database_backend(config).create(config)
                with use_mirror(name):
                    migrate(mirrors[name])
                mark(mirrors[name], config)
            yield
        finally:
            for name, config in configs.items():
                disconnect(name)
                get_database_backend(config).drop(config)


def _define(mode: str, directory: Path, name: str) -> dict[str, str]:
    if mode == "sqlite":
        return {"DATABASE": f"sqlite:///{directory}/{name}.sqlite3"}
    if mode == "mysql":
        return {"DATABASE": f"{get_mariadb_url().rpartition('/')[0]}/{name}"}
    # Nobody misses what a crash of the server would lose.
    quick = "?options=-c%20synchronous_commit%3Doff"
    if mode == "schema":
        return {"DATABASE": f"{get_postgres_url()}{quick}", "SCHEMA": name}
    return {"DATABASE": f"{get_postgres_url().rpartition('/')[0]}/{name}{quick}"}


def disconnect(name: str) -> None:
    """Forget the connection to a mirror."""
    opened = getattr(connections._connections, name, None)
    if opened is not None:
        opened.close()
        del connections[name]


def make_trip(mode: str, directory: Path) -> Trip:
    """Bring the three mirrors through all that the engine can do, and back."""
    cases, trip = list_cases(mode), Trip()
    with use_mirrors(mode, directory):
        # To render the models of all at once would take long.
        for start in range(0, len(cases), _BATCH):
            _travel(trip, cases[start : start + _BATCH])
    return trip


def _travel(trip: Trip, cases: list[Case]) -> None:
    labels = tuple(case.label for case in cases)
    with use_release(labels) as release:
        _begin(trip, release, cases)
        _read_all(trip, "before", labels)
        for case in cases:
            for number, operations in enumerate(case.changes, start=2):
                release.add(
                    case.label,
                    f"{number:04}_change",
                    *operations,
                    atomic=case.is_atomic,
                )
        _go(trip, "after", ())
        _read_all(trip, "after", labels)
        targets = [(case.label, "0001_initial") for case in cases if case.is_reversible]
        _go(trip, "back", targets)
        _read_all(trip, "back", labels)


def _begin(trip: Trip, release: Release, cases: list[Case]) -> None:
    for case in cases:
        release.add(case.label, "0001_initial", *case.before)
    _go(trip, "before", ())
    for name in NAMES:
        with use_mirror(name), connections[name].cursor() as cursor:
            for case in cases:
                for sql in case.rows:
                    cursor.execute(sql.format(app=case.label))


def _go(trip: Trip, stage: str, targets: list[tuple[str, str]] | tuple[()]) -> None:
    order = build_order(targets=tuple(targets))
    with use_mirror("plain"):
        migrate_plainly(connections["plain"], targets)
    for name in NAMES[1:]:
        with use_mirror(name):
            _, way = find_path(mirrors[name], order)
            bring(mirrors[name], order=order)
    trip.note_way(stage, way)


def _read_all(trip: Trip, stage: str, labels: tuple[str, ...]) -> None:
    for name in NAMES:
        with use_mirror(name):
            found = trip.contents.setdefault((stage, name), {})
            found.update(read_content(connections[name], labels))
