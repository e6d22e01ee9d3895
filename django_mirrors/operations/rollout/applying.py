"""Apply migrations in the database of one mirror, each of them once."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

from django.db import migrations, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.utils.timezone import now

from django_mirrors.operations.rollout.changes import Change, Key, Move, Path
from django_mirrors.operations.rollout.repairs import redo
from django_mirrors.operations.rollout.standing import (
    Claim,
    Progress,
    StandsElsewhere,
    read_standing,
)

__all__ = ["apply_path"]

_PLAIN = "django.db.migrations.operations."
_RECORD = "INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, %s)"


def apply_path(connection: Any, path: Path, claim: Claim) -> None:
    """Make every change of `path`, and record each with what it changes.

    Where the engine can, a migration and its record are one transaction: after a kill
    it is applied and recorded, or neither. Raises `StandsElsewhere` if the database is
    not where the path begins.
    """
    expected = path.applied
    for change in path.changes:
        claim.check()
        alone = nullcontext() if change.statements is not None else path.lock
        with _naming(change), alone:
            _apply(connection, change, claim, expected)
        expected = change.get_reached(expected)
    if path.squashed:
        with transaction.atomic(using=connection.alias):
            _begin(connection, claim, expected)
            _insert(connection, path.squashed)
            claim.check()


@contextmanager
def _naming(change: Change) -> Iterator[None]:
    """Let what goes wrong say in which migration it did."""
    try:
        yield
    except Exception as error:
        error.add_note(change.name)
        raise


def _apply(
    connection: Any, change: Change, claim: Claim, expected: frozenset[Key]
) -> None:
    if change.is_fake:
        with transaction.atomic(using=connection.alias):
            _begin(connection, claim, expected)
            _record(connection, change)
            claim.check()
    elif change.is_atomic and connection.features.can_rollback_ddl:
        _apply_whole(connection, change, claim, expected)
    else:
        _begin(connection, claim, expected)
        _apply_in_parts(connection, change, claim)


def _begin(connection: Any, claim: Claim, expected: frozenset[Key]) -> None:
    claim.take()
    if read_standing(connection).applied != expected:
        raise StandsElsewhere(connection.alias)


def _apply_whole(
    connection: Any, change: Change, claim: Claim, expected: frozenset[Key]
) -> None:
    with connection.schema_editor(atomic=True) as editor:
        _begin(connection, claim, expected)
        if change.statements is None:
            for move in change.moves:
                _make(editor, change, move)
        else:
            for statement in change.statements:
                editor.execute(*statement)
        _flush(editor)
        _record(connection, change)
        claim.check()


def _apply_in_parts(connection: Any, change: Change, claim: Claim) -> None:
    """Make one operation after the other, writing down how far it came."""
    progress = claim.read_progress(change.label)
    with connection.schema_editor(atomic=change.is_atomic) as editor:
        for number, move in enumerate(change.moves):
            if number < progress.operations:
                continue
            claim.check()
            done = Progress(operations=number + 1)
            if _fits_transaction(connection, change, move):
                with transaction.atomic(using=connection.alias):
                    claim.write_progress(change.label, progress, done)
                    _make_whole(editor, change, move)
                    claim.check()
            else:
                _make_apart(editor, change, move, claim, progress)
            progress = done
    with transaction.atomic(using=connection.alias):
        claim.end_progress(change.label, progress)
        _record(connection, change)
        claim.check()


def _make_apart(
    editor: Any, change: Change, move: Move, claim: Claim, progress: Progress
) -> None:
    """Make an operation that no transaction holds; perhaps again."""
    begun = replace(progress, is_begun=True)
    claim.write_progress(change.label, progress, begun)
    make = partial(_make_whole, editor, change, move)
    if progress.is_begun:
        redo(editor, change.name, move, make)
    else:
        make()
    done = Progress(operations=progress.operations + 1)
    claim.write_progress(change.label, begun, done)


def _fits_transaction(connection: Any, change: Change, move: Move) -> bool:
    """Whether the operation can be made in a transaction, if not the migration."""
    operation = move.operation
    is_code = isinstance(operation, migrations.RunPython)
    if operation.atomic or (change.is_atomic and operation.atomic is not False):
        # On an engine whose schema no transaction holds, that of rows still does.
        return is_code or bool(connection.features.can_rollback_ddl)
    if is_code or isinstance(operation, migrations.RunSQL):
        return False  # it may ask for several of its own
    is_plain = type(operation).__module__.startswith(_PLAIN)
    return is_plain and bool(connection.features.can_rollback_ddl)


def _make(editor: Any, change: Change, move: Move) -> None:
    operation = move.operation
    if change.is_backwards:
        make = operation.database_backwards
    else:
        make = operation.database_forwards
    make(change.migration.app_label, editor, move.before, move.after)


def _make_whole(editor: Any, change: Change, move: Move) -> None:
    _make(editor, change, move)
    _flush(editor)


def _flush(editor: Any) -> None:
    """Execute what the editor keeps for its end: the record is written before that."""
    waiting, editor.deferred_sql = editor.deferred_sql, []
    for sql in waiting:
        editor.execute(sql, None)


def _record(connection: Any, change: Change) -> None:
    if change.is_backwards:
        recorded = MigrationRecorder(connection).migration_qs
        for app, name in change.keys:
            recorded.filter(app=app, name=name).delete()
        return
    _insert(connection, change.keys)


def _insert(connection: Any, keys: Iterable[Key]) -> None:
    applied = connection.ops.adapt_datetimefield_value(now())
    with connection.cursor() as cursor:
        for app, name in keys:
            cursor.execute(_RECORD, [app, name, applied])
