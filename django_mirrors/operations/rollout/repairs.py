"""Make an operation again that was begun and perhaps not ended."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.db import DatabaseError, migrations

from django_mirrors.exceptions import OperationFailed
from django_mirrors.operations.rollout.changes import Move

__all__ = ["redo"]

# Of MySQL and MariaDB: what a statement says that had been executed already. Each
# single one is executed whole or not at all.
_DONE_ALREADY = frozenset({
    1050,  # the table exists
    1051,  # the table that is dropped is gone
    1060,  # the column exists
    1061,  # the index exists
    1091,  # what is dropped is gone
    1176,  # the index that is renamed is gone
    1826,  # the foreign key exists
})  # fmt: skip

_RENAMING = (
    migrations.AlterModelTable,
    migrations.AlterOrderWithRespectTo,
    migrations.AlterUniqueTogether,
    migrations.RenameField,
    migrations.RenameModel,
)

# By name, since to import them needs the driver of PostgreSQL.
_ADD_INDEX = "django.contrib.postgres.operations.AddIndexConcurrently"
_REMOVE_INDEX = "django.contrib.postgres.operations.RemoveIndexConcurrently"


def redo(editor: Any, migration: str, move: Move, make: Callable[[], None]) -> None:
    """Make the operation again, after a kill in the middle of it.

    Code is run again. Raises `OperationFailed` for SQL of which nobody can know whether
    it was executed, and for what is decided by what it has changed already.
    """
    operation = move.operation
    if isinstance(operation, migrations.RunSQL) or _is_puzzling(
        editor, migration, move
    ):
        raise OperationFailed(
            f"{migration} was interrupted in '{operation.describe()}', outside a "
            "transaction: whether that was executed cannot be known. See for yourself, "
            "complete the migration by hand, and go on with 'manage.py migrate --fake'."
        )
    names = {f"{item.__module__}.{item.__name__}" for item in type(operation).__mro__}
    given: Any = operation
    if _ADD_INDEX in names:
        # One that was interrupted is left behind, and invalid.
        _drop_index(editor, given.index.name)
    elif _REMOVE_INDEX in names:
        _drop_index(editor, given.name)
        return
    with _tolerating(editor):
        make()


def _is_puzzling(editor: Any, migration: str, move: Move) -> bool:
    """Whether a part of the operation hides what else there was to do."""
    if editor.connection.vendor != "mysql":
        return False  # elsewhere a transaction holds such operations
    operation = move.operation
    if isinstance(operation, migrations.AlterField):
        # The key that was dropped is not there to tell that it must come back.
        key = migration.partition(".")[0], operation.model_name_lower
        before = move.before.models[key].fields[operation.name]
        return bool(before.is_relation or operation.field.is_relation)
    return isinstance(operation, _RENAMING)


def _drop_index(editor: Any, name: str) -> None:
    quoted = editor.quote_name(name)
    editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {quoted}")


def _tolerating(editor: Any) -> AbstractContextManager[Any]:
    connection = editor.connection
    if connection.vendor != "mysql":
        return nullcontext()
    manager: AbstractContextManager[Any] = connection.execute_wrapper(_tolerate)
    return manager


def _tolerate(
    execute: Callable[..., Any], sql: Any, params: Any, many: Any, context: Any
) -> Any:
    try:
        return execute(sql, params, many, context)
    except DatabaseError as error:
        if _was_done(error):
            return None
        raise


def _was_done(error: DatabaseError) -> bool:
    code, text = (*error.args, None, "")[:2]
    # MariaDB says of a foreign key that exists that it cannot create the table.
    is_key = code == 1005 and "errno: 121 " in str(text)
    return is_key or code in _DONE_ALREADY
