"""The value that describes one mirror, and how it is built from a definition."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from django_mirrors.exceptions import InvalidHost, InvalidMirror
from django_mirrors.hosts import parse_pattern

__all__ = [
    "DEFINITION_KEYS",
    "ORIGINAL_NAME",
    "SERVICES",
    "STATES",
    "Mirror",
    "State",
    "build_uid",
    "check_name",
    "fill_defaults",
]

ORIGINAL_NAME = "original"
DATABASE, STORAGE, CACHE, SESSIONS, MAIL = SERVICES = (
    "DATABASE",
    "STORAGE",
    "CACHE",
    "SESSIONS",
    "MAIL",
)
_NAME = re.compile(r"[a-z][a-z0-9-]{0,47}")
# "default" always means the current mirror; the other one has its own class of alias.
_RESERVED = frozenset({"default", ORIGINAL_NAME})
_LABEL_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_./-]{0,62}")
_SETTING = re.compile(r"[A-Z][A-Z0-9_]*")
_UID_NAMESPACE = uuid5(NAMESPACE_URL, "https://pypi.org/project/dj-mirrors/")
_MERGED = frozenset({"LABELS", "SETTINGS", "RESOURCES", "BILLING"})
_EMPTY: Mapping[str, Any] = MappingProxyType({})


def _get_empty() -> Mapping[str, Any]:
    return _EMPTY


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


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=True)
class Mirror:
    """One application of the fleet. Build it with `from_mapping`; change it by replacing."""

    name: str
    display_name: str
    uid: UUID
    state: str
    hosts: tuple[str, ...]  # canonical; the first is primary; may hold wildcards
    source: str  # where the definition comes from: "settings", a file, "records"
    database: str | Mapping[str, Any] | None = None
    schema: str | None = None
    replica: str | Mapping[str, Any] | None = None
    storages: Mapping[str, str | Mapping[str, Any]] = field(default_factory=_get_empty)
    cache: str | Mapping[str, Any] | None = None
    mail: str | Mapping[str, Any] | None = None
    shares: Mapping[str, str] = field(default_factory=_get_empty)  # service -> name of its owner
    settings: Mapping[str, Any] = field(default_factory=_get_empty)
    urlconf: str | None = None
    labels: Mapping[str, str] = field(default_factory=_get_empty)
    resources: Mapping[str, Any] = field(default_factory=_get_empty)
    billing: Mapping[str, Any] = field(default_factory=_get_empty)
    redirect_aliases: bool = False
    trusted_origins: tuple[str, ...] = ()
    release: str = ""  # what the mirror was last brought in step with
    reason: str = ""  # why it is not active, shown to visitors
    retry_after: int = 0  # seconds; 0 means the default

    def __repr__(self) -> str:
        return f"<Mirror {self.name} ({self.state})>"

    def __str__(self) -> str:
        return self.name

    def __hash__(self) -> int:
        return hash(self.uid)

    @property
    def alias(self) -> str:
        """The database alias: the mirror's name, or that of the database's owner."""
        return self.shares.get(DATABASE, self.name)

    @property
    def primary_host(self) -> str:
        """The host that links point to: the first that is not a wildcard, or ''."""
        return next((host for host in self.hosts if not host.startswith("*")), "")

    @property
    def is_original(self) -> bool:
        """Whether this is the original."""
        return self.name == ORIGINAL_NAME

    def find_owner(self, service: str) -> str:
        """Return the name of the mirror that owns `service`: this one's if not shared."""
        return self.shares.get(service, self.name)

    @classmethod
    def from_mapping(
        cls,
        name: str,
        definition: Mapping[str, Any],
        *,
        uid: UUID | None = None,
        source: str = "settings",
        place: str | None = None,
        **extra: Any,
    ) -> "Mirror":
        """Return the mirror that `definition` describes.

        Raises `InvalidMirror` with every mistake found, each naming its place and
        saying what to do. Nothing is connected to and no variable is read.
        """
        place = place or f"MIRRORS[{name!r}]"
        problems: list[str] = []
        if name != ORIGINAL_NAME or source != ORIGINAL_NAME:
            _collect(problems, check_name, name, place)
        if not isinstance(definition, Mapping):
            problems.append(f"{place} is not a dictionary. Write {{'HOSTS': [...], ...}}.")
            raise InvalidMirror(*problems)
        problems += _check_keys(definition, place)
        values = _read(definition, place, problems)
        if not definition.get("HOSTS") and source != ORIGINAL_NAME:
            problems.append(f"{place} has no hosts. Add at least one name to 'HOSTS'.")
        values.setdefault("hosts", ())
        if problems:
            raise InvalidMirror(*problems)
        values.setdefault("display_name", name)
        values.setdefault("state", State.PROVISIONING)
        values.update(extra)
        return cls(name=name, uid=uid or build_uid(name), source=source, **values)


def fill_defaults(
    name: str, definition: Mapping[str, Any], defaults: Mapping[str, Any], *, uid: UUID
) -> dict[str, Any]:
    """Return `definition` completed by `defaults`, with {name} and {uid} filled in.

    Labels, settings, resources and billing are merged key by key. A service that the
    definition shares, or has of its own, is not taken from the defaults.
    """

    def fill(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("{name}", name).replace("{uid}", str(uid))
        if isinstance(value, Mapping):
            return {key: fill(item) for key, item in value.items()}
        return [fill(item) for item in value] if isinstance(value, list | tuple) else value

    filled = dict(definition)
    shares = definition.get("SHARES")
    taken = set(shares) if isinstance(shares, Mapping) else set()
    if taken & {STORAGE} or {"STORAGE", "STORAGES"} & set(definition):
        taken |= {"STORAGE", "STORAGES"}
    for key, value in defaults.items():
        own = definition.get(key)
        if key in _MERGED and isinstance(own, Mapping) and isinstance(value, Mapping):
            filled[key] = {**fill(value), **own}
        elif key not in definition and key not in taken:
            filled[key] = fill(value)
    return filled


def build_uid(name: str) -> UUID:
    """Return the uid of a declared mirror that has no record yet."""
    return uuid5(_UID_NAMESPACE, name)


def check_name(name: Any, place: str = "") -> str:
    """Return `name` if a mirror may have it, else raise `InvalidMirror`."""
    prefix = f"{place}: " if place else ""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidMirror(
            f"{prefix}{name!r} is not a mirror's name. Use 1 to 48 lower-case "
            "letters, digits and hyphens, beginning with a letter."
        )
    if name in _RESERVED:
        raise InvalidMirror(f"{prefix}The name {name!r} is reserved. Choose another one.")
    return name


def _collect(problems: list[str], function: Any, *args: Any) -> Any:
    try:
        return function(*args)
    except InvalidMirror as error:
        problems.extend(error.problems)
        return None


def _check_keys(definition: Mapping[str, Any], place: str) -> list[str]:
    problems = []
    for key in definition:
        if key in _READERS:
            continue
        close = get_close_matches(str(key).upper(), DEFINITION_KEYS, n=1, cutoff=0.6)
        hint = f"Did you mean '{close[0]}'?" if close else (
            f"Use one of: {', '.join(DEFINITION_KEYS)}."
        )
        problems.append(f"{place} has the unknown key {key!r}. {hint}")
    if "STORAGE" in definition and "STORAGES" in definition:
        problems.append(f"{place} has 'STORAGE' and 'STORAGES'. Use one of them.")
    return problems


def _read(
    definition: Mapping[str, Any], place: str, problems: list[str]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in definition.items():
        if key not in _READERS:
            continue
        attribute, read = _READERS[key]
        read_value = _collect(problems, read, value, f"{place}[{key!r}]")
        if read_value is not None:
            values[attribute] = read_value
    shares = values.get("shares", _EMPTY)
    if DATABASE in shares and "database" in values:
        problems.append(
            f"{place} has a 'DATABASE' and shares the one of '{shares[DATABASE]}'. "
            "Remove one of the two."
        )
    return values


def _read_text(value: Any, place: str) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise InvalidMirror(f"{place} is not a text. Write a string of one line.")
    return value


def _read_hosts(value: Any, place: str) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, list | tuple):
        raise InvalidMirror(f"{place} is not a list. Write ['shop.example'].")
    problems, hosts = [], []
    for item in value:
        try:
            host = parse_pattern(item)
        except InvalidHost as error:
            problems.append(f"{place}: {error}")
            continue
        if host in hosts:
            problems.append(f"{place} has the host '{host}' twice. Remove one.")
        hosts.append(host)
    if problems:
        raise InvalidMirror(*problems)
    return tuple(hosts)


def _read_dsn(value: Any, place: str) -> str | Mapping[str, Any]:
    if isinstance(value, Mapping) and value:
        return MappingProxyType(dict(value))
    if not isinstance(value, str) or ":" not in value:
        raise InvalidMirror(
            f"{place} is neither a URL nor a dictionary. Write 'scheme://...'."
        )
    return value


def _read_database(value: Any, place: str) -> str | Mapping[str, Any]:
    dsn = _read_dsn(value, place)
    if not isinstance(dsn, str):
        if not dsn.get("ENGINE"):
            raise InvalidMirror(f"{place} has no 'ENGINE'. Add it, as in DATABASES.")
        if "ATOMIC_REQUESTS" in dsn:
            raise InvalidMirror(
                f"{place} has 'ATOMIC_REQUESTS'. Set it in DATABASES['default'] only: "
                "it then holds for the current mirror of each request."
            )
    return dsn


def _read_storage(value: Any, place: str) -> Mapping[str, Any]:
    return MappingProxyType({"default": _read_backend(value, place)})


def _read_storages(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not value:
        raise InvalidMirror(f"{place} is not a dictionary of aliases.")
    return MappingProxyType(
        {alias: _read_backend(item, f"{place}[{alias!r}]") for alias, item in value.items()}
    )


def _read_backend(value: Any, place: str) -> str | Mapping[str, Any]:
    dsn = _read_dsn(value, place)
    if not isinstance(dsn, str) and not dsn.get("BACKEND"):
        raise InvalidMirror(f"{place} has no 'BACKEND'. Add its dotted path.")
    return dsn


def _read_shares(value: Any, place: str) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise InvalidMirror(f"{place} is not a dictionary. Write {{'DATABASE': 'acme'}}.")
    problems = []
    for service, owner in value.items():
        if service not in SERVICES:
            problems.append(
                f"{place} has the unknown service {service!r}. "
                f"Use one of: {', '.join(SERVICES)}."
            )
        if owner != ORIGINAL_NAME:
            _collect(problems, check_name, owner, place)
    if problems:
        raise InvalidMirror(*problems)
    return MappingProxyType(dict(value))


def _read_settings(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidMirror(f"{place} is not a dictionary of settings.")
    wrong = [name for name in value if not _SETTING.fullmatch(str(name))]
    if wrong:
        raise InvalidMirror(
            *(f"{place}: {name!r} is not a setting. Use upper case." for name in wrong)
        )
    return MappingProxyType(dict(value))


def _read_labels(value: Any, place: str) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise InvalidMirror(f"{place} is not a dictionary. Write {{'tier': 'gold'}}.")
    problems = [
        f"{place}: {key!r} is not a label's key. Begin with a letter, then "
        "letters, digits and '_./-', at most 63."
        for key in value
        if not isinstance(key, str) or not _LABEL_KEY.fullmatch(key)
    ]
    problems += [
        f"{place}[{key!r}] is not a text. Write a string."
        for key, item in value.items()
        if not isinstance(item, str)
    ]
    if problems:
        raise InvalidMirror(*problems)
    return MappingProxyType(dict(value))


def _read_mapping(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidMirror(f"{place} is not a dictionary.")
    return MappingProxyType(dict(value))


def _read_state(value: Any, place: str) -> str:
    if value not in STATES:
        raise InvalidMirror(
            f"{place} is {value!r}, which is not a state. Use one of: {', '.join(STATES)}."
        )
    return str(value)


def _read_flag(value: Any, place: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidMirror(f"{place} is neither True nor False.")
    return value


def _read_origins(value: Any, place: str) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, list | tuple):
        raise InvalidMirror(f"{place} is not a list. Write ['https://app.example'].")
    wrong = [
        item
        for item in value
        if not isinstance(item, str) or not item.startswith(("http://", "https://"))
    ]
    if wrong:
        raise InvalidMirror(
            *(f"{place}: {item!r} is not an origin. Write 'https://app.example'." for item in wrong)
        )
    return tuple(value)


_READERS: Mapping[str, tuple[str, Any]] = {
    "NAME": ("display_name", _read_text),
    "HOSTS": ("hosts", _read_hosts),
    "DATABASE": ("database", _read_database),
    "SCHEMA": ("schema", _read_text),
    "REPLICA": ("replica", _read_database),
    "STORAGE": ("storages", _read_storage),
    "STORAGES": ("storages", _read_storages),
    "CACHE": ("cache", _read_backend),
    "MAIL": ("mail", _read_backend),
    "SHARES": ("shares", _read_shares),
    "SETTINGS": ("settings", _read_settings),
    "URLCONF": ("urlconf", _read_text),
    "LABELS": ("labels", _read_labels),
    "RESOURCES": ("resources", _read_mapping),
    "BILLING": ("billing", _read_mapping),
    "STATE": ("state", _read_state),
    "REDIRECT_ALIASES": ("redirect_aliases", _read_flag),
    "TRUSTED_ORIGINS": ("trusted_origins", _read_origins),
}
DEFINITION_KEYS = tuple(_READERS)
