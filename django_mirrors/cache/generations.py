"""Generations of entries: a mirror's cache is cleared by starting a new one.

The generation is kept in the cache itself. If it gets lost, a new random one is made,
so that entries of an earlier one never come back.
"""

from secrets import token_hex
from threading import Lock
from time import monotonic

from django_mirrors.cache.backing import Backing

__all__ = [
    "aget_generation",
    "astart_generation",
    "get_generation",
    "start_generation",
]

_BYTES = 8
# How long a process may not notice that another one cleared a mirror's cache.
_MEMORY_SECONDS = 1.0
_MAX_REMEMBERED = 10_000

_Key = tuple[str, str]


class _Memory:
    """What this process knows of generations, for a short time. Safe for threads."""

    def __init__(self) -> None:
        self._known: dict[_Key, tuple[str, float]] = {}
        self._lock = Lock()
        self.turn = 0  # counts the clearings in this process

    def find(self, key: _Key) -> str | None:
        generation, expires = self._known.get(key, ("", 0.0))
        return generation if monotonic() < expires else None

    def keep(self, key: _Key, generation: str, *, turn: int) -> None:
        """Remember what was read since `turn`, unless a thread cleared meanwhile."""
        with self._lock:
            if self.turn == turn:
                self._remember(key, generation)

    def replace(self, key: _Key, generation: str) -> None:
        """Take over a generation that was just started."""
        with self._lock:
            self.turn += 1
            self._remember(key, generation)

    def _remember(self, key: _Key, generation: str) -> None:
        if len(self._known) >= _MAX_REMEMBERED:
            self._known.clear()
        self._known[key] = (generation, monotonic() + _MEMORY_SECONDS)


_memory = _Memory()


def get_generation(uid: str, backing: Backing) -> str:
    """Return the present generation of a mirror's entries. Starts one if need be."""
    name = _build_name(uid, backing)
    key = (backing.identity, name)
    generation = _memory.find(key)
    if generation is None:
        turn = _memory.turn
        generation = backing.cache.get(name)
        if generation is None:
            fresh = token_hex(_BYTES)
            backing.cache.add(name, fresh, timeout=None)
            # Another process may have been quicker.
            generation = backing.cache.get(name, fresh)
        _memory.keep(key, generation, turn=turn)
    return generation


async def aget_generation(uid: str, backing: Backing) -> str:
    """See get_generation()."""
    name = _build_name(uid, backing)
    key = (backing.identity, name)
    generation = _memory.find(key)
    if generation is None:
        turn = _memory.turn
        generation = await backing.cache.aget(name)
        if generation is None:
            fresh = token_hex(_BYTES)
            await backing.cache.aadd(name, fresh, timeout=None)
            generation = await backing.cache.aget(name, fresh)
        _memory.keep(key, generation, turn=turn)
    return generation


def start_generation(uid: str, backing: Backing) -> None:
    """Leave all of a mirror's entries behind."""
    name, generation = _build_name(uid, backing), token_hex(_BYTES)
    backing.cache.set(name, generation, timeout=None)
    _memory.replace((backing.identity, name), generation)


async def astart_generation(uid: str, backing: Backing) -> None:
    """See start_generation()."""
    name, generation = _build_name(uid, backing), token_hex(_BYTES)
    await backing.cache.aset(name, generation, timeout=None)
    _memory.replace((backing.identity, name), generation)


def _build_name(uid: str, backing: Backing) -> str:
    # As wide as the tag of an entry, which is followed by a colon.
    return f"{uid}{backing.namespace}@generation"
