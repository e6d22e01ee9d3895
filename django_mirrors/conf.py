"""The only reader of Django's settings and of the environment: one frozen value."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings

from django_mirrors import _compat_settings
from django_mirrors.definition import find_close
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.options import OPTIONS, Network, PoolConf

__all__ = [
    "Conf",
    "build_conf",
    "find_original_hosts",
    "find_setting",
    "forget_conf",
    "get_conf",
]

_LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")


# Without a repr, which would show the passwords in definitions.
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Conf:
    """`MIRRORS` and `MIRRORS_OPTIONS`, with every default filled in."""

    mirrors: Mapping[str, Any]  # MIRRORS as written; validated by its source
    defaults: Mapping[str, Any]  # what a new mirror gets; {name}, {uid} not filled in
    original: Mapping[str, Any]  # a definition; every key is optional
    original_apps: frozenset[str]  # labels of apps with tables in the original only
    common_models: frozenset[str]  # apps and models with rows that mirrors share
    unknown_host: str  # "reject" answers 404, "misdirected" 421
    files: Path | None  # directory of TOML files
    records: bool  # whether mirrors can be added at run time
    snapshot: Path | None  # last known good registry
    archives: str  # storage DSN
    templates: bool  # whether new mirrors are copied from a migrated database
    scrub: Mapping[str, Any]  # "app.Model.field" -> what to put in its place
    tombstone_days: int  # how long the hosts of a purged mirror stay taken
    trusted_proxies: tuple[Network, ...]  # whose forwarded host counts
    hooks: Mapping[str, str]  # dotted paths
    release: str  # of the running code; "" takes it from the migrations
    gate: str  # which mirrors are kept from breaking migrations
    worker_timeout: float  # seconds without a sign of life of those elsewhere
    behind: str  # what visitors get of a mirror that lacks migrations
    cleared_caches: tuple[str, ...]  # aliases, of caches emptied after a rollout
    poll_seconds: float  # how often a process looks for changes of the fleet
    max_open_connections: int  # per thread
    max_server_connections: int | None  # per process and server; None: no limit
    connect_timeout: int  # seconds
    pool: PoolConf  # of mirrors that have a schema
    retry_after: int  # seconds, sent with 503 answers
    media_accel: str  # "", "X-Accel-Redirect" or "X-Sendfile"
    media_prefix: str  # internal location that the web server maps to the files
    themes: Path | None  # directory of themes
    scheme: str  # of links from one mirror to another
    port: int | None  # of such links; None leaves it out
    directory: Path  # of the project; relative paths start here
    pinned: str | None  # $DJANGO_MIRROR
    pinned_services: Mapping[str, str]  # definition keys given by the environment


def get_conf() -> Conf:
    """Return the configuration, read once.

    Raises `InvalidMirror` with one sentence for each wrong option.
    """
    return _read_conf()


def forget_conf(*, setting: str = "", **_: Any) -> None:
    """Read the settings again at the next use. A receiver of `setting_changed`."""
    if not setting or setting.startswith("MIRRORS") or setting in _FOLLOWED:
        _read_conf.cache_clear()


_FOLLOWED = frozenset({"BASE_DIR", "ALLOWED_HOSTS", "DEBUG", "DATABASES", "MEDIA_ROOT"})


def find_setting(name: str, default: Any = None) -> Any:
    """Return the value of Django's setting `name` at this moment, or `default`."""
    return getattr(settings, name, default)


def find_original_hosts() -> tuple[str, ...]:
    """Return the hosts of the original of a project that names none: ALLOWED_HOSTS.

    Read at every call, since the test environment adds "testserver" to it.
    """
    allowed = [host for host in settings.ALLOWED_HOSTS if host != "*"]
    if not allowed and settings.DEBUG:
        return _LOCAL_HOSTS
    return tuple(dict.fromkeys(host.removeprefix(".") for host in allowed))


def build_conf() -> tuple[Conf, tuple[str, ...]]:
    """Return the configuration, with defaults for wrong options, and its problems."""
    options, problems = _find_mapping("MIRRORS_OPTIONS")
    mirrors, more = _find_mapping("MIRRORS")
    problems += more
    for name in options:
        if name not in OPTIONS:
            hint = find_close(name, tuple(OPTIONS))
            problems.append(f"MIRRORS_OPTIONS has the unknown key {name!r}. {hint}")
    values: dict[str, Any] = {}
    # Not through `settings`, where asking for a value may ask which mirror is current.
    directory = Path(
        _compat_settings.find_plain_setting("BASE_DIR", None) or Path.cwd()
    )
    for name, (attribute, read, default) in OPTIONS.items():
        place = f"MIRRORS_OPTIONS[{name!r}]"
        try:
            values[attribute] = read(options.get(name, default), place, directory)
        except InvalidMirror as error:
            problems += error.problems
            values[attribute] = read(default, place, directory)
    # The one default that another setting decides.
    values["scheme"] = values["scheme"] or ("http" if settings.DEBUG else "https")
    conf = Conf(
        mirrors=mirrors,
        directory=directory,
        pinned=os.environ.get("DJANGO_MIRROR") or None,
        pinned_services=_read_environment(),
        **values,
    )
    return conf, tuple(problems)


@cache
def _read_conf() -> Conf:
    conf, problems = build_conf()
    if problems:
        raise InvalidMirror(*problems)
    return conf


def _find_mapping(name: str) -> tuple[Mapping[str, Any], list[str]]:
    value = _compat_settings.find_plain_setting(name, {})
    if isinstance(value, Mapping):
        return value, []
    return {}, [f"{name} is not a dictionary. Write {name} = {{...}}."]


def _read_environment() -> Mapping[str, str]:
    pairs = {
        "DATABASE": os.environ.get("DATABASE_URL"),
        "STORAGE": os.environ.get("DEFAULT_STORAGE_DSN"),
        "CACHE": os.environ.get("CACHE_URL"),
        "SITE_ID": os.environ.get("SITE_ID"),
    }
    return {key: value for key, value in pairs.items() if value}
