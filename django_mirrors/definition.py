"""How a definition is read: every key has a reader, every mistake its sentence."""

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from math import isfinite
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from django_mirrors import _compat_settings
from django_mirrors.exceptions import InvalidHost, InvalidMirror
from django_mirrors.hosts import parse_authority, parse_pattern
from django_mirrors.refusals import explain, is_refused
from django_mirrors.services import (
    SERVICES,
    find_service_problems,
    read_backend,
    read_database,
    read_schema,
    read_storage,
    read_storages,
)
from django_mirrors.values import find_value_problem

__all__ = [
    "DEFINITION_KEYS",
    "EMPTY",
    "ORIGINAL_NAME",
    "STATES",
    "THEME_NAME",
    "State",
    "check_name",
    "find_close",
    "read_definition",
]

ORIGINAL_NAME = "original"
# One value for all that say nothing: most mirrors leave most keys out.
EMPTY: Mapping[str, Any] = MappingProxyType({})

_NAME = re.compile(r"[a-z][a-z0-9-]{0,47}")
# The name of a directory and a part of URLs: no dot, no slash.
THEME_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
# "default" always means the current mirror; the other one has its own class of alias.
_RESERVED = frozenset({"default", ORIGINAL_NAME})
_LABEL_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_./-]{0,62}")
_SETTING = re.compile(r"[A-Z][A-Z0-9_]*")


class State:
    """The states of a mirror."""

    PROVISIONING = "provisioning"
    ACTIVE = "active"
    MAINTENANCE = "maintenance"
    SUSPENDED = "suspended"
    ARCHIVED = "archived"
    FAILED = "failed"


STATES = (
    State.PROVISIONING,
    State.ACTIVE,
    State.MAINTENANCE,
    State.SUSPENDED,
    State.ARCHIVED,
    State.FAILED,
)


def read_definition(
    definition: Mapping[str, Any], place: str, problems: list[str]
) -> dict[str, Any]:
    """Return the attributes of a `Mirror` that `definition` gives.

    Adds every mistake to `problems`, each naming its place and saying what to do.
    """
    values: dict[str, Any] = {}
    for key, value in definition.items():
        reader = _READERS.get(key)
        if reader is None:
            hint = find_close(key, DEFINITION_KEYS)
            problems.append(f"{place} has the unknown key {key!r}. {hint}")
            continue
        try:
            values[reader[0]] = reader[1](value)
        except InvalidMirror as error:
            # A reader knows the value only: its sentences go on from the place.
            where = f"{place}[{key!r}]"
            problems.extend(f"{where}{problem}" for problem in error.problems)
        if not isinstance(value, str | list | tuple) and not _is_finite(value):
            problems.append(
                f"{place}[{key!r}] holds a number that is not finite. Write another "
                "one, or a text."
            )
    problems += find_service_problems(definition, values, place=place)
    return values


def check_name(name: Any, place: str = "") -> str:
    """Return `name` if a mirror may have it, else raise `InvalidMirror`."""
    if isinstance(name, str) and _NAME.fullmatch(name) and name not in _RESERVED:
        return name
    prefix = f"{place}: " if place else ""
    if isinstance(name, str) and name in _RESERVED:
        raise InvalidMirror(
            f"{prefix}The name {name!r} is reserved. Choose another one."
        )
    raise InvalidMirror(
        f"{prefix}{name!r} is not a mirror's name. Use 1 to 48 lower-case "
        "letters, digits and hyphens, beginning with a letter."
    )


def find_close(name: object, known: tuple[str, ...]) -> str:
    """Return what to do about the unknown key `name`."""
    close = get_close_matches(str(name).upper(), known, n=1, cutoff=0.6)
    return (
        f"Did you mean '{close[0]}'?" if close else f"Use one of: {', '.join(known)}."
    )


def _is_finite(value: Any) -> bool:
    """Whether `value` can be written as JSON, and is equal to itself."""
    if isinstance(value, float):
        return isfinite(value)
    if isinstance(value, Mapping):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, list | tuple) or all(map(_is_finite, value))


def _read_text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise InvalidMirror(" is not a text. Write a string of one line.")
    return value


def _read_urlconf(value: Any) -> str:
    text = _read_text(value)
    if not all(part.isidentifier() for part in text.split(".")):
        raise InvalidMirror(
            f" is {text!r}, which is not a dotted path. Write 'project.urls'."
        )
    return text


def _read_theme(value: Any) -> str:
    if not isinstance(value, str) or not THEME_NAME.fullmatch(value):
        raise InvalidMirror(
            f" is {value!r}, which is not the name of a theme. Use 1 to 64 lower-case "
            "letters, digits, '_' and '-', beginning with a letter or a digit."
        )
    return value


def _read_hosts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise InvalidMirror(" is not a list. Write ['shop.example'].")
    if not value:
        raise InvalidMirror(" is empty. Add at least one name.")
    problems: list[str] = []
    hosts: list[str] = []
    for item in value:
        try:
            host = parse_pattern(item)
        except InvalidHost as error:
            problems.append(f": {error}")
            continue
        if host in hosts:
            problems.append(f" has the host '{host}' twice. Remove one.")
        hosts.append(host)
    if problems:
        raise InvalidMirror(*problems)
    return tuple(hosts)


def _read_mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidMirror(" is not a dictionary. Write {'KEY': value}.")
    for key in value:
        if not isinstance(key, str):
            raise InvalidMirror(f" has the key {key!r}. Write keys as strings.")
    return MappingProxyType(dict(value)) if value else EMPTY


def _read_shares(value: Any) -> Mapping[str, str]:
    shares = _read_mapping(value)
    problems = []
    for service, owner in shares.items():
        if service not in SERVICES:
            hint = find_close(service, SERVICES)
            problems.append(f" has the unknown service {service!r}. {hint}")
        if owner == ORIGINAL_NAME:
            continue
        try:
            check_name(owner)
        except InvalidMirror as error:
            problems += [f"[{service!r}]: {problem}" for problem in error.problems]
    if problems:
        raise InvalidMirror(*problems)
    return shares


def _read_settings(value: Any) -> Mapping[str, Any]:
    settings = _read_mapping(value)
    problems = [
        f": {problem}"
        for name, item in settings.items()
        if (problem := _find_setting_problem(name) or find_value_problem(name, item))
    ]
    if problems:
        raise InvalidMirror(*problems)
    return settings


@lru_cache(maxsize=1024)
def _find_setting_problem(name: str) -> str:
    if not _SETTING.fullmatch(name):
        return f"{name!r} is not a setting. Use upper case."
    if not is_refused(name) and _compat_settings.can_vary(name):
        return ""
    return explain(name)


def _read_labels(value: Any) -> Mapping[str, str]:
    labels = _read_mapping(value)
    problems = [
        f"[{key!r}] is not a text. Write a string."
        for key, item in labels.items()
        if not isinstance(item, str)
    ]
    if problems:
        raise InvalidMirror(*problems)
    return _build_labels(tuple(labels.items()))


@lru_cache(maxsize=1024)
def _build_labels(items: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    # Many mirrors have the same labels: they share one value.
    problems = [
        f": {key!r} is not a label's key. Begin with a letter, then letters, digits "
        "and '_./-', at most 63."
        for key, _ in items
        if not _LABEL_KEY.fullmatch(key)
    ]
    if problems:
        raise InvalidMirror(*problems)
    return MappingProxyType(dict(items))


def _read_state(value: Any) -> str:
    if value not in STATES:
        raise InvalidMirror(
            f" is {value!r}, which is not a state. Use one of: {', '.join(STATES)}."
        )
    return str(value)


def _read_flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidMirror(" is neither True nor False. Write one of them.")
    return value


def _read_origins(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise InvalidMirror(" is not a list. Write ['https://app.example'].")
    problems = [
        f": {item!r} is not an origin. Write 'https://app.example'."
        for item in value
        if not _is_origin(item)
    ]
    if problems:
        raise InvalidMirror(*problems)
    return tuple(value)


def _is_origin(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
        parse_authority(parts.netloc)
    except ValueError:
        return False
    netloc = parts.netloc.lower()
    return value in {f"http://{netloc}", f"https://{netloc}"}


_READERS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "NAME": ("display_name", _read_text),
    "HOSTS": ("hosts", _read_hosts),
    "DATABASE": ("database", read_database),
    "SCHEMA": ("schema", read_schema),
    "REPLICA": ("replica", read_database),
    "STORAGE": ("storages", read_storage),
    "STORAGES": ("storages", read_storages),
    "CACHE": ("cache", read_backend),
    "MAIL": ("mail", read_backend),
    "SHARES": ("shares", _read_shares),
    "SETTINGS": ("settings", _read_settings),
    "URLCONF": ("urlconf", _read_urlconf),
    "THEME": ("theme", _read_theme),
    "LABELS": ("labels", _read_labels),
    "RESOURCES": ("resources", _read_mapping),
    "BILLING": ("billing", _read_mapping),
    "STATE": ("state", _read_state),
    "REDIRECT_ALIASES": ("redirect_aliases", _read_flag),
    "TRUSTED_ORIGINS": ("trusted_origins", _read_origins),
}
DEFINITION_KEYS = tuple(_READERS)
