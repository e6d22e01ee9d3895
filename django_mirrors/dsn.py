"""Turn the DSN of a service into the dictionary Django expects."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import dj_database_url

from django_mirrors.exceptions import InvalidMirror

__all__ = [
    "STORAGE_SCHEMES",
    "build_cache",
    "build_database",
    "build_mail",
    "build_storage",
]

Dsn = str | Mapping[str, Any]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_FILE_SYSTEM = "django_mirrors.storage.filesystem.MirrorFileSystemStorage"
_DJANGO_FILE_SYSTEMS = frozenset(
    {
        "django.core.files.storage.FileSystemStorage",
        "django.core.files.storage.filesystem.FileSystemStorage",
    }
)
# Options that name the part of a bucket or server a storage keeps to.
_PREFIXES = ("location", "root_path")
# These keep a file that is read in memory as a whole, unless told how much of it.
_SPOOLING = frozenset(
    {
        "storages.backends.gcloud.GoogleCloudStorage",
        "storages.backends.s3.S3Storage",
        "storages.backends.s3boto3.S3Boto3Storage",
    }
)
_SPOOL_BYTES = 8 * 1024 * 1024
_SMTP_OPTIONS = frozenset({"ssl_certfile", "ssl_keyfile", "timeout"})
_CACHE_KEYS = frozenset({"TIMEOUT", "KEY_PREFIX", "VERSION"})
_TRUE = frozenset({"1", "true", "yes", "on"})


def build_database(value: Dsn, *, directory: Path, place: str) -> dict[str, Any]:
    """Return a `DATABASES`-style dictionary. Relative paths start at `directory`.

    Raises `InvalidMirror` when a variable is not set or the URL cannot be read.
    """
    if isinstance(value, str):
        config = _parse_database(expand(value, place=place), place=place)
    else:
        config = _expand_mapping(value, place=place)
    if str(config.get("ENGINE", "")).endswith("sqlite3") and "NAME" in config:
        name = str(config["NAME"])
        if ":memory:" not in name and not name.startswith("file:"):
            config["NAME"] = str(directory / name)
    return config


def build_storage(value: Dsn, *, place: str) -> dict[str, Any]:
    """Return a `STORAGES`-style dictionary: `BACKEND` and `OPTIONS`.

    Every prefix ends in a slash, and Django's file system storage is replaced by the
    one that links cannot lead out of.
    """
    if isinstance(value, str):
        parts = _split(expand(value, place=place), place=place)
        build = _STORAGES.get(parts.scheme)
        if build is None:
            raise InvalidMirror(_unknown_scheme(place, parts.scheme, _STORAGES))
        config = build(parts, place)
    else:
        config = _expand_mapping(value, place=place)
    if config.get("BACKEND") in _DJANGO_FILE_SYSTEMS:
        config["BACKEND"] = _FILE_SYSTEM
    elif config.get("BACKEND") != _FILE_SYSTEM and "OPTIONS" in config:
        config["OPTIONS"] = _close_prefixes(config["OPTIONS"], place=place)
    if config.get("BACKEND") in _SPOOLING:
        spooled = {"max_memory_size": _SPOOL_BYTES}
        config["OPTIONS"] = {**spooled, **config.get("OPTIONS", {})}
    return config


def build_cache(value: Dsn, *, place: str) -> dict[str, Any]:
    """Return a `CACHES`-style dictionary: `BACKEND`, `LOCATION` and `OPTIONS`."""
    if not isinstance(value, str):
        return _expand_mapping(value, place=place)
    dsn = expand(value, place=place)
    parts = _split(dsn, place=place)
    if parts.scheme not in _CACHES:
        raise InvalidMirror(_unknown_scheme(place, parts.scheme, _CACHES))
    backend = _CACHES[parts.scheme]
    if parts.scheme in _REDIS:
        # A list, since Django splits a string at commas, which a password may hold.
        return {"BACKEND": backend, "LOCATION": [dsn]}
    config = {"BACKEND": backend, "LOCATION": _find_cache_location(parts, place)}
    options = _query(parts)
    config |= {key: options.pop(key) for key in _CACHE_KEYS & set(options)}
    return config | ({"OPTIONS": options} if options else {})


def build_mail(value: Dsn, *, directory: Path, place: str) -> dict[str, Any]:
    """Return the `BACKEND` and the `OPTIONS` of a mail backend.

    In a dictionary, options may stand beside `BACKEND`, in upper case. Relative paths
    start at `directory`.
    """
    if isinstance(value, str):
        parts = _split(expand(value, place=place), place=place)
        if parts.scheme not in _MAIL:
            raise InvalidMirror(_unknown_scheme(place, parts.scheme, _MAIL))
        backend, build = _MAIL[parts.scheme]
        options = build(parts, place)
    else:
        config = _expand_mapping(value, place=place)
        backend = config.pop("BACKEND")
        options = {**config.pop("OPTIONS", {})}
        options |= {key.lower(): item for key, item in config.items()}
    if options.get("file_path"):
        options["file_path"] = str(directory / str(options["file_path"]))
    if options.get("use_tls") and options.get("use_ssl"):
        raise InvalidMirror(
            f"{place} has TLS in two ways. Use 'smtps://' or 'USE_SSL' for a server "
            "that begins with it, else '?tls=1' or 'USE_TLS'."
        )
    return {"BACKEND": backend, "OPTIONS": options}


def expand(dsn: str, *, place: str) -> str:
    """Return `dsn` with a mounted secret read and its `${VARIABLE}`s filled in."""
    if dsn.startswith("file:") and not dsn.startswith("file://"):
        dsn = _read_secret(Path(dsn[5:]), place=place)

    def fill(match: re.Match[str]) -> str:
        try:
            return os.environ[match[1]]
        except KeyError:
            raise InvalidMirror(
                f"{place} refers to ${{{match[1]}}}, which is not set. "
                "Set the variable in the environment of this process."
            ) from None

    return _VARIABLE.sub(fill, dsn)


def _read_secret(path: Path, *, place: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidMirror(
            f"{place} refers to the file '{path}', which cannot be read "
            f"({type(error).__name__}). Mount the secret there or correct the path."
        ) from error


def _expand_mapping(value: Mapping[str, Any], *, place: str) -> dict[str, Any]:
    def walk(item: Any) -> Any:
        if isinstance(item, Mapping):
            return {key: walk(inner) for key, inner in item.items()}
        if isinstance(item, str) and "${" in item:
            return expand(item, place=place)
        return item

    return {key: walk(item) for key, item in value.items()}


def _parse_database(url: str, *, place: str) -> dict[str, Any]:
    _split(url, place=place)
    try:
        config = dict(dj_database_url.parse(url))
    except dj_database_url.UnknownSchemeError as error:
        raise InvalidMirror(
            _unknown_scheme(place, error.scheme, dj_database_url.ENGINE_SCHEMES)
        ) from None
    except ValueError:
        # The cause holds the URL, and so perhaps a password.
        raise InvalidMirror(
            f"{place} is not a valid database URL. Write 'scheme://user:password@"
            "host:port/name' and percent-encode special characters."
        ) from None
    # What the URL does not say is taken from the original's database.
    for key in ("CONN_MAX_AGE", "CONN_HEALTH_CHECKS", "DISABLE_SERVER_SIDE_CURSORS"):
        config.pop(key, None)
    return config


def _split(dsn: str, *, place: str) -> SplitResult:
    try:
        parts = urlsplit(dsn)
        _ = parts.port
    except ValueError:
        raise InvalidMirror(
            f"{place} is not a valid URL. Percent-encode special characters in it."
        ) from None
    if not parts.scheme or not dsn[len(parts.scheme) :].startswith("://"):
        raise InvalidMirror(
            f"{place} is not a URL. Begin it with a scheme, such as 'sqlite:///'."
        )
    return parts


def _unknown_scheme(place: str, scheme: str, known: Mapping[str, object]) -> str:
    names = ", ".join(sorted(known))
    return f"{place} has the unknown scheme '{scheme}'. Use one of: {names}."


def _query(parts: SplitResult) -> dict[str, Any]:
    return {
        key: _coerce(item)
        for key, item in parse_qsl(parts.query, keep_blank_values=True)
    }


def _coerce(text: str) -> Any:
    if text.lower() in {"true", "false"}:
        return text.lower() in _TRUE
    return int(text) if text.isdecimal() else text


def _find_cache_location(parts: SplitResult, place: str) -> str:
    path = unquote(parts.path)
    if parts.scheme == "file":
        if parts.netloc or not path.strip("/"):
            raise InvalidMirror(
                f"{place} is not an absolute path. Write 'file:///path/to/cache/'."
            )
        return path
    if parts.scheme == "memcached" and not parts.netloc and path.strip("/"):
        return f"unix:{path}"
    if parts.scheme in {"memcached", "db"} and not parts.netloc:
        raise InvalidMirror(
            f"{place} names no server or table. Write 'memcached://host:11211' or "
            "'db://table'."
        )
    return parts.netloc


def _close_prefixes(options: Mapping[str, Any], *, place: str) -> dict[str, Any]:
    """Return `options` with prefixes that cannot be taken for part of a longer one."""
    closed = dict(options)
    for name in _PREFIXES:
        prefix = closed.get(name)
        if not isinstance(prefix, str) or not prefix:
            continue
        if ".." in prefix.split("/"):
            raise InvalidMirror(
                f"{place} has '..' in its {name} {prefix!r}. Write the path in full."
            )
        closed[name] = f"{prefix.rstrip('/')}/"
    return closed


def _build_file_storage(parts: SplitResult, place: str) -> dict[str, Any]:
    if parts.netloc or parts.path.strip("/") == "":
        raise InvalidMirror(
            f"{place} is not an absolute path. Write 'file:///path/to/media/'."
        )
    options = {"location": unquote(parts.path), **_query(parts)}
    return {"BACKEND": _FILE_SYSTEM, "OPTIONS": options}


def _build_bucket(
    backend: str, bucket: str, *, user: str = "", password: str = ""
) -> Callable[[SplitResult, str], dict[str, Any]]:
    def build(parts: SplitResult, place: str) -> dict[str, Any]:
        if not parts.hostname or parts.port:
            raise InvalidMirror(
                f"{place} does not begin with the name of a bucket. Write "
                f"'{parts.scheme}://bucket/prefix/', and a server of your own as "
                "'?endpoint_url=https://host:port'."
            )
        prefix = unquote(parts.path).strip("/")
        # `netloc`, not `hostname`: bucket names keep their case.
        name = parts.netloc.rpartition("@")[2]
        options = {bucket: name, "location": prefix}
        if user and parts.username:
            options[user] = unquote(parts.username)
        if password and parts.password:
            options[password] = unquote(parts.password)
        return {"BACKEND": backend, "OPTIONS": options | _query(parts)}

    return build


def _build_sftp(parts: SplitResult, place: str) -> dict[str, Any]:
    if not parts.hostname:
        raise InvalidMirror(f"{place} names no host. Write 'sftp://user@host/path/'.")
    params = {
        key: item
        for key, item in (
            ("username", unquote(parts.username or "")),
            ("password", unquote(parts.password or "")),
            ("port", parts.port),
        )
        if item
    }
    options = {
        "host": parts.hostname,
        "root_path": unquote(parts.path) or "/",
        "params": params,
    }
    return {
        "BACKEND": "storages.backends.sftpstorage.SFTPStorage",
        "OPTIONS": options | _query(parts),
    }


def _build_memory(parts: SplitResult, place: str) -> dict[str, Any]:
    return {
        "BACKEND": "django.core.files.storage.InMemoryStorage",
        "OPTIONS": _query(parts),
    }


def _build_smtp(parts: SplitResult, place: str) -> dict[str, Any]:
    if not parts.hostname:
        raise InvalidMirror(
            f"{place} names no server. Write 'smtp://user:password@mail.example:587/'."
        )
    query = _query(parts)
    is_ssl = parts.scheme == "smtps"
    is_tls = bool(query.pop("tls", False))
    unknown = sorted(set(query) - _SMTP_OPTIONS)
    if unknown:
        raise InvalidMirror(
            f"{place} has the unknown option '{unknown[0]}'. Use one of: "
            f"{', '.join(sorted({'tls', *_SMTP_OPTIONS}))}."
        )
    return {
        "host": parts.hostname,
        "port": parts.port or (465 if is_ssl else 587 if is_tls else 25),
        "username": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "use_ssl": is_ssl,
        "use_tls": is_tls,
        **query,
    }


def _build_file_mail(parts: SplitResult, place: str) -> dict[str, Any]:
    if parts.netloc or parts.path.strip("/") == "":
        raise InvalidMirror(
            f"{place} is not an absolute path. Write 'file:///path/to/mail/'."
        )
    return {"file_path": unquote(parts.path)}


def _build_simple(parts: SplitResult, place: str) -> dict[str, Any]:
    return _query(parts)


_STORAGES: Mapping[str, Callable[[SplitResult, str], dict[str, Any]]] = {
    "file": _build_file_storage,
    "memory": _build_memory,
    "s3": _build_bucket(
        "storages.backends.s3.S3Storage",
        "bucket_name",
        user="access_key",
        password="secret_key",  # noqa: S106 - the name of an option
    ),
    "gs": _build_bucket("storages.backends.gcloud.GoogleCloudStorage", "bucket_name"),
    "azure": _build_bucket(
        "storages.backends.azure_storage.AzureStorage",
        "azure_container",
        user="account_name",
        password="account_key",  # noqa: S106 - the name of an option
    ),
    "sftp": _build_sftp,
}
STORAGE_SCHEMES = frozenset(_STORAGES)
_REDIS = frozenset({"redis", "rediss"})
_CACHES: Mapping[str, str] = {
    "redis": "django.core.cache.backends.redis.RedisCache",
    "rediss": "django.core.cache.backends.redis.RedisCache",
    "memcached": "django.core.cache.backends.memcached.PyMemcacheCache",
    "locmem": "django.core.cache.backends.locmem.LocMemCache",
    "file": "django.core.cache.backends.filebased.FileBasedCache",
    "db": "django.core.cache.backends.db.DatabaseCache",
    "dummy": "django.core.cache.backends.dummy.DummyCache",
}
_MAIL: Mapping[str, tuple[str, Callable[[SplitResult, str], dict[str, Any]]]] = {
    "smtp": ("django.core.mail.backends.smtp.EmailBackend", _build_smtp),
    "smtps": ("django.core.mail.backends.smtp.EmailBackend", _build_smtp),
    "console": ("django.core.mail.backends.console.EmailBackend", _build_simple),
    "file": ("django.core.mail.backends.filebased.EmailBackend", _build_file_mail),
    "memory": ("django.core.mail.backends.locmem.EmailBackend", _build_simple),
    "dummy": ("django.core.mail.backends.dummy.EmailBackend", _build_simple),
}
