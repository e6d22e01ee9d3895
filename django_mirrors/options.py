"""How each option of `MIRRORS_OPTIONS` is read."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from math import isfinite
from pathlib import Path
from typing import Any

from django_mirrors.definition import find_close
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.mirror import ORIGINAL_NAME, Mirror, check_defaults

__all__ = ["HOOKS", "OPTIONS", "Network", "PoolConf"]

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
_MODELS = re.compile(r"\w+(\.\w+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConf:
    """How many connections a process has to a database of several mirrors."""

    max_size: int
    timeout: float  # seconds to wait for one that is free
    max_idle: float  # seconds after which one that nobody uses is closed
    max_lifetime: float  # seconds after which one is replaced


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


def _read_models(value: Any, place: str, directory: Path) -> frozenset[str]:
    if not isinstance(value, list | tuple | set | frozenset) or not all(
        isinstance(name, str) and _MODELS.fullmatch(name) for name in value
    ):
        raise InvalidMirror(
            f"{place} is not a list of apps and models. Write ['app_label', "
            "'app_label.Model']."
        )
    return frozenset(value)


def _read_one_of(choices: tuple[str, ...]) -> Callable[[Any, str, Path], str]:
    def read(value: Any, place: str, directory: Path) -> str:
        if value not in choices:
            named = ", ".join(choice or "''" for choice in choices)
            raise InvalidMirror(f"{place} is {value!r}. Use one of: {named}.")
        return str(value)

    return read


def _read_scheme(value: Any, place: str, directory: Path) -> str:
    # An empty one is filled in by `conf`, from a setting that is not read here.
    return _read_one_of(SCHEMES)(value, place, directory) if value else ""


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
OPTIONS: Mapping[str, tuple[str, Callable[[Any, str, Path], Any], Any]] = {
    "DEFAULTS": ("defaults", _read_defaults, {}),
    "ORIGINAL": ("original", _read_original, {}),
    "ORIGINAL_APPS": ("original_apps", _read_names, ()),
    "COMMON_MODELS": ("common_models", _read_models, ()),
    "UNKNOWN_HOST": ("unknown_host", _read_one_of(UNKNOWN_HOST_POLICIES), "reject"),
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
    "GATE": ("gate", _read_one_of(GATES), "shared"),
    "WORKER_TIMEOUT": ("worker_timeout", _read_seconds, 120.0),
    "BEHIND": ("behind", _read_one_of(BEHIND_POLICIES), "serve"),
    "CLEAR_CACHES": ("cleared_caches", _read_aliases, ()),
    "POLL_SECONDS": ("poll_seconds", _read_seconds, 1.0),
    "MAX_OPEN_CONNECTIONS": ("max_open_connections", _read_count, 8),
    "MAX_SERVER_CONNECTIONS": ("max_server_connections", _read_limit, None),
    "CONNECT_TIMEOUT": ("connect_timeout", _read_count, 2),
    "POOL": ("pool", _read_pool, {}),
    "RETRY_AFTER": ("retry_after", _read_count, 120),
    "MEDIA_ACCEL": ("media_accel", _read_one_of(ACCELERATORS), ""),
    "MEDIA_PREFIX": ("media_prefix", _read_prefix, "/mirrors-media/"),
    "THEMES": ("themes", _read_path, None),
    "SCHEME": ("scheme", _read_scheme, ""),
    "PORT": ("port", _read_port, None),
}
