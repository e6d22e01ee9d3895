"""The only reader of Django's settings and of the environment: one frozen value."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from math import isfinite
from pathlib import Path
from typing import Any

from django.conf import settings

from django_mirrors import _compat_settings
from django_mirrors.definition import find_close
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.mirror import ORIGINAL_NAME, Mirror, check_defaults

__all__ = [
    "OPTIONS",
    "Conf",
    "build_conf",
    "find_original_hosts",
    "find_setting",
    "forget_conf",
    "get_conf",
]

Network = IPv4Network | IPv6Network

GATES = ("shared", "always", "never")
BEHIND_POLICIES = ("serve", "hold", "refuse")
UNKNOWN_HOST_POLICIES = ("reject", "misdirected")
HOOKS = (
    "PROVISIONED", "BEFORE_ROLLOUT", "AFTER_ROLLOUT", "HEALTH", "PERIOD_CLOSED",
    "SCRUB",
)  # fmt: skip
SCHEMES = ("http", "https")
ACCELERATORS = ("", "X-Accel-Redirect", "X-Sendfile")

_MAX_PORT = 65535
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConf:
    """How many connections a process has to a database of several mirrors."""

    max_size: int
    timeout: float  # seconds to wait for one that is free
    max_idle: float  # seconds after which one that nobody uses is closed
    max_lifetime: float  # seconds after which one is replaced


# Without a repr, which would show the passwords in definitions.
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Conf:
    """`MIRRORS` and `MIRRORS_OPTIONS`, with every default filled in."""

    mirrors: Mapping[str, Any]  # MIRRORS as written; validated by its source
    defaults: Mapping[str, Any]  # what a new mirror gets; {name}, {uid} not filled in
    original: Mapping[str, Any]  # a definition; every key is optional
    original_apps: frozenset[str]  # labels of apps with tables in the original only
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


def _read_mapping(value: Any, place: str, directory: Path) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidMirror(f"{place} is not a dictionary. Write {{'KEY': value}}.")
    return value


def _read_defaults(value: Any, place: str, directory: Path) -> Mapping[str, Any]:
    defaults = _read_mapping(value, place, directory)
    check_defaults(defaults, place)
    return defaults


def _read_original(value: Any, place: str, directory: Path) -> Mapping[str, Any]:
    original = _read_mapping(value, place, directory)
    problems = [
        f"{place} has {key!r}. {remedy}"
        for key, remedy in _NOT_OF_THE_ORIGINAL.items()
        if key in original
    ]
    try:
        Mirror.from_mapping(ORIGINAL_NAME, original, source=ORIGINAL_NAME, place=place)
    except InvalidMirror as error:
        problems += error.problems
    if problems:
        raise InvalidMirror(*problems)
    return original


_NOT_OF_THE_ORIGINAL = {
    "DATABASE": "The original's is DATABASES['default']: set it there.",
    "SCHEMA": "The original's is in DATABASES['default']: set it there.",
    "SHARES": "Let mirrors share the services of the original instead.",
}


def _read_hooks(value: Any, place: str, directory: Path) -> Mapping[str, str]:
    hooks = _read_mapping(value, place, directory)
    problems = [
        f"{place} has the unknown key {name!r}. {find_close(name, HOOKS)}"
        for name in hooks
        if name not in HOOKS
    ]
    problems += [
        f"{place}[{name!r}] is not a dotted path. Write 'project.hooks.function'."
        for name, path in hooks.items()
        if not isinstance(path, str) or "." not in path
    ]
    if problems:
        raise InvalidMirror(*problems)
    return hooks


def _read_names(value: Any, place: str, directory: Path) -> frozenset[str]:
    if not isinstance(value, list | tuple | set | frozenset) or not all(
        isinstance(name, str) for name in value
    ):
        raise InvalidMirror(f"{place} is not a list of names. Write ['app_label'].")
    return frozenset(value)


def _read_policy(value: Any, place: str, directory: Path) -> str:
    return _read_choice(value, place, UNKNOWN_HOST_POLICIES)


def _read_accelerator(value: Any, place: str, directory: Path) -> str:
    return _read_choice(value, place, ACCELERATORS)


def _read_scheme(value: Any, place: str, directory: Path) -> str:
    if value:
        return _read_choice(value, place, SCHEMES)
    return "http" if settings.DEBUG else "https"


def _read_choice(value: Any, place: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        named = ", ".join(choice or "''" for choice in choices)
        raise InvalidMirror(f"{place} is {value!r}. Use one of: {named}.")
    return str(value)


def _read_path(value: Any, place: str, directory: Path) -> Path | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str | Path):
        raise InvalidMirror(f"{place} is not a path. Write a string or None.")
    return directory / value


def _read_archives(value: Any, place: str, directory: Path) -> str:
    if not isinstance(value, str):
        raise InvalidMirror(f"{place} is not a storage DSN. Write 'file:///path/'.")
    return value or f"file://{directory / 'archives'}/"


def _read_flag(value: Any, place: str, directory: Path) -> bool:
    if not isinstance(value, bool):
        raise InvalidMirror(f"{place} is neither True nor False. Write one of them.")
    return value


def _read_seconds(value: Any, place: str, directory: Path) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not isfinite(value) or value <= 0:
        raise InvalidMirror(f"{place} is {value!r}. Write a number of seconds above 0.")
    return float(value)


def _read_count(value: Any, place: str, directory: Path) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidMirror(f"{place} is {value!r}. Write a whole number above 0.")
    return value


def _read_limit(value: Any, place: str, directory: Path) -> int | None:
    return None if value is None else _read_count(value, place, directory)


_POOL: Mapping[str, tuple[str, float]] = {
    "MAX_SIZE": ("max_size", 20),
    "TIMEOUT": ("timeout", 2),
    "MAX_IDLE": ("max_idle", 600),
    "MAX_LIFETIME": ("max_lifetime", 3600),
}


def _read_pool(value: Any, place: str, directory: Path) -> PoolConf:
    pool = _read_mapping(value, place, directory)
    problems = [
        f"{place} has the unknown key {name!r}. {find_close(name, tuple(_POOL))}"
        for name in pool
        if name not in _POOL
    ]
    values: dict[str, Any] = {}
    for name, (attribute, default) in _POOL.items():
        read = _read_count if name == "MAX_SIZE" else _read_seconds
        try:
            values[attribute] = read(
                pool.get(name, default), f"{place}[{name!r}]", directory
            )
        except InvalidMirror as error:
            problems += error.problems
    if problems:
        raise InvalidMirror(*problems)
    return PoolConf(**values)


def _read_port(value: Any, place: str, directory: Path) -> int | None:
    if value is None:
        return None
    port = _read_count(value, place, directory)
    if port > _MAX_PORT:
        raise InvalidMirror(f"{place} is {value!r}. Write a port up to {_MAX_PORT}.")
    return port


def _read_text(value: Any, place: str, directory: Path) -> str:
    if not isinstance(value, str):
        raise InvalidMirror(f"{place} is not a text. Write a string.")
    return value


def _read_gate(value: Any, place: str, directory: Path) -> str:
    return _read_choice(value, place, GATES)


def _read_behind(value: Any, place: str, directory: Path) -> str:
    return _read_choice(value, place, BEHIND_POLICIES)


def _read_aliases(value: Any, place: str, directory: Path) -> tuple[str, ...]:
    return tuple(sorted(_read_names(value, place, directory)))


def _read_prefix(value: Any, place: str, directory: Path) -> str:
    text = _read_text(value, place, directory)
    if not text.startswith("/") or not text.endswith("/"):
        raise InvalidMirror(f"{place} is {text!r}. Begin and end it with a slash.")
    return text


def _read_networks(value: Any, place: str, directory: Path) -> tuple[Network, ...]:
    if isinstance(value, str) or not isinstance(value, list | tuple):
        raise InvalidMirror(f"{place} is not a list. Write ['10.0.0.0/8'].")
    networks, problems = [], []
    for item in value:
        try:
            networks.append(ip_network(str(item)))
        except ValueError as error:
            problems.append(f"{place}: {error}. Write a network, as '10.0.0.0/8'.")
    if problems:
        raise InvalidMirror(*problems)
    return tuple(networks)


# name -> attribute of Conf, reader, default
OPTIONS: Mapping[str, tuple[str, Any, Any]] = {
    "DEFAULTS": ("defaults", _read_defaults, {}),
    "ORIGINAL": ("original", _read_original, {}),
    "ORIGINAL_APPS": ("original_apps", _read_names, ()),
    "UNKNOWN_HOST": ("unknown_host", _read_policy, "reject"),
    "FILES": ("files", _read_path, None),
    "RECORDS": ("records", _read_flag, True),
    "SNAPSHOT": ("snapshot", _read_path, "mirrors-snapshot.sqlite3"),
    "ARCHIVES": ("archives", _read_archives, ""),
    "TEMPLATES": ("templates", _read_flag, True),
    "SCRUB": ("scrub", _read_mapping, {}),
    "TOMBSTONE_DAYS": ("tombstone_days", _read_count, 30),
    "TRUSTED_PROXIES": ("trusted_proxies", _read_networks, ()),
    "HOOKS": ("hooks", _read_hooks, {}),
    "RELEASE": ("release", _read_text, ""),
    "GATE": ("gate", _read_gate, "shared"),
    "WORKER_TIMEOUT": ("worker_timeout", _read_seconds, 120.0),
    "BEHIND": ("behind", _read_behind, "serve"),
    "CLEAR_CACHES": ("cleared_caches", _read_aliases, ()),
    "POLL_SECONDS": ("poll_seconds", _read_seconds, 1.0),
    "MAX_OPEN_CONNECTIONS": ("max_open_connections", _read_count, 8),
    "MAX_SERVER_CONNECTIONS": ("max_server_connections", _read_limit, None),
    "CONNECT_TIMEOUT": ("connect_timeout", _read_count, 2),
    "POOL": ("pool", _read_pool, {}),
    "RETRY_AFTER": ("retry_after", _read_count, 120),
    "MEDIA_ACCEL": ("media_accel", _read_accelerator, ""),
    "MEDIA_PREFIX": ("media_prefix", _read_prefix, "/mirrors-media/"),
    "THEMES": ("themes", _read_path, None),
    "SCHEME": ("scheme", _read_scheme, ""),
    "PORT": ("port", _read_port, None),
}
