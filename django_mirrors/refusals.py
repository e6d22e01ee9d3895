"""Why most of Django's settings cannot vary by mirror, and what to write instead."""

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

__all__ = ["REFUSALS", "Refusal", "explain", "is_refused"]


class Refusal(NamedTuple):
    """Settings that are refused for one reason."""

    names: tuple[str, ...]
    reason: str  # goes on from "the setting cannot vary by mirror, since"
    remedy: str  # a sentence


_REMOVE = "Remove it."
_ONCE = "Django reads it once for the whole process"
_KEPT = "what is made of it is kept for the whole process"

REFUSALS: tuple[Refusal, ...] = (
    Refusal(
        ("ALLOWED_HOSTS",),
        "the registry decides who answers on a host",
        "List the hosts in 'HOSTS'.",
    ),
    Refusal(
        ("CSRF_TRUSTED_ORIGINS",),
        "a mirror trusts its own hosts",
        "Write 'TRUSTED_ORIGINS' for others.",
    ),
    Refusal(
        ("PREPEND_WWW",),
        "the registry knows the primary host",
        "Put it first in 'HOSTS' and write 'REDIRECT_ALIASES'.",
    ),
    Refusal(
        ("DATABASES",),
        "each mirror has a database of its own",
        "Write 'DATABASE'.",
    ),
    Refusal(
        ("DEFAULT_FILE_STORAGE", "MEDIA_ROOT"),
        "each mirror has a storage of its own",
        "Write 'STORAGE'.",
    ),
    Refusal(
        ("MEDIA_URL",),
        "each mirror has a storage of its own",
        "Write 'STORAGE', with '?base_url=' if needed.",
    ),
    Refusal(
        ("STORAGES",),
        "it is a key of a definition",
        "Write 'STORAGES' beside 'SETTINGS', not in it.",
    ),
    Refusal(
        ("CACHES",),
        "each mirror has a part of the project's cache",
        "Write 'CACHE' for one of its own.",
    ),
    Refusal(
        (
            "EMAIL_BACKEND",
            "EMAIL_FILE_PATH",
            "EMAIL_HOST",
            "EMAIL_HOST_PASSWORD",
            "EMAIL_HOST_USER",
            "EMAIL_PORT",
            "EMAIL_SSL_CERTFILE",
            "EMAIL_SSL_KEYFILE",
            "EMAIL_TIMEOUT",
            "EMAIL_USE_SSL",
            "EMAIL_USE_TLS",
            "MAILERS",
        ),
        "a server and its password go together",
        "Write 'MAIL'.",
    ),
    Refusal(
        (
            "STATICFILES_DIRS",
            "STATICFILES_FINDERS",
            "STATIC_ROOT",
            "STATIC_URL",
            "TEMPLATES",
        ),
        "engines, finders and storages are made once",
        "Write 'THEME'.",
    ),
    Refusal(
        ("ROOT_URLCONF",),
        "the middleware chooses the URLs of a request",
        "Write 'URLCONF'.",
    ),
    Refusal(
        ("SECRET_KEY", "SECRET_KEY_FALLBACKS"),
        "each mirror has a key of its own, derived from it",
        _REMOVE,
    ),
    Refusal(
        ("MIRRORS",),
        "it describes the fleet, not a mirror",
        _REMOVE,
    ),
    Refusal(
        ("MIRRORS_OPTIONS",),
        "it is for the whole fleet",
        _REMOVE,
    ),
    Refusal(
        (
            "CSRF_COOKIE_AGE",
            "CSRF_COOKIE_DOMAIN",
            "CSRF_COOKIE_HTTPONLY",
            "CSRF_COOKIE_NAME",
            "CSRF_COOKIE_PATH",
            "CSRF_COOKIE_SAMESITE",
            "CSRF_COOKIE_SECURE",
            "CSRF_HEADER_NAME",
            "CSRF_USE_SESSIONS",
            "LANGUAGE_COOKIE_AGE",
            "LANGUAGE_COOKIE_DOMAIN",
            "LANGUAGE_COOKIE_HTTPONLY",
            "LANGUAGE_COOKIE_NAME",
            "LANGUAGE_COOKIE_PATH",
            "LANGUAGE_COOKIE_SAMESITE",
            "LANGUAGE_COOKIE_SECURE",
            "SESSION_COOKIE_DOMAIN",
            "SESSION_COOKIE_HTTPONLY",
            "SESSION_COOKIE_NAME",
            "SESSION_COOKIE_PATH",
            "SESSION_COOKIE_SAMESITE",
            "SESSION_COOKIE_SECURE",
            "SIGNED_COOKIE_LEGACY_SALT_FALLBACK",
        ),
        "cookies must not reach from one mirror to another, which the checks see to "
        "in one place",
        "Set it for all: each host has cookies of its own.",
    ),
    Refusal(
        (
            "SESSION_CACHE_ALIAS",
            "SESSION_ENGINE",
            "SESSION_FILE_PATH",
            "SESSION_SERIALIZER",
        ),
        "sessions are bound to their mirror wherever they are kept",
        "Set it for all.",
    ),
    Refusal(
        (
            "SECURE_PROXY_SSL_HEADER",
            "USE_X_FORWARDED_HOST",
            "USE_X_FORWARDED_PORT",
        ),
        "whom to trust is decided before the mirror is known",
        "Write MIRRORS_OPTIONS['TRUSTED_PROXIES'].",
    ),
    Refusal(
        (
            "CACHE_MIDDLEWARE_ALIAS",
            "CACHE_MIDDLEWARE_KEY_PREFIX",
            "CACHE_MIDDLEWARE_SECONDS",
            "MIDDLEWARE",
            "SECURE_CONTENT_TYPE_NOSNIFF",
            "SECURE_CROSS_ORIGIN_OPENER_POLICY",
            "SECURE_HSTS_INCLUDE_SUBDOMAINS",
            "SECURE_HSTS_PRELOAD",
            "SECURE_HSTS_SECONDS",
            "SECURE_REDIRECT_EXEMPT",
            "SECURE_REFERRER_POLICY",
            "SECURE_SSL_HOST",
            "SECURE_SSL_REDIRECT",
        ),
        "middleware is made once for the whole process",
        "Set it for all, or ask 'request.mirror' in a middleware of your own.",
    ),
    Refusal(
        (
            "ABSOLUTE_URL_OVERRIDES",
            "AUTH_USER_MODEL",
            "DATABASE_ROUTERS",
            "DEFAULT_AUTO_FIELD",
            "DEFAULT_INDEX_TABLESPACE",
            "DEFAULT_TABLESPACE",
            "FIXTURE_DIRS",
            "INSTALLED_APPS",
            "MIGRATION_MODULES",
            "USE_BLANK_CHOICE_DASH",
        ),
        "all mirrors have the same apps and models",
        "Choose by 'URLCONF', or by a setting of your own.",
    ),
    Refusal(
        (
            "DATETIME_FORMAT",
            "DATETIME_INPUT_FORMATS",
            "DATE_FORMAT",
            "DATE_INPUT_FORMATS",
            "DECIMAL_SEPARATOR",
            "FIRST_DAY_OF_WEEK",
            "FORMAT_MODULE_PATH",
            "MONTH_DAY_FORMAT",
            "NUMBER_GROUPING",
            "SHORT_DATETIME_FORMAT",
            "SHORT_DATE_FORMAT",
            "THOUSAND_SEPARATOR",
            "TIME_FORMAT",
            "TIME_INPUT_FORMATS",
            "USE_THOUSAND_SEPARATOR",
            "YEAR_MONTH_FORMAT",
        ),
        "formats are kept by language for the whole process",
        "Write 'LANGUAGE_CODE'.",
    ),
    Refusal(
        ("LANGUAGES", "LANGUAGES_BIDI", "LOCALE_PATHS", "USE_I18N"),
        "translations are kept for the whole process",
        "Write 'LANGUAGE_CODE'.",
    ),
    Refusal(
        ("USE_TZ",),
        "it says how times are kept in every database",
        "Write 'TIME_ZONE'.",
    ),
    Refusal(
        ("LOGGING", "LOGGING_CONFIG"),
        "logging is set up once for the whole process",
        "Tell records apart by 'django_mirrors.log.MirrorFilter'.",
    ),
    Refusal(
        (
            "AUTH_PASSWORD_VALIDATORS",
            "CSRF_FAILURE_VIEW",
            "DEFAULT_EXCEPTION_REPORTER",
            "DEFAULT_EXCEPTION_REPORTER_FILTER",
            "FORM_RENDERER",
            "PASSWORD_HASHERS",
            "TASKS",
        ),
        _KEPT,
        "Ask for the current mirror in what it names.",
    ),
    Refusal(
        (
            "APPEND_SLASH",
            "DEBUG",
            "DEBUG_PROPAGATE_EXCEPTIONS",
            "DEFAULT_CHARSET",
            "DISALLOWED_USER_AGENTS",
            "FILE_UPLOAD_DIRECTORY_PERMISSIONS",
            "FILE_UPLOAD_HANDLERS",
            "FILE_UPLOAD_MAX_MEMORY_SIZE",
            "FILE_UPLOAD_PERMISSIONS",
            "FILE_UPLOAD_TEMP_DIR",
            "FORCE_SCRIPT_NAME",
            "FORMS_URLFIELD_ASSUME_HTTPS",
            "IGNORABLE_404_URLS",
            "INTERNAL_IPS",
            "MESSAGE_STORAGE",
            "SESSION_SAVE_EVERY_REQUEST",
            "SETTINGS_MODULE",
            "SIGNING_BACKEND",
            "SILENCED_SYSTEM_CHECKS",
            "TEST_NON_SERIALIZED_APPS",
            "TEST_RUNNER",
            "URLIZE_ASSUME_HTTPS",
            "WSGI_APPLICATION",
        ),
        "it is of the process, which all mirrors share",
        _REMOVE,
    ),
)


def explain(name: str) -> str:
    """Return why the setting `name`, which is refused, cannot vary by mirror.

    One that Django has and this module does not know of is taken for one that is read
    once.
    """
    refusal = _by_name().get(name, Refusal((), _ONCE, _REMOVE))
    return (
        f"the setting '{name}' cannot vary by mirror, since {refusal.reason}. "
        f"{refusal.remedy}"
    )


def is_refused(name: str) -> bool:
    """Whether the setting is known to be the same for all mirrors."""
    return name in _by_name()


@cache
def _by_name() -> Mapping[str, Refusal]:
    return {name: refusal for refusal in REFUSALS for name in refusal.names}
