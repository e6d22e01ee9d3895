"""Settings that have a value of their own in each mirror."""

from typing import Any

from django_mirrors import _compat_settings
from django_mirrors.context import find_current_mirror
from django_mirrors.exceptions import InvalidMirror, UnknownMirror
from django_mirrors.registry import mirrors

__all__ = ["find_overlaid", "find_site_host", "find_site_owner"]


def find_overlaid(name: str) -> Any:
    """Return the current mirror's value of the setting `name`, or `MISSING`."""
    if mirrors.is_reading:
        # Which mirror a command acts on is not known before the fleet was read.
        return _compat_settings.MISSING
    try:
        mirror = find_current_mirror()
    except (InvalidMirror, UnknownMirror):
        # That of a command. The system checks, which read settings, say what is wrong.
        return _compat_settings.MISSING
    if mirror is None:
        return _compat_settings.MISSING
    return mirror.settings.get(name, _compat_settings.MISSING)


def find_site_owner() -> object:
    """Return whose `Site` is meant now; the row follows the primary host."""
    mirror = find_current_mirror()
    return None if mirror is None else (mirror.uid, mirror.primary_host)


def find_site_host() -> str:
    """Return the host that links to the current mirror name, or ''.

    The original's are the project's own affair, as they were before.
    """
    mirror = find_current_mirror()
    return "" if mirror is None or mirror.is_original else mirror.primary_host
