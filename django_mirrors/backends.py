"""Keep the backends that were built from the definitions of mirrors."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from threading import RLock
from time import monotonic
from typing import Any, Generic, NamedTuple, TypeVar

__all__ = ["Backends"]

T = TypeVar("T")
Config = dict[str, Any]
Definition = str | Mapping[str, Any]

_FRESH_SECONDS = 1.0


class _Entry(NamedTuple, Generic[T]):
    definition: Definition
    config: Config
    backend: T
    checked: float


class Backends(Generic[T]):
    """One backend for each key; of those not used for long, no more than `size` stay.

    Safe for threads. A definition is read again after a second, since a secret that it
    refers to may have been replaced: what changes its dictionary makes a new backend.
    """

    def __init__(
        self,
        *,
        read: Callable[[Definition, str], Config],
        build: Callable[[Config, str], T],
        size: int,
    ) -> None:
        self._read = read
        self._build = build
        self._size = size
        self._entries: OrderedDict[Hashable, _Entry[T]] = OrderedDict()
        # A backend may ask for another one while it is built.
        self._lock = RLock()

    def get(self, key: Hashable, definition: Definition, *, place: str) -> T:
        """Return the backend of `key`; build it from `definition` if need be."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or not _is_fresh(entry, definition):
                entry = self._renew(entry, definition, place)
                self._entries[key] = entry
            self._entries.move_to_end(key)
            if len(self._entries) > self._size:
                self._entries.popitem(last=False)
            return entry.backend

    def forget(self) -> None:
        """Drop every backend."""
        with self._lock:
            self._entries.clear()

    def _renew(
        self, entry: _Entry[T] | None, definition: Definition, place: str
    ) -> _Entry[T]:
        config = self._read(definition, place)
        if entry is not None and entry.config == config:
            return entry._replace(definition=definition, checked=monotonic())
        return _Entry(definition, config, self._build(config, place), monotonic())


def _is_fresh(entry: _Entry[Any], definition: Definition) -> bool:
    return monotonic() - entry.checked < _FRESH_SECONDS and (
        entry.definition is definition or entry.definition == definition
    )
