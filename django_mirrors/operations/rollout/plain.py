"""Which operations are plain SQL, the same in all databases that stand alike."""

from collections.abc import Callable, Iterator
from datetime import date, time, timedelta
from decimal import Decimal
from types import NoneType
from typing import Any
from uuid import UUID

from django.db import migrations
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState
from django.db.models import NOT_PROVIDED, Field, Q, Value
from django.db.models.expressions import BaseExpression

from django_mirrors.owners import OwnerField

__all__ = ["Step", "is_plain"]

Step = tuple[Operation, ProjectState, ProjectState]  # from the first to the second

# What these do is known, and depends on the models only. Those of others might look at
# the mirror, the clock or a file.
_KNOWN = ("django.db.migrations.operations.", "django.contrib.postgres.operations")
_OF_DJANGO = "django."
# Called without arguments they return the same at any time and in any mirror.
_CONSTANT: tuple[Callable[..., Any], ...] = (
    bool, bytes, dict, float, frozenset, int, list, set, str, tuple,
)  # fmt: skip
# Not by `isinstance`, which what is computed lazily claims to be as well.
_VALUES = (
    bool, bytes, date, Decimal, float, int, NoneType, str, time, timedelta, UUID,
)  # fmt: skip


def is_plain(app: str, step: Step, *, is_backwards: bool) -> bool:
    """Whether it depends on nothing but the models which SQL the operation executes.

    Not so for code, for what a project has written itself, and for defaults that are
    computed.
    """
    operation = step[0]
    if not type(operation).__module__.startswith(_KNOWN):
        return False
    if not operation.reduces_to_sql:
        return False
    if isinstance(operation, migrations.SeparateDatabaseAndState):
        # Their own states are made as they are run, so their fields are looked at here.
        inner = ((item, *step[1:]) for item in operation.database_operations)
        return not is_backwards and all(
            is_plain(app, item, is_backwards=False) for item in inner
        )
    return all(_is_own(part) for part in _iter_parts(app, step)) and all(
        _is_constant(field) for field in _iter_filled(app, step)
    )


def _iter_parts(app: str, step: Step) -> Iterator[object]:
    """Yield what the SQL is made of: SQLite makes the whole table again."""
    operation, *states = step
    for attribute in ("field", "index", "constraint"):
        yield getattr(operation, attribute, None)
    for state in states:
        for model in _iter_models(app, operation, state):
            yield from model.fields.values()
            yield from model.options.get("indexes", ())
            yield from model.options.get("constraints", ())


def _iter_models(
    app: str, operation: Operation, state: ProjectState
) -> Iterator[ModelState]:
    attributes = ("name_lower", "model_name_lower", "old_name_lower", "new_name_lower")
    for name in {getattr(operation, attribute, "") for attribute in attributes}:
        if (app, name) in state.models:
            yield state.models[app, name]


def _is_own(value: Any) -> bool:
    """Whether Django alone, or this package, decides how SQL is made of `value`."""
    if issubclass(type(value), _VALUES):
        return True
    if isinstance(value, dict):
        return all(map(_is_own, value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_own, value))
    kind = value if isinstance(value, type) else type(value)
    # The owner that rows get when it is added is another one in each mirror. That is
    # told by its default, and only where it is written into rows.
    is_known = kind.__module__.startswith(_OF_DJANGO) or kind is OwnerField
    return is_known and all(map(_is_own, _list_inner(value)))


def _list_inner(value: Any) -> list[Any]:
    if isinstance(value, Field):
        names = ("db_default", "expression", "base_field", "output_field")
        return [vars(value).get(name) for name in names]
    if isinstance(value, Q):
        return [item[1] if isinstance(item, tuple) else item for item in value.children]
    if isinstance(value, Value):
        # In any other place text may be translated: it is shown, and not stored.
        return [value.value] if _is_value(value.value) else [_is_value]
    if isinstance(value, BaseExpression):
        return list(value.get_source_expressions())
    if hasattr(value, "deconstruct") and not isinstance(value, type):
        _, arguments, options = value.deconstruct()
        return [*arguments, options]
    return []


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
        return any(default is item for item in _CONSTANT) or _is_value(default)
    return not any(getattr(field, name, False) for name in ("auto_now", "auto_now_add"))


def _is_value(value: object) -> bool:
    return issubclass(type(value), _VALUES)
