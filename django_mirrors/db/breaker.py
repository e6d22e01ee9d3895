"""Do not wait again and again for a database server that does not answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic
from typing import NamedTuple

from django_mirrors.exceptions import MirrorUnavailable

__all__ = ["Breaker", "breaker"]

# A server that refuses at once costs nobody anything, a silent one costs a worker.
_SLOW_SECONDS = 0.5
_LONGEST_SECONDS = 8.0


class _Hold(NamedTuple):
    failures: int
    until: float


class Breaker:
    """Remembers which databases were silent, for all threads of the process.

    After a slow failure nobody tries the database for a second, and twice as long
    after each further one, up to eight; then one thread tries, the others still fail.
    """

    def __init__(self) -> None:
        self._holds: dict[str, _Hold] = {}
        self._lock = Lock()

    @contextmanager
    def watched(self, alias: str) -> Iterator[None]:
        """Watch an attempt to connect. Raises `MirrorUnavailable` if it must wait."""
        if alias in self._holds:
            self._take_turn(alias)
        began = monotonic()
        try:
            yield
        except BaseException:
            if monotonic() - began >= _SLOW_SECONDS:
                self._hold(alias)
            raise
        self._holds.pop(alias, None)

    def forget(self, alias: str) -> None:
        """Let `alias` be tried at once: it may lead elsewhere now."""
        self._holds.pop(alias, None)

    def _take_turn(self, alias: str) -> None:
        with self._lock:
            hold = self._holds.get(alias)
            if hold is None:
                return
            now = monotonic()
            if now < hold.until:
                raise MirrorUnavailable(
                    f"The database of mirror '{alias}' did not answer and is not tried "
                    f"again for {hold.until - now:.1f} seconds. Check that its server "
                    "runs."
                )
            # The others go on failing while this thread tries.
            self._holds[alias] = hold._replace(until=now + _LONGEST_SECONDS)

    def _hold(self, alias: str) -> None:
        with self._lock:
            hold = self._holds.get(alias)
            failures = 1 if hold is None else hold.failures + 1
            seconds = min(2.0 ** (failures - 1), _LONGEST_SECONDS)
            self._holds[alias] = _Hold(failures, monotonic() + seconds)


breaker = Breaker()
