"""The value that describes one mirror."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from django_mirrors.definition import (
    DEFINITION_KEYS,
    EMPTY,
    ORIGINAL_NAME,
    STATES,
    State,
    check_name,
    read_definition,
)
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.services import (
    CACHE,
    DATABASE,
    MAIL,
    SERVICES,
    SESSIONS,
    STORAGE,
    Schema,
)

__all__ = [
    "CACHE",
    "DATABASE",
    "DEFINITION_KEYS",
    "MAIL",
    "ORIGINAL_NAME",
    "SERVICES",
    "SESSIONS",
    "STATES",
    "STORAGE",
    "Alias",
    "Mirror",
    "ReadingAlias",
    "Schema",
    "State",
    "build_alias",
    "build_uid",
    "check_defaults",
    "check_name",
    "fill_defaults",
    "find_user",
]

# Not ${name}: that is a variable of the environment.
_FILLED = re.compile(r"(?<!\$)\{(name|uid)\}")
_UID_NAMESPACE = uuid5(NAMESPACE_URL, "https://pypi.org/project/dj-mirrors/")
_MERGED = frozenset({"LABELS", "SETTINGS", "RESOURCES", "BILLING"})
_PLACEHOLDER = re.compile(r"(?<!\$)\{[A-Za-z_]+\}")


class Alias(str):
    """The alias of a database, and the mirror that uses it.

    Django notes an alias in each object, to tell where it came from. Mirrors that share
    a database share its alias; what came from one of them is still not the other's.
    """

    __slots__ = ("mirror",)

    mirror: str

    def __reduce__(self) -> tuple[Any, ...]:
        # The oldest protocols of pickle know nothing of slots.
        return _restore_alias, (type(self), str(self), self.mirror)


class ReadingAlias(Alias):
    """The alias of a database that has a replica, for queries that only read.

    It is the same alias for all that compares, writes or connects.
    """

    __slots__ = ()


def _restore_alias(kind: type[Alias], alias: str, name: str) -> Alias:
    restored = kind(alias)
    restored.mirror = name
    return restored


def build_alias(name: str, owner: str) -> Alias:
    """Return the alias by which the mirror `name` uses the database of `owner`."""
    alias = Alias(owner)
    alias.mirror = name
    return alias


def find_user(alias: str) -> str:
    """Return the name of the mirror that uses `alias`; an owner's if left open."""
    return alias.mirror if isinstance(alias, Alias) else alias


def _get_empty() -> Mapping[str, Any]:
    return EMPTY


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=True)
class Mirror:
    """One application of the fleet: built by `from_mapping`, changed by replacing."""

    name: str
    display_name: str
    uid: UUID
    state: str
    hosts: tuple[str, ...]  # canonical; the first is primary; may hold wildcards
    source: str  # where the definition comes from: "settings", a file, "records"
    database: str | Mapping[str, Any] | None = None
    schema: Schema | None = None  # in the database; None: the database is the mirror's
    replica: str | Mapping[str, Any] | None = None
    storages: Mapping[str, str | Mapping[str, Any]] = field(default_factory=_get_empty)
    cache: str | Mapping[str, Any] | None = None
    mail: str | Mapping[str, Any] | None = None
    shares: Mapping[str, str] = field(default_factory=_get_empty)  # service -> owner
    settings: Mapping[str, Any] = field(default_factory=_get_empty)
    urlconf: str | None = None
    theme: str | None = None  # a directory in MIRRORS_OPTIONS["THEMES"]
    labels: Mapping[str, str] = field(default_factory=_get_empty)
    resources: Mapping[str, Any] = field(default_factory=_get_empty)
    billing: Mapping[str, Any] = field(default_factory=_get_empty)
    redirect_aliases: bool = False
    trusted_origins: tuple[str, ...] = ()
    release: str = ""  # what the mirror was last brought in step with
    reason: str = ""  # why it is not active, shown to visitors
    retry_after: int = 0  # seconds; 0 means the default
    migrations: str = ""  # digest of those that its database was seen to have
    is_read_only: bool = False  # while its database or its files are moved
    # Of the database: the mirror's name, or that of the database's owner. Asked for at
    # each query.
    alias: Alias = field(init=False, compare=False)
    reading_alias: Alias = field(init=False, compare=False)  # of queries that only read

    def __post_init__(self) -> None:
        alias = reading = build_alias(self.name, self.find_owner(DATABASE))
        if self.replica is not None:
            reading = ReadingAlias(alias)
            reading.mirror = self.name
        object.__setattr__(self, "alias", alias)
        object.__setattr__(self, "reading_alias", reading)

    def __repr__(self) -> str:
        return f"<Mirror {self.name} ({self.state})>"

    def __str__(self) -> str:
        return self.name

    def __hash__(self) -> int:
        return hash(self.uid)

    @property
    def primary_host(self) -> str:
        """The host that links point to: the first that is not a wildcard, or ''."""
        for host in self.hosts:
            if host[0] != "*":
                return host
        return ""

    @property
    def is_original(self) -> bool:
        """Whether this is the original."""
        return self.name == ORIGINAL_NAME

    def find_owner(self, service: str) -> str:
        """Return the name of the mirror that owns `service`: its own if not shared."""
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
            _check_name(name, place, problems)
        if not isinstance(definition, Mapping):
            problems.append(
                f"{place} is not a dictionary. Write {{'HOSTS': [...], ...}}."
            )
            raise InvalidMirror(*problems)
        values = read_definition(definition, place, problems)
        if "HOSTS" not in definition and source != ORIGINAL_NAME:
            problems.append(f"{place} has no hosts. Add at least one name to 'HOSTS'.")
        if "SCHEMA" in definition and "DATABASE" not in definition:
            problems.append(
                f"{place} has 'SCHEMA' and no 'DATABASE'. Add the URL of the database "
                "that holds the schema."
            )
        if problems:
            raise InvalidMirror(*problems)
        values.setdefault("display_name", name)
        values.setdefault("state", State.PROVISIONING)
        values.setdefault("hosts", ())
        values.update(extra)
        return cls(name=name, uid=uid or build_uid(name), source=source, **values)


def _check_name(name: Any, place: str, problems: list[str]) -> None:
    try:
        check_name(name, place)
    except InvalidMirror as error:
        problems.extend(error.problems)


def fill_defaults(
    name: str, definition: Mapping[str, Any], defaults: Mapping[str, Any], *, uid: UUID
) -> dict[str, Any]:
    """Return `definition` completed by `defaults`, with {name} and {uid} filled in.

    Labels, settings, resources and billing are merged key by key. A service that the
    definition shares, or has of its own, is not taken from the defaults.
    """
    filled = dict(definition)
    shared, own = _find_keys(definition, name="SHARES"), set(definition)
    if DATABASE in shared or (DATABASE in own and DATABASE in defaults):
        own |= {"SCHEMA", "REPLICA"}  # they are of the database that is not taken
    if "STORAGE" in own or "STORAGES" in own or STORAGE in shared:
        own |= {"STORAGE", "STORAGES"}
    for key, value in _fill(defaults, name, str(uid)).items():
        given = definition.get(key)
        if key in _MERGED and isinstance(given, Mapping) and isinstance(value, Mapping):
            filled[key] = {**value, **given}
        elif key == "SHARES" and key not in own and isinstance(value, Mapping):
            filled[key] = {
                service: owner for service, owner in value.items() if service not in own
            }
        elif key not in own and key not in shared:
            filled[key] = value
    return filled


def check_defaults(defaults: Mapping[str, Any], place: str) -> None:
    """Raise `InvalidMirror` with what would be wrong with every new mirror."""
    filled = _fill(defaults, "name", str(build_uid("name")))
    problems: list[str] = []
    read_definition(filled, place, problems)
    unknown = sorted(set(_PLACEHOLDER.findall(repr(filled))))
    problems += [
        f"{place} has the unknown placeholder '{item}'. Use {{name}} or {{uid}}."
        for item in unknown
    ]
    if problems:
        raise InvalidMirror(*problems)


def _find_keys(definition: Mapping[str, Any], *, name: str) -> frozenset[str]:
    value = definition.get(name)
    return frozenset(value) if isinstance(value, Mapping) else frozenset()


def _fill(value: Any, name: str, uid: str) -> Any:
    if isinstance(value, str):
        return _FILLED.sub(lambda match: name if match[1] == "name" else uid, value)
    if isinstance(value, Mapping):
        return {key: _fill(item, name, uid) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_fill(item, name, uid) for item in value]
    return value


def build_uid(name: str) -> UUID:
    """Return the uid of a declared mirror that has no record yet."""
    return uuid5(_UID_NAMESPACE, name)
