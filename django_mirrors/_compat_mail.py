"""Mail of Django 5.2 to 6.1: what its settings are and how a backend is made."""

from collections.abc import Mapping
from typing import Any

import django
from django.conf import global_settings
from django.core.mail.backends.base import BaseEmailBackend
from django.utils.module_loading import import_string

from django_mirrors import _compat_settings

__all__ = ["DEFAULT_MAILER", "build_mail_backend", "find_mailers", "get_default"]

DEFAULT_MAILER = "default"
_HAS_MAILERS = django.VERSION >= (6, 1)
# Which of the arguments Django took from the caller and not from MAILERS; while both
# ways are supported, backends do not refuse them. To go with Django 2028.
_IGNORED = "_ignore_unknown_kwargs"


def find_mailers() -> Mapping[str, Any] | None:
    """Return the project's own MAILERS, or None if Django sends by EMAIL_BACKEND."""
    if not _HAS_MAILERS:
        return None
    mailers: Mapping[str, Any] | None = _compat_settings.find_plain_setting(
        "MAILERS", None
    )
    return mailers


def get_default(name: str) -> Any:
    """Return Django's own default of a setting of mail."""
    return getattr(global_settings, name, None)


def build_mail_backend(
    path: str, options: Mapping[str, Any], given: Mapping[str, Any]
) -> BaseEmailBackend:
    """Return a mail backend with `options`, and with what the caller has given.

    Raises what a backend raises that does not take them. With an alias, those of
    Django 6.1 take no option from the settings.
    """
    backend = import_string(path)
    named = {
        key: value
        for key, value in given.items()
        if value is not None and key not in {_IGNORED, "alias"}
    }
    if _HAS_MAILERS:
        ignored = {_IGNORED: set(named)} if named else {}
        made = backend(alias=DEFAULT_MAILER, **{**options, **named}, **ignored)
    else:
        made = backend(**{**options, **named})
    return made  # type: ignore[no-any-return]
