"""Which database a model is read from and written to: the current mirror's."""

from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Model

from django_mirrors.conf import get_conf
from django_mirrors.context import find_current_mirror, get_current_mirror, is_crossing
from django_mirrors.exceptions import NoCurrentMirror, WrongMirror
from django_mirrors.mirror import ORIGINAL_NAME

__all__ = ["MirrorRouter"]

_APP = "django_mirrors"
_MARKER = "marker"


class MirrorRouter:
    """Names the alias of the current mirror, and refuses what belongs to another one.

    Raises `NoCurrentMirror` without a mirror, `WrongMirror` for an object or a lazy
    query that came from another mirror.
    """

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        """Return the alias of the current mirror, or of the original for its apps."""
        owner = find_owner(hints)
        if owner is None:
            if _is_of_original(model):
                return ORIGINAL_NAME
            return get_current_mirror().alias
        if owner != DEFAULT_DB_ALIAS:
            check_owner(owner, model)
            return owner
        return get_current_mirror().alias

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        """See db_for_read()."""
        return self.db_for_read(model, **hints)

    def allow_relation(self, one: Model, two: Model, **hints: Any) -> bool | None:
        """Return whether both objects are of the same database."""
        aliases = []
        for item in (one, two):
            alias = item._state.db
            if alias is None or alias == DEFAULT_DB_ALIAS:
                alias = find_static(type(item)) or get_current_mirror().alias
            check_owner(alias, type(item))
            aliases.append(alias)
        return aliases[0] == aliases[1]

    def allow_migrate(
        self, db: str, app_label: str, model_name: str | None = None, **hints: Any
    ) -> bool | None:
        """Return whether tables of the app belong in the database `db`."""
        if connections.settings.is_static(db):  # type: ignore[attr-defined]
            return None
        if db == DEFAULT_DB_ALIAS:
            mirror = find_current_mirror()
            db = ORIGINAL_NAME if mirror is None else mirror.alias
        if app_label == _APP:
            return db == ORIGINAL_NAME or model_name == _MARKER
        return db == ORIGINAL_NAME or app_label not in get_conf().original_apps


def find_owner(hints: dict[str, Any]) -> str | None:
    """Return the alias that the object or the query of the hints came from, or None."""
    instance = hints.get("instance")
    if instance is not None and instance._state.db:
        return str(instance._state.db)
    return hints.get("mirror")


def check_owner(owner: str, model: type[Model]) -> None:
    """Raise unless what came from the database `owner` may be used now."""
    mirror = find_current_mirror()
    if mirror is not None and mirror.alias == owner:
        return
    if connections.settings.is_static(owner) or is_crossing():  # type: ignore[attr-defined]
        return
    if mirror is None:
        raise NoCurrentMirror(
            f"{model.__name__} of mirror '{owner}' was used while no mirror is current. "
            f"Wrap the code in 'with use_mirror({owner!r}):'."
        )
    raise WrongMirror(
        f"{model.__name__} of mirror '{owner}' was used while '{mirror}' is current. "
        f"Get it again in '{mirror}', or say why in 'with cross_mirrors(reason):'."
    )


def find_static(model: type[Model]) -> str | None:
    """Return the alias of a model that does not follow the mirrors, or None."""
    return ORIGINAL_NAME if _is_of_original(model) else None


def _is_of_original(model: type[Model]) -> bool:
    label = model._meta.app_label
    if label == _APP:
        return model._meta.model_name != _MARKER
    return label in get_conf().original_apps
