"""Where Django's query sets, queries, objects and files ask for their mirror.

Django has hooks for routing only: a query that is used inside another one, or an object
inside a query, is never asked about. Each function here wraps one method that all such
uses go through, in Django 5.2 to 6.1.
"""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Protocol

from django.db import DEFAULT_DB_ALIAS
from django.db.models import base, query
from django.db.models.fields import files
from django.db.models.sql import query as sql

__all__ = ["HINT", "Pins", "pin_queries"]

HINT = "mirror"  # the hint that a router gets, beside Django's "instance"

# Methods of these classes are replaced, which their types do not foresee.
_Model: Any = base.Model
_QuerySet: Any = query.QuerySet
_RawQuerySet: Any = query.RawQuerySet
_Query: Any = sql.Query
_FieldFile: Any = files.FieldFile
_ORIGINAL = "original"
_WRITERS = frozenset({"SQLInsertCompiler", "SQLUpdateCompiler", "SQLDeleteCompiler"})

Method = Callable[..., Any]


class Pins(Protocol):
    """What the wrappers ask."""

    def find_pins(self, model: Any) -> tuple[str | None, str | None]:
        """Return the alias for the router, and that for the query, of a query set."""

    def find_pin(self, alias: str) -> str | None:
        """Return what a query that was told to use `alias` is pinned to, or None."""

    def resolve(self, alias: str) -> str:
        """Return the precise alias that `alias` means now."""

    def check_query(self, pin: str, connection: Any, model: Any) -> None:
        """Raise if a query pinned to `pin` may not run on `connection` now."""

    def check_pin(self, pin: str, model: Any) -> None:
        """Raise if a query pinned to `pin` may not be changed or used now."""

    def check_instances(self, values: Iterable[Any]) -> None:
        """Raise if one of the objects belongs to another mirror."""

    def find_leave(self, connection: Any, model: Any) -> Any:
        """Return what makes the block in which a query on `model` may run, or None."""

    def find_replica(self, query: Any, using: Any) -> Any:
        """Return the connection that a query shall read from instead, or None."""

    def note_write(self) -> None:
        """Take note that the current mirror writes."""

    def scope_write(self, query: Any, connection: Any) -> Any:
        """Return the query that writes no other mirror's rows."""


def pin_queries(pins: Pins) -> None:
    """Let everything below ask `pins`, from now on."""
    if hasattr(_Query, "mirror"):
        return  # an override of INSTALLED_APPS makes every app ready again
    # A query is pinned to an alias by this attribute, which its copies keep.
    _Query.mirror = None
    _pin_query_sets(pins)
    _check_queries(pins)
    _check_objects(pins)
    _check_files(pins)


def _pin_query_sets(pins: Pins) -> None:
    """Let a query set keep the alias of the mirror it is built in, and its query too.

    Every query set is built by `__init__`, a changed one from the hints of the one
    before. `using()` and the managers' `db_manager()` win.
    """

    @wraps(build := _QuerySet.__init__)
    def build_pinned(
        self: Any,
        model: Any = None,
        query: Any = None,
        using: Any = None,
        hints: Any = None,
    ) -> None:
        build(self, model, query, using, hints)
        if using is not None:
            _pin_to_alias(self, using, pins)
        elif model is not None and not (hints and HINT in hints):
            _pin_to_mirror(self, pins)

    @wraps(use := _QuerySet.using)
    def use_pinned(self: Any, alias: Any) -> Any:
        clone = use(self, alias)
        if alias is not None:
            if self._query.mirror is not None:
                pins.check_pin(self._query.mirror, self.model)
            hints = clone._hints.items()
            clone._hints = {key: item for key, item in hints if key != HINT}
            clone._query.mirror = None
            _pin_to_alias(clone, alias, pins)
        return clone

    _QuerySet.__init__ = build_pinned
    _QuerySet.using = use_pinned
    _RawQuerySet.__init__ = _pin_raw(_RawQuerySet.__init__, pins)
    _RawQuerySet.db = _check_raw(_RawQuerySet.db.fget, pins)


def _pin_raw(build: Method, pins: Pins) -> Method:
    @wraps(build)
    def build_pinned(
        self: Any, raw_query: Any, model: Any = None, *args: Any, **kwargs: Any
    ) -> None:
        hints = kwargs.get("hints") or {}
        if kwargs.get("using") is None and HINT not in hints and model is not None:
            alias, _ = pins.find_pins(model)
            if alias is not None:
                kwargs["hints"] = {**hints, HINT: alias}
        build(self, raw_query, model, *args, **kwargs)

    return build_pinned


def _check_raw(get: Method, pins: Pins) -> property:
    """Return the property that a raw query asks for its database, whenever it runs."""

    def get_checked(self: Any) -> Any:
        # Without an alias of its own, the router is asked.
        if self._db is not None:
            pins.check_pin(self._db, self.model)
        return get(self)

    return property(get_checked)


def _pin_to_mirror(queryset: Any, pins: Pins) -> None:
    alias, pin = pins.find_pins(queryset.model)
    if alias is None:
        return
    if "instance" not in queryset._hints:
        # Else the object tells, and the router is asked about it alone.
        queryset._hints = {**queryset._hints, HINT: alias}
    if queryset._query.mirror is None:
        queryset._query.mirror = pin


def _pin_to_alias(queryset: Any, using: str, pins: Pins) -> None:
    if queryset._query.mirror == using:
        return
    # An object keeps this name, to tell where it came from: it must be precise.
    queryset._db = alias = pins.resolve(using)
    if using == DEFAULT_DB_ALIAS != alias:
        queryset._hints = {**queryset._hints, HINT: alias}
    if queryset._query.mirror is None:
        queryset._query.mirror = pins.find_pin(alias)


def _check_queries(pins: Pins) -> None:
    """Check the pin of each query that is turned into SQL, those inside it included.

    A query becomes SQL through `get_compiler()`: alone, in `__in`, in `Subquery` and
    `Exists`, and as part of a `union()`.
    """

    @wraps(get_compiler := _Query.get_compiler)
    def get_checked_compiler(
        self: Any, using: Any = None, connection: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        if self.compiler in _WRITERS:
            pins.note_write()
        elif using is not None:
            replica = pins.find_replica(self, using)
            if replica is not None:
                using, connection = None, replica
        made = get_compiler(self, using, connection, *args, **kwargs)
        if self.mirror is not None:
            pins.check_query(self.mirror, made.connection, self.model)
        if self.compiler in _WRITERS:
            made.query = pins.scope_write(self, made.connection)
        if made.connection.alias == _ORIGINAL:
            _leave(made, pins)
        return made

    _Query.get_compiler = get_checked_compiler


def _leave(compiler: Any, pins: Pins) -> None:
    block = pins.find_leave(compiler.connection, compiler.query.model)
    if block is not None:
        compiler.execute_sql = _run_in(block, compiler.execute_sql)


def _run_in(block: Method, run: Method) -> Method:
    def run_in_block(*args: Any, **kwargs: Any) -> Any:
        with block():
            return run(*args, **kwargs)

    return run_in_block


def _check_objects(pins: Pins) -> None:
    """Check objects where they enter a query, or are written without the router."""

    @wraps(check_type := _Query.check_query_object_type)
    def check_object(self: Any, value: Any, *args: Any) -> None:
        check_type(self, value, *args)
        pins.check_instances([value])

    @wraps(prepare := _Model.prepare_database_save)
    def prepare_checked(self: Any, field: Any) -> Any:
        pins.check_instances([self])
        return prepare(self, field)

    _Query.check_query_object_type = check_object
    _Model.prepare_database_save = prepare_checked
    _Model.save_base = _be_precise(_Model.save_base, pins)
    _Model.delete = _be_precise(_Model.delete, pins)
    _Model.refresh_from_db = _be_precise(_Model.refresh_from_db, pins)
    _Model.validate_unique = _check_self(_Model.validate_unique, pins)
    _Model.validate_constraints = _check_self(_Model.validate_constraints, pins)
    _QuerySet.bulk_create = _check_all(_QuerySet.bulk_create, pins)
    _QuerySet.bulk_update = _check_all(_QuerySet.bulk_update, pins)


def _be_precise(method: Method, pins: Pins) -> Method:
    """Return `method`, where `using="default"` means the current mirror by its name."""

    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        using = kwargs.get("using")
        if using is None and args and isinstance(args[0], str):
            using, args = args[0], args[1:]
        if using is not None:
            pins.check_instances([self])
            kwargs["using"] = pins.resolve(using)
        return method(self, *args, **kwargs)

    return call


def _check_self(method: Method, pins: Pins) -> Method:
    """Return `method`, which asks whether its object is of the current mirror."""

    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        pins.check_instances([self])
        return method(self, *args, **kwargs)

    return call


def _check_all(method: Method, pins: Pins) -> Method:
    """Return `method`, which refuses objects of another mirror."""

    @wraps(method)
    def write(self: Any, objs: Any, *args: Any, **kwargs: Any) -> Any:
        objs = objs if isinstance(objs, list | tuple) else list(objs)
        pins.check_instances(objs)
        return method(self, objs, *args, **kwargs)

    return write


def _check_files(pins: Pins) -> None:
    """Check the object of a file field whenever its file is touched.

    All of FieldFile goes through its `storage`, but for a file that is already open.
    """

    def get_storage(self: Any) -> Any:
        pins.check_instances([self.instance])
        return self.__dict__["storage"]

    def set_storage(self: Any, storage: Any) -> None:
        self.__dict__["storage"] = storage

    @wraps(require_file := _FieldFile._require_file)
    def require_own_file(self: Any) -> None:
        require_file(self)
        pins.check_instances([self.instance])

    _FieldFile.storage = property(get_storage, set_storage)
    _FieldFile._require_file = require_own_file
