"""Do not wait again and again for a database server that does not answer."""

from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from time import monotonic
from typing import Any, NamedTuple

from django_mirrors.exceptions import MirrorUnavailable

__all__ = ["Breaker", "breaker"]

# A server that refuses at once costs nobody anything, a silent one costs a worker.
_SLOW_SECONDS = 1.5
_LONGEST_SECONDS = 8.0
_SERVER = ("ENGINE", "HOST", "PORT", "NAME", "USER")


class _Hold(NamedTuple):
    failures: int
    until: float


class Breaker:
    """Remembers which databases were silent, for all threads of the process.

    After a slow failure nobody tries the database for a second, and twice as long
    after each further one, up to eight; then one thread tries, the others still fail.
    """

    def __init__(self) -> None:
        self._holds: dict[Hashable, _Hold] = {}
        self._lock = Lock()

    @contextmanager
    def watched(self, config: Mapping[str, Any], *, mirror: str) -> Iterator[None]:
        """Watch an attempt to connect. Raises `MirrorUnavailable` if it must wait.

        A pool is not watched: that it is exhausted does not mean its server is down.
        """
        if "pool" in config["OPTIONS"]:
            yield
            return
        key = tuple(config.get(name) for name in _SERVER)
        if key in self._holds:
            self._take_turn(key, mirror)
        began = monotonic()
        try:
            yield
        except BaseException:
            if monotonic() - began >= _SLOW_SECONDS:
                self._hold(key)
            raise
        self._holds.pop(key, None)

    def forget(self) -> None:
        """Let every database be tried at once."""
        self._holds.clear()

    def _take_turn(self, key: Hashable, mirror: str) -> None:
        with self._lock:
            hold = self._holds.get(key)
            if hold is None:
                return
            now = monotonic()
            if now < hold.until:
                raise MirrorUnavailable(
                    f"The database of mirror '{mirror}' did not answer and is not "
                    f"tried again for {hold.until - now:.1f} seconds. Check that its "
                    "server runs."
                )
            # The others go on failing while this thread tries.
            self._holds[key] = hold._replace(until=now + _LONGEST_SECONDS)

    def _hold(self, key: Hashable) -> None:
        with self._lock:
            hold = self._holds.get(key)
            failures = 1 if hold is None else hold.failures + 1
            seconds = min(2.0 ** (failures - 1), _LONGEST_SECONDS)
            self._holds[key] = _Hold(failures, monotonic() + seconds)


breaker = Breaker()
