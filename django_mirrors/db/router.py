"""Which database a model is read from and written to: the current mirror's."""

from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Model

from django_mirrors.context import find_current_mirror, get_current_mirror
from django_mirrors.db.pins import (
    check_owner,
    is_current,
    is_of_original,
    is_original_label,
    is_used_by,
)
from django_mirrors.db.settings import MirrorDatabases
from django_mirrors.mirror import ORIGINAL_NAME, ReadingAlias

__all__ = ["MirrorRouter"]


class MirrorRouter:
    """Names the alias of the current mirror, and refuses what belongs to another one.

    Raises `NoCurrentMirror` without a mirror, `WrongMirror` for an object or a lazy
    query that came from another mirror.
    """

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        """Return the alias of the current mirror, or of the original for its apps."""
        mirror = get_current_mirror()
        if is_of_original(model):
            return ORIGINAL_NAME
        owner = find_owner(hints)
        if owner is None or is_used_by(mirror, owner):
            return mirror.reading_alias
        check_owner(owner, model)
        return owner

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        """See db_for_read(). A replica is never written to."""
        alias = self.db_for_read(model, **hints)
        if type(alias) is ReadingAlias:
            return get_current_mirror().alias
        return alias

    def allow_relation(self, one: Model, two: Model, **hints: Any) -> bool | None:
        """Return whether both objects are of the same database."""
        alias = one._state.db
        if alias is two._state.db and alias is not None and is_current(alias):
            return True  # asked for each row that is read through a relation
        return _find_database(one) == _find_database(two)

    def allow_migrate(
        self, db: str, app_label: str, model_name: str | None = None, **hints: Any
    ) -> bool | None:
        """Return whether tables of the app belong in the database `db`."""
        databases = connections.settings
        if not isinstance(databases, MirrorDatabases) or databases.is_static(db):
            return None
        if db == DEFAULT_DB_ALIAS:
            mirror = find_current_mirror()
            db = ORIGINAL_NAME if mirror is None else mirror.alias
        return db == ORIGINAL_NAME or not is_original_label(app_label, model_name)


def find_owner(hints: dict[str, Any]) -> str | None:
    """Return the alias that the object or the query of the hints came from, or None.

    The object outranks the query, which was built for it. One that is read from the
    original in every mirror says nothing about the mirror.
    """
    instance = hints.get("instance")
    if instance is not None and not is_of_original(instance.__class__):
        alias = instance._state.db
        if alias is not None and alias != DEFAULT_DB_ALIAS:
            owner: str = alias
            return owner
    return hints.get("mirror")


def _find_database(instance: Model) -> str:
    if is_of_original(instance.__class__):
        return ORIGINAL_NAME
    alias = instance._state.db
    if alias is None or alias == DEFAULT_DB_ALIAS:
        return get_current_mirror().alias
    check_owner(alias, instance.__class__)
    found: str = alias
    return found
