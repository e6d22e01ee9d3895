"""Where Django writes the SQL of a query, and rows of other mirrors are left out.

Managers are many, and few queries of Django's own go through one of a project. Each
query becomes SQL in a compiler: what is read is narrowed there, by a condition on each
table that it reads, and what is written before the compiler gets it.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial, wraps
from typing import Any, NamedTuple, Protocol

import django
from django.db.migrations.state import StateApps
from django.db.models.constants import OnConflict
from django.db.models.sql import compiler as compilers
from django.db.models.sql import datastructures
from django.db.models.sql.constants import INNER
from django.db.models.sql.where import AND, WhereNode

__all__ = ["Owner", "Scope", "find_tables", "scope_reads", "scope_write"]

# Methods of these classes are replaced, which their types do not foresee.
_Compiler: Any = compilers.SQLCompiler
_Join: Any = datastructures.Join

_INSERT, _UPDATE = "SQLInsertCompiler", "SQLUpdateCompiler"
_KEPT = "_django_mirrors_tables"  # in a registry of models
# Aliases that Django makes up are not quoted before 6.1.
_QUOTE = "quote_name" if django.VERSION >= (6, 1) else "quote_name_unless_alias"


class Owner(NamedTuple):
    """How the rows of a table tell which mirror they belong to."""

    column: str  # that holds the uid, or leads to the row that does
    field: Any  # knows how a uid is written
    target: str = ""  # the table that `column` leads to
    target_column: str = ""
    beyond: Any = None  # the `Owner` of that table; None: `column` holds the uid


Tables = Mapping[str, Owner]
_NONE: Tables = {}


class Scope(Protocol):
    """What is asked about mirrors."""

    field: type[Any]  # of models, that names the owner

    def find_uid(self) -> Any:
        """Return the uid whose rows count, or None if all do. Raises without any."""

    def fill(self, model: Any, connection: Any, value: Any) -> Any:
        """Return the owner of a new row that is given `value`, or raise."""

    def fill_historical(self, value: Any) -> Any:
        """Return the owner of a new row that a migration makes."""

    def refuse_overwriting(self, model: Any, column: str) -> None:
        """Raise: what is inserted could overwrite a row of another mirror."""

    def refuse(self, value: Any, model: Any) -> None:
        """Raise: a row would be given to another mirror."""


class OwnedBy:
    """The condition that the rows of `alias` are those of one mirror."""

    contains_aggregate = contains_over_clause = contains_column_references = False

    def __init__(self, owner: Owner, alias: str, uid: Any) -> None:
        self.owner, self.alias, self.uid = owner, alias, uid

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        """Return SQL and parameters. Django's name."""
        name = getattr(compiler, _QUOTE)(self.alias)
        value = self.owner.field.get_db_prep_value(self.uid, connection)
        quote = connection.ops.quote_name
        if connection.vendor == "sqlite" and value == self.uid.hex:
            # Django sends as many parameters as SQLite takes, and none may be added.
            return _write(self.owner, name, quote, f"'{value}'"), []
        return _write(self.owner, name, quote, "%s"), [value]

    def relabeled_clone(self, changes: Mapping[str, str]) -> "OwnedBy":
        """Return the same of another alias. Django's name."""
        alias = changes.get(self.alias, self.alias)
        return OwnedBy(self.owner, alias, self.uid)


def _write(owner: Owner, name: str, quote: Callable[[str], str], value: str) -> str:
    column = f"{name}.{quote(owner.column)}"
    if owner.beyond is None:
        return f"{column} = {value}"
    target = quote(owner.target)
    condition = _write(owner.beyond, target, quote, value)
    return (
        f"{column} IN (SELECT {target}.{quote(owner.target_column)} "  # noqa: S608 - quoted
        f"FROM {target} WHERE {condition})"
    )


_scopes: list[Scope] = []


def scope_reads(scope: Scope) -> None:
    """Let every SELECT ask `scope` whose rows it reads, from now on."""
    if _scopes:
        return  # an override of INSTALLED_APPS makes every app ready again
    _scopes.append(scope)

    @wraps(get_from := _Compiler.get_from_clause)
    def get_scoped_from(self: Any) -> Any:
        query = self.query
        tables = find_tables(query.model)
        if tables and (query.extra_tables or _meets(query, tables)):
            _narrow(self, tables, scope)
        return get_from(self)

    @wraps(write_join := _Join.as_sql)
    def write_scoped_join(
        self: Any, compiler: Any, connection: Any
    ) -> tuple[str, list[Any]]:
        sql, params = write_join(self, compiler, connection)
        owner = find_tables(compiler.query.model).get(self.table_name)
        if owner is None or _is_tied(compiler.query, self.table_alias, owner):
            return sql, params
        uid = scope.find_uid()
        if uid is None:
            return sql, params
        # Within ON, so that an outer join keeps the rows it joins to.
        condition = OwnedBy(owner, self.table_alias, uid)
        more, values = condition.as_sql(compiler, connection)
        return f"{sql[:-1]} AND {more})", [*params, *values]

    _Compiler.get_from_clause = get_scoped_from
    _Join.as_sql = write_scoped_join


def _meets(query: Any, tables: Tables) -> bool:
    # Of each query of the project: a generator would take twice as long.
    for item in query.alias_map.values():  # noqa: SIM110
        if item.table_name in tables:
            return True
    return False


def _narrow(compiler: Any, tables: Tables, scope: Scope) -> None:
    """Add the conditions of the tables that are no joins to what a SELECT asks for."""
    query = compiler.query
    found = [
        (alias, owner)
        for alias, item in query.alias_map.items()
        if (owner := tables.get(item.table_name)) is not None
        and query.alias_refcount[alias]
        # Joins of other packages, which write themselves, count as no joins.
        and type(item).as_sql is not _Join.as_sql
    ]
    found += [
        (query.table_map.get(table, [table])[0], tables[table])
        for table in query.extra_tables
        if table in tables
    ]
    if not found:
        return
    uid = scope.find_uid()
    if uid is None:
        return
    conditions: list[Any] = [
        OwnedBy(owner, alias, uid)
        for alias, owner in found
        if not _is_tied(query, alias, owner)
    ]
    if conditions:
        # Not the query's own, which other mirrors may use too.
        compiler.where = _add(conditions, getattr(compiler, "where", None))


def _add(conditions: list[Any], where: Any) -> Any:
    """Return a new node that holds both."""
    if where is None:
        return WhereNode(conditions, AND)
    if where.connector == AND and not where.negated:
        return WhereNode([*conditions, *where.children], AND)
    return WhereNode([*conditions, where], AND)


def _is_tied(query: Any, alias: str, owner: Owner) -> bool:
    """Whether the row that has the owner is joined already, so that it tells.

    Only where a row of `alias` is never read without it.
    """
    if owner.beyond is None:
        return False
    one = query.alias_map.get(alias)
    parent = query.alias_map.get(getattr(one, "parent_alias", None))
    pair = owner.target_column, owner.column
    if parent is not None and _leads(one, parent.table_name, owner, pair):
        return True
    return any(
        query.alias_refcount[name]
        and item.parent_alias == alias
        and item.table_name == owner.target
        and item.join_type == INNER
        and pair[::-1] in item.join_cols
        for name, item in query.alias_map.items()
    )


def _leads(join: Any, parent_table: str, owner: Owner, pair: tuple[str, str]) -> bool:
    return parent_table == owner.target and pair in getattr(join, "join_cols", ())


def scope_write(query: Any, connection: Any, scope: Scope) -> Any:
    """Return `query`, an INSERT, UPDATE or DELETE, narrowed to the current mirror.

    Objects to be inserted are given their owner. Raises if a row would be another's.
    """
    if query.compiler == _INSERT:
        _scope_insert(query, connection, scope)
        return query
    tables = find_tables(query.model)
    if not tables:
        return query
    table = next(
        (item.table_name for item in query.alias_map.values()),
        query.model._meta.db_table,
    )
    owner = tables.get(table)
    if owner is None:
        return query
    uid = scope.find_uid()
    if uid is None:
        return query
    if query.compiler == _UPDATE and owner.beyond is None:
        _check_values(query, uid, scope)
    # A copy with another condition, and all else in common: both are run once only.
    narrowed = object.__new__(type(query))
    narrowed.__dict__.update(query.__dict__)
    alias = narrowed.get_initial_alias()
    narrowed.where = _add([OwnedBy(owner, alias, uid)], query.where)
    return narrowed


def _check_values(query: Any, uid: Any, scope: Scope) -> None:
    for field, _, value in query.values:
        if isinstance(field, scope.field) and value != uid:
            is_plain = not hasattr(value, "resolve_expression")
            if not is_plain or field.to_python(value) != uid:
                scope.refuse(field.to_python(value) if is_plain else value, query.model)


def _scope_insert(query: Any, connection: Any, scope: Scope) -> None:
    model = query.model
    if getattr(query, "is_verbatim", False):
        return
    owner = find_tables(model).get(model._meta.db_table)
    if owner is None:
        if isinstance(model._meta.apps, StateApps):
            _fill_historical(query, scope)
        return
    uid = scope.find_uid()
    if query.on_conflict == OnConflict.UPDATE and uid is not None:
        named = {field.column for field in query.unique_fields}
        if owner.column not in named:
            scope.refuse_overwriting(model, owner.column)
    if owner.beyond is None:
        for row in query.objs:
            _fill(row, owner.field, uid, partial(scope.fill, model, connection))


def _fill(row: Any, field: Any, uid: Any, fill: Callable[[Any], Any]) -> None:
    value = getattr(row, field.attname)
    if value is None or value != uid:
        setattr(row, field.attname, fill(field.to_python(value)))


def _fill_historical(query: Any, scope: Scope) -> None:
    for field in query.fields:
        if isinstance(field, scope.field):
            for row in query.objs:
                value = scope.fill_historical(getattr(row, field.attname))
                setattr(row, field.attname, value)


def find_tables(model: Any) -> Tables:
    """Return the tables of the registry of `model` whose rows belong to a mirror.

    A migration acts once on a database, for all its mirrors: none of its models'.
    """
    if model is None:
        return _NONE
    registry = model._meta.apps
    if type(registry) is StateApps:
        return _NONE
    # Django keeps this list until a model is added, and then makes another one.
    models = registry.get_models(True)  # noqa: FBT003 - Django's
    known = registry.__dict__.get(_KEPT)
    if known is None or known[0] is not models:
        known = models, _read(models, _scopes[0].field) if _scopes else _NONE
        registry.__dict__[_KEPT] = known
    tables: Tables = known[1]
    return tables


def _read(models: Iterable[Any], kind: type[Any]) -> Tables:
    tables: dict[str, Owner] = {}
    for model in models:
        for field in model._meta.local_concrete_fields:
            if isinstance(field, kind):
                tables.setdefault(model._meta.db_table, Owner(field.column, field))
    before = -1
    while before != len(tables):
        before = len(tables)
        for model in models:
            table = model._meta.db_table
            for link in () if table in tables else _iter_links(model):
                target = link.target_field
                beyond = tables.get(target.model._meta.db_table)
                if beyond is not None:
                    name = target.model._meta.db_table
                    tables[table] = Owner(
                        link.column, beyond.field, name, target.column, beyond
                    )
                    break
    return tables


def _iter_links(model: Any) -> Iterable[Any]:
    """Return the fields of `model` by which each row is a part of another one."""
    meta = model._meta
    if meta.auto_created:
        return [field for field in meta.local_concrete_fields if field.many_to_one]
    own = meta.local_concrete_fields
    return [link for link in meta.parents.values() if link in own]
