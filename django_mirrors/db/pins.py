"""Objects and lazy queries stay with the mirror they came from.

An object knows its database as `_state.db`. A query set that is built while a mirror is
current is given that mirror's alias, as a hint for the router and as the pin of its
query, so that it counts inside another query too. One that was built with no mirror
current, such as a class attribute of a view, takes the mirror it is first used in.
"""

from collections.abc import Iterable
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Model

from django_mirrors import _compat_orm
from django_mirrors.conf import get_conf
from django_mirrors.context import find_current_mirror, find_frame, is_crossing
from django_mirrors.db.replicas import find_replica, note_write
from django_mirrors.db.scope import scope_reads, scope_write
from django_mirrors.exceptions import NoCurrentMirror, WrongMirror
from django_mirrors.mirror import Alias, Mirror, ReadingAlias, find_user
from django_mirrors.registry import mirrors

__all__ = [
    "check_instance",
    "check_owner",
    "find_content_owner",
    "is_current",
    "is_of_original",
    "is_original_label",
    "is_used_by",
    "pin_queries",
]

_APP = "django_mirrors"
_MARKER = "marker"  # the one model of ours that every mirror has


class Pins:
    """What `_compat_orm` asks about mirrors."""

    def find_pins(self, model: type[Model]) -> tuple[str | None, str | None]:
        """Return the alias for the router, and that for the query, of a new query set.

        Both are None if it belongs to no mirror; the second one if it may yet be told
        to reach another mirror, inside `cross_mirrors`.
        """
        # A management command's mirror does not count: modules are imported in it.
        frame = find_frame()
        if frame is None or frame.mirror is None or is_of_original(model):
            return None, None
        alias = frame.mirror.alias
        return alias, None if frame.crossing else alias

    def find_pin(self, alias: str) -> str | None:
        """Return what a query that was told to use `alias` is pinned to, or None."""
        if is_crossing() or is_static(alias) or alias not in connections.settings:
            return None  # no mirror's: Django says that there is no such database
        return alias

    def resolve(self, alias: str) -> str:
        """Return the precise alias that `alias` means now."""
        mirror = find_current_mirror()
        if alias == DEFAULT_DB_ALIAS:
            return alias if mirror is None else mirror.alias
        if mirror is not None and mirror.alias == alias:
            return mirror.alias
        if is_static(alias):
            return alias
        named = mirrors.get(alias)
        return alias if named is None else named.alias

    def check_query(self, pin: str, connection: Any, model: type[Model]) -> None:
        """Raise `WrongMirror` if a query pinned to `pin` may not run on `connection`.

        Those of mirrors that share a database run on one connection.
        """
        owner = getattr(connection, "owner", pin)
        if pin == owner:
            self.check_pin(pin, model)
        elif not connection.is_static:
            raise WrongMirror(
                f"A query on {model.__name__} of mirror '{find_user(pin)}' was used on "
                f"the database of mirror '{owner}'. Build it again in that mirror."
            )

    def check_pin(self, pin: str, model: type[Model]) -> None:
        """Raise unless the mirror of `pin` is current, or needs not be."""
        if not is_current(pin) and not is_of_original(model):
            check_owner(pin, model)

    def check_instances(self, values: Iterable[Any]) -> None:
        """Raise `WrongMirror` if one of the objects belongs to another mirror."""
        for value in values:
            check_instance(value)

    def find_replica(self, query: Any, using: str) -> Any:
        """Return the connection that a query shall read from instead, or None."""
        if type(using) is not ReadingAlias or query.select_for_update:
            return None
        return find_replica()

    def note_write(self) -> None:
        """Let the current mirror read what it writes."""
        note_write()

    def scope_write(self, query: Any, connection: Any) -> Any:
        """Return the query that writes rows of the current mirror only."""
        return scope_write(query, connection)

    def find_leave(self, connection: Any, model: type[Model]) -> Any:
        """Return what makes the block in which a query on `model` may run, or None.

        It is for models of the original alone, which are read and written from within
        every mirror.
        """
        mirror = find_current_mirror()
        if mirror is None or mirror.is_original or not is_of_original(model):
            return None
        return connection.freed


_pins = Pins()


def check_owner(owner: str, model: type[Model]) -> None:
    """Raise unless what came from the mirror of the alias `owner` may be used now."""
    mirror = find_current_mirror()
    if mirror is not None and is_used_by(mirror, owner):
        return
    if is_static(owner) or is_crossing():
        return
    name = find_user(owner)
    if mirror is None:
        raise NoCurrentMirror(
            f"{model.__name__} of mirror '{name}' was used while no mirror is "
            f"current. Wrap the code in 'with use_mirror({name!r}):'."
        )
    raise WrongMirror(
        f"{model.__name__} of mirror '{name}' was used while '{mirror}' is current. "
        f"Get it again in '{mirror}', or say why in 'with cross_mirrors(reason):'."
    )


def is_current(alias: str) -> bool:
    """Whether `alias` is the very one of the current mirror: quick, and nearly always.

    A mirror that changed has an equal one, which the slower way compares.
    """
    mirror = find_current_mirror()
    return mirror is not None and (
        alias is mirror.alias or alias is mirror.reading_alias
    )


def is_used_by(mirror: Mirror, alias: str) -> bool:
    """Whether `alias` is the one by which `mirror` uses its database.

    Code that notes the alias of a connection leaves open who used it.
    """
    if isinstance(alias, Alias):
        return alias.mirror == mirror.name
    return alias == mirror.alias


def check_instance(instance: Any) -> None:
    """Raise `WrongMirror` if `instance` is an object of another mirror."""
    state = getattr(instance, "_state", None)
    alias = getattr(state, "db", None)
    if alias is None or is_current(alias) or alias == DEFAULT_DB_ALIAS:
        return
    # Not type(): request.user is a lazy object in the guise of its class.
    if not is_of_original(instance.__class__):
        check_owner(alias, instance.__class__)


def is_static(alias: str) -> bool:
    """Whether `alias` is a database of the project's own, and no mirror's."""
    databases: Any = connections.settings
    return bool(databases.is_static(alias))


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


def find_content_owner(alias: str) -> str:
    """Return the name of the mirror whose objects are read by `alias` now."""
    return find_user(_pins.resolve(alias))


def pin_queries() -> None:
    """Let Django's query sets, queries, objects and files ask for their mirror."""
    _compat_orm.pin_queries(_pins)
    scope_reads()
