"""The cache of a project's settings: each of its keys belongs to one mirror."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, NoReturn

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache

from django_mirrors.backends import Backends
from django_mirrors.cache.backing import (
    PLACE,
    Backing,
    build_backing,
    read_own,
    read_wrapped,
)
from django_mirrors.cache.generations import (
    aget_generation,
    astart_generation,
    get_generation,
    start_generation,
)
from django_mirrors.context import get_current_mirror
from django_mirrors.mirror import CACHE, Mirror
from django_mirrors.registry import mirrors

__all__ = ["MirrorCache"]

# Each keeps connections of its own, for each thread.
MAX_BACKENDS = 64


class _Place(NamedTuple):
    """Where the entries of one mirror are at the moment."""

    cache: BaseCache
    key_prefix: str
    tag: str  # fixed in width: no key of one mirror can look like another's


class MirrorCache(BaseCache):
    """Wraps the cache that OPTIONS describe: its keys carry the current mirror's uid.

    A mirror with a `CACHE` of its own uses that one instead. Without a mirror every
    call raises `NoCurrentMirror`. `clear()` makes the entries of the current mirror
    unreachable by starting a new generation, at once in this process and within two
    seconds in others; a generation that gets lost is never used again.
    """

    def __init__(self, location: Any, params: dict[str, Any]) -> None:
        self._config = read_wrapped(location, params)
        super().__init__(self._config)
        self._wrapped: Backing | None = None
        self._own = Backends(
            read=read_own, build=self._build_backing, size=MAX_BACKENDS
        )
        self._used: set[BaseCache] = set()

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"MirrorCache has no '{name}'. What a backend offers beyond Django's cache "
            "API would not keep mirrors apart; ask for it in a cache of its own alias."
        )

    def make_key(self, key: Any, version: int | None = None) -> str:
        """Return the key by which the current mirror's entry is stored."""
        return self._make_key(self._find_place(), key, version)

    def validate_key(self, key: Any) -> None:
        """Warn or raise as the wrapped cache does."""
        self._find_backing()[1].cache.validate_key(key)

    def add(
        self,
        key: Any,
        value: Any,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> bool:
        """Store the entry unless there is one. Return whether it was stored."""
        place = self._find_place()
        return place.cache.add(self._make_key(place, key, version), value, timeout)

    async def aadd(
        self,
        key: Any,
        value: Any,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> bool:
        """See add()."""
        place = await self._afind_place()
        return await place.cache.aadd(
            self._make_key(place, key, version), value, timeout
        )

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """Return the entry, or `default`."""
        place = self._find_place()
        return place.cache.get(self._make_key(place, key, version), default)

    async def aget(
        self, key: Any, default: Any = None, version: int | None = None
    ) -> Any:
        """See get()."""
        place = await self._afind_place()
        return await place.cache.aget(self._make_key(place, key, version), default)

    def set(
        self,
        key: Any,
        value: Any,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> None:
        """Store the entry."""
        place = self._find_place()
        place.cache.set(self._make_key(place, key, version), value, timeout)

    async def aset(
        self,
        key: Any,
        value: Any,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> None:
        """See set()."""
        place = await self._afind_place()
        await place.cache.aset(self._make_key(place, key, version), value, timeout)

    def touch(
        self,
        key: Any,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> bool:
        """Give the entry a new time to live. Return whether there is one."""
        place = self._find_place()
        return place.cache.touch(self._make_key(place, key, version), timeout)

    async def atouch(
        self,
        key: Any,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> bool:
        """See touch()."""
        place = await self._afind_place()
        return await place.cache.atouch(self._make_key(place, key, version), timeout)

    def delete(self, key: Any, version: int | None = None) -> bool:
        """Remove the entry. Return whether there was one."""
        place = self._find_place()
        return place.cache.delete(self._make_key(place, key, version))

    async def adelete(self, key: Any, version: int | None = None) -> bool:
        """See delete()."""
        place = await self._afind_place()
        return await place.cache.adelete(self._make_key(place, key, version))

    def get_many(
        self, keys: Iterable[Any], version: int | None = None
    ) -> dict[Any, Any]:
        """Return the entries there are, by key."""
        place = self._find_place()
        made = self._make_keys(place, keys, version)
        found = place.cache.get_many(list(made)) if made else {}
        return {made[key]: value for key, value in found.items()}

    async def aget_many(
        self, keys: Iterable[Any], version: int | None = None
    ) -> dict[Any, Any]:
        """See get_many()."""
        place = await self._afind_place()
        made = self._make_keys(place, keys, version)
        found = await place.cache.aget_many(list(made)) if made else {}
        return {made[key]: value for key, value in found.items()}

    def set_many(
        self,
        data: Mapping[Any, Any],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[Any]:
        """Store the entries. Return the keys that could not be stored."""
        place = self._find_place()
        made = self._make_keys(place, data, version)
        entries = {key: data[name] for key, name in made.items()}
        # Some backends return None rather than an empty list.
        failed = place.cache.set_many(entries, timeout) or ()
        return [made[key] for key in failed]

    async def aset_many(
        self,
        data: Mapping[Any, Any],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[Any]:
        """See set_many()."""
        place = await self._afind_place()
        made = self._make_keys(place, data, version)
        entries = {key: data[name] for key, name in made.items()}
        failed = await place.cache.aset_many(entries, timeout) or ()
        return [made[key] for key in failed]

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """Remove the entries."""
        place = self._find_place()
        place.cache.delete_many(list(self._make_keys(place, keys, version)))

    async def adelete_many(
        self, keys: Iterable[Any], version: int | None = None
    ) -> None:
        """See delete_many()."""
        place = await self._afind_place()
        await place.cache.adelete_many(list(self._make_keys(place, keys, version)))

    def has_key(self, key: Any, version: int | None = None) -> bool:
        """Whether there is an entry."""
        place = self._find_place()
        return place.cache.has_key(self._make_key(place, key, version))

    async def ahas_key(self, key: Any, version: int | None = None) -> bool:
        """See has_key()."""
        place = await self._afind_place()
        return await place.cache.ahas_key(self._make_key(place, key, version))

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Add to a number and return it. Raises `ValueError` if there is none."""
        place = self._find_place()
        return place.cache.incr(self._make_key(place, key, version), delta)

    async def aincr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """See incr()."""
        place = await self._afind_place()
        return await place.cache.aincr(self._make_key(place, key, version), delta)

    def clear(self) -> None:
        """Remove every entry of the current mirror, and of no other."""
        uid, backing = self._find_backing()
        start_generation(uid, backing)

    async def aclear(self) -> None:
        """See clear()."""
        uid, backing = self._find_backing()
        await astart_generation(uid, backing)

    def close(self, **kwargs: Any) -> None:
        """Close the connections in use. Needs no mirror: a request has ended."""
        used, self._used = self._used, set()
        for cache in used:
            cache.close(**kwargs)

    async def aclose(self, **kwargs: Any) -> None:
        """See close()."""
        used, self._used = self._used, set()
        for cache in used:
            await cache.aclose(**kwargs)

    def _find_place(self) -> _Place:
        uid, backing = self._find_backing()
        generation = get_generation(uid, backing)
        return _Place(backing.cache, backing.key_prefix, f"{uid}{generation}")

    async def _afind_place(self) -> _Place:
        uid, backing = self._find_backing()
        generation = await aget_generation(uid, backing)
        return _Place(backing.cache, backing.key_prefix, f"{uid}{generation}")

    def _find_backing(self) -> tuple[str, Backing]:
        """Return the uid that the entries carry now, and the cache they are in."""
        owner = _get_owner()
        if owner.cache is None:
            if self._wrapped is None:
                self._wrapped = self._build_backing(self._config, PLACE)
            backing = self._wrapped
        else:
            place = f"The CACHE of mirror '{owner}'"
            backing = self._own.get(owner.uid, owner.cache, place=place)
        self._used.add(backing.cache)
        return owner.uid.hex, backing

    def _build_backing(self, config: Mapping[str, Any], place: str) -> Backing:
        return build_backing(
            {"TIMEOUT": self.default_timeout, "KEY_PREFIX": self.key_prefix, **config},
            wrapped=self._config,
            refused=MirrorCache,
            place=place,
        )

    def _make_key(self, place: _Place, key: Any, version: int | None) -> str:
        made = self.key_func(
            key, place.key_prefix, self.version if version is None else version
        )
        return f"{place.tag}:{made}"

    def _make_keys(
        self, place: _Place, keys: Iterable[Any], version: int | None
    ) -> dict[str, Any]:
        return {self._make_key(place, key, version): key for key in keys}


def _get_owner() -> Mirror:
    mirror = get_current_mirror()
    name = mirror.find_owner(CACHE)
    return mirror if name == mirror.name else mirrors[name]
