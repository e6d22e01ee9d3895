"""The way from what is applied in a database to what shall be: worked out once."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.migrations import Migration
from django.db.migrations.exceptions import (
    AmbiguityError,
    InconsistentMigrationHistory,
    IrreversibleError,
)
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

from django_mirrors import _compat_migrations
from django_mirrors.exceptions import OperationFailed
from django_mirrors.operations.rollout.changes import (
    Change,
    Key,
    Move,
    Path,
    Target,
    reach,
)
from django_mirrors.operations.rollout.receivers import complete_plan
from django_mirrors.operations.rollout.recording import record
from django_mirrors.operations.rollout.standing import StandsElsewhere

__all__ = ["build_path", "check_targets"]


def build_path(
    connection: Any,
    applied: frozenset[Key],
    targets: Iterable[Target],
    *,
    is_fake: bool,
) -> Path:
    """Return the way from `applied`, which the database of `connection` has.

    Nothing is changed there. Raises `OperationFailed` for targets that are not there,
    for a history that contradicts itself, and for what cannot be taken back;
    `StandsElsewhere` if the database has something else.
    """
    executor: Any = MigrationExecutor(connection)
    # The loader has read it too, and adds squashed ones to what it found.
    if frozenset(executor.recorder.applied_migrations()) != applied:
        raise StandsElsewhere(connection.alias)
    _check_graph(executor, connection)
    plan = _build_plan(executor, _find_targets(executor, targets))
    before = _compat_migrations.build_state(executor)
    complete_plan(plan, before, connection.alias)
    if len({is_backwards for _, is_backwards in plan}) > 1:
        raise OperationFailed(
            "The targets would apply some migrations and take others back. Roll out to "
            "one after the other."
        )
    listed = list(_iter_changes(executor, plan, before))
    changes = tuple(
        _build_change(connection, executor.loader, item, is_fake=is_fake)
        for item in listed
    )
    return Path(
        alias=connection.alias,
        applied=applied,
        changes=changes,
        squashed=_find_squashed(executor.loader, reach(applied, changes)),
        before=before,
        after=_find_end(executor, plan, listed, before),
    )


def check_targets(targets: Iterable[Target]) -> None:
    """Raise `OperationFailed` for targets that are not there. Asks no database."""
    loader = MigrationLoader(None, ignore_no_migrations=True)
    for app, name in targets:
        _find_target(loader, app, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    migration: Migration
    is_backwards: bool
    before: ProjectState
    after: ProjectState
    moves: tuple[Move, ...]


def _check_graph(executor: Any, connection: Any) -> None:
    try:
        executor.loader.check_consistent_history(connection)
    except InconsistentMigrationHistory as error:
        raise OperationFailed(
            f"{error} Mend the table 'django_migrations' of that database."
        ) from error
    conflicts = executor.loader.detect_conflicts()
    if conflicts:
        listed = "; ".join(
            f"{', '.join(sorted(names))} in {app}" for app, names in conflicts.items()
        )
        raise OperationFailed(
            f"The migrations conflict: {listed}. Run 'manage.py makemigrations "
            "--merge'."
        )


def _find_targets(executor: Any, targets: Iterable[Target]) -> list[Target]:
    found = [_find_target(executor.loader, app, name) for app, name in targets]
    return found or list(executor.loader.graph.leaf_nodes())


def _find_target(loader: Any, app: str, name: str | None) -> Target:
    if app not in loader.migrated_apps:
        raise OperationFailed(
            f"No app '{app}' has migrations. Give its label, such as 'auth'."
        )
    if name is None:
        return app, None
    try:
        target = app, loader.get_migration_by_prefix(app, name).name
    except (AmbiguityError, KeyError) as error:
        problem = "No migration" if isinstance(error, KeyError) else "Not only one"
        raise OperationFailed(
            f"{problem} of '{app}' has a name that begins with '{name}'. See "
            f"'manage.py showmigrations {app}'."
        ) from error
    if target not in loader.graph.nodes and target in loader.replacements:
        # Of a squashed one that is not applied as a whole, the last one is meant.
        last: Target = loader.replacements[target].replaces[-1]
        return last
    return target


def _build_plan(executor: Any, wanted: list[Target]) -> list[tuple[Migration, bool]]:
    """Return the migrations in the order in which Django makes them."""
    plan: list[tuple[Migration, bool]] = executor.migration_plan(wanted)
    if any(is_backwards for _, is_backwards in plan):
        return plan
    whole = executor.migration_plan(
        executor.loader.graph.leaf_nodes(), clean_start=True
    )
    places = {migration: place for place, (migration, _) in enumerate(whole)}
    return sorted(plan, key=lambda item: places[item[0]])


def _iter_changes(
    executor: Any, plan: list[tuple[Migration, bool]], before: ProjectState
) -> Iterator[_Draft]:
    if plan and plan[0][1]:
        yield from _iter_backwards(executor, plan)
        return
    state = before.clone()
    for migration, _ in plan:
        if "apps" not in vars(state):
            state.apps  # noqa: B018 - rendered whole once, not model by model
        moves = tuple(_iter_moves(migration, state))
        after = moves[-1].after if moves else state
        yield _Draft(
            migration=migration,
            is_backwards=False,
            before=state,
            after=after,
            moves=moves,
        )
        state = after


def _iter_backwards(
    executor: Any, plan: list[tuple[Migration, bool]]
) -> Iterator[_Draft]:
    """Yield what is taken back, each with the state without it."""
    left = {migration for migration, _ in plan}
    loader = executor.loader
    applied = {
        loader.graph.nodes[key]
        for key in loader.applied_migrations
        if key in loader.graph.nodes
    }
    whole = executor.migration_plan(loader.graph.leaf_nodes(), clean_start=True)
    state = ProjectState(real_apps=loader.unmigrated_apps)
    found: dict[Migration, _Draft] = {}
    for migration, _ in whole:
        if migration not in applied:
            continue
        if migration not in left:
            state = migration.mutate_state(state, preserve=bool(found))
            continue
        if "apps" not in vars(state):
            state.apps  # noqa: B018 - rendered whole once
        moves = tuple(_iter_moves(migration, state))
        found[migration] = _Draft(
            migration=migration,
            is_backwards=True,
            before=moves[-1].after if moves else state,
            after=state,
            moves=tuple(_turn(migration, move) for move in reversed(moves)),
        )
        state = found[migration].before
    yield from (found[migration] for migration, _ in plan)


def _iter_moves(migration: Migration, state: ProjectState) -> Iterator[Move]:
    for operation in migration.operations:
        after = state.clone()
        operation.state_forwards(migration.app_label, after)
        yield Move(operation=operation, before=state, after=after)
        state = after


def _turn(migration: Migration, move: Move) -> Move:
    if not move.operation.reversible:
        raise OperationFailed(
            f"{migration} cannot be taken back: {move.operation.describe()}."
        ) from IrreversibleError()
    return Move(operation=move.operation, before=move.after, after=move.before)


def _build_change(
    connection: Any, loader: Any, draft: _Draft, *, is_fake: bool
) -> Change:
    keys = tuple(_iter_keys(loader, draft.migration))
    if is_fake:
        return Change(
            migration=draft.migration,
            keys=keys,
            is_backwards=draft.is_backwards,
            is_fake=True,
            moves=(),
            statements=(),
        )
    steps = [(item.operation, item.before, item.after) for item in draft.moves]
    statements = record(
        connection,
        draft.migration.app_label,
        steps,
        is_backwards=draft.is_backwards,
    )
    # In one transaction the statements are enough, and the states are not kept.
    is_whole = draft.migration.atomic and connection.features.can_rollback_ddl
    return Change(
        migration=draft.migration,
        keys=keys,
        is_backwards=draft.is_backwards,
        is_fake=is_fake,
        moves=() if is_whole and statements is not None else draft.moves,
        statements=statements if is_whole else None,
    )


def _iter_keys(loader: Any, migration: Migration) -> Iterator[Key]:
    """Yield what is recorded of it: first what it replaces, which may replace too."""
    for app, name in migration.replaces:
        replaced = loader.disk_migrations.get((app, name))
        if replaced is None:
            yield app, name
        else:
            yield from _iter_keys(loader, replaced)
    yield migration.app_label, migration.name


def _find_end(
    executor: Any,
    plan: list[tuple[Migration, bool]],
    drafts: list[_Draft],
    before: ProjectState,
) -> ProjectState:
    if not drafts:
        return before
    if not drafts[0].is_backwards:
        return drafts[-1].after
    # What is taken back need not be the newest of its time: others stay applied.
    gone = {migration for migration, _ in plan}
    loader = executor.loader
    state = ProjectState(real_apps=loader.unmigrated_apps)
    for migration, _ in executor.migration_plan(
        loader.graph.leaf_nodes(), clean_start=True
    ):
        key = migration.app_label, migration.name
        if key in loader.applied_migrations and migration not in gone:
            state = migration.mutate_state(state, preserve=False)
    return state


def _find_squashed(loader: Any, applied: frozenset[Key]) -> tuple[Key, ...]:
    return tuple(
        key
        for key in loader.replacements
        if key not in applied and _is_replaced(loader, key, applied)
    )


def _is_replaced(loader: Any, key: Key, applied: frozenset[Key]) -> bool:
    """Whether all that the migration replaces is applied; it may be squashed itself."""
    return key in loader.replacements and all(
        item in applied or _is_replaced(loader, item, applied)
        for item in map(tuple, loader.replacements[key].replaces)
    )
