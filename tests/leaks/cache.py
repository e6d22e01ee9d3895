"""Leaks of caches: an entry that another mirror reads, overwrites or clears."""

from tests.leaks import Leak

TESTS = "tests/test_cache.py"

LEAKS = [
    Leak(
        "keys carry the name, which may be another mirror's later",
        "cache/router.py",
        "return owner.uid.hex, backing",
        "return owner.name, backing",
        TESTS,
    ),
    Leak(
        "keys carry neither uid nor generation",
        "cache/router.py",
        "        generation = get_generation(uid, backing)\n"
        "        return _Place("
        'backing.cache, backing.key_prefix, f"{uid}{generation}")\n',
        '        return _Place(backing.cache, backing.key_prefix, "")\n',
        TESTS,
    ),
    Leak(
        "keys of async operations carry neither uid nor generation",
        "cache/router.py",
        "        generation = await aget_generation(uid, backing)\n"
        "        return _Place("
        'backing.cache, backing.key_prefix, f"{uid}{generation}")\n',
        '        return _Place(backing.cache, backing.key_prefix, "")\n',
        TESTS,
    ),
    Leak(
        "the tag of an entry is cut to a part that mirrors may share",
        "cache/router.py",
        '        return f"{place.tag}:{made}"\n',
        '        return f"{place.tag[:0]}:{made}"\n',
        TESTS,
    ),
    Leak(
        "clear() empties the cache of all mirrors",
        "cache/router.py",
        "        start_generation(uid, backing)\n",
        "        backing.cache.clear()\n",
        TESTS,
    ),
    Leak(
        "aclear() empties the cache of all mirrors",
        "cache/router.py",
        "        await astart_generation(uid, backing)\n",
        "        await backing.cache.aclear()\n",
        TESTS,
    ),
    Leak(
        "clear() is forgotten by the cache, and known to this process only",
        "cache/generations.py",
        "    backing.cache.set(name, generation, timeout=None)\n",
        "",
        TESTS,
    ),
    Leak(
        "aclear() is forgotten by the cache, and known to this process only",
        "cache/generations.py",
        "    await backing.cache.aset(name, generation, timeout=None)\n",
        "",
        TESTS,
    ),
    Leak(
        "a thread goes on with the generation from before a clearing",
        "cache/generations.py",
        "            if self.turn == turn:\n",
        "            if turn is not None:\n",
        TESTS,
    ),
    Leak(
        "a generation that was lost comes back, and old entries with it",
        "cache/generations.py",
        "            fresh = token_hex(_BYTES)\n            backing.cache.add(",
        '            fresh = "0" * 16\n            backing.cache.add(',
        TESTS,
    ),
    Leak(
        "a generation that was lost comes back in async code",
        "cache/generations.py",
        "            fresh = token_hex(_BYTES)\n            await backing.cache.aadd(",
        '            fresh = "0" * 16\n            await backing.cache.aadd(',
        TESTS,
    ),
    Leak(
        "a process keeps its own generation when another one was quicker",
        "cache/generations.py",
        "            generation = backing.cache.get(name, fresh)\n",
        "            generation = fresh\n",
        TESTS,
    ),
    Leak(
        "a process keeps its own generation in async code",
        "cache/generations.py",
        "            generation = await backing.cache.aget(name, fresh)\n",
        "            generation = fresh\n",
        TESTS,
    ),
    Leak(
        "a process goes on for ever with the generation that it knows",
        "cache/generations.py",
        "return generation if monotonic() < expires else None",
        "return generation or None",
        TESTS,
    ),
    Leak(
        "two caches of a project are one in a mirror, and cleared together",
        "cache/generations.py",
        'return f"{uid}{backing.namespace}@generation"',
        'return f"{uid}@generation"',
        TESTS,
    ),
    Leak(
        "operations on many entries use bare keys",
        "cache/router.py",
        "return {self._make_key(place, key, version): key for key in keys}",
        "return {str(key): key for key in keys}",
        TESTS,
    ),
    Leak(
        "adelete_many() deletes by bare keys",
        "cache/router.py",
        "await place.cache.adelete_many(list(self._make_keys(place, keys, version)))",
        "await place.cache.adelete_many(list(keys))",
        TESTS,
    ),
    Leak(
        "aget() reads by bare keys",
        "cache/router.py",
        "await place.cache.aget(self._make_key(place, key, version), default)",
        "await place.cache.aget(key, default)",
        TESTS,
    ),
    Leak(
        "incr() counts for all mirrors",
        "cache/router.py",
        "return place.cache.incr(self._make_key(place, key, version), delta)",
        "return place.cache.incr(str(key), delta)",
        TESTS,
    ),
    Leak(
        "touch() keeps the entry of another mirror alive",
        "cache/router.py",
        "return place.cache.touch(self._make_key(place, key, version), timeout)",
        "return place.cache.touch(str(key), timeout)",
        TESTS,
    ),
    Leak(
        "versions are one",
        "cache/router.py",
        "self.version if version is None else version",
        "self.version",
        TESTS,
    ),
    Leak(
        "without a mirror the original's cache is used",
        "cache/router.py",
        "    mirror = get_current_mirror()\n",
        "    from django_mirrors.context import find_current_mirror\n\n"
        "    mirror = find_current_mirror() or mirrors.original\n",
        TESTS,
    ),
    Leak(
        "mirrors that share a database share a cache",
        "cache/router.py",
        "    name = mirror.find_owner(CACHE)\n",
        "    name = mirror.alias\n",
        TESTS,
    ),
    Leak(
        "mirrors with caches of their own get that of the first",
        "cache/router.py",
        "self._own.get(owner.uid, owner.cache, place=place)",
        'self._own.get("own", owner.cache, place=place)',
        TESTS,
    ),
    Leak(
        "what a backend offers beyond Django's API goes past the keys",
        "cache/router.py",
        "        raise AttributeError(\n            f\"MirrorCache has no '{name}'.",
        "        if self.__dict__.get('_wrapped'):\n"
        "            return getattr(self._wrapped.cache, name)\n"
        "        raise AttributeError(\n            f\"MirrorCache has no '{name}'.",
        TESTS,
    ),
    Leak(
        "passwords are part of what keys show",
        "cache/backing.py",
        "[str(redact(value)) for value in values]",
        "[str(value) for value in values]",
        TESTS,
    ),
    Leak(
        "a cache may be wrapped twice, and the outer one's mirror forgotten",
        "cache/backing.py",
        "    if isinstance(cache, refused):\n",
        "    if cache is refused:\n",
        TESTS,
    ),
]
