"""Whether the services of a mirror can be told from those of all others."""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS
from django.db.utils import load_backend
from django.utils.module_loading import import_string

from django_mirrors.checks.findings import Findings
from django_mirrors.checks.messages import build_errors
from django_mirrors.conf import Conf, find_setting
from django_mirrors.dsn import build_cache, build_database, build_mail, build_storage
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.mirror import DATABASE, STORAGE, Mirror
from django_mirrors.registry import mirrors
from django_mirrors.registry.snapshot import describe_place
from django_mirrors.sources.records import RECORDS

__all__ = ["check_services", "find_mixed_databases", "find_mixed_storages"]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LOCAL = frozenset({"", "127.0.0.1", "::1", "localhost"})
# What an engine of Django speaks to, and the port that it does not have to say.
_SERVERS = {
    "mysql": ("mysql", "3306"),
    "postgis": ("postgresql", "5432"),
    "postgresql": ("postgresql", "5432"),
}
# The one option by which a connection may keep to a schema.
_SEARCH_PATH = re.compile(r"""-c\s*search_path=(?:"([^"]+)"|([^",\s\\]+))""")
_IN_SCHEMA = "in schema "
_MEMORY = "django.core.files.storage.InMemoryStorage"
_SERVER_PREFIX = ("location", "root_path")
# The service that a class of django-storages, or one made of it, speaks to; and the
# settings that complete its options.
_SERVICE = re.compile("s3|gcloud|azure")
_BUCKET_SETTINGS: Mapping[str, Mapping[str, str]] = {
    "s3": {
        "bucket_name": "AWS_STORAGE_BUCKET_NAME",
        "location": "AWS_LOCATION",
        "endpoint_url": "AWS_S3_ENDPOINT_URL",
    },
    "gcloud": {"bucket_name": "GS_BUCKET_NAME", "location": "GS_LOCATION"},
    "azure": {
        "azure_container": "AZURE_CONTAINER",
        "location": "AZURE_LOCATION",
        "account_name": "AZURE_ACCOUNT_NAME",
    },
}


class Use(NamedTuple):
    """A database or a prefix that a mirror has for itself."""

    where: tuple[str, ...]  # equal for what is the same database, bucket or disk
    prefix: str  # of a storage, between slashes
    mirror: Mirror


def check_services(findings: Findings) -> list[CheckMessage]:
    """Return what cannot be read, and what two mirrors would mix their data in.

    No variable and no mounted secret is read: they need not be set here.
    """
    reader = _Reader(findings.conf)
    databases = [use for mirror in findings.mirrors for use in reader.read(mirror)]
    databases += _read_original(findings.original)
    storages = [use for mirror in findings.all for use in reader.read_storages(mirror)]
    storages += _read_media(findings.original, findings.conf)
    return [
        *build_errors(reader.problems, 11),
        *build_errors(_find_same_databases(databases), 12),
        *build_errors(_find_same_storages(storages), 13),
        *build_errors(_find_without_database(findings), 14),
    ]


def find_mixed_databases(mirror: Mirror, conf: Conf) -> list[str]:
    """Return who has the database of `mirror` already, a sentence for each."""
    reader = _Reader(conf)
    own = {use.where for use in reader.read_database(mirror)}
    if not own:
        return []
    uses = list(_read_original(mirrors.original))
    for other in mirrors.values():
        # A quick look first: to read the addresses of a large fleet takes seconds.
        if other.name != mirror.name and _get_schema(other) == _get_schema(mirror):
            uses += reader.read_database(other)
    return [
        _describe_same(DATABASE, use.mirror, mirror, "are the same")
        for use in uses
        if use.where in own
    ]


def find_mixed_storages(mirror: Mirror, conf: Conf) -> list[str]:
    """Return with whose files those of `mirror` would be mixed, a sentence for each."""
    reader = _Reader(conf)
    own = [use for use in reader.read_storages(mirror) if use.where[0] != _MEMORY]
    if not own:
        return []
    uses = list(_read_media(mirrors.original, conf))
    for other in (mirrors.original, *mirrors.values()):
        if other.name != mirror.name:
            uses += reader.read_storages(other)
    return [
        _describe_same(STORAGE, use.mirror, mirror, _compare(mine, use))
        for mine in own
        for use in uses
        if _is_inside(mine, use) or _is_inside(use, mine)
    ]


class _Reader:
    """Reads DSNs with numbers in place of variables, the same for the same one."""

    def __init__(self, conf: Conf) -> None:
        self._conf = conf
        self._numbers: dict[str, str] = {}
        self.problems: list[str] = []

    def read(self, mirror: Mirror) -> Iterable[Use]:
        """Return the database of a mirror; look at its cache and its mail too."""
        self._build(build_cache, mirror.cache, mirror, "CACHE")
        self._build(self._build_mail, mirror.mail, mirror, "MAIL")
        return self.read_database(mirror)

    def read_database(self, mirror: Mirror) -> Iterable[Use]:
        """Return the database of a mirror."""
        config = self._build(self._build_database, mirror.database, mirror, "DATABASE")
        if config is None:
            return ()
        replica = self._build(self._build_database, mirror.replica, mirror, "REPLICA")
        if replica is not None and replica["ENGINE"] != config["ENGINE"]:
            self.problems.append(
                f"{_describe(mirror, 'REPLICA')} is of another engine than DATABASE. "
                "Name a copy that the database itself keeps up to date."
            )
        return _identify_database(config, mirror, _get_schema(mirror))

    def read_storages(self, mirror: Mirror) -> Iterable[Use]:
        """Return the places where a mirror keeps files."""
        for alias, value in mirror.storages.items():
            key = "STORAGE" if alias == "default" else f"STORAGES[{alias!r}]"
            config = self._build(build_storage, value, mirror, key)
            if config is not None:
                yield _identify_storage(config, mirror, self._conf.directory)

    def _build_database(self, value: Any, *, place: str) -> dict[str, Any]:
        config = build_database(value, directory=self._conf.directory, place=place)
        problem = _find_engine_problem(str(config.get("ENGINE", "")))
        if problem:
            raise InvalidMirror(f"{place} cannot be used: {problem}")
        return config

    def _build_mail(self, value: Any, *, place: str) -> dict[str, Any]:
        config = build_mail(value, directory=self._conf.directory, place=place)
        problem = _find_backend_problem(str(config["BACKEND"]))
        if problem:
            raise InvalidMirror(f"{place} cannot be used: {problem}")
        return config

    def _build(
        self, build: Callable[..., dict[str, Any]], value: Any, mirror: Mirror, key: str
    ) -> dict[str, Any] | None:
        if value is None or _is_secret(value):
            return None
        try:
            return build(self._fill(value), place=_describe(mirror, key))
        except InvalidMirror as error:
            if not _has_variable(value):
                self.problems += error.problems
        except Exception as error:  # noqa: BLE001 - a dictionary may hold anything
            place = _describe(mirror, key)
            self.problems.append(
                f"{place} cannot be read ({type(error).__name__}). Write it as in "
                "Django's settings."
            )
        return None

    def _fill(self, value: Any) -> Any:
        if isinstance(value, str):
            return _VARIABLE.sub(self._find_number, value)
        if isinstance(value, Mapping):
            return {key: self._fill(item) for key, item in value.items()}
        return value

    def _find_number(self, match: re.Match[str]) -> str:
        # A number can stand in a host, a port, a password and a path.
        return self._numbers.setdefault(match[1], str(len(self._numbers) + 1))


def _is_secret(value: Any) -> bool:
    """Whether only the environment knows what this is."""
    if not isinstance(value, str):
        return False
    is_file = value.startswith("file:") and not value.startswith("file://")
    return is_file or "${" in value.partition("://")[0]


def _has_variable(value: Any) -> bool:
    """Whether the environment decides if this can be read."""
    if isinstance(value, Mapping):
        return any(_has_variable(item) for item in value.values())
    return isinstance(value, str) and "${" in value


def _describe(mirror: Mirror, key: str) -> str:
    if mirror.source == RECORDS:
        return f"The {key} in the record of mirror '{mirror}'"
    return f"{describe_place(mirror)}['{key}']"


@cache
def _find_backend_problem(path: str) -> str:
    try:
        import_string(path)
    except ImportError as error:
        return f"{error}. Correct 'BACKEND', or install its package."
    return ""


@cache
def _find_engine_problem(engine: str) -> str:
    try:
        load_backend(engine)
    except ImproperlyConfigured as error:
        return (
            f"{' '.join(str(error).split())} Correct 'ENGINE', or install its driver."
        )
    return ""


def _get_schema(mirror: Mirror) -> str:
    return "" if mirror.schema is None else mirror.schema.name


def _identify_database(
    config: Mapping[str, Any], mirror: Mirror, schema: str = ""
) -> tuple[Use, ...]:
    engine, name = str(config.get("ENGINE", "")), str(config.get("NAME") or "")
    options = config.get("OPTIONS") or {}
    if engine.endswith("sqlite3"):
        if not name or ":memory:" in name or name.startswith("file:"):
            return ()
        return (Use((engine, os.path.realpath(name)), "", mirror),)
    kind, port = _SERVERS.get(engine.rpartition(".")[2], (engine, ""))
    service = str(options.get("service") or "")  # names a database
    where = (
        kind,
        _identify_host(str(config.get("HOST") or "")),
        str(config.get("PORT") or port),
        name,
        service,
    )
    if not name and not service:
        return ()
    if schema:
        return (Use((*where, f"{_IN_SCHEMA}{schema}"), "", mirror),)
    chosen = str(options.get("options") or "")
    found = _SEARCH_PATH.fullmatch(chosen)
    if found is not None:
        chosen = f"{_IN_SCHEMA}{found[1] or found[2]}"
    uses = [Use((*where, chosen), "", mirror)]
    if not chosen and kind == "postgresql":
        # PostgreSQL looks into the schema of the user's name first, if there is one.
        uses.append(Use((*where, f"{_IN_SCHEMA}{config.get('USER')}"), "", mirror))
    return tuple(uses)


def _identify_host(host: str) -> str:
    return "localhost" if host in _LOCAL else host.lower()


def _identify_storage(config: Mapping[str, Any], mirror: Mirror, root: Path) -> Use:
    backend, options = str(config["BACKEND"]), dict(config.get("OPTIONS") or {})
    where = _identify_bucket(backend, options)
    prefix = next((options.pop(key) for key in _SERVER_PREFIX if key in options), "")
    if not where and backend.endswith("FileSystemStorage"):
        where, prefix = ("file system",), os.path.realpath(root / str(prefix))
    elif not where:
        rest = (f"{key}={item}" for key, item in sorted(options.items()))
        where = (backend, *rest)
    return Use(where, _close(str(prefix)), mirror)


def _identify_bucket(backend: str, options: dict[str, Any]) -> tuple[str, ...]:
    """Return what tells a bucket from others, whichever class and keys lead there.

    What `options` do not say, the storages of django-storages take from the settings.
    """
    service = _SERVICE.search(backend.lower())
    if service is None:
        return ()
    names = _BUCKET_SETTINGS[service[0]]
    found = {
        option: options.get(option) or find_setting(setting) or ""
        for option, setting in names.items()
    }
    options["location"] = found.pop("location")
    # A server may be written with a slash at its end.
    return (service[0], *(str(item).rstrip("/").lower() for item in found.values()))


def _close(prefix: str) -> str:
    # Between slashes, so that no prefix is the beginning of one that it is not around.
    return f"/{prefix.strip('/')}/" if prefix.strip("/") else "/"


def _read_original(original: Mirror) -> Iterable[Use]:
    databases = find_setting("DATABASES", {})
    config = databases.get(DEFAULT_DB_ALIAS) if isinstance(databases, Mapping) else None
    return _identify_database(config, original) if config else ()


def _read_media(original: Mirror, conf: Conf) -> Iterable[Use]:
    root = find_setting("MEDIA_ROOT")
    if not root or "default" in original.storages:
        return ()
    config = build_storage(
        {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(root)},
        },
        place="MEDIA_ROOT",
    )
    return (_identify_storage(config, original, conf.directory),)


def _find_same_databases(uses: Iterable[Use]) -> list[str]:
    problems = []
    first: dict[tuple[str, ...], Mirror] = {}
    # The original first, so that the others are said to have its database.
    for use in sorted(uses, key=lambda item: not item.mirror.is_original):
        other = first.setdefault(use.where, use.mirror)
        if other.name != use.mirror.name:
            problems.append(_describe_same(DATABASE, other, use.mirror, "are the same"))
    return [*dict.fromkeys(problems)]


def _find_same_storages(uses: Iterable[Use]) -> list[str]:
    problems = []
    kept = [use for use in uses if use.where[0] != _MEMORY]
    around: list[Use] = []  # what the next one may lie in, the innermost last
    # Sorted, a prefix comes before all that lies in it.
    for use in sorted(kept, key=_order_storage):
        while around and not _is_inside(use, around[-1]):
            around.pop()
        others = [one for one in around if one.mirror.name != use.mirror.name]
        if others:
            other = others[-1]
            how = _compare(other, use)
            problems.append(_describe_same(STORAGE, other.mirror, use.mirror, how))
        around.append(use)
    return problems


def _order_storage(use: Use) -> tuple[Any, ...]:
    # The original first, so that the others are said to have its storage.
    return use.where, use.prefix, not use.mirror.is_original


def _is_inside(inner: Use, outer: Use) -> bool:
    return inner.where == outer.where and inner.prefix.startswith(outer.prefix)


def _compare(one: Use, two: Use) -> str:
    return "are the same" if one.prefix == two.prefix else "lie one in the other"


def _describe_same(service: str, one: Mirror, two: Mirror, how: str) -> str:
    return (
        f"{describe_place(two)}: the {service} of mirror '{two}' and that of '{one}' "
        f"{how}, so their data would be mixed. Give '{two}' one of its own, or write "
        f"'SHARES': {{'{service}': '{one}'}} in place of it."
    )


def _find_without_database(findings: Findings) -> list[str]:
    return [
        f"{describe_place(mirror)}: mirror '{mirror}' has no database. Add 'DATABASE' "
        "to its definition or to MIRRORS_OPTIONS['DEFAULTS'], or share another's."
        for mirror in findings.mirrors
        if mirror.database is None and DATABASE not in mirror.shares
    ]
