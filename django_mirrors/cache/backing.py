"""The real caches behind a `MirrorCache`."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

from django.core.cache.backends.base import BaseCache
from django.utils.module_loading import import_string

from django_mirrors.dsn import build_cache
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.redaction import redact

__all__ = ["PLACE", "Backing", "build_backing", "read_own", "read_wrapped"]

PLACE = "CACHES[...]['OPTIONS'] of a MirrorCache"
# What a dictionary of a real cache may hold.
_KEYS = ("BACKEND", "LOCATION", "OPTIONS", "TIMEOUT", "KEY_PREFIX")
# These two are the code's business, not a mirror's.
_CODE_KEYS = ("VERSION", "KEY_FUNCTION")
_DIGEST_BYTES = 8


class Backing(NamedTuple):
    """A real cache, and what tells it from others."""

    cache: BaseCache
    key_prefix: str
    identity: str  # of the real cache
    namespace: str  # of this alias of CACHES in it


def build_backing(
    config: Mapping[str, Any],
    *,
    wrapped: Mapping[str, Any],
    refused: type[BaseCache],
    place: str,
) -> Backing:
    """Return the cache of `config`, which must not be a `refused` one.

    It stores entries by the key it is given. `wrapped` is the dictionary in CACHES.
    """
    params = {**config, "KEY_FUNCTION": keep_key}
    backend = params.pop("BACKEND")
    location = params.pop("LOCATION", "")
    try:
        cache = import_string(backend)(location, params)
    except ImportError as error:
        raise InvalidMirror(
            f"{place} names the backend '{backend}', which cannot be imported: "
            f"{error}. Correct the path or install the package."
        ) from error
    if isinstance(cache, refused):
        raise InvalidMirror(
            f"{place} leads back to MirrorCache. Name the cache that keeps entries."
        )
    return Backing(
        cache=cache,
        key_prefix=config["KEY_PREFIX"],
        identity=_digest(backend, location),
        # Two aliases of CACHES stay two caches where a mirror has only one.
        namespace=_digest(
            wrapped["BACKEND"], wrapped.get("LOCATION"), config["KEY_PREFIX"]
        ),
    )


def keep_key(key: str, key_prefix: str, version: int) -> str:
    """Return `key`, to which prefix and version were added before."""
    return key


def read_wrapped(location: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the dictionary of the wrapped cache; what stands beside OPTIONS wins."""
    options = params.get("OPTIONS") or {}
    known = (*_KEYS, *_CODE_KEYS)
    unknown = [key for key in options if key not in known]
    if unknown or "BACKEND" not in options:
        wrong = f"the unknown key {unknown[0]!r}" if unknown else "no 'BACKEND'"
        raise InvalidMirror(
            f"{PLACE} have {wrong}. Write the dictionary of the real cache there, "
            "its own options in its 'OPTIONS'."
        )
    outer = {key: params[key] for key in known if key in params and key != "OPTIONS"}
    return {**({"LOCATION": location} if location else {}), **options, **outer}


def read_own(definition: Any, place: str) -> dict[str, Any]:
    """Return the dictionary of the cache that a mirror has for itself."""
    config = build_cache(definition, place=place)
    wrong = [key for key in config if key not in _KEYS]
    if wrong:
        raise InvalidMirror(
            f"{place} has {wrong[0]!r}. Set it in CACHES: it holds for every mirror."
            if wrong[0] in _CODE_KEYS
            else f"{place} has the unknown key {wrong[0]!r}. Use: {', '.join(_KEYS)}."
        )
    return config


def _digest(*values: Any) -> str:
    # Without passwords: they change, and digests of short ones can be guessed.
    shown = repr([str(redact(value)) for value in values])
    return blake2b(shown.encode(), digest_size=_DIGEST_BYTES).hexdigest()
