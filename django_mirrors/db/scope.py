"""Queries read and write rows of the current mirror, where several share a table."""

from typing import Any
from uuid import UUID

from django.apps import apps
from django.db.models import Model

from django_mirrors import _compat_scope
from django_mirrors.conf import get_conf
from django_mirrors.context import find_frame, get_current_mirror, is_crossing
from django_mirrors.exceptions import WrongMirror
from django_mirrors.owners import (
    OwnerField,
    check_uid,
    find_owner_field,
    refuse_uid,
)
from django_mirrors.registry import mirrors

__all__ = ["find_owned_tables", "is_owned", "scope_reads", "scope_write"]


class Scope:
    """What `_compat_scope` asks about mirrors."""

    field = OwnerField

    def find_uid(self) -> UUID | None:
        """Return the uid of the current mirror; None inside `cross_mirrors`.

        Raises `NoCurrentMirror`.
        """
        frame = find_frame()
        if frame is None or frame.mirror is None:
            return None if is_crossing() else get_current_mirror().uid
        return None if frame.crossing else frame.mirror.uid

    def fill(self, model: type[Model], connection: Any, value: UUID | None) -> UUID:
        """Return the owner of a new row. Raises `WrongMirror`, or `NoCurrentMirror`."""
        mirror = get_current_mirror()
        if is_crossing():
            # A mirror that has a database of its own finds its own rows there only.
            owner = getattr(connection, "owner", mirror.alias)
            is_there = owner != mirror.alias and owner in mirrors
            is_for_all = model._meta.app_label in get_conf().original_apps
            name = owner if is_there and not is_for_all else mirror.name
            return _find_other(value, mirror.uid, name)
        if value is not None:
            check_uid(value, model)
        return mirror.uid

    def fill_historical(self, value: UUID | None) -> UUID:
        """Return the owner of a new row that a migration makes."""
        return get_current_mirror().uid if value is None else value

    def refuse_overwriting(self, model: type[Model], column: str) -> None:
        """Raise `WrongMirror`."""
        raise WrongMirror(
            f"bulk_create(update_conflicts=True) of {model.__name__} could overwrite a "
            f"row of another mirror. Add '{column}' to unique_fields, and to the "
            "constraint. On MySQL and MariaDB, which name none, use update_or_create()."
        )

    def refuse(self, value: Any, model: type[Model]) -> None:
        """Raise `WrongMirror`."""
        refuse_uid(value, model)


_scope = Scope()


def scope_reads() -> None:
    """Let every SELECT read rows of the current mirror, where rows have an owner."""
    _compat_scope.scope_reads(_scope)


def scope_write(query: Any, connection: Any) -> Any:
    """Return the query, narrowed to the current mirror. Raises `WrongMirror`."""
    return _compat_scope.scope_write(query, connection, _scope)


def is_owned(model: type[Model]) -> bool:
    """Whether rows of the table of `model` belong to one mirror each."""
    return model._meta.db_table in _compat_scope.find_tables(model)


def find_owned_tables() -> dict[str, OwnerField]:
    """Return the tables that have a field for the owner of each row, and that field."""
    found: dict[str, OwnerField] = {}
    for model in apps.get_models(include_auto_created=True):
        field = find_owner_field(model)
        if field is not None and field in model._meta.local_concrete_fields:
            found[model._meta.db_table] = field
    return found


def _find_other(value: UUID | None, current: UUID, name: str) -> UUID:
    # The current mirror's is what every new object has.
    if value is not None and value != current:
        return value
    return mirrors[name].uid
