"""How the services in a definition are read: databases, storages, caches, mail."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from django_mirrors.exceptions import InvalidMirror

__all__ = [
    "CACHE",
    "DATABASE",
    "MAIL",
    "SERVICES",
    "SESSIONS",
    "STORAGE",
    "Schema",
    "find_service_problems",
    "read_backend",
    "read_database",
    "read_schema",
    "read_storage",
    "read_storages",
]

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
# The longest name of PostgreSQL, in bytes; it cuts longer ones off.
_MAX_IDENTIFIER = 63
_OWN_SCHEMAS = frozenset({"information_schema", "public"})
# Schemes of URLs, and the last parts of engines.
_POSTGRESQL = frozenset({"pgsql", "postgis", "postgres", "postgresql"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """A PostgreSQL schema that holds the tables of one mirror."""

    name: str
    role: str = ""  # what the connection acts as; "": the user it logged in as

    def __str__(self) -> str:
        return self.name


# Readers know a value only: the sentences of what they raise go on from its place.
def read_database(value: Any) -> str | Mapping[str, Any]:
    """Return a database as it was written, if it can be one."""
    dsn = _read_dsn(value)
    if isinstance(dsn, str):
        return dsn
    if not dsn.get("ENGINE"):
        raise InvalidMirror(" has no 'ENGINE'. Add it, as in DATABASES.")
    if "ATOMIC_REQUESTS" in dsn:
        raise InvalidMirror(
            " has 'ATOMIC_REQUESTS'. Set it in DATABASES['default'] only: it then "
            "holds for the current mirror of each request."
        )
    return dsn


def read_schema(value: Any) -> Schema:
    """Return the schema of a name, or of a dictionary with a role."""
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
        raise InvalidMirror(*problems)
    return Schema(name=name, role=role)


def read_storage(value: Any) -> Mapping[str, Any]:
    """Return the storages of a mirror that gives the default one only."""
    return MappingProxyType({"default": read_backend(value)})


def read_storages(value: Any) -> Mapping[str, Any]:
    """Return the storages of a mirror by their aliases."""
    if not isinstance(value, Mapping) or not value:
        raise InvalidMirror(
            " is not a dictionary of aliases. Write {'default': '...'}."
        )
    read, problems = {}, []
    for alias, item in value.items():
        try:
            read[alias] = read_backend(item)
        except InvalidMirror as error:
            problems += [f"[{alias!r}]{problem}" for problem in error.problems]
    if problems:
        raise InvalidMirror(*problems)
    return MappingProxyType(read)


def read_backend(value: Any) -> str | Mapping[str, Any]:
    """Return a cache, a storage or mail as it was written, if it can be one."""
    dsn = _read_dsn(value)
    if not isinstance(dsn, str) and not dsn.get("BACKEND"):
        raise InvalidMirror(" has no 'BACKEND'. Add its dotted path.")
    return dsn


def find_service_problems(
    definition: Mapping[str, Any], values: Mapping[str, Any], *, place: str
) -> list[str]:
    """Return which services of `definition` do not go together.

    `values` are the attributes that were read from it.
    """
    problems = []
    if "STORAGE" in definition and "STORAGES" in definition:
        problems.append(f"{place} has 'STORAGE' and 'STORAGES'. Use one of them.")
    problems += _find_schema_problems(values, place)
    if "shares" in values:
        problems += _find_doubled(values["shares"], definition, place)
    return problems


def _read_dsn(value: Any) -> str | Mapping[str, Any]:
    if isinstance(value, str) and ":" in value:
        return value
    if isinstance(value, Mapping) and value:
        return MappingProxyType(dict(value))
    raise InvalidMirror(" is neither a URL nor a dictionary. Write 'scheme://...'.")


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


def _find_doubled(
    shares: Mapping[str, str], definition: Mapping[str, Any], place: str
) -> list[str]:
    return [
        f"{place} has '{key}' and shares the {service} of '{shares[service]}'. "
        "Remove one of the two."
        for key, service in _SERVICE_KEYS
        if key in definition and service in shares
    ]
