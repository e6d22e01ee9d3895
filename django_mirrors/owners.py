"""The field that says which mirror a row belongs to, and whom rows may be given to."""

from typing import Any, NoReturn
from uuid import UUID

from django.db import models
from django.db.migrations.state import StateApps
from django.utils.translation import gettext_lazy as _

from django_mirrors.context import find_current_mirror, get_current_mirror, is_crossing
from django_mirrors.exceptions import WrongMirror
from django_mirrors.registry import mirrors

__all__ = [
    "OwnerField",
    "check_uid",
    "find_current_uid",
    "find_owner_field",
    "is_historical",
    "refuse_uid",
]

_PUBLIC = "django_mirrors.models.OwnerField"  # in migrations
_VERBOSE_NAME = _("mirror")


def find_current_uid() -> UUID | None:
    """Return the uid of the current mirror, or None."""
    mirror = find_current_mirror()
    return None if mirror is None else mirror.uid


class OwnerField(models.UUIDField):  # type: ignore[type-arg]
    """Says which mirror a row belongs to.

    Every query on a table that has one, through whatever manager, reads and writes the
    rows of the current mirror only. Fixtures leave it out: what is loaded belongs to
    the mirror that loads it.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        if not args:
            options.setdefault("verbose_name", _VERBOSE_NAME)
        super().__init__(*args, **{**_OPTIONS, **options})

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        """Return what a migration needs to make it again: little, so none changes."""
        name, path, args, options = super().deconstruct()
        if options.get("verbose_name") is _VERBOSE_NAME:
            del options["verbose_name"]
        kept = {
            key: value
            for key, value in options.items()
            if key not in _OPTIONS or _OPTIONS[key] != value
        }
        # Django leaves out what is as in any other field.
        kept |= {
            key: getattr(self, key)
            for key in ("blank", "db_index", "editable", "serialize")
            if getattr(self, key) != _OPTIONS[key]
        }
        is_own = type(self) is OwnerField
        return str(name), _PUBLIC if is_own else path, list(args), kept

    def pre_save(self, instance: models.Model, add: bool) -> Any:  # noqa: FBT001 - Django's
        """Return the owner, filled in if there is none; raise if it is another."""
        uid = super().pre_save(instance, add)
        mirror = get_current_mirror()
        if uid == mirror.uid:
            return uid  # and nearly always so
        uid = self.to_python(uid)
        if uid is None:
            uid = mirror.uid
            setattr(instance, self.attname, uid)
        elif not is_historical(type(instance)):
            check_uid(uid, type(instance))
        return uid


_OPTIONS: dict[str, Any] = {
    "default": find_current_uid,
    "blank": True,  # it is filled in when it is saved
    "db_index": True,
    "editable": False,
    "serialize": False,
}


def find_owner_field(model: type[models.Model]) -> OwnerField | None:
    """Return the field of `model`, perhaps inherited, that names the owner, or None."""
    fields = model._meta.concrete_fields
    return next((item for item in fields if isinstance(item, OwnerField)), None)


def is_historical(model: type[models.Model]) -> bool:
    """Whether `model` is of a migration, which acts for all mirrors of a database."""
    return isinstance(model._meta.apps, StateApps)


def check_uid(uid: Any, model: type[models.Model]) -> None:
    """Raise `WrongMirror` unless rows of the mirror `uid` may be written now."""
    if not is_crossing() and uid != get_current_mirror().uid:
        refuse_uid(uid, model)


def refuse_uid(uid: Any, model: type[models.Model]) -> NoReturn:
    """Raise `WrongMirror`: a row of `model` is to be that of the mirror `uid`."""
    raise WrongMirror(
        f"A row of {model.__name__} was to be written for {_describe(uid)} while "
        f"'{find_current_mirror()}' is current. Leave its owner as it is, enter that "
        "mirror first, or say why in 'with cross_mirrors(reason):'."
    )


def _describe(uid: Any) -> str:
    if uid is None:
        return "no mirror"
    if not isinstance(uid, UUID):
        return "the mirror that an expression gives"
    everyone = (mirrors.original, *mirrors.values())
    name = next((item.name for item in everyone if item.uid == uid), None)
    return f"the uid {uid}, which is no mirror's," if name is None else f"'{name}'"
