"""Settings that vary by mirror, where Django reads them once and for all."""

import sys
from collections.abc import (
    Callable,
    Mapping,
)
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

from django import conf
from django.conf import LazySettings, UserSettingsHolder, global_settings
from django.core.signals import setting_changed
from django.utils import timezone
from django.utils.functional import empty
from django.utils.translation import trans_real

from django_mirrors._compat import run_in

# What a lookup returns for nothing, where None is a value.
MISSING: Any = object()


# Django's own settings that can be asked anew at each use, and so can vary by mirror.
VARYING_SETTINGS = frozenset(
    {
        "ADMINS",
        "AUTHENTICATION_BACKENDS",
        "DATA_UPLOAD_MAX_MEMORY_SIZE",
        "DATA_UPLOAD_MAX_NUMBER_FIELDS",
        "DATA_UPLOAD_MAX_NUMBER_FILES",
        "DEFAULT_FROM_EMAIL",
        "EMAIL_SUBJECT_PREFIX",
        "EMAIL_USE_LOCALTIME",
        "LANGUAGE_CODE",
        "LOGIN_REDIRECT_URL",
        "LOGIN_URL",
        "LOGOUT_REDIRECT_URL",
        "MANAGERS",
        "PASSWORD_RESET_TIMEOUT",
        "SECURE_CSP",
        "SECURE_CSP_REPORT_ONLY",
        "SERVER_EMAIL",
        "SESSION_COOKIE_AGE",
        "SESSION_EXPIRE_AT_BROWSER_CLOSE",
        "SITE_ID",
        "TIME_ZONE",
        "X_FRAME_OPTIONS",
    }
)


# What Django reads to send mail, and the option of a backend that stands for it. They
# are read at each use, and follow the MAIL of a definition.
MAIL_OPTIONS: Mapping[str, str] = {
    "EMAIL_FILE_PATH": "file_path",
    "EMAIL_HOST": "host",
    "EMAIL_HOST_PASSWORD": "password",
    "EMAIL_HOST_USER": "username",
    "EMAIL_PORT": "port",
    "EMAIL_SSL_CERTFILE": "ssl_certfile",
    "EMAIL_SSL_KEYFILE": "ssl_keyfile",
    "EMAIL_TIMEOUT": "timeout",
    "EMAIL_USE_SSL": "use_ssl",
    "EMAIL_USE_TLS": "use_tls",
}


MAIL_SETTINGS = frozenset({"EMAIL_BACKEND", "MAILERS", *MAIL_OPTIONS})


# Django's own settings that its module of defaults does not name.
_WITHOUT_DEFAULT = frozenset({"ROOT_URLCONF", "SETTINGS_MODULE", *MAIL_SETTINGS})


def can_vary(name: str) -> bool:
    """Whether a mirror may have its own value of the setting `name`.

    Names that are not Django's are the project's, which reads them at each use.
    """
    if name in VARYING_SETTINGS:
        return True
    return name not in _WITHOUT_DEFAULT and not hasattr(global_settings, name)


def _is_overlaid(name: str) -> bool:
    return name.isupper() and (can_vary(name) or name in MAIL_SETTINGS)


_KEYS = frozenset({"SECRET_KEY", "SECRET_KEY_FALLBACKS"})


class _OverlaidSettings(LazySettings):
    """Settings that ask `find` before the project's settings, for names that can vary.

    LazySettings keeps each value it gave in its `__dict__`; those that vary must not
    stay there. Django 5.2 to 6.1.
    """

    # trans_real looks for Django's own translations beside the module of this class.
    __module__ = LazySettings.__module__

    def __getattr__(self, name: str) -> Any:
        if not _is_overlaid(name) and name not in _KEYS:
            return super().__getattr__(name)
        if self._wrapped is empty:
            self._setup()
        wrapped = self._wrapped
        if name in _KEYS:
            value = LazySettings.__getattr__(_build_plain(wrapped), name)
            is_one = name == "SECRET_KEY"
            keys = _build_key(value) if is_one else [_build_key(key) for key in value]
            self.__dict__[name] = keys
            return keys
        find = _find_mail if name in MAIL_SETTINGS else _find_overlaid
        value = MISSING if _is_overridden(wrapped, name) else find(name)
        if value is not MISSING:
            return value
        # LazySettings has rules for mail; the others it does no more than keep.
        if name in MAIL_SETTINGS:
            return LazySettings.__getattr__(_build_plain(wrapped), name)
        return getattr(wrapped, name)


def _build_plain(wrapped: Any) -> LazySettings:
    """Return settings that keep a value and are thrown away.

    Kept in Django's own and removed again, another thread would find it meanwhile.
    """
    plain = object.__new__(LazySettings)
    plain.__dict__["_wrapped"] = wrapped
    return plain


def overlay_settings(
    find: Callable[[str], Any],
    find_mail: Callable[[str], Any],
    build_key: Callable[[str], str],
) -> None:
    """Let `find` give the value of a setting at each use, or `MISSING`.

    `find_mail` does so for those in MAIL_SETTINGS. `build_key` makes the value of
    SECRET_KEY and of each of its fallbacks.
    """
    global _find_overlaid, _find_mail, _build_key
    from django.conf import settings  # noqa: PLC0415, TID251 - the object is changed

    _find_overlaid, _find_mail, _build_key = find, find_mail, build_key
    _warn_of_callers()
    # LazyObject forwards the plain assignment to the object it wraps.
    object.__dict__["__class__"].__set__(settings, _OverlaidSettings)
    for name in [name for name in settings.__dict__ if _is_overlaid(name)]:
        del settings.__dict__[name]
    for name in ("SECRET_KEY", "SECRET_KEY_FALLBACKS"):
        settings.__dict__.pop(name, None)


def _warn_of_callers() -> None:
    """Let Django 6.1 see past the overlay when it warns of settings used outside it.

    Its warning names the first caller that is not part of the settings.
    """
    warn = getattr(conf, "warn_about_external_use", None)
    if warn is None or getattr(warn, "sees_overlay", False):
        return
    own = f"{__name__}._OverlaidSettings", f"{conf.__name__}._show_settings"

    def warn_of_caller(*args: Any, skip_name_prefixes: Any = (), **kwargs: Any) -> None:
        warn(*args, skip_name_prefixes=(*skip_name_prefixes, *own), **kwargs)

    warn_of_caller.sees_overlay = True  # type: ignore[attr-defined]
    conf.warn_about_external_use = warn_of_caller  # type: ignore[attr-defined]


def find_plain_setting(name: str, default: Any) -> Any:
    """Return the project's own value of a setting, whichever mirror is current."""
    from django.conf import settings  # noqa: PLC0415, TID251 - the object is looked into

    if not settings.configured:
        _ = settings.DEBUG  # sets it up
    return getattr(settings.__dict__["_wrapped"], name, default)


def list_settings() -> frozenset[str]:
    """Return the names that the project's settings define."""
    from django.conf import settings  # noqa: PLC0415, TID251 - the object is looked into

    return frozenset(name for name in dir(settings) if name.isupper())


def _find_nothing(name: str) -> Any:
    return MISSING


_find_overlaid: Callable[[str], Any] = _find_nothing


_find_mail: Callable[[str], Any] = _find_nothing


_build_key: Callable[[str], str] = str


def _is_overridden(holder: Any, name: str) -> bool:
    # override_settings() stacks holders; the last one of settings.configure() holds a
    # module, and is the project's settings rather than an override of them.
    while isinstance(holder, UserSettingsHolder):
        default = holder.__dict__["default_settings"]
        if isinstance(default, ModuleType):
            return False
        if name in holder.__dict__:
            return True
        holder = default
    return False


def follow_default_timezone() -> None:
    """Ask for TIME_ZONE at each use; Django keeps the first answer for the process."""
    kept = timezone.get_default_timezone
    if not hasattr(kept, "__wrapped__"):
        return  # it was replaced before

    def get_default_timezone() -> ZoneInfo:
        return ZoneInfo(settings.TIME_ZONE)

    from django.conf import settings  # noqa: PLC0415, TID251 - read when asked

    # setting_changed's own receiver calls it.
    get_default_timezone.cache_clear = lambda: None  # type: ignore[attr-defined]
    # Modules such as dateformat have imported the function by its name.
    for module in [*sys.modules.values()]:
        if module.__dict__.get("get_default_timezone") is kept:
            module.get_default_timezone = get_default_timezone  # type: ignore[attr-defined]


class _DefaultTranslation:
    """The catalogue of LANGUAGE_CODE, asked for at each use."""

    def __getattr__(self, name: str) -> Any:
        from django.conf import settings  # noqa: PLC0415, TID251 - read when asked

        return getattr(trans_real.translation(settings.LANGUAGE_CODE), name)


def follow_default_language(
    suspend: Callable[[], AbstractContextManager[Any]],
) -> None:
    """Ask for LANGUAGE_CODE at each use; trans_real keeps the first catalogue.

    A catalogue is kept for the process, with that of LANGUAGE_CODE behind it. It is
    built inside `suspend`, so that this is the project's, whichever mirror came first.
    """
    trans_real.DjangoTranslation._add_fallback = run_in(  # type: ignore[attr-defined]
        suspend,
        trans_real.DjangoTranslation._add_fallback,  # type: ignore[attr-defined]
    )
    setting_changed.connect(
        _set_default_translation, dispatch_uid="django_mirrors.i18n"
    )
    _set_default_translation()


def _set_default_translation(**_: Any) -> None:
    trans_real._default = _DefaultTranslation()  # type: ignore[attr-defined]
