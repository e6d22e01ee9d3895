"""The places where Django's query sets, queries, objects and files ask for their mirror.

Django has hooks for routing only: a query that is used inside another one, or an object
inside a query, is never asked about. Each function here wraps one method that all such
uses go through, in Django 5.2 to 6.1; the first argument says what to ask.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any, Protocol

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model, QuerySet
from django.db.models.fields.files import FieldFile
from django.db.models.query import RawQuerySet
from django.db.models.sql.compiler import (
    SQLCompiler,
    SQLInsertCompiler,
    SQLUpdateCompiler,
)
from django.db.models.sql.query import Query

HINT = "mirror"


class Pins(Protocol):
    """What the wrappers ask."""

    def find_hint(self, model: type[Model]) -> str | None:
        """Return the alias that a query set on `model` built now belongs to, or None."""

    def find_pin(self, alias: str) -> str | None:
        """Return what a query for the database `alias` is pinned to, or None."""

    def resolve(self, alias: str) -> str:
        """Return the precise alias that `alias` means now."""

    def check_query(self, pin: str, connection: Any, model: type[Model]) -> None:
        """Raise if a query pinned to `pin` would run on `connection`."""

    def check_instances(self, values: Iterable[Any]) -> None:
        """Raise if one of the objects belongs to another mirror."""

    def find_leave(self, compiler: Any) -> AbstractContextManager[None] | None:
        """Return the block in which the query of `compiler` may run, or None."""


def pin_query_sets(pins: Pins) -> None:
    """Let a query set keep the alias of the mirror it is built in, and its query too.

    Every query set is built by `__init__`, a changed one from the hints of the one
    before. `using()` and the managers' `db_manager()` win.
    """

    def pin(queryset: Any, using: str | None, hints: dict[str, Any] | None) -> None:
        query = queryset._query
        if using is None:
            if (hints and HINT in hints) or queryset.model is None:
                return
            alias = pins.find_hint(queryset.model)
            if alias is None:
                return
            if not hints or "instance" not in hints:
                # Else the object tells, and the router is asked about it alone.
                queryset._hints = {**queryset._hints, HINT: alias}
        else:
            if query.mirror == using:
                return
            # An object keeps this name, to tell where it came from: it must be precise.
            queryset._db = alias = pins.resolve(using)
            if using == DEFAULT_DB_ALIAS and alias != using:
                queryset._hints = {**queryset._hints, HINT: alias}
        if query.mirror is None:
            query.mirror = pins.find_pin(alias)

    @wraps(build := QuerySet.__init__)
    def build_pinned(
        self: Any, model: Any = None, query: Any = None, using: Any = None, hints: Any = None
    ) -> None:
        build(self, model, query, using, hints)
        pin(self, using, hints)

    @wraps(build_raw := RawQuerySet.__init__)
    def build_raw_pinned(self: Any, raw_query: Any, model: Any = None, *args: Any, **kwargs: Any) -> None:
        hints = kwargs.get("hints") or {}
        if kwargs.get("using") is None and HINT not in hints and model is not None:
            alias = pins.find_hint(model)
            if alias is not None:
                kwargs["hints"] = {**hints, HINT: alias}
        build_raw(self, raw_query, model, *args, **kwargs)

    @wraps(use := QuerySet.using)
    def use_pinned(self: Any, alias: Any) -> Any:
        clone = use(self, alias)
        if alias is not None:
            clone._hints = {key: item for key, item in clone._hints.items() if key != HINT}
            clone._query.mirror = None
            pin(clone, alias, None)
        return clone

    Query.mirror = None  # type: ignore[attr-defined]
    QuerySet.__init__ = build_pinned  # type: ignore[method-assign]
    QuerySet.using = use_pinned  # type: ignore[method-assign]
    RawQuerySet.__init__ = build_raw_pinned  # type: ignore[method-assign]


def check_queries(pins: Pins) -> None:
    """Check the pin of each query that is turned into SQL, those inside it included.

    A query becomes SQL through `get_compiler()`: alone, in `__in`, in `Subquery` and
    `Exists`, and as part of a `union()`.
    """

    @wraps(get_compiler := Query.get_compiler)
    def get_checked_compiler(self: Any, *args: Any, **kwargs: Any) -> Any:
        compiler = get_compiler(self, *args, **kwargs)
        if self.mirror is not None and self.mirror != compiler.connection.alias:
            pins.check_query(self.mirror, compiler.connection, self.model)
        return compiler

    def leave(execute: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(execute)
        def execute_freely(self: Any, *args: Any, **kwargs: Any) -> Any:
            block = pins.find_leave(self)
            if block is None:
                return execute(self, *args, **kwargs)
            with block:
                return execute(self, *args, **kwargs)

        return execute_freely

    Query.get_compiler = get_checked_compiler
    SQLCompiler.execute_sql = leave(SQLCompiler.execute_sql)
    SQLInsertCompiler.execute_sql = leave(SQLInsertCompiler.execute_sql)
    SQLUpdateCompiler.execute_sql = leave(SQLUpdateCompiler.execute_sql)


def check_objects(pins: Pins) -> None:
    """Check objects where they enter a query or are written without the router."""

    def precise(method: Callable[..., Any]) -> Callable[..., Any]:
        """Let `using="default"` mean the alias of the current mirror, by its name."""

        @wraps(method)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            using = kwargs.get("using")
            if using is None and args and isinstance(args[0], str):
                using, args = args[0], args[1:]
            if using is not None:
                if using == DEFAULT_DB_ALIAS:
                    pins.check_instances([self])
                kwargs["using"] = pins.resolve(using)
            return method(self, *args, **kwargs)

        return call

    def bulk(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def write(self: Any, objs: Any, *args: Any, **kwargs: Any) -> Any:
            if self._db is None or HINT in self._hints:
                objs = objs if isinstance(objs, list | tuple) else list(objs)
                pins.check_instances(objs)
            return method(self, objs, *args, **kwargs)

        return write

    @wraps(check_type := Query.check_query_object_type)
    def check_object(self: Any, value: Any, *args: Any) -> None:
        check_type(self, value, *args)
        pins.check_instances([value])

    @wraps(prepare := Model.prepare_database_save)
    def prepare_checked(self: Any, field: Any) -> Any:
        pins.check_instances([self])
        return prepare(self, field)

    Model.save = precise(Model.save)  # type: ignore[method-assign]
    Model.save_base = precise(Model.save_base)  # type: ignore[method-assign]
    Model.delete = precise(Model.delete)  # type: ignore[method-assign]
    Model.refresh_from_db = precise(Model.refresh_from_db)  # type: ignore[method-assign]
    Model.prepare_database_save = prepare_checked  # type: ignore[attr-defined]
    QuerySet.bulk_create = bulk(QuerySet.bulk_create)  # type: ignore[method-assign]
    QuerySet.bulk_update = bulk(QuerySet.bulk_update)  # type: ignore[method-assign]
    Query.check_query_object_type = check_object


def check_files(pins: Pins) -> None:
    """Check the object of a file field whenever its file is touched.

    All of FieldFile goes through its `storage`, but for a file that is already open.
    """

    def get_storage(self: Any) -> Any:
        pins.check_instances([self.instance])
        return self.__dict__["storage"]

    def set_storage(self: Any, storage: Any) -> None:
        self.__dict__["storage"] = storage

    @wraps(require_file := FieldFile._require_file)  # type: ignore[attr-defined]
    def require_own_file(self: Any) -> None:
        require_file(self)
        pins.check_instances([self.instance])

    FieldFile.storage = property(get_storage, set_storage)  # type: ignore[assignment]
    FieldFile._require_file = require_own_file  # type: ignore[attr-defined]
