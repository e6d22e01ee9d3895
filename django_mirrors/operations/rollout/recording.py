"""The SQL of a migration, where it is the same in every database that stands alike."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from django.db.migrations.operations.base import Operation

from django_mirrors.operations.rollout.plain import Step, is_plain

__all__ = ["Statement", "record"]


class Statement(NamedTuple):
    """One statement, as the editor of schemas executes it."""

    sql: str
    parameters: Any


class _Inspected(Exception):
    """The database was asked, so that its answer decides which SQL follows."""


def record(
    connection: Any, app: str, steps: Iterable[Step], *, is_backwards: bool
) -> tuple[Statement, ...] | None:
    """Return the statements of the operations, or None if each database needs its own.

    That is so for what is not plain, and for all that looks into the database before it
    decides. Nothing is executed.
    """
    listed = list(steps)
    if not all(is_plain(app, step, is_backwards=is_backwards) for step in listed):
        return None
    found: list[Statement] = []
    editor = connection.schema_editor(collect_sql=True, atomic=False)
    editor.deferred_sql = []
    editor.execute = lambda sql, params=(): found.append(Statement(str(sql), params))
    try:
        with connection.execute_wrapper(_refuse):
            for operation, before, after in listed:
                move = _choose(operation, is_backwards=is_backwards)
                move(app, editor, before, after)
            for sql in editor.deferred_sql:
                editor.execute(sql, None)
    except _Inspected:
        return None
    return tuple(found)


def _choose(operation: Operation, *, is_backwards: bool) -> Callable[..., None]:
    if is_backwards:
        return operation.database_backwards
    return operation.database_forwards


def _refuse(*_: Any) -> Any:
    raise _Inspected
