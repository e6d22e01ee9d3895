"""Copy the rows of a mirror into a database of another engine, by its models."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from types import SimpleNamespace
from typing import Any

from django.apps import apps
from django.db import DatabaseError, connections, models, router, transaction
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.migrations.recorder import MigrationRecorder
from django.db.utils import load_backend

from django_mirrors import _compat_rows
from django_mirrors.context import hold_mirror
from django_mirrors.exceptions import OperationFailed
from django_mirrors.mirror import Mirror
from django_mirrors.operations.databases.base import REPLAY_TABLE, Config
from django_mirrors.operations.databases.server import describe, quote

__all__ = ["copy_rows"]

_AT_ONCE = 500  # rows

Model = type[models.Model]


def copy_rows(mirror: Mirror, source: Config, target: Config) -> None:
    """Copy every row of `source` into `target`, which has the tables of the same code.

    What migrations put into `target` is replaced, and new rows will get the numbers
    that they would have got in `source`. Nothing may be written meanwhile. Raises
    `OperationFailed` for tables that belong to no model, and for values that the other
    engine cannot hold.
    """
    databases: Any = connections.settings
    with (
        _read(source) as reader,
        databases.lend(mirror.alias, dict(target)),
        hold_mirror(mirror),
    ):
        writer = connections[mirror.alias]
        copied = _find_models(mirror)
        _check_models(mirror, reader, writer, copied)
        _check_tables(mirror, reader, copied)
        try:
            with writer.constraint_checks_disabled(), transaction.atomic(mirror.alias):
                _empty(writer, copied)
                for model in copied:
                    _copy_model(model, reader, writer)
            for model in copied:
                _set_next_number(writer, model, _find_next_number(reader, model))
        except DatabaseError as error:
            raise OperationFailed(
                f"The rows of mirror '{mirror}' cannot be copied to the other engine: "
                f"{describe(error)}. Correct what it does not take, or choose a "
                "database of the same engine."
            ) from error


@contextmanager
def _read(config: Config) -> Iterator[Any]:
    """Yield a connection of its own to `config`, to read as of one moment."""
    connection = load_backend(config["ENGINE"]).DatabaseWrapper(
        dict(config), alias=NO_DB_ALIAS
    )
    try:
        connection.set_autocommit(False)
        if config.get("SCHEMA"):
            with connection.cursor() as cursor:
                cursor.execute(f"SET search_path TO {quote(config['SCHEMA'])}")
                if config.get("ROLE"):
                    cursor.execute(f"SET ROLE {quote(config['ROLE'])}")
        yield connection
    finally:
        connection.close()


def _find_models(mirror: Mirror) -> list[Model]:
    """Return the models that have a table in the database of `mirror`."""
    found = [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed
        and not model._meta.proxy
        and router.allow_migrate_model(mirror.alias, model)
    ]
    return [*found, MigrationRecorder(connections[mirror.alias]).Migration]


def _check_models(
    mirror: Mirror, reader: Any, writer: Any, copied: Iterable[Model]
) -> None:
    """Raise if there are models that one of the two engines has no tables for."""
    labels = [
        model._meta.label
        for model in copied
        if model._meta.can_migrate(reader) != model._meta.can_migrate(writer)
    ]
    if labels:
        raise OperationFailed(
            f"Mirror '{mirror}' cannot be moved from {reader.display_name} to "
            f"{writer.display_name}: one of them has no tables for "
            f"{', '.join(sorted(labels))}. Choose a database of the same engine."
        )


def _check_tables(mirror: Mirror, reader: Any, copied: Iterable[Model]) -> None:
    known = {model._meta.db_table for model in copied}
    unknown = {*reader.introspection.table_names()} - known - {REPLAY_TABLE}
    if unknown:
        raise OperationFailed(
            f"The database of mirror '{mirror}' has tables of no model: "
            f"{', '.join(sorted(unknown))}. They cannot be moved to another engine. "
            "Remove them, or choose a database of the same engine."
        )


def _empty(writer: Any, copied: Iterable[Model]) -> None:
    # Deferred constraints let rows go in any order, and TRUNCATE has none of them.
    with writer.cursor() as cursor:
        for model in copied:
            table = writer.ops.quote_name(model._meta.db_table)
            cursor.execute(f"DELETE FROM {table}")  # noqa: S608 - quoted


def _copy_model(model: Model, reader: Any, writer: Any) -> None:
    fields = [
        field for field in model._meta.local_concrete_fields if not _is_computed(field)
    ]
    rows = _iter_rows(model, fields, reader)
    while batch := list(islice(rows, _AT_ONCE)):
        size = max(writer.ops.bulk_batch_size(fields, batch), 1)
        for start in range(0, len(batch), size):
            some = batch[start : start + size]
            _compat_rows.insert_rows(model, fields, some, using=writer.alias)


def _is_computed(field: Any) -> bool:
    return bool(getattr(field, "generated", False))


def _iter_rows(
    model: Model, fields: Sequence[Any], reader: Any
) -> Iterator[SimpleNamespace]:
    """Yield rows with the values that Python has for them."""
    name = reader.ops.quote_name
    columns = ", ".join(name(field.column) for field in fields)
    sql = f"SELECT {columns} FROM {name(model._meta.db_table)}"  # noqa: S608 - quoted
    expressions = [field.get_col(model._meta.db_table) for field in fields]
    converters = [
        [*reader.ops.get_db_converters(item), *item.get_db_converters(reader)]
        for item in expressions
    ]
    for row in _iter_raw(reader, sql):
        values = {}
        for field, item, convert, raw in zip(
            fields, expressions, converters, row, strict=True
        ):
            value = raw
            for step in convert:
                value = step(value, item, reader)
            values[field.attname] = _keep_null(field, raw, value)
        yield SimpleNamespace(**values)


def _keep_null(field: Any, raw: Any, value: Any) -> Any:
    """Tell the null of JSON from that of SQL, which Python has one value for."""
    is_json = isinstance(field, models.JSONField) and raw is not None and value is None
    return _compat_rows.build_json_null() if is_json else value


def _iter_raw(reader: Any, sql: str) -> Iterator[tuple[Any, ...]]:
    if reader.vendor == "mysql":
        # The driver's usual cursor holds all rows in memory.
        with reader.connection.cursor(reader.Database.cursors.SSCursor) as cursor:
            cursor.execute(sql)
            while row := cursor.fetchone():
                yield row
        return
    with reader.chunked_cursor() as cursor:
        cursor.execute(sql)
        while rows := cursor.fetchmany(_AT_ONCE):
            yield from rows


def _find_next_number(reader: Any, model: Model) -> int | None:
    """Return the number that the next row of `model` gets, if they are counted."""
    column, table = _find_counted(model), model._meta.db_table
    if not column:
        return None
    with reader.cursor() as cursor:
        if reader.vendor == "postgresql":
            cursor.execute(
                "SELECT pg_get_serial_sequence(%s, %s)",
                [reader.ops.quote_name(table), column],
            )
            (sequence,) = cursor.fetchone()
            cursor.execute(f"SELECT last_value, is_called FROM {sequence}")  # noqa: S608 - quoted by the server
            last, is_called = cursor.fetchone()
            return int(last) + bool(is_called)
        cursor.execute(_NEXT_NUMBERS[reader.vendor], [table])
        row = cursor.fetchone()
        return int(row[0]) if row and row[0] is not None else 1


_NEXT_NUMBERS = {
    "sqlite": "SELECT seq + 1 FROM sqlite_sequence WHERE name = %s",
    "mysql": "SELECT auto_increment FROM information_schema.tables "
    "WHERE table_schema = DATABASE() AND table_name = %s",
}


def _set_next_number(writer: Any, model: Model, number: int | None) -> None:
    if number is None:
        return
    table = model._meta.db_table
    with writer.cursor() as cursor:
        if writer.vendor == "postgresql":
            cursor.execute(
                "SELECT setval(pg_get_serial_sequence(%s, %s), %s, false)",
                [writer.ops.quote_name(table), _find_counted(model), number],
            )
        elif writer.vendor == "mysql":
            quoted = writer.ops.quote_name(table)
            cursor.execute(f"ALTER TABLE {quoted} AUTO_INCREMENT = {number}")
        else:
            cursor.execute("DELETE FROM sqlite_sequence WHERE name = %s", [table])
            if number > 1:
                cursor.execute(
                    "INSERT INTO sqlite_sequence (name, seq) VALUES (%s, %s)",
                    [table, number - 1],
                )


def _find_counted(model: Model) -> str:
    """Return the column that the engine counts up, or ''."""
    field: Any = model._meta.auto_field
    is_own = field in model._meta.local_concrete_fields  # not of a model it inherits
    return str(field.column) if is_own else ""
