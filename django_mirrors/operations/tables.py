"""The tables that models of a state need, as values that can be compared.

Types are those of Django, not of an engine: nothing here asks a database.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

from django.db import models
from django.db.migrations.state import ProjectState
from django.db.migrations.writer import MigrationWriter

__all__ = ["Column", "Table", "Unique", "describe_model", "describe_tables"]

Model = type[models.Model]
Known = dict[Model, tuple["Table", ...]]  # states share the models that are equal

_TEXTS = frozenset(
    {"CharField", "FileField", "FilePathField", "SlugField", "TextField"}
)
# The widest of all engines: MySQL has unsigned columns.
_INTEGERS = {
    "SmallIntegerField": (2**15, 2**15 - 1),
    "IntegerField": (2**31, 2**31 - 1),
    "BigIntegerField": (2**63, 2**63 - 1),
    "PositiveSmallIntegerField": (0, 2**16 - 1),
    "PositiveIntegerField": (0, 2**32 - 1),
    "PositiveBigIntegerField": (0, 2**64 - 1),
    "SmallAutoField": (2**15, 2**15 - 1),
    "AutoField": (2**31, 2**31 - 1),
    "BigAutoField": (2**63, 2**63 - 1),
}
# What an argument of a field says beside the type of its column.
_NOT_OF_TYPES = frozenset(
    {
        "db_comment", "db_default", "db_index", "db_tablespace", "default", "null",
        "primary_key", "unique",
    }
)  # fmt: skip
_NOT_OF_RULES = frozenset(
    {
        "deferrable", "fields", "include", "name", "nulls_distinct", "opclasses",
        "violation_error_code", "violation_error_message",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What a column takes and gives."""

    name: str
    family: str  # columns of one family read and write the same values
    limits: tuple[float, ...]  # within the family; greater takes more
    collation: str
    null: bool
    default: bool  # the database has a value for an INSERT that does not name it
    generated: bool
    target: tuple[str, str] | None  # table and column of a foreign key
    on_delete: str  # what the database does to rows whose target is deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class Unique:
    """A rule that no two rows have the same values."""

    columns: frozenset[str]
    nulls_distinct: bool = True
    condition: str = ""  # and expressions, which no column stands for
    name: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of a model, or of a relation between models."""

    name: str
    columns: Mapping[str, Column]
    uniques: frozenset[Unique]
    checks: Mapping[str, str]  # what is checked -> name of the constraint


def describe_tables(
    state: ProjectState, *, takes: Callable[[Model], bool], known: Known
) -> dict[str, Table]:
    """Return the tables of the models in `state` that `takes` says yes to, by name."""
    rendered = (state.apps.get_model(*key) for key in state.models)
    return {
        table.name: table
        for model in rendered
        if takes(model)
        for table in describe_model(model, known=known)
    }


def describe_model(model: Model, *, known: Known) -> tuple[Table, ...]:
    """Return the table of `model`, and those of its relations that have no model."""
    if model not in known:
        throughs = (_find_through(field) for field in model._meta.local_many_to_many)
        owned = (model, *(item for item in throughs if item._meta.auto_created))
        known[model] = tuple(_describe(item) for item in owned)
    return known[model]


def _find_through(field: Any) -> Any:
    return field.remote_field.through


def _describe(model: Any) -> Table:
    fields = model._meta.local_concrete_fields
    constraints = model._meta.constraints
    checks = (
        item for item in constraints if not isinstance(item, models.UniqueConstraint)
    )
    return Table(
        name=model._meta.db_table,
        columns={field.column: _describe_column(field) for field in fields},
        uniques=frozenset(_iter_uniques(model)),
        checks={_write_rule(item): item.name for item in checks},
    )


def _describe_column(field: Any) -> Column:
    typed = _find_typed(field)
    family, limits = _describe_type(typed)
    key = field.remote_field if getattr(field, "db_constraint", False) else None
    return Column(
        name=field.column,
        family=family,
        limits=limits,
        collation=getattr(typed, "db_collation", None) or "",
        null=field.null,
        default=field.db_default is not models.NOT_PROVIDED
        or isinstance(field, models.AutoField),
        generated=field.generated,
        target=_find_target(field) if key else None,
        # Of Django 6.1: functions of before have no such attribute.
        on_delete=getattr(key.on_delete, "operation", "") if key else "",
    )


def _find_typed(field: Any) -> Any:
    """Return the field whose type the column of `field` has."""
    if field.generated:
        return field.output_field
    while isinstance(field, models.ForeignKey) and _find_target(field):
        field = field.target_field
    return field


def _find_target(field: Any) -> tuple[str, str] | None:
    model = field.remote_field.model
    if isinstance(model, str):
        return None  # a swapped model that the state does not hold yet
    return model._meta.db_table, field.target_field.column


def _describe_type(field: Any) -> tuple[str, tuple[float, ...]]:
    kind = field.get_internal_type()
    if kind in _TEXTS:
        length = None if kind == "TextField" else field.max_length
        return "text", (length or inf,)
    if kind in _INTEGERS:
        return "integer", _INTEGERS[kind]
    if kind == "DecimalField" and field.max_digits is not None:
        places = field.decimal_places
        return "decimal", (field.max_digits - places, places)
    if kind == "DecimalField":
        return "decimal", (inf, inf)
    if hasattr(models, kind):
        return kind, ()
    _, path, args, options = field.deconstruct()
    ignored = _NOT_OF_TYPES.union(field.non_db_attrs)
    return _write(path, args, options, ignored=ignored), ()


def _iter_uniques(model: Any) -> Iterator[Unique]:
    meta = model._meta
    yield Unique(columns=frozenset(item.column for item in meta.pk_fields))
    for item in meta.local_concrete_fields:
        if item.unique:
            yield Unique(columns=frozenset({item.column}))
    for names in meta.unique_together:
        yield Unique(columns=_find_columns(model, names))
    for rule in meta.constraints:
        if isinstance(rule, models.UniqueConstraint):
            partial = rule.condition or rule.expressions
            yield Unique(
                columns=_find_columns(model, rule.fields),
                nulls_distinct=rule.nulls_distinct is not False,
                condition=_write_rule(rule) if partial else "",
                name=rule.name,
            )


def _find_columns(model: Any, names: Iterable[str]) -> frozenset[str]:
    # Rules of a state name fields by the old name until they are made anew.
    columns = {field.name: field.column for field in model._meta.local_concrete_fields}
    return frozenset(columns.get(name, name) for name in names)


def _write_rule(rule: Any) -> str:
    path, args, options = rule.deconstruct()
    return _write(path, args, options, ignored=_NOT_OF_RULES)


def _write(
    path: str, args: Any, options: dict[str, Any], *, ignored: frozenset[str]
) -> str:
    # As a migration file has it: equal text is an equal thing.
    kept = {name: options[name] for name in sorted(options) if name not in ignored}
    return str(MigrationWriter.serialize((path, args, kept))[0])
