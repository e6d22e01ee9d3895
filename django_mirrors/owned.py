"""Rows of one mirror, in a database that several mirrors may share."""

from collections.abc import Collection
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models

from django_mirrors.context import is_crossing
from django_mirrors.owners import OwnerField, find_current_uid, find_owner_field

__all__ = ["MirrorOwned"]


class MirrorOwned(models.Model):
    """A model whose rows belong to one mirror each.

    Rules that values be unique must name `mirror_uid`; then forms check them, although
    no form has the field.
    """

    mirror_uid = OwnerField()

    class Meta:
        abstract = True

    # Formsets of the admin ask it too, though it has no public name.
    def _get_unique_checks(
        self,
        exclude: Collection[str] | None = None,
        include_meta_constraints: bool = False,  # noqa: FBT001, FBT002 - Django's
    ) -> Any:
        checks, of_dates = super()._get_unique_checks(  # type: ignore[misc]
            self._without_owner(exclude), include_meta_constraints
        )
        if is_crossing():
            return checks, of_dates
        # What they are compared with is of the current mirror anyway. Without it, the
        # message and its place are those of a rule that has never heard of mirrors.
        return [(model, _leave_out(model, names)) for model, names in checks], of_dates

    def validate_unique(self, exclude: Collection[str] | None = None) -> None:
        """Check the rules of Django, those that name the owner included."""
        try:
            super().validate_unique(exclude=exclude)
        except ValidationError as error:
            raise _name_fields(error, exclude or ()) from None

    def validate_constraints(self, exclude: Collection[str] | None = None) -> None:
        """Check the constraints of Django, those that name the owner included."""
        field = find_owner_field(type(self))
        if field is not None and getattr(self, field.attname) is None:
            setattr(self, field.attname, find_current_uid())
        try:
            super().validate_constraints(exclude=self._without_owner(exclude))
        except ValidationError as error:
            raise _name_fields(error, exclude or ()) from None

    def unique_error_message(
        self, model_class: type[models.Model], unique_check: Any
    ) -> ValidationError:
        """Return what Django says, of the other fields."""
        names = _leave_out(model_class, unique_check)
        return super().unique_error_message(model_class, names)

    def _without_owner(self, exclude: Collection[str] | None) -> set[str]:
        field = find_owner_field(type(self))
        return set(exclude or ()) - ({field.name} if field is not None else set())


def _leave_out(model: type[models.Model], names: Any) -> Any:
    field = find_owner_field(model)
    left = tuple(name for name in names if field is None or name != field.name)
    return left or names


def _name_fields(error: ValidationError, exclude: Collection[str]) -> ValidationError:
    """Return `error` where what is wrong with one field is said of that field.

    What is wrong with one that no form has is said of the whole.
    """
    found: dict[str, list[ValidationError]] = {}
    for place, errors in error.error_dict.items():
        for item in errors:
            names = (item.params or {}).get("unique_check", ())
            named = names[0] if len(names) == 1 else place
            shown = NON_FIELD_ERRORS if named in exclude else named
            found.setdefault(shown, []).append(item)
    return ValidationError(found)
