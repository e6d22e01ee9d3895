"""Where Django's error reports show settings and the variables of frames."""

from collections.abc import Callable
from functools import wraps
from types import FrameType
from typing import Any

from django.http import HttpRequest
from django.template.defaultfilters import pprint
from django.views.debug import SafeExceptionReporterFilter

__all__ = ["redact_error_reports"]

# Methods of this class are replaced, which its types do not foresee.
_Filter: Any = SafeExceptionReporterFilter
# Modules that handle passwords, by themselves or because calls go through them, which
# `sensitive_variables` of the function they wrap does not know of.
_HIDDEN = (
    "MySQLdb", "boto3", "botocore", "django.db.backends", "dj_database_url",
    "django_mirrors", "paramiko", "psycopg", "psycopg_pool", "redis", "smtplib",
    "storages", "urllib",
)  # fmt: skip
# Twice as much as Django shows of a variable.
_LONGEST = 8192


class _Shown:
    """Stands for a variable by a text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def redact_error_reports(
    redact: Callable[[Any], Any], redact_text: Callable[[str], str]
) -> None:
    """Let `redact` hide secrets in settings, and `redact_text` in shown variables.

    SafeExceptionReporterFilter goes by the names of settings alone, and the name of a
    URL that holds a password does not give it away. Filters of a project derive from
    this class. Django 5.2 to 6.1.
    """
    if hasattr(_Filter.cleanse_setting, "redacts"):
        return  # an override of INSTALLED_APPS makes every app ready again

    @wraps(cleanse := _Filter.cleanse_setting)
    def cleanse_texts(self: Any, key: Any, value: Any) -> Any:
        cleansed = cleanse(self, key, value)
        return redact(cleansed) if isinstance(cleansed, str) else cleansed

    @wraps(get_variables := _Filter.get_traceback_frame_variables)
    def get_redacted(
        self: Any, request: HttpRequest | None, tb_frame: FrameType
    ) -> list[tuple[str, Any]]:
        is_hidden = _is_hidden(tb_frame.f_globals.get("__name__", ""))
        return [
            (name, _Shown(self.cleansed_substitute))
            if is_hidden
            else (name, value)
            if value is self.cleansed_substitute
            else (name, _Shown(_describe(name, value, redact_text)))
            for name, value in get_variables(self, request, tb_frame)
        ]

    cleanse_texts.redacts = True  # type: ignore[attr-defined]
    _Filter.cleanse_setting = cleanse_texts
    _Filter.get_traceback_frame_variables = get_redacted


def _is_hidden(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in _HIDDEN)


def _describe(name: str, value: Any, redact_text: Callable[[str], str]) -> str:
    """Return the text of a variable. The text with its name tells if it is a secret."""
    start = f"{name} = "
    text = f"{start}{pprint(value)}"
    shown = redact_text(text[:_LONGEST]).removeprefix(start)
    # Django cuts what is longer, and says how long it was.
    return shown.ljust(len(text) - len(start)) if len(text) > _LONGEST else shown
