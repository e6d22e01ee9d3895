"""How a definition is read: every key has a reader, every mistake its sentence."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from django_mirrors import _compat_settings
from django_mirrors.exceptions import InvalidHost, InvalidMirror
from django_mirrors.hosts import parse_authority, parse_pattern
from django_mirrors.refusals import explain, is_refused
from django_mirrors.values import find_value_problem

__all__ = [
    "CACHE",
    "DATABASE",
    "DEFINITION_KEYS",
    "EMPTY",
    "MAIL",
    "ORIGINAL_NAME",
    "SERVICES",
    "SESSIONS",
    "STATES",
    "STORAGE",
    "THEME_NAME",
    "Schema",
    "State",
    "check_name",
    "find_close",
    "read_definition",
]

ORIGINAL_NAME = "original"
DATABASE, STORAGE, CACHE, SESSIONS, MAIL = SERVICES = (
    "DATABASE",
    "STORAGE",
    "CACHE",
    "SESSIONS",
    "MAIL",
)
# Keys of a definition that hold a service of the mirror's own.
_SERVICE_KEYS = (
    *((name, name) for name in SERVICES),
    ("SCHEMA", DATABASE),
    ("REPLICA", DATABASE),
    ("STORAGES", STORAGE),
)
# One value for all that say nothing: most mirrors leave most keys out.
EMPTY: Mapping[str, Any] = MappingProxyType({})

_NAME = re.compile(r"[a-z][a-z0-9-]{0,47}")
# The name of a directory and a part of URLs: no dot, no slash.
THEME_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
# "default" always means the current mirror; the other one has its own class of alias.
_RESERVED = frozenset({"default", ORIGINAL_NAME})
_LABEL_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_./-]{0,62}")
# The longest name of PostgreSQL, in bytes; it cuts longer ones off.
_MAX_IDENTIFIER = 63
_OWN_SCHEMAS = frozenset({"information_schema", "public"})
# Schemes of URLs, and the last parts of engines.
_POSTGRESQL = frozenset({"pgsql", "postgis", "postgres", "postgresql"})
_SETTING = re.compile(r"[A-Z][A-Z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """A PostgreSQL schema that holds the tables of one mirror."""

    name: str
    role: str = ""  # what the connection acts as; "": the user it logged in as

    def __str__(self) -> str:
        return self.name


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
    if "STORAGE" in definition and "STORAGES" in definition:
        problems.append(f"{place} has 'STORAGE' and 'STORAGES'. Use one of them.")
    problems += _find_schema_problems(values, place)
    if "shares" in values:
        problems += _find_doubled(values["shares"], definition, place)
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


def _find_doubled(
    shares: Mapping[str, str], definition: Mapping[str, Any], place: str
) -> list[str]:
    return [
        f"{place} has '{key}' and shares the {service} of '{shares[service]}'. "
        "Remove one of the two."
        for key, service in _SERVICE_KEYS
        if key in definition and service in shares
    ]


def _refuse(*problems: str) -> InvalidMirror:
    return InvalidMirror(*problems)


def _read_text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise _refuse(" is not a text. Write a string of one line.")
    return value


def _read_urlconf(value: Any) -> str:
    text = _read_text(value)
    if not all(part.isidentifier() for part in text.split(".")):
        raise _refuse(
            f" is {text!r}, which is not a dotted path. Write 'project.urls'."
        )
    return text


def _read_theme(value: Any) -> str:
    if not isinstance(value, str) or not THEME_NAME.fullmatch(value):
        raise _refuse(
            f" is {value!r}, which is not the name of a theme. Use 1 to 64 lower-case "
            "letters, digits, '_' and '-', beginning with a letter or a digit."
        )
    return value


def _read_hosts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise _refuse(" is not a list. Write ['shop.example'].")
    if not value:
        raise _refuse(" is empty. Add at least one name.")
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
        raise _refuse(*problems)
    return tuple(hosts)


def _read_dsn(value: Any) -> str | Mapping[str, Any]:
    if isinstance(value, str) and ":" in value:
        return value
    if isinstance(value, Mapping) and value:
        return MappingProxyType(dict(value))
    raise _refuse(" is neither a URL nor a dictionary. Write 'scheme://...'.")


def _read_database(value: Any) -> str | Mapping[str, Any]:
    dsn = _read_dsn(value)
    if isinstance(dsn, str):
        return dsn
    if not dsn.get("ENGINE"):
        raise _refuse(" has no 'ENGINE'. Add it, as in DATABASES.")
    if "ATOMIC_REQUESTS" in dsn:
        raise _refuse(
            " has 'ATOMIC_REQUESTS'. Set it in DATABASES['default'] only: it then "
            "holds for the current mirror of each request."
        )
    return dsn


def _read_schema(value: Any) -> Schema:
    given = value if isinstance(value, Mapping) else {"NAME": value}
    problems = [
        f" has the unknown key {key!r}. Use one of: NAME, ROLE."
        for key in given
        if key not in {"NAME", "ROLE"}
    ]
    name: Any = given.get("NAME")
    role: Any = given.get("ROLE", "")
    if not _is_identifier(name):
        problems.append(
            f" is {name!r}, which is not the name of a schema. Write a text of 1 to "
            f"{_MAX_IDENTIFIER} bytes."
        )
    elif name.lower() in _OWN_SCHEMAS or name.lower().startswith("pg_"):
        problems.append(
            f" is {name!r}, which is not a mirror's own. Choose another name."
        )
    if role != "" and (not _is_identifier(role) or role.lower() == "none"):
        problems.append(
            f" has the 'ROLE' {role!r}, which is not the name of a role. Write a text "
            f"of 1 to {_MAX_IDENTIFIER} bytes, or leave it out."
        )
    if problems:
        raise _refuse(*problems)
    return Schema(name=name, role=role)


def _is_identifier(value: Any) -> bool:
    """Whether PostgreSQL can have something of this name, in quotes."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        return False
    return len(value.encode()) <= _MAX_IDENTIFIER


def _find_schema_problems(values: Mapping[str, Any], place: str) -> list[str]:
    """Return why the database that is given cannot hold a schema."""
    if "schema" not in values or "database" not in values:
        return []
    database = values["database"]
    if isinstance(database, str):
        scheme = database.partition(":")[0].lower()
        # What a variable or a secret holds is seen when it is used.
        is_known = scheme in _POSTGRESQL or scheme == "file" or "$" in scheme
    else:
        is_known = str(database["ENGINE"]).rpartition(".")[2] in _POSTGRESQL
    if is_known:
        return []
    problem = (
        f"{place} has 'SCHEMA', and its 'DATABASE' is not of PostgreSQL. Write "
        "'postgres://...', or remove 'SCHEMA'."
    )
    return [problem]


def _read_storage(value: Any) -> Mapping[str, Any]:
    return MappingProxyType({"default": _read_backend(value)})


def _read_storages(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not value:
        raise _refuse(" is not a dictionary of aliases. Write {'default': '...'}.")
    read, problems = {}, []
    for alias, item in value.items():
        try:
            read[alias] = _read_backend(item)
        except InvalidMirror as error:
            problems += [f"[{alias!r}]{problem}" for problem in error.problems]
    if problems:
        raise _refuse(*problems)
    return MappingProxyType(read)


def _read_backend(value: Any) -> str | Mapping[str, Any]:
    dsn = _read_dsn(value)
    if not isinstance(dsn, str) and not dsn.get("BACKEND"):
        raise _refuse(" has no 'BACKEND'. Add its dotted path.")
    return dsn


def _read_mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _refuse(" is not a dictionary. Write {'KEY': value}.")
    for key in value:
        if not isinstance(key, str):
            raise _refuse(f" has the key {key!r}. Write keys as strings.")
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
        raise _refuse(*problems)
    return shares


def _read_settings(value: Any) -> Mapping[str, Any]:
    settings = _read_mapping(value)
    problems = [
        f": {problem}"
        for name, item in settings.items()
        if (problem := _find_setting_problem(name) or find_value_problem(name, item))
    ]
    if problems:
        raise _refuse(*problems)
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
        raise _refuse(*problems)
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
        raise _refuse(*problems)
    return MappingProxyType(dict(items))


def _read_state(value: Any) -> str:
    if value not in STATES:
        raise _refuse(
            f" is {value!r}, which is not a state. Use one of: {', '.join(STATES)}."
        )
    return str(value)


def _read_flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _refuse(" is neither True nor False. Write one of them.")
    return value


def _read_origins(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise _refuse(" is not a list. Write ['https://app.example'].")
    problems = [
        f": {item!r} is not an origin. Write 'https://app.example'."
        for item in value
        if not _is_origin(item)
    ]
    if problems:
        raise _refuse(*problems)
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
    "DATABASE": ("database", _read_database),
    "SCHEMA": ("schema", _read_schema),
    "REPLICA": ("replica", _read_database),
    "STORAGE": ("storages", _read_storage),
    "STORAGES": ("storages", _read_storages),
    "CACHE": ("cache", _read_backend),
    "MAIL": ("mail", _read_backend),
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
