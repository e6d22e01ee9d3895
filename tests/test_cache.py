import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import pytest
from django.contrib.sessions.backends.cache import SessionStore
from django.contrib.sessions.backends.cached_db import (
    SessionStore as CachedSessionStore,
)
from django.core.cache import cache, caches, close_caches
from django.core.cache.backends.base import BaseCache, CacheKeyWarning
from django.core.cache.backends.locmem import LocMemCache
from django.core.management import call_command
from django.http import HttpResponse
from django.template import Context, Engine
from django.test import RequestFactory
from django.views.decorators.cache import cache_page
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_mirrors import Mirror, bind_mirror, use_mirror, use_original
from django_mirrors.cache import MirrorCache, generations
from django_mirrors.exceptions import InvalidMirror, NoCurrentMirror
from django_mirrors.mirror import build_uid
from tests.plugins.services import get_redis_url

LOCMEM = "django.core.cache.backends.locmem.LocMemCache"
REDIS = "django.core.cache.backends.redis.RedisCache"
FILES = "django.core.cache.backends.filebased.FileBasedCache"
DATABASE = "django.core.cache.backends.db.DatabaseCache"
EXAMPLES = int(os.environ.get("TEST_FUZZ_EXAMPLES", "300"))


def wrap(backend: str, location: str = "", **outer: object) -> dict[str, object]:
    return {
        "BACKEND": "django_mirrors.cache.MirrorCache",
        "OPTIONS": {"BACKEND": backend, "LOCATION": location},
        **outer,
    }


@pytest.fixture
def location() -> str:
    return uuid4().hex


@pytest.fixture
def in_redis(settings, location) -> Iterator[None]:
    """Wrap a real Redis; remove what the test stored there, and nothing else."""
    import redis

    settings.CACHES = {"default": wrap(REDIS, get_redis_url(), KEY_PREFIX=location)}
    own = caches["default"]
    namespace = own._build_backing(own._config, "").namespace
    yield
    with redis.Redis.from_url(get_redis_url()) as client:
        for pattern in (f"*{location}*", f"*{namespace}@generation"):
            for key in client.scan_iter(pattern):
                client.delete(key)


@pytest.fixture
def on_disk(settings, tmp_path) -> None:
    settings.CACHES = {"default": wrap(FILES, str(tmp_path / "cache"))}


@pytest.fixture
def in_memory(settings, location) -> None:
    settings.CACHES = {"default": wrap(LOCMEM, location)}


@pytest.fixture(
    params=["in_memory", "on_disk", pytest.param("in_redis", marks=pytest.mark.redis)]
)
def wrapped(request, fleet_of_caches) -> BaseCache:
    """The cache of the project, wrapping each real one in turn."""
    request.getfixturevalue(request.param)
    return cache


@pytest.fixture
def fleet_of_caches(settings) -> None:
    """Serve `books` and `films`; `films-fr` shares the cache of `films`."""
    settings.MIRRORS_OPTIONS = {"RECORDS": False, "SNAPSHOT": None}
    settings.MIRRORS = {
        "books": {"HOSTS": ["books.example"]},
        "films": {"HOSTS": ["films.example"]},
        "films-fr": {"HOSTS": ["fr.films.example"], "SHARES": {"CACHE": "films"}},
    }
    generations._memory._known.clear()


@pytest.fixture
def raw(location) -> BaseCache:
    """A cache without mirrors, to compare with."""
    return LocMemCache(f"raw {location}", {})


@pytest.fixture
def locmem(fleet_of_caches, in_memory) -> BaseCache:
    return cache


def tell(store: BaseCache) -> list[object]:
    """Use every operation; return what each says."""
    said: list[object] = [
        store.get("a"),
        store.get("a", "default"),
        store.add("a", 1),
        store.add("a", 2),
        store.get("a"),
        store.set("b", {"x": [1]}, 60),
        store.get("b"),
        store.has_key("b"),
        "b" in store,
        "c" in store,
        store.get_many(["a", "b", "c"]),
        store.set_many({"c": 3, "d": 4}, timeout=60),
        store.get_many(("c", "d")),
        store.get_many([]),
        store.set_many({}),
        store.touch("c", 30),
        store.touch("missing"),
        store.incr("a"),
        store.incr("a", 5),
        store.decr("a", 2),
        store.get_or_set("e", lambda: 5),
        store.get_or_set("e", 6),
        store.set("v", "one", version=1),
        store.get("v", version=2),
        store.incr_version("v"),
        store.get("v", version=2),
        store.decr_version("v", version=2),
        store.get("v"),
        store.delete("d"),
        store.delete("d"),
        store.delete_many(["c", "missing"]),
        store.delete_many([]),
        store.get_many(["a", "b", "c", "d"]),
        store.set("none", None),
        store.get("none", "default"),
        store.set("short", 1, timeout=0),
        store.get("short"),
        store.set("forever", 1, timeout=None),
        store.get("forever"),
        store.clear(),
        store.get_many(["a", "b", "e", "v", "forever"]),
    ]
    with pytest.raises(ValueError, match="not found"):
        store.incr("missing")
    with pytest.raises(ValueError, match="not found"):
        store.incr_version("missing")
    return said


async def atell(store: BaseCache) -> list[object]:
    """See tell()."""
    said: list[object] = [
        await store.aget("a"),
        await store.aadd("a", 1),
        await store.aadd("a", 2),
        await store.aget("a", "default"),
        await store.aset("b", {"x": [1]}, 60),
        await store.ahas_key("b"),
        await store.aget_many(["a", "b", "c"]),
        await store.aset_many({"c": 3, "d": 4}, timeout=60),
        await store.aget_many(("c", "d")),
        await store.aget_many([]),
        await store.aset_many({}),
        await store.atouch("c", 30),
        await store.atouch("missing"),
        await store.aincr("a"),
        await store.adecr("a", 2),
        await store.aget_or_set("e", lambda: 5),
        await store.aget_or_set("e", 6),
        await store.aset("v", "one", version=1),
        await store.aincr_version("v"),
        await store.aget("v", version=2),
        await store.adecr_version("v", version=2),
        await store.aget("v"),
        await store.adelete("d"),
        await store.adelete("d"),
        await store.adelete_many(["c", "missing"]),
        await store.aget_many(["a", "b", "c", "d"]),
        await store.aclear(),
        await store.aget_many(["a", "b", "e", "v"]),
    ]
    with pytest.raises(ValueError, match="not found"):
        await store.aincr("missing")
    with pytest.raises(ValueError, match="not found"):
        await store.aincr_version("missing")
    return said


def test_every_operation_answers_as_djangos_own_cache(wrapped, raw):
    expected = tell(raw)

    with use_mirror("books"):
        said = tell(wrapped)

    # Some backends say True where others say 1, and Redis nothing after clear().
    assert said == expected


def test_every_async_operation_answers_as_djangos_own_cache(wrapped, raw):
    expected = asyncio.run(atell(raw))

    with use_mirror("books"):
        said = asyncio.run(atell(wrapped))

    assert said == expected


def test_no_operation_of_one_mirror_touches_another(wrapped):
    before = {"a": "A", "b": "B", "c": "C", "d": "D", "e": "E", "v": "V"}
    with use_mirror("books"):
        wrapped.set_many(before)
    with use_mirror("films"):
        tell(wrapped)
        asyncio.run(atell(wrapped))

    with use_mirror("books"):
        assert wrapped.get_many([*before, "none", "forever"]) == before
        assert wrapped.get("v", version=2) is None
    with use_mirror("films"):
        assert wrapped.get_many(list(before)) == {}


def test_equal_keys_of_two_mirrors_hold_different_values(wrapped):
    with use_mirror("books"):
        wrapped.set("key", "books")
    with use_mirror("films"):
        assert wrapped.get("key") is None
        wrapped.set("key", "films")
    with use_original():
        assert wrapped.get("key") is None

    with use_mirror("books"):
        assert wrapped.get("key") == "books"


def test_a_mirror_that_shares_has_the_entries_of_the_owner(wrapped):
    with use_mirror("films"):
        wrapped.set("key", "films")
    with use_mirror("films-fr"):
        assert wrapped.get("key") == "films"
        wrapped.clear()

    with use_mirror("films"):
        assert wrapped.get("key") is None


def test_the_inner_of_two_nested_mirrors_counts(locmem):
    with use_mirror("books"):
        locmem.set("key", "books")
        with use_mirror("films"):
            assert locmem.get("key") is None
        assert locmem.get("key") == "books"


def test_an_exception_gives_the_outer_mirror_its_entries_back(locmem):
    with use_mirror("books"):
        locmem.set("key", 1)
        with pytest.raises(ValueError, match="not found"), use_mirror("films"):
            locmem.incr("key")
        assert locmem.incr("key") == 2


def test_tasks_have_the_entries_of_their_mirror(locmem):
    async def keep_in(name: str) -> str:
        async with use_mirror(name):
            await locmem.aadd("key", name)
            await asyncio.sleep(0)
            return await locmem.aget("key")

    async def keep_all() -> list[str]:
        return await asyncio.gather(*map(keep_in, ["books", "films"] * 5))

    assert asyncio.run(keep_all()) == ["books", "films"] * 5


def test_threads_have_the_entries_of_the_mirror_they_are_bound_to(locmem):
    def bind(name: str):
        with use_mirror(name):
            return bind_mirror(lambda: locmem.get_or_set("key", name))

    with ThreadPoolExecutor(8) as executor:
        futures = [executor.submit(bind(name)) for name in ["books", "films"] * 50]

    assert [future.result() for future in futures] == ["books", "films"] * 50


CALLS = {
    "get": lambda store: store.get("a"),
    "set": lambda store: store.set("a", 1),
    "add": lambda store: store.add("a", 1),
    "touch": lambda store: store.touch("a"),
    "delete": lambda store: store.delete("a"),
    "get_many": lambda store: store.get_many([]),
    "set_many": lambda store: store.set_many({}),
    "delete_many": lambda store: store.delete_many([]),
    "get_or_set": lambda store: store.get_or_set("a", 1),
    "has_key": lambda store: store.has_key("a"),
    "in": lambda store: "a" in store,
    "incr": lambda store: store.incr("a"),
    "decr": lambda store: store.decr("a"),
    "incr_version": lambda store: store.incr_version("a"),
    "decr_version": lambda store: store.decr_version("a"),
    "clear": lambda store: store.clear(),
    "make_key": lambda store: store.make_key("a"),
    "validate_key": lambda store: store.validate_key("a"),
}
ASYNC_CALLS = {
    "aget": lambda store: store.aget("a"),
    "aset": lambda store: store.aset("a", 1),
    "aadd": lambda store: store.aadd("a", 1),
    "atouch": lambda store: store.atouch("a"),
    "adelete": lambda store: store.adelete("a"),
    "aget_many": lambda store: store.aget_many([]),
    "aset_many": lambda store: store.aset_many({}),
    "adelete_many": lambda store: store.adelete_many([]),
    "aget_or_set": lambda store: store.aget_or_set("a", 1),
    "ahas_key": lambda store: store.ahas_key("a"),
    "aincr": lambda store: store.aincr("a"),
    "adecr": lambda store: store.adecr("a"),
    "aincr_version": lambda store: store.aincr_version("a"),
    "adecr_version": lambda store: store.adecr_version("a"),
    "aclear": lambda store: store.aclear(),
}


def test_the_calls_of_these_tests_are_all_there_are():
    public = {name for name in dir(BaseCache) if not name.startswith("_")}
    internal = {"get_backend_timeout", "make_and_validate_key", "close", "aclose"}

    assert public - internal == (CALLS | ASYNC_CALLS).keys() - {"in"}


@pytest.mark.parametrize("call", CALLS)
def test_without_a_mirror_every_call_raises(locmem, call):
    with pytest.raises(NoCurrentMirror, match="No mirror is current"):
        CALLS[call](locmem)


@pytest.mark.parametrize("call", ASYNC_CALLS)
def test_without_a_mirror_every_async_call_raises(locmem, call):
    async def run() -> None:
        await ASYNC_CALLS[call](locmem)

    with pytest.raises(NoCurrentMirror, match="No mirror is current"):
        asyncio.run(run())


def test_a_request_that_ends_closes_what_was_used_without_a_mirror(locmem, monkeypatch):
    closed = []
    monkeypatch.setattr(LocMemCache, "close", lambda self, **_: closed.append(self))
    with use_mirror("books"):
        locmem.get("a")

    # What Django calls after each request, when no mirror is current.
    close_caches()
    close_caches()

    assert len(closed) == 1


def test_closing_is_async_too(locmem, monkeypatch):
    closed = []

    async def close(self, **_) -> None:
        closed.append(self)

    async def run() -> None:
        await locmem.aget("a")
        await locmem.aclose()
        await locmem.aclose()

    monkeypatch.setattr(LocMemCache, "aclose", close)
    with use_mirror("books"):
        asyncio.run(run())

    assert len(closed) == 1


def test_a_key_begins_with_the_uid_and_a_generation_of_fixed_width(locmem):
    with use_mirror("books"):
        key = locmem.make_key("name", version=7)

    assert key.startswith(build_uid("books").hex)
    assert key[48:] == "::7:name"


def test_a_key_of_a_mirror_that_shares_begins_with_the_uid_of_the_owner(locmem):
    with use_mirror("films-fr"):
        assert locmem.make_key("name").startswith(build_uid("films").hex)


hostile = st.one_of(
    st.sampled_from(
        [
            build_uid("books").hex,
            build_uid("films").hex,
            ":",
            "::",
            ":1:",
            "@generation",
        ]
    ),
    st.text(max_size=20),
)
parts = st.lists(hostile, max_size=5).map("".join)


@hypothesis_settings(max_examples=EXAMPLES, deadline=None)
@given(prefixes=st.tuples(parts, parts), keys=st.tuples(parts, parts), version=parts)
def test_no_key_of_one_mirror_is_a_key_of_another(prefixes, keys, version):
    made = []
    for name, prefix, key in zip(("books", "films"), prefixes, keys, strict=True):
        store = MirrorCache("", {"KEY_PREFIX": prefix, "OPTIONS": {"BACKEND": LOCMEM}})
        mirror = Mirror.from_mapping(name, {"HOSTS": [f"{name}.example"]})
        with use_mirror(mirror):
            full = store.make_key(key, version=version)
            uid, backing = store._find_backing()
            made.append((full, generations._build_name(uid, backing)))

    (ours, our_generation), (theirs, their_generation) = made
    assert len({ours, our_generation, theirs, their_generation}) == 4


def test_many_mirrors_with_hostile_keys_get_their_own_values(location):
    store = MirrorCache(
        location, {"OPTIONS": {"BACKEND": LOCMEM, "OPTIONS": {"MAX_ENTRIES": 10**6}}}
    )
    fleet = [
        Mirror.from_mapping(f"m{number}", {"HOSTS": [f"m{number}.example"]})
        for number in range(200)
    ]
    names = [f"{fleet[number].uid.hex}:1:{number % 7}" for number in range(100)]
    for mirror in fleet:
        with use_mirror(mirror):
            store.set_many({name: f"{mirror.name} {name}" for name in names})

    with use_mirror(fleet[0]):
        store.clear()

    for mirror in fleet[1:]:
        with use_mirror(mirror):
            assert store.get_many(names) == {
                name: f"{mirror.name} {name}" for name in names
            }
    with use_mirror(fleet[0]):
        assert store.get_many(names) == {}


def test_clear_empties_the_current_mirror_only(wrapped):
    for name in ("books", "films", "original"):
        with use_mirror(name):
            wrapped.set("key", name)

    with use_mirror("books"):
        wrapped.clear()
        assert wrapped.get("key") is None
        wrapped.set("key", "again")
        assert wrapped.get("key") == "again"

    with use_mirror("films"):
        assert wrapped.get("key") == "films"
    with use_original():
        assert wrapped.get("key") == "original"


def test_clear_forgets_all_versions(wrapped):
    with use_mirror("books"):
        wrapped.set("key", 1, version=5)

        wrapped.clear()

        assert wrapped.get("key", version=5) is None


def test_clear_holds_for_processes_that_start_later(wrapped):
    with use_mirror("books"):
        wrapped.set("key", 1)
        wrapped.clear()
        forget_generations()
        assert wrapped.get("key") is None

        wrapped.set("key", 1)
        asyncio.run(wrapped.aclear())
        forget_generations()
        assert wrapped.get("key") is None


def test_clear_is_seen_by_every_thread_at_once(locmem):
    with use_mirror("books"):
        locmem.set("key", 1)
        get = bind_mirror(lambda: locmem.get("key"))

        with ThreadPoolExecutor(1) as executor:
            assert executor.submit(get).result() == 1
            locmem.clear()
            assert executor.submit(get).result() is None


OTHER_PROCESS = """
import sys, time, json
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django_mirrors"], CACHES=json.loads(sys.argv[1]), USE_TZ=True,
    MIRRORS_OPTIONS={"RECORDS": False, "SNAPSHOT": None},
)
django.setup()
from django.core.cache import cache
from django_mirrors import Mirror, use_mirror
def build(name):
    return Mirror.from_mapping(name, {"HOSTS": [name + ".example"]})
with use_mirror(build("books")):
    print(cache.get("key"), flush=True)
    sys.stdin.readline()
    started = time.monotonic()
    while cache.get("key") is not None and time.monotonic() < started + 10:
        time.sleep(0.01)
    print(time.monotonic() - started, flush=True)
    cache.set("from-there", 1)
with use_mirror(build("films")):
    print(cache.get("key"), flush=True)
"""


@pytest.mark.parametrize(
    "store", ["on_disk", pytest.param("in_redis", marks=pytest.mark.redis)]
)
def test_clear_is_seen_by_other_processes_within_two_seconds(
    request, fleet_of_caches, settings, store
):
    request.getfixturevalue(store)
    for name in ("books", "films"):
        with use_mirror(name):
            cache.set("key", name)

    with subprocess.Popen(
        [sys.executable, "-c", OTHER_PROCESS, json.dumps(settings.CACHES)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "books\n"
        with use_mirror("books"):
            cache.clear()
        process.stdin.write("cleared\n")
        process.stdin.flush()
        seconds = float(process.stdout.readline())
        films = process.stdout.readline()

    assert seconds < 2
    assert films == "films\n"
    with use_mirror("books"):
        assert cache.get("from-there") == 1


def forget_generations() -> None:
    """Make this process as ignorant as one that just started."""
    generations._memory._known.clear()


def lose_generation(name: str) -> None:
    """Remove the generation of a mirror from the real cache, as an eviction does."""
    with use_mirror(name):
        uid, backing = caches["default"]._find_backing()
        backing.cache.delete(generations._build_name(uid, backing))
    forget_generations()


def test_another_process_finds_the_same_entries(wrapped):
    with use_mirror("books"):
        wrapped.set("key", 1)
        forget_generations()
        assert wrapped.get("key") == 1
        forget_generations()
        assert asyncio.run(wrapped.aget("key")) == 1


def test_a_lost_generation_loses_entries_and_revives_none(wrapped):
    with use_mirror("books"):
        wrapped.set("old", 1)
        wrapped.clear()
        wrapped.set("new", 1)

    lose_generation("books")

    with use_mirror("books"):
        assert wrapped.get_many(["old", "new"]) == {}
        wrapped.set("newer", 1)
        forget_generations()
        assert wrapped.get("newer") == 1


def test_a_generation_lost_twice_in_an_async_process_revives_nothing(wrapped):
    lose_generation("books")
    with use_mirror("books"):
        asyncio.run(wrapped.aset("old", 1))

    lose_generation("books")

    with use_mirror("books"):
        assert asyncio.run(wrapped.aget("old")) is None


def test_a_lost_generation_of_one_mirror_leaves_others_alone(wrapped):
    for name in ("books", "films"):
        with use_mirror(name):
            wrapped.set("key", name)

    lose_generation("books")

    with use_mirror("films"):
        assert wrapped.get("key") == "films"


@pytest.fixture
def quicker(locmem, monkeypatch) -> tuple[str, generations.Backing]:
    """Let another process start a generation just before this one does."""
    with use_mirror("books"):
        uid, backing = locmem._find_backing()
    add = backing.cache.add

    def add_late(key: str, *args: object, **kwargs: object) -> bool:
        add(key, "theirs", timeout=None)
        return add(key, *args, **kwargs)

    monkeypatch.setattr(backing.cache, "add", add_late)
    return uid, backing


def test_a_generation_that_another_process_began_first_is_taken(quicker):
    assert generations.get_generation(*quicker) == "theirs"


def test_a_generation_that_another_process_began_first_is_taken_in_async(quicker):
    assert asyncio.run(generations.aget_generation(*quicker)) == "theirs"


def test_a_generation_read_before_a_clearing_is_not_remembered_after_it():
    memory = generations._Memory()
    turn = memory.turn
    memory.replace(("cache", "name"), "new")

    memory.keep(("cache", "name"), "old", turn=turn)

    assert memory.find(("cache", "name")) == "new"


def test_a_thread_that_reads_the_generation_during_a_clearing_revives_nothing(
    locmem, monkeypatch
):
    with use_mirror("books"):
        locmem.set("key", 1)
        forget_generations()
        reading, cleared = threading.Event(), threading.Event()
        original = LocMemCache.get

        def get(self, key, *args, **kwargs):
            value = original(self, key, *args, **kwargs)
            if key.endswith("@generation"):
                reading.set()
                cleared.wait(5)
            return value

        monkeypatch.setattr(LocMemCache, "get", get)
        with ThreadPoolExecutor(1) as executor:
            slow = executor.submit(bind_mirror(lambda: locmem.get("other")))
            reading.wait(5)
            locmem.clear()
            cleared.set()
            slow.result()

        assert locmem.get("key") is None


def test_what_is_remembered_of_generations_is_bounded_and_short_lived(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(generations, "monotonic", lambda: now[0])
    monkeypatch.setattr(generations, "_MAX_REMEMBERED", 3)
    memory = generations._Memory()
    for number in range(10):
        memory.replace(("cache", str(number)), "generation")

    assert len(memory._known) <= 3
    assert memory.find(("cache", "9")) == "generation"
    now[0] += 1.1
    assert memory.find(("cache", "9")) is None


class CountingCache(LocMemCache):
    """Counts what the real cache is asked."""

    asked: list[str] = []

    def get(self, key, default=None, version=None):
        self.asked.append(key)
        return super().get(key, default, version)


def test_an_operation_asks_the_real_cache_once_or_twice(
    fleet_of_caches, settings, location
):
    settings.CACHES = {"default": wrap("tests.test_cache.CountingCache", location)}
    CountingCache.asked.clear()

    with use_mirror("books"):
        for _ in range(100):
            cache.get("key")

    generations_asked = [key for key in CountingCache.asked if "@" in key]
    assert len(CountingCache.asked) - len(generations_asked) == 100
    assert len(generations_asked) <= 4


def test_settings_beside_options_hold_for_the_real_cache(
    fleet_of_caches, settings, location
):
    settings.CACHES = {
        "default": wrap(
            LOCMEM,
            location,
            TIMEOUT=7,
            KEY_PREFIX="shop",
            VERSION=3,
            KEY_FUNCTION="tests.test_cache.make_upper_key",
        )
    }

    with use_mirror("books"):
        _, backing = caches["default"]._find_backing()
        assert cache.make_key("name")[48:] == ":SHOP-3-NAME"
        assert cache.incr_version.__self__.version == 3
        cache.set("name", 1)
        assert cache.get("name", version=3) == 1
    assert backing.cache.default_timeout == 7
    assert cache.default_timeout == 7


def make_upper_key(key: str, prefix: str, version: int) -> str:
    return f"{prefix}-{version}-{key}".upper()


def test_settings_in_options_hold_too_and_those_beside_win(fleet_of_caches, location):
    inner = {"BACKEND": LOCMEM, "KEY_PREFIX": "in", "TIMEOUT": 5, "VERSION": 2}
    store = MirrorCache(location, {"KEY_PREFIX": "out", "OPTIONS": inner})

    with use_mirror("books"):
        assert store.make_key("name")[48:] == ":out:2:name"
    assert store.default_timeout == 5


def test_entries_expire_after_the_default_timeout(fleet_of_caches, location):
    store = MirrorCache(location, {"TIMEOUT": 0, "OPTIONS": {"BACKEND": LOCMEM}})

    with use_mirror("books"):
        store.set("key", 1)
        assert store.get("key") is None


def test_keys_are_validated_as_the_real_cache_does(locmem):
    with use_mirror("books"):
        with pytest.warns(CacheKeyWarning, match="characters that will cause errors"):
            locmem.set("with space", 1)
        with pytest.warns(CacheKeyWarning, match="longer than 250"):
            locmem.get("x" * 250)
        with pytest.warns(CacheKeyWarning):
            locmem.validate_key("with space")


def test_ordinary_keys_are_short_enough(locmem):
    with use_mirror("books"):
        locmem.set("x" * 195, 1)


@pytest.mark.parametrize(
    "name", ["_cache", "ttl", "lock", "delete_pattern", "keys", "iter_keys", "client"]
)
def test_what_would_bypass_the_keys_is_not_there(locmem, name):
    assert not hasattr(locmem, name)
    with use_mirror("books"), pytest.raises(AttributeError) as caught:
        locmem.get("key")  # the real cache is there now
        getattr(locmem, name)

    assert str(caught.value) == (
        f"MirrorCache has no '{name}'. What a backend offers beyond Django's cache API "
        "would not keep mirrors apart; ask for it in a cache of its own alias."
    )


def own(name: str, definition: object) -> Mirror:
    return Mirror.from_mapping(
        name, {"HOSTS": [f"{name}.example"], "CACHE": definition}
    )


def test_a_mirror_may_have_a_cache_of_its_own(locmem, tmp_path):
    books = own("books", f"file://{tmp_path}/books/")

    with use_mirror(books):
        locmem.set("key", "own")
        assert locmem.get("key") == "own"

    with use_mirror("books"):
        assert locmem.get("key") is None
    assert len(list((tmp_path / "books").iterdir())) == 2


def test_a_cache_of_its_own_may_be_a_dictionary(locmem, location):
    books = own(
        "books",
        {"BACKEND": LOCMEM, "LOCATION": location, "TIMEOUT": 9, "KEY_PREFIX": "own"},
    )

    with use_mirror(books):
        _, backing = caches["default"]._find_backing()
        assert locmem.make_key("key")[48:] == ":own:1:key"
    assert backing.cache.default_timeout == 9


def test_a_cache_of_its_own_has_the_default_timeout_of_the_project(location):
    store = MirrorCache("", {"TIMEOUT": 8, "OPTIONS": {"BACKEND": LOCMEM}})

    with use_mirror(own("books", f"locmem://{location}")):
        _, backing = store._find_backing()

    assert backing.cache.default_timeout == 8


def test_a_cache_of_its_own_is_built_once(locmem, tmp_path):
    def find(name: str) -> object:
        with use_mirror(own(name, f"file://{tmp_path}/{name}/")):
            return caches["default"]._find_backing()[1]

    assert find("books") is not find("films")
    assert find("books") is find("books")
    books, _ = find("books"), find("films")
    assert find("books") is books


def test_two_mirrors_on_one_cache_of_their_own_are_kept_apart(locmem, location):
    with use_mirror(own("books", f"locmem://{location}")):
        locmem.set("key", "books")
    with use_mirror(own("films", f"locmem://{location}")):
        assert locmem.get("key") is None
        locmem.clear()

    with use_mirror(own("books", f"locmem://{location}")):
        assert locmem.get("key") == "books"


def test_a_mirror_that_shares_uses_the_cache_that_the_owner_has(
    fleet_of_caches, in_memory, settings, location
):
    settings.MIRRORS = {
        "films": {"HOSTS": ["films.example"], "CACHE": f"locmem://own-{location}"},
        "films-fr": {"HOSTS": ["fr.films.example"], "SHARES": {"CACHE": "films"}},
    }
    with use_mirror("films"):
        cache.set("key", 1)

    with use_mirror("films-fr"):
        assert cache.get("key") == 1


def test_a_changed_cache_counts_at_once(locmem, location):
    books = own("books", f"locmem://{location}")
    with use_mirror(books):
        locmem.set("key", 1)

    with use_mirror(replace(books, cache=f"locmem://other-{location}")):
        assert locmem.get("key") is None
    with use_mirror(books):
        assert locmem.get("key") == 1


def test_two_aliases_stay_apart_in_the_one_cache_of_a_mirror(
    fleet_of_caches, settings, location
):
    settings.CACHES = {
        "default": wrap(LOCMEM, f"a {location}"),
        "sessions": wrap(LOCMEM, f"b {location}"),
    }

    with use_mirror(own("books", f"locmem://{location}")):
        cache.set("key", "default")
        caches["sessions"].set("key", "sessions")
        cache.clear()

        assert cache.get("key") is None
        assert caches["sessions"].get("key") == "sessions"


def test_two_projects_on_one_cache_are_kept_apart_by_their_prefix(location):
    ours, theirs = (
        MirrorCache(location, {"KEY_PREFIX": prefix, "OPTIONS": {"BACKEND": LOCMEM}})
        for prefix in ("ours", "theirs")
    )

    with use_mirror(own("books", f"locmem://{location}")):
        ours.set("key", "ours")
        assert theirs.get("key") is None
        theirs.clear()
        assert ours.get("key") == "ours"


def find_problem(definition: object, store: MirrorCache | None = None) -> str:
    wrapping = store or MirrorCache("", {"OPTIONS": {"BACKEND": LOCMEM}})
    with use_mirror(own("books", definition)), pytest.raises(InvalidMirror) as caught:
        wrapping.get("key")
    return str(caught.value)


def test_wrong_definitions_of_a_cache_say_what_is_wrong():
    assert find_problem({"BACKEND": LOCMEM, "VERSION": 2}) == (
        "The CACHE of mirror 'books' has 'VERSION'. Set it in CACHES: it holds for "
        "every mirror."
    )
    assert find_problem({"BACKEND": LOCMEM, "COLOUR": 2}) == (
        "The CACHE of mirror 'books' has the unknown key 'COLOUR'. Use: BACKEND, "
        "LOCATION, OPTIONS, TIMEOUT, KEY_PREFIX."
    )
    assert find_problem({"BACKEND": "no.such.Cache"}).startswith(
        "The CACHE of mirror 'books' names the backend 'no.such.Cache', which cannot "
        "be imported: "
    )
    assert find_problem(wrap(LOCMEM)) == (
        "The CACHE of mirror 'books' leads back to MirrorCache. Name the cache that "
        "keeps entries."
    )
    assert "has the unknown scheme 'http'" in find_problem("http://host")


@pytest.mark.parametrize(
    ("params", "wrong"),
    [
        ({}, "no 'BACKEND'"),
        ({"OPTIONS": {}}, "no 'BACKEND'"),
        ({"OPTIONS": {"LOCATION": "x"}}, "no 'BACKEND'"),
        ({"OPTIONS": {"BACKEND": LOCMEM, "MAX_ENTRIES": 1}}, "the unknown key 'MAX_EN"),
    ],
)
def test_wrong_options_say_what_is_wrong(params, wrong):
    with pytest.raises(InvalidMirror) as caught:
        MirrorCache("", params)

    assert f"CACHES[...]['OPTIONS'] of a MirrorCache have {wrong}" in str(caught.value)


def test_it_can_be_made_without_a_mirror_or_a_reachable_cache(settings):
    settings.CACHES = {"default": wrap(REDIS, "redis://127.0.0.1:1/0")}

    assert isinstance(caches["default"], MirrorCache)


def test_passwords_do_not_reach_the_keys(location):
    first, second = (
        MirrorCache(
            f"redis://:{password}@host/{location}", {"OPTIONS": {"BACKEND": REDIS}}
        )
        for password in ("one", "two")
    )

    backings = [store._build_backing(store._config, "") for store in (first, second)]

    assert backings[0].namespace == backings[1].namespace
    assert backings[0].identity == backings[1].identity


@cache_page(60)
def show_marker(request) -> HttpResponse:
    return HttpResponse(uuid4().hex)


def test_cache_page_keeps_the_pages_of_mirrors_apart(locmem):
    request = RequestFactory().get("/page/")
    with use_mirror("books"):
        ours = show_marker(request).content
        assert show_marker(request).content == ours
    with use_mirror("films"):
        theirs = show_marker(request).content

        assert theirs != ours
        assert show_marker(request).content == theirs


def test_template_fragments_are_kept_apart(locmem):
    template = Engine(libraries={"cache": "django.templatetags.cache"}).from_string(
        "{% load cache %}{% cache 60 name %}{{ value }}{% endcache %}"
    )

    def render(value: str) -> str:
        return template.render(Context({"value": value}))

    with use_mirror("books"):
        assert render("books") == "books"
        assert render("changed") == "books"
    with use_mirror("films"):
        assert render("films") == "films"


def test_a_session_in_the_cache_is_unknown_to_another_mirror(locmem):
    with use_mirror("books"):
        session = SessionStore()
        session["user"] = "reader"
        session.create()
        key = session.session_key
        assert SessionStore(key).exists(key)

    with use_mirror("films"):
        assert not SessionStore().exists(key)
        assert SessionStore(key).load() == {}
    with use_mirror("books"):
        assert SessionStore(key)["user"] == "reader"


def test_a_cached_session_of_one_mirror_is_unknown_to_another(fleet, in_memory):
    with use_mirror("books"):
        session = CachedSessionStore()
        session["user"] = "reader"
        session.create()
        key = session.session_key
        assert CachedSessionStore(key)["user"] == "reader"

    with use_mirror("films"):
        assert not CachedSessionStore().exists(key)
        assert CachedSessionStore(key).load() == {}


def test_a_cache_in_the_database_is_in_that_of_the_mirror(fleet, settings):
    settings.CACHES = {"default": wrap(DATABASE, "cache_table")}
    for name in ("books", "films"):
        with use_mirror(name):
            call_command("createcachetable", "cache_table", database=name)
            cache.set("key", name)

    with use_mirror("books"):
        assert cache.get("key") == "books"
        cache.clear()
        assert cache.get("key") is None
    with use_mirror("films"):
        assert cache.get("key") == "films"


def test_waiting_longer_than_the_memory_lasts_finds_entries_again(locmem, monkeypatch):
    now = [time.monotonic()]
    monkeypatch.setattr(generations, "monotonic", lambda: now[0])
    with use_mirror("books"):
        locmem.set("key", 1)

        now[0] += 3600

        assert locmem.get("key") == 1
