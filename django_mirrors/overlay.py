"""Settings that have a value of their own in each mirror."""

from typing import Any

from django_mirrors import _compat
from django_mirrors.context import find_current_mirror

__all__ = ["find_overlaid"]


def find_overlaid(name: str) -> Any:
    """Return the current mirror's value of the setting `name`, or `_compat.MISSING`."""
    mirror = find_current_mirror()
    if mirror is None:
        return _compat.MISSING
    return mirror.settings.get(name, _compat.MISSING)
