"""Do not wait again and again for a database server that does not answer."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from time import monotonic
from typing import Any, NamedTuple

from django_mirrors.exceptions import MirrorUnavailable

__all__ = ["Breaker", "breaker"]

# A server that refuses at once costs nobody anything, a silent one costs a worker.
_SLOW_SECONDS = 1.5
_LONGEST_SECONDS = 8.0
_ASK_SECONDS = 1.0  # between two looks whether a server that owes an answer is there
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
        self._failed: dict[Hashable, float] = {}  # when a database was silent last
        self._asked: dict[Hashable, float] = {}
        self._lock = Lock()

    @contextmanager
    def watched(self, config: Mapping[str, Any], *, mirror: str) -> Iterator[None]:
        """Watch an attempt to connect. Raises `MirrorUnavailable` if it must wait.

        A pool is not watched: that it is exhausted does not mean its server is down.
        """
        if "pool" in config["OPTIONS"]:
            yield
            return
        with self.watched_server(config, mirror=mirror):
            yield

    @contextmanager
    def watched_server(
        self,
        config: Mapping[str, Any],
        *,
        mirror: str,
        ignoring: type[Exception] | tuple[type[Exception], ...] = (),
    ) -> Iterator[None]:
        """See watched(). Errors to ignore do not tell that the server is down."""
        if self._holds:  # in haste: no server is held but rarely
            self._take_turn(_build_key(config), mirror)
        began = monotonic()
        try:
            yield
        except ignoring:
            raise
        except BaseException:
            if monotonic() - began >= _SLOW_SECONDS:
                self._hold(_build_key(config))
            raise
        if self._holds:
            self._holds.pop(_build_key(config), None)

    def has_failed(self, config: Mapping[str, Any], *, since: float) -> bool:
        """Whether the database was silent after that moment."""
        return bool(self._failed) and self._failed.get(_build_key(config), 0) >= since

    def is_silent(
        self, config: Mapping[str, Any], *, since: float, ask: Callable[[], bool]
    ) -> bool:
        """Whether a database that owes an answer since then does not answer at all.

        One thread at a time finds out: `ask` connects, and returns whether it could.
        """
        if self.has_failed(config, since=since):
            return True
        key = _build_key(config)
        with self._lock:
            began = monotonic()
            if began - self._asked.get(key, 0) < _ASK_SECONDS:
                return False
            self._asked[key] = began + _LONGEST_SECONDS
        try:
            is_answered = ask()
        finally:
            self._asked[key] = monotonic()
        if not is_answered and monotonic() - began >= _SLOW_SECONDS:
            self._hold(key)
        return self.has_failed(config, since=since)

    def forget(self) -> None:
        """Let every database be tried at once."""
        self._holds.clear()
        self._failed.clear()
        self._asked.clear()

    def _take_turn(self, key: Hashable, mirror: str) -> None:
        with self._lock:
            hold = self._holds.get(key)
            if hold is None:
                return
            now = monotonic()
            if now < hold.until:
                raise MirrorUnavailable(
                    f"The database of mirror '{mirror}' did not answer and is not "
                    f"tried again for {hold.until - now:.1f} s. Check that its server "
                    "runs."
                )
            # The others go on failing while this thread tries.
            self._holds[key] = hold._replace(until=now + _LONGEST_SECONDS)

    def _hold(self, key: Hashable) -> None:
        with self._lock:
            hold = self._holds.get(key)
            failures = 1 if hold is None else hold.failures + 1
            seconds = min(2.0 ** (failures - 1), _LONGEST_SECONDS)
            self._failed[key] = monotonic()
            self._holds[key] = _Hold(failures, monotonic() + seconds)


def _build_key(config: Mapping[str, Any]) -> Hashable:
    return tuple(config.get(name) for name in _SERVER)


breaker = Breaker()
