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
    1060,  # the column exists
    1061,  # the index exists
    1091,  # what is dropped is gone
    1826,  # the foreign key exists
})  # fmt: skip

# By name, since to import them needs the driver of PostgreSQL.
_ADD_INDEX = "django.contrib.postgres.operations.AddIndexConcurrently"
_REMOVE_INDEX = "django.contrib.postgres.operations.RemoveIndexConcurrently"


def redo(editor: Any, migration: str, move: Move, make: Callable[[], None]) -> None:
    """Make the operation again, after a kill in the middle of it.

    Code is run again. Raises `OperationFailed` for SQL of which nobody can know whether
    it was executed.
    """
    operation = move.operation
    if isinstance(operation, migrations.RunSQL):
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
        if error.args and error.args[0] in _DONE_ALREADY:
            return None
        raise
