"""Whether Django asks this package where it must."""

from collections.abc import Iterable
from typing import Any

from django.core.cache import DEFAULT_CACHE_ALIAS
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's name
from django.db import connections, router
from django.utils.module_loading import import_string

from django_mirrors import _compat_mail
from django_mirrors.cache import MirrorCache
from django_mirrors.checks.findings import Findings
from django_mirrors.checks.messages import build_errors, build_warnings
from django_mirrors.conf import find_setting
from django_mirrors.db.router import MirrorRouter
from django_mirrors.db.settings import MirrorDatabases
from django_mirrors.mail import MirrorMail
from django_mirrors.middleware import MirrorMiddleware
from django_mirrors.registry.snapshot import describe_place
from django_mirrors.storage import MirrorStorage

__all__ = ["check_wiring", "is_subclass"]

_MIDDLEWARE = "django_mirrors.middleware.MirrorMiddleware"


def check_wiring(findings: Findings) -> list[CheckMessage]:
    """Return the settings that still lead past the mirrors."""
    return [
        *_check_middleware(),
        *_check_databases(),
        *_check_router(),
        *_check_backend("STORAGES", MirrorStorage, 25),
        *_check_backend("CACHES", MirrorCache, 26),
        *build_errors(_find_aliases(findings), 27),
        *build_warnings(_find_shared_caches(), 28),
        *build_warnings(_find_shared_mailers(findings), 29),
    ]


def _check_middleware() -> list[CheckMessage]:
    places = [
        number
        for number, path in enumerate(find_setting("MIDDLEWARE", ()))
        if is_subclass(path, MirrorMiddleware)
    ]
    if not places:
        return [
            Error(
                "MIDDLEWARE has no MirrorMiddleware, so no request has a mirror.",
                hint=f"Put '{_MIDDLEWARE}' first.",
                id="mirrors.E021",
            )
        ]
    if places == [0]:
        return []
    return [
        Error(
            "MirrorMiddleware is not the first in MIDDLEWARE, so what comes before it "
            "has no mirror.",
            hint=f"Put '{_MIDDLEWARE}' first, once.",
            id="mirrors.E022",
        )
    ]


def _check_databases() -> list[CheckMessage]:
    if isinstance(connections.settings, MirrorDatabases):
        return []
    return [
        Error(
            "DATABASES was not made by mirror_databases(): no mirror has a database.",
            hint="Write DATABASES = mirror_databases({...}), from django_mirrors.db.",
            id="mirrors.E023",
        )
    ]


def _check_router() -> list[CheckMessage]:
    if any(isinstance(item, MirrorRouter) for item in router.routers):
        return []
    return [
        Error(
            "DATABASE_ROUTERS has no MirrorRouter, so nothing keeps objects and "
            "queries in their mirror.",
            hint="Add 'django_mirrors.db.MirrorRouter'.",
            id="mirrors.E024",
        )
    ]


def _check_backend(setting: str, backend: type[Any], number: int) -> list[CheckMessage]:
    path = find_setting(setting, {}).get("default", {}).get("BACKEND", "")
    if is_subclass(path, backend):
        return []
    # A warning: a project that keeps nothing there has nothing to mix up.
    public = backend.__module__.rpartition(".")[0]
    return [
        Warning(
            f"{setting}['default'] is not {backend.__name__}, so mirrors share it.",
            hint=f"Write '{public}.{backend.__name__}' as its 'BACKEND'.",
            id=f"mirrors.W{number:03}",
        )
    ]


def _find_shared_caches() -> list[str]:
    return [
        f"CACHES['{alias}'] is not MirrorCache, so mirrors share it. Write "
        "'django_mirrors.cache.MirrorCache' as its 'BACKEND', unless "
        "nothing of a mirror is kept there."
        for alias, config in find_setting("CACHES", {}).items()
        if alias != DEFAULT_CACHE_ALIAS
        and not is_subclass(config.get("BACKEND", ""), MirrorCache)
    ]


def _find_shared_mailers(findings: Findings) -> list[str]:
    mailers = _compat_mail.find_mailers() or {}
    if all(mirror.mail is None for mirror in findings.all):
        return []
    return [
        f"MAILERS['{alias}'] is the same for all mirrors, those with a MAIL too. Send "
        "by the default one, or let this one be shared."
        for alias, config in mailers.items()
        if alias != _compat_mail.DEFAULT_MAILER
        and not is_subclass(config.get("BACKEND", ""), MirrorMail)
    ]


def is_subclass(path: str, wanted: type[Any]) -> bool:
    """Whether a dotted path names `wanted` or a class made of it."""
    try:
        found = import_string(path)
    except Exception:  # noqa: BLE001 - a module may raise anything
        # Django says so itself.
        return False
    return isinstance(found, type) and issubclass(found, wanted)


def _find_aliases(findings: Findings) -> Iterable[str]:
    databases = connections.settings
    if not isinstance(databases, MirrorDatabases):
        return ()
    return [
        f"{describe_place(mirror)}: the mirror '{mirror}' has the name of an alias in "
        "DATABASES, which would hide it. Rename one of the two."
        for mirror in findings.mirrors
        if databases.is_static(mirror.name)
    ]
