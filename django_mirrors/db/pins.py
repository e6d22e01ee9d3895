"""Objects and lazy queries stay with the mirror they came from.

An object knows its database as `_state.db`. A query set that is built while a mirror is
current is given that mirror's alias, as a hint for the router and as the pin of its
query, so that it counts inside another query too. One that was built with no mirror
current, such as a class attribute of a view, takes the mirror it is first used in.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Model

from django_mirrors import _compat_orm
from django_mirrors.conf import get_conf
from django_mirrors.context import find_current_mirror, find_entered_mirror, is_crossing
from django_mirrors.exceptions import NoCurrentMirror, WrongMirror
from django_mirrors.mirror import ORIGINAL_NAME
from django_mirrors.registry import mirrors

__all__ = ["check_instance", "check_owner", "is_of_original", "is_original_label", "pin_queries"]

_APP = "django_mirrors"
_MARKER = "marker"  # the one model of ours that every mirror has


class Pins:
    """What `_compat_orm` asks about mirrors."""

    def find_hint(self, model: type[Model]) -> str | None:
        """Return the alias that a query set on `model` built now belongs to, or None."""
        # The mirror of a management command does not count: modules are imported in it.
        mirror = find_entered_mirror()
        if mirror is None or is_of_original(model):
            return None
        return mirror.alias

    def find_pin(self, alias: str) -> str | None:
        """Return what a query for the database `alias` is pinned to, or None."""
        # Inside `cross_mirrors` a query may yet be told to reach another mirror.
        if is_crossing() or connections.settings.is_static(alias):  # type: ignore[attr-defined]
            return None
        return alias

    def resolve(self, alias: str) -> str:
        """Return the precise alias that `alias` means now."""
        if alias == DEFAULT_DB_ALIAS:
            mirror = find_current_mirror()
            return alias if mirror is None else mirror.alias
        if connections.settings.is_static(alias):  # type: ignore[attr-defined]
            return alias
        named = mirrors.get(alias)
        return alias if named is None else named.alias

    def check_query(self, pin: str, connection: Any, model: type[Model]) -> None:
        """Raise `WrongMirror` if a query pinned to `pin` would run on `connection`."""
        owner = getattr(connection, "owner", pin)
        if pin == owner or connection.is_static:
            return
        raise WrongMirror(
            f"A query on {model.__name__} of mirror '{pin}' was used on the database of "
            f"mirror '{owner}'. Build it again in that mirror."
        )

    def check_instances(self, values: Iterable[Any]) -> None:
        """Raise `WrongMirror` if one of the objects belongs to another mirror."""
        for value in values:
            check_instance(value)

    def find_leave(self, compiler: Any) -> AbstractContextManager[None] | None:
        """Return the block in which the query of `compiler` may run, or None.

        It is for models of the original alone, which are read and written from within
        every mirror.
        """
        connection = compiler.connection
        if connection.alias != ORIGINAL_NAME or not is_of_original(compiler.query.model):
            return None
        if find_current_mirror() is None:
            return None
        leave: AbstractContextManager[None] = connection.freed()
        return leave


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


def check_instance(instance: Any) -> None:
    """Raise `WrongMirror` if `instance` is an object of another mirror."""
    state = getattr(instance, "_state", None)
    alias = getattr(state, "db", None)
    if alias is None or alias == DEFAULT_DB_ALIAS:
        return
    # Not type(): request.user is a lazy object in the guise of its class.
    if not is_of_original(instance.__class__):
        check_owner(alias, instance.__class__)


def is_of_original(model: type[Model] | None) -> bool:
    """Whether the table of `model` is in the original's database only."""
    if model is None:
        return False  # a raw query on no model
    return is_original_label(model._meta.app_label, model._meta.model_name)


def is_original_label(app_label: str, model_name: str | None) -> bool:
    """Whether tables of this name are in the original's database only."""
    if app_label == _APP:
        return model_name != _MARKER
    return app_label in get_conf().original_apps


def pin_queries() -> None:
    """Let Django's query sets, queries, objects and files ask for their mirror."""
    pins = Pins()
    _compat_orm.pin_query_sets(pins)
    _compat_orm.check_queries(pins)
    _compat_orm.check_objects(pins)
    _compat_orm.check_files(pins)
