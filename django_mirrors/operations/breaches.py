"""Which operations of migrations break code of the release before.

Code of a release needs the tables of its models: it names every column it knows in its
SELECTs and INSERTs, and no other. So each state that a plan goes through is compared
with what that code needs, and the operation that brings a difference is the breach.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import migrations, router
from django.db.migrations import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from django_mirrors.exceptions import OperationFailed
from django_mirrors.operations.failures import iter_failures
from django_mirrors.operations.tables import (
    Known,
    Table,
    describe_model,
    describe_tables,
)

__all__ = ["Breach", "find_breaches"]

_MARK = "mirrors_compatible"
_REMEDY = (
    "Read it, and if code of the previous release survives it, write "
    f"'{_MARK} = True' into the class of the migration."
)
_REMOVED = (
    "Queries of the previous release may use what is removed. Stop using it in one "
    "release, and remove it in the next."
)
# Their effect shows in the state.
_OF_TABLES = (
    migrations.AddConstraint,
    migrations.AddField,
    migrations.AddIndex,
    migrations.AlterField,
    migrations.AlterIndexTogether,
    migrations.AlterModelTable,
    migrations.AlterModelTableComment,
    migrations.AlterOrderWithRespectTo,
    migrations.AlterUniqueTogether,
    migrations.CreateModel,
    migrations.DeleteModel,
    migrations.RemoveConstraint,
    migrations.RemoveField,
    migrations.RemoveIndex,
    migrations.RenameField,
    migrations.RenameIndex,
    migrations.RenameModel,
)
# They change the state, and nothing in the database.
_OF_STATE = (
    migrations.AlterConstraint,
    migrations.AlterModelManagers,
    migrations.AlterModelOptions,
)
# By name: the first ones cannot be imported without the driver of PostgreSQL.
_POSTGRES = "django.contrib.postgres.operations"
_CREATE = frozenset({f"{_POSTGRES}.CreateCollation", f"{_POSTGRES}.CreateExtension"})
_REMOVE = frozenset({f"{_POSTGRES}.RemoveCollation"})
_NOTHING = frozenset(
    {
        f"{_POSTGRES}.ValidateConstraint",
        "django_migration_linter.operations.IgnoreMigration",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """What one operation of a migration breaks in code of the release before."""

    migration: str  # "app.0003_name"
    operation: str  # what it does, as Django describes it
    reason: str  # what fails, and the remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """An operation, with the tables before and after it."""

    migration: Migration
    operation: Operation
    before: Mapping[str, Table]
    after: Mapping[str, Table]
    is_marked: bool
    is_backwards: bool = False

    def reverse(self) -> "_Change":
        return replace(
            self,
            before=self.after,
            after=self.before,
            is_marked=False,  # whoever wrote the mark thought of the way forwards
            is_backwards=True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """How states become tables: those of one database, or those of any."""

    alias: str | None
    known: Known = field(default_factory=dict)

    def read(self, state: ProjectState) -> dict[str, Table]:
        return describe_tables(state, takes=self._is_migrated, known=self.known)

    def read_needed(self, state: ProjectState) -> tuple[Table, ...]:
        """Return the tables of unmanaged models too: code needs them as well."""
        rendered = (state.apps.get_model(*key) for key in state.models)
        return tuple(
            table
            for model in rendered
            if not (model._meta.proxy or model._meta.swapped)
            for table in describe_model(model, known=self.known)
        )

    def allows(self, change: _Change) -> bool:
        """Tell whether routers let code or SQL of a migration run."""
        hints = getattr(change.operation, "hints", {})
        label = change.migration.app_label
        return self.alias is None or router.allow_migrate(self.alias, label, **hints)

    def _is_migrated(self, model: Any) -> bool:
        meta = model._meta
        if meta.proxy or meta.swapped or not meta.managed:
            return False
        return self.alias is None or router.allow_migrate_model(self.alias, model)


def find_breaches(
    plan: Iterable[tuple[Migration, bool]],
    before: ProjectState,
    *,
    after: ProjectState | None = None,
    alias: str | None = None,
) -> tuple[Breach, ...]:
    """Return what `plan` breaks in code whose models are those of `before`.

    `plan` is in the order of application, each migration with whether it is taken back.
    A plan that goes backwards needs `after` too, the state in which it ends: what a
    migration removed is in no state that follows it. With `alias`, what routers keep
    away from that database does not count. Asks no database and changes no state.
    """
    reader = _Reader(alias=alias)
    start = _copy_state(before)
    needed = reader.read_needed(start)
    if not needed:
        return ()  # there is no release before
    return tuple(
        Breach(
            migration=str(change.migration),
            operation=change.operation.describe(),
            reason=reason,
        )
        for change in _list_changes(tuple(plan), start, after, reader)
        if not change.is_marked
        for reason in _iter_reasons(change, needed, reader)
    )


def _list_changes(
    plan: tuple[tuple[Migration, bool], ...],
    start: ProjectState,
    after: ProjectState | None,
    reader: _Reader,
) -> list[_Change]:
    items = [migration for migration, _ in plan]
    directions = {is_backwards for _, is_backwards in plan}
    if True not in directions:
        return list(_iter_changes(items, start, reader))
    if False in directions or after is None:
        raise OperationFailed(
            f"The plan from {items[0]} to {items[-1]} takes migrations back. Give it "
            "without migrations to apply, and with the state in which it ends."
        )
    forwards = list(_iter_changes(items[::-1], _copy_state(after), reader))
    return [change.reverse() for change in reversed(forwards)]


def _iter_changes(
    items: Iterable[Migration], state: ProjectState, reader: _Reader
) -> Iterator[_Change]:
    for migration in items:
        for operation in migration.operations:
            reached = _advance(state, operation, migration)
            yield from _split(migration, operation, (state, reached), reader)
            state = reached


def _split(
    migration: Migration,
    operation: Operation,
    states: tuple[ProjectState, ProjectState],
    reader: _Reader,
    *,
    is_marked: bool = False,
) -> Iterator[_Change]:
    """Yield what `operation` does in the database, which may differ from its state."""
    is_marked |= any(getattr(item, _MARK, False) for item in (migration, operation))
    state, reached = states
    if not isinstance(operation, migrations.SeparateDatabaseAndState):
        yield _Change(
            migration=migration,
            operation=operation,
            before=reader.read(state),
            after=reader.read(reached),
            is_marked=is_marked,
        )
        return
    for inner in operation.database_operations:
        reached = _advance(state, inner, migration)
        pair = (state, reached)
        yield from _split(migration, inner, pair, reader, is_marked=is_marked)
        state = reached


def _copy_state(state: ProjectState) -> ProjectState:
    """Return a copy that shares no field: renames change some of them in place."""
    copied = state.clone()
    for model in copied.models.values():
        model.fields = {name: item.clone() for name, item in model.fields.items()}
    copied.apps  # noqa: B018 - rendered now: each state then takes over most models
    return copied


def _advance(
    state: ProjectState, operation: Operation, migration: Migration
) -> ProjectState:
    reached = state.clone()
    operation.state_forwards(migration.app_label, reached)
    # What the operation brought is copied, so that nothing changes in the migration.
    own = {
        id(item) for model in state.models.values() for item in model.fields.values()
    }
    for model in reached.models.values():
        model.fields = {
            name: item if id(item) in own else item.clone()
            for name, item in model.fields.items()
        }
    return reached


def _iter_reasons(
    change: _Change, needed: tuple[Table, ...], reader: _Reader
) -> Iterator[str]:
    operation = change.operation
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(operation).mro()}
    if isinstance(operation, _OF_STATE) or names & _NOTHING:
        return
    if isinstance(operation, _OF_TABLES):
        yield from _compare(change, needed)
    elif names & (_CREATE | _REMOVE):
        if change.is_backwards == bool(names & _CREATE):
            yield _REMOVED
    elif isinstance(operation, migrations.RunPython | migrations.RunSQL):
        if reader.allows(change) and _find_code(change):
            yield f"What it runs cannot be judged. {_REMEDY}"
    else:
        yield f"'{type(operation).__qualname__}' is not known here. {_REMEDY}"


def _compare(change: _Change, needed: tuple[Table, ...]) -> Iterator[str]:
    for table in needed:
        # What failed before this operation is told of the one that was to blame.
        failing = frozenset(iter_failures(table, change.before))
        for failure in iter_failures(table, change.after):
            if failure not in failing:
                yield failure


def _find_code(change: _Change) -> Any:
    """Return what would run, or None if that does nothing."""
    operation: Any = change.operation
    if isinstance(operation, migrations.RunSQL):
        return operation.reverse_sql if change.is_backwards else operation.sql
    code = operation.reverse_code if change.is_backwards else operation.code
    return None if code is migrations.RunPython.noop else code
