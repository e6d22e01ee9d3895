"""An entry of one mirror's cache is never another's, whatever the keys look like."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from contextvars import copy_context
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import caches
from django.test import Client

from django_mirrors import Mirror, mirrors, use_mirror
from django_mirrors.cache import MirrorCache
from django_mirrors.exceptions import NoCurrentMirror
from django_mirrors.mirror import build_uid
from django_mirrors.testing import no_mirror
from tests.isolation.sizes import get_seed, scaled
from tests.plugins.services import get_redis_url

LOCMEM = "django.core.cache.backends.locmem.LocMemCache"
REDIS = "django.core.cache.backends.redis.RedisCache"


def wrap(backend: str, location: str, **options: object) -> dict[str, object]:
    return {
        "BACKEND": "django_mirrors.cache.MirrorCache",
        "OPTIONS": {"BACKEND": backend, "LOCATION": location, "OPTIONS": options},
    }


@pytest.fixture
def in_memory(settings) -> None:
    settings.CACHES = {"default": wrap(LOCMEM, uuid4().hex, MAX_ENTRIES=10**7)}


@pytest.fixture
def in_redis(settings) -> Iterator[None]:
    """Wrap a real Redis; remove what the test stored there, and nothing else."""
    import redis

    prefix = uuid4().hex
    settings.CACHES = {
        "default": {**wrap(REDIS, get_redis_url()), "KEY_PREFIX": prefix}
    }
    own = caches["default"]
    namespace = own._build_backing(own._config, "").namespace
    yield
    own.close()
    with closing(redis.Redis.from_url(get_redis_url())) as client:
        for pattern in (f"*{prefix}*", f"*{namespace}@generation"):
            for key in client.scan_iter(pattern, count=1000):
                client.delete(key)


@pytest.fixture(params=["in_memory", pytest.param("in_redis", marks=pytest.mark.redis)])
def store(request, settings) -> MirrorCache:
    """The cache of the project, in memory and in Redis."""
    settings.MIRRORS_OPTIONS = {"RECORDS": False, "SNAPSHOT": None}
    request.getfixturevalue(request.param)
    return caches["default"]


def declare(settings, count: int) -> list[Mirror]:
    """Serve `count` mirrors with names that begin like one another."""
    names = [f"a{'-b' * (number % 3)}{number}" for number in range(count)]
    settings.MIRRORS = {name: {"HOSTS": [f"{name}.example"]} for name in names}
    return [mirrors[name] for name in names]


def build_keys(chosen: random.Random, fleet: list[Mirror], count: int) -> list[str]:
    """Return keys that try to look like those of another mirror, prefix or version."""
    pieces = [
        ":", "::", ":1:", ":2:", "a", "a:b", "b:c", "a-b", "1", "2", "@generation",
        "é", "ключ", "鍵", "\u200b", "%", "*", "?", "[a]", "\\", "/", "..", "{a}",
        *[mirror.uid.hex for mirror in fleet[:5]],
        *[str(mirror.uid) for mirror in fleet[:5]],
        *[mirror.name for mirror in fleet[:5]],
        build_uid("original").hex,
    ]  # fmt: skip
    keys: set[str] = set()
    while len(keys) < count:
        # No longer than what memcached takes.
        keys.add("".join(chosen.choices(pieces, k=chosen.randint(1, 6)))[:150])
    return sorted(keys)


def test_every_mirror_gets_the_values_that_it_stored(store, settings, report_figure):
    seed, count = get_seed(5), scaled(1_000)
    fleet = declare(settings, 200)
    keys = build_keys(random.Random(seed), fleet, count)
    for mirror in fleet:
        with use_mirror(mirror):
            store.set_many({key: f"{mirror} {key}" for key in keys})
            store.set_many({key: f"{mirror} {key} 2" for key in keys[::10]}, version=2)

    wrong = 0
    for mirror in fleet:
        with use_mirror(mirror):
            found = store.get_many(keys)
            second = store.get_many(keys, version=2)
        wrong += found != {key: f"{mirror} {key}" for key in keys}
        wrong += second != {key: f"{mirror} {key} 2" for key in keys[::10]}

    assert wrong == 0, f"MIRRORS_SEED={seed}"
    report_figure(
        f"cache keys, {type(store._wrapped.cache).__name__}",
        f"200 mirrors × {count} hostile keys: mirrors with a wrong value {wrong}",
    )


def test_clear_of_one_mirror_leaves_all_others(store, settings, report_figure):
    fleet = declare(settings, 200)
    keys = build_keys(random.Random(get_seed(6)), fleet, 20)
    for mirror in fleet:
        with use_mirror(mirror):
            store.set_many(dict.fromkeys(keys, mirror.name))

    with use_mirror(fleet[7]):
        store.clear()

    emptied = []
    for mirror in fleet:
        with use_mirror(mirror):
            if store.get_many(keys) != dict.fromkeys(keys, mirror.name):
                emptied.append(mirror)
    assert emptied == [fleet[7]]
    report_figure(
        f"cache cleared, {type(store._wrapped.cache).__name__}",
        f"by 1 of 200 mirrors: emptied {len(emptied)}",
    )


class Oracle:
    """What a cache that has one dictionary for each mirror answers."""

    def __init__(self) -> None:
        self.kept: defaultdict[str, dict[Any, Any]] = defaultdict(dict)

    def get(self, name: str, key: Any, value: int) -> Any:
        return self.kept[name].get(key)

    def set(self, name: str, key: Any, value: int) -> Any:
        self.kept[name][key] = value

    def add(self, name: str, key: Any, value: int) -> Any:
        return self.kept[name].setdefault(key, value) is value

    def get_or_set(self, name: str, key: Any, value: int) -> Any:
        return self.kept[name].setdefault(key, value)

    def delete(self, name: str, key: Any, value: int) -> Any:
        return self.kept[name].pop(key, None) is not None

    def has_key(self, name: str, key: Any, value: int) -> Any:
        return key in self.kept[name]

    touch = has_key

    def incr(self, name: str, key: Any, value: int) -> Any:
        if key not in self.kept[name]:
            return "not there"
        self.kept[name][key] += value
        return self.kept[name][key]

    def get_many(self, name: str, key: Any, value: int) -> Any:
        return {} if key not in self.kept[name] else {key[0]: self.kept[name][key]}

    def set_many(self, name: str, key: Any, value: int) -> Any:
        self.kept[name][key] = value
        return []

    def delete_many(self, name: str, key: Any, value: int) -> Any:
        self.kept[name].pop(key, None)

    def clear(self, name: str, key: Any, value: int) -> Any:
        self.kept[name].clear()


def incr(store: MirrorCache, key: str, value: int, version: int) -> Any:
    try:
        return store.incr(key, value, version)
    except ValueError:
        return "not there"


async def aincr(store: MirrorCache, key: str, value: int, version: int) -> Any:
    try:
        return await store.aincr(key, value, version)
    except ValueError:
        return "not there"


# With the store, a key, a number and a version.
OPERATIONS = {
    "get": lambda s, k, n, v: s.get(k, version=v),
    "set": lambda s, k, n, v: s.set(k, n, version=v),
    "add": lambda s, k, n, v: s.add(k, n, version=v),
    "get_or_set": lambda s, k, n, v: s.get_or_set(k, n, version=v),
    "delete": lambda s, k, n, v: s.delete(k, version=v),
    "has_key": lambda s, k, n, v: s.has_key(k, version=v),
    "touch": lambda s, k, n, v: s.touch(k, 600, version=v),
    "incr": incr,
    "get_many": lambda s, k, n, v: s.get_many([k], version=v),
    "set_many": lambda s, k, n, v: s.set_many({k: n}, version=v),
    "delete_many": lambda s, k, n, v: s.delete_many([k], version=v),
    "clear": lambda s, k, n, v: s.clear(),
}
ASYNC_OPERATIONS = {
    "get": lambda s, k, n, v: s.aget(k, version=v),
    "set": lambda s, k, n, v: s.aset(k, n, version=v),
    "add": lambda s, k, n, v: s.aadd(k, n, version=v),
    "get_or_set": lambda s, k, n, v: s.aget_or_set(k, n, version=v),
    "delete": lambda s, k, n, v: s.adelete(k, version=v),
    "has_key": lambda s, k, n, v: s.ahas_key(k, version=v),
    "touch": lambda s, k, n, v: s.atouch(k, 600, version=v),
    "incr": aincr,
    "get_many": lambda s, k, n, v: s.aget_many([k], version=v),
    "set_many": lambda s, k, n, v: s.aset_many({k: n}, version=v),
    "delete_many": lambda s, k, n, v: s.adelete_many([k], version=v),
    "clear": lambda s, k, n, v: s.aclear(),
}


def test_operations_of_many_mirrors_answer_as_one_dictionary_each(
    store, settings, report_figure
):
    seed, steps = get_seed(7), scaled(100_000)
    chosen, fleet, oracle = random.Random(seed), declare(settings, 12), Oracle()
    keys = build_keys(chosen, fleet, 15)
    names, weights = list(OPERATIONS), [10] * (len(OPERATIONS) - 1) + [1]

    async def ask(operation: str, key: str, number: int, version: int) -> Any:
        return await ASYNC_OPERATIONS[operation](store, key, number, version)

    wrong = []
    with asyncio.Runner() as runner:
        for number in range(1_000, 1_000 + steps):
            [operation] = chosen.choices(names, weights)
            mirror, key = chosen.choice(fleet), chosen.choice(keys)
            version, is_async = chosen.choice([1, 2, 12]), chosen.random() < 0.3
            with use_mirror(mirror):
                said = (
                    runner.run(
                        ask(operation, key, number, version), context=copy_context()
                    )
                    if is_async
                    else OPERATIONS[operation](store, key, number, version)
                )
            expected = getattr(oracle, operation)(mirror.name, (key, version), number)
            if said != expected:
                wrong.append((number, mirror.name, operation, key, said, expected))

    assert wrong == [], f"MIRRORS_SEED={seed}"
    report_figure(
        f"cache operations, {type(store._wrapped.cache).__name__}",
        f"{steps} random ones of 12 mirrors, 12 kinds, 3 in 10 async: "
        f"wrong answers {len(wrong)}",
    )


@pytest.mark.parametrize("operation", OPERATIONS)
def test_without_a_mirror_every_operation_raises(store, settings, operation):
    [mirror] = declare(settings, 1)
    with use_mirror(mirror):
        store.set("key", 1)

    with no_mirror(), pytest.raises(NoCurrentMirror):
        OPERATIONS[operation](store, "key", 1, 1)

    with use_mirror(mirror):
        assert store.get("key") == 1


@pytest.mark.parametrize("operation", ASYNC_OPERATIONS)
def test_without_a_mirror_every_async_operation_raises(store, settings, operation):
    async def ask() -> Any:
        return await ASYNC_OPERATIONS[operation](store, "key", 1, 1)

    with no_mirror(), pytest.raises(NoCurrentMirror):
        asyncio.run(ask())


def share_caches(settings) -> None:
    settings.MIRRORS = {
        "books": {"HOSTS": ["books.example"], "STATE": "active"},
        "films": {"HOSTS": ["films.example"], "STATE": "active"},
        "films-fr": {
            "HOSTS": ["fr.films.example"],
            "SHARES": {"CACHE": "films"},
            "STATE": "active",
        },
    }


@pytest.mark.parametrize("operation", ["set", "add", "get_or_set", "set_many"])
def test_mirrors_that_share_a_cache_see_one_anothers_entries(
    store, settings, operation
):
    share_caches(settings)
    with use_mirror("films"):
        OPERATIONS[operation](store, "key", 1, 1)

    with use_mirror("films-fr"):
        assert store.get("key") == 1
    for other in ("books", "original"):
        with use_mirror(other):
            assert store.get("key") is None


def test_clear_by_a_mirror_that_shares_empties_the_owner_and_nobody_else(
    store, settings
):
    share_caches(settings)
    for name in ("books", "films"):
        with use_mirror(name):
            store.set("key", name)

    with use_mirror("films-fr"):
        store.clear()

    with use_mirror("films"):
        assert store.get("key") is None
    with use_mirror("books"):
        assert store.get("key") == "books"


def ask(host: str, path: str) -> str:
    return Client().get(path, HTTP_HOST=host).content.decode()


@pytest.mark.parametrize("path", ["/page/", "/fragment/"])
def test_cached_page_is_shown_by_its_own_mirror_only(store, settings, path):
    share_caches(settings)
    settings.ROOT_URLCONF = "tests.isolation.cached_urls"

    shown = {host: ask(host, path) for host in ("books.example", "films.example")}

    assert len({*shown.values()}) == 2
    assert {host: ask(host, path) for host in shown} == shown


def test_one_page_has_one_entry_however_its_host_is_written(
    settings, in_memory, report_figure
):
    settings.MIRRORS_OPTIONS = {"RECORDS": False, "SNAPSHOT": None}
    share_caches(settings)
    settings.ROOT_URLCONF = "tests.isolation.cached_urls"
    variants = [write_case("books.example", number) for number in range(64)]

    shown = {ask(host, "/page/") for host in [*variants, "books.example."]}
    entries = [
        key for key in caches["default"]._wrapped.cache._cache if "cache_page" in key
    ]

    assert len(shown) == len(entries) == 1
    assert "http://books.example/page/ " in shown.pop()
    report_figure("spellings of the host of one page", f"65: entries {len(entries)}")


def write_case(text: str, number: int) -> str:
    """Return `text` with the letters in upper case that have a 1 in `number`."""
    return "".join(
        letter.upper() if number >> place & 1 else letter
        for place, letter in enumerate(text)
    )
