"""What brings a database in step, as values: its migrations and their operations."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock

from django.db.migrations import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState, StateApps

from django_mirrors import _compat_migrations
from django_mirrors.operations.breaches import Breach, find_breaches
from django_mirrors.operations.rollout.recording import Statement

__all__ = [
    "Change",
    "Key",
    "Move",
    "Path",
    "Target",
    "reach",
]

Key = tuple[str, str]  # app and name of a migration
Target = tuple[str, str | None]  # None: without any migration of the app


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One operation, and the states of the models that it leads from and to."""

    operation: Operation
    before: ProjectState
    after: ProjectState


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One migration that is applied, or taken back."""

    migration: Migration
    keys: tuple[Key, ...]  # what is recorded: the migration, and those it replaces
    is_backwards: bool
    is_fake: bool  # it is recorded and nothing else
    moves: tuple[Move, ...]  # in the order in which they are made
    statements: tuple[Statement, ...] | None  # to replay; None: make the moves

    @property
    def name(self) -> str:
        """The migration, as "app.0001_name"."""
        return f"{self.migration.app_label}.{self.migration.name}"

    @property
    def label(self) -> str:
        """The migration and its direction, for what is written of its progress."""
        return f"-{self.name}" if self.is_backwards else self.name

    @property
    def is_atomic(self) -> bool:
        """Whether the migration asks for one transaction around all of it."""
        return bool(self.migration.atomic)

    def get_reached(self, applied: frozenset[Key]) -> frozenset[Key]:
        """Return what is applied after it, where `applied` was before."""
        if self.is_backwards:
            return applied.difference(self.keys)
        return applied.union(self.keys)


@dataclass(frozen=True, kw_only=True, eq=False)
class Path:
    """The way from one set of applied migrations to where they shall be."""

    alias: str  # of the database that it was worked out for
    applied: frozenset[Key]
    changes: tuple[Change, ...]
    squashed: tuple[Key, ...]  # all that they replace is applied then: to be recorded
    before: ProjectState
    after: ProjectState
    # Operations change models while they are made, and threads share these.
    lock: Lock = field(default_factory=Lock)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.changes or self.squashed)

    @property
    def plan(self) -> list[tuple[Migration, bool]]:
        """The migrations as Django's signals tell of them."""
        return [(item.migration, item.is_backwards) for item in self.changes]

    @cached_property
    def breaches(self) -> tuple[Breach, ...]:
        """What would break code of the release before."""
        return find_breaches(self.plan, self.before, after=self.after, alias=self.alias)

    @property
    def final_apps(self) -> StateApps:
        """The models at the end, for receivers of signals; made once."""
        with self.lock:
            return self._final_apps

    @cached_property
    def _final_apps(self) -> StateApps:
        return _compat_migrations.render_for_signal(self.after)

    @cached_property
    def reached(self) -> frozenset[Key]:
        """What is applied at the end."""
        return reach(self.applied, self.changes).union(self.squashed)


def reach(applied: frozenset[Key], changes: Iterable[Change]) -> frozenset[Key]:
    """Return what is applied after `changes`."""
    for change in changes:
        applied = change.get_reached(applied)
    return applied
