"""Which values a mirror may give to settings of Django's."""

from collections.abc import Callable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.translation.trans_real import language_code_re

__all__ = ["find_value_problem"]


def find_value_problem(name: str, value: Any) -> str:
    """Return what is wrong with `value` for the setting `name`, and what to write.

    Django would find out while it serves, and so answer 500 to every visitor.
    """
    for names, is_right, remedy in _VALUES:
        if name in names and not is_right(value):
            return f"{name!r} is {value!r}. {remedy}"
    return ""


def _is_time_zone(value: Any) -> bool:
    try:
        ZoneInfo(value)
    # Not found, no valid key, a directory, no text: each has an exception of its own.
    except (LookupError, OSError, TypeError, ValueError, AttributeError):
        return False
    return True


def _is_language(value: Any) -> bool:
    return isinstance(value, str) and bool(language_code_re.search(value))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_limit(value: Any) -> bool:
    return value is None or _is_count(value)


def _is_seconds(value: Any) -> bool:
    return isinstance(value, float) or _is_count(value)


def _has_type(*types: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, types)


_VALUES: tuple[tuple[frozenset[str], Callable[[Any], bool], str], ...] = (
    (
        frozenset({"TIME_ZONE"}),
        _is_time_zone,
        "Write the name of a time zone, such as 'Europe/Zurich'.",
    ),
    (
        frozenset({"LANGUAGE_CODE"}),
        _is_language,
        "Write the code of a language, such as 'de-ch'.",
    ),
    (frozenset({"SITE_ID"}), _is_count, "Write a whole number."),
    (
        frozenset(
            {
                "DATA_UPLOAD_MAX_MEMORY_SIZE",
                "DATA_UPLOAD_MAX_NUMBER_FIELDS",
                "DATA_UPLOAD_MAX_NUMBER_FILES",
            }
        ),
        _is_limit,
        "Write a whole number, or None for no limit.",
    ),
    (
        frozenset({"PASSWORD_RESET_TIMEOUT", "SESSION_COOKIE_AGE"}),
        _is_seconds,
        "Write a number of seconds.",
    ),
    (
        frozenset({"EMAIL_USE_LOCALTIME", "SESSION_EXPIRE_AT_BROWSER_CLOSE"}),
        _has_type(bool),
        "Write True or False.",
    ),
    (
        frozenset(
            {
                "DEFAULT_FROM_EMAIL",
                "EMAIL_SUBJECT_PREFIX",
                "SERVER_EMAIL",
                "X_FRAME_OPTIONS",
            }
        ),
        _has_type(str),
        "Write a text.",
    ),
    (
        frozenset({"ADMINS", "AUTHENTICATION_BACKENDS", "MANAGERS"}),
        _has_type(list, tuple),
        "Write a list.",
    ),
    (
        frozenset({"SECURE_CSP", "SECURE_CSP_REPORT_ONLY"}),
        _has_type(Mapping),
        "Write a dictionary.",
    ),
)
