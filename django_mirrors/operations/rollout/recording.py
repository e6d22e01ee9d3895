"""The SQL of a migration, where it is the same in every database that stands alike."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from django.db import migrations
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models import NOT_PROVIDED

__all__ = ["Statement", "record"]

Step = tuple[Operation, ProjectState, ProjectState]  # from the first to the second

# What these do is known, and depends on the models only. Those of others might look at
# the mirror, the clock or a file.
_KNOWN = ("django.db.migrations.operations.", "django.contrib.postgres.operations")
# Called without arguments they return the same at any time and in any mirror.
_CONSTANT: tuple[Callable[..., Any], ...] = (
    bool, bytes, dict, float, frozenset, int, list, set, str, tuple,
)  # fmt: skip


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

    That is so for code, for operations that are not Django's own, for defaults that are
    computed, and for all that looks into the database before it decides. Nothing is
    executed.
    """
    listed = list(steps)
    if not all(_is_plain(app, step, is_backwards=is_backwards) for step in listed):
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


def _is_plain(app: str, step: Step, *, is_backwards: bool) -> bool:
    operation = step[0]
    if not type(operation).__module__.startswith(_KNOWN):
        return False
    if not operation.reduces_to_sql:
        return False
    if isinstance(operation, migrations.SeparateDatabaseAndState):
        # Their own states are made as they are run, so their fields are looked at here.
        inner = ((item, *step[1:]) for item in operation.database_operations)
        return not is_backwards and all(
            _is_plain(app, item, is_backwards=False) for item in inner
        )
    return all(_is_constant(field) for field in _iter_filled(app, step))


def _iter_filled(app: str, step: Step) -> Iterator[Any]:
    """Yield the fields whose default is written into rows that are there."""
    operation, _, after = step
    if isinstance(operation, migrations.AddField | migrations.AlterField):
        yield operation.field
    name = getattr(operation, "model_name_lower", None)
    model = after.models.get((app, name)) if name else None
    field = getattr(operation, "name", None)
    if model is not None and field in model.fields:
        yield model.fields[field]  # that comes back when the operation is taken back


def _is_constant(field: Any) -> bool:
    default = field.default
    if default is not NOT_PROVIDED:
        return not callable(default) or default in _CONSTANT
    return not any(getattr(field, name, False) for name in ("auto_now", "auto_now_add"))
