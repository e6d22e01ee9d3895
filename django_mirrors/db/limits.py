"""So many connections to one server of databases, for all mirrors of the process."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable
from threading import Condition
from time import monotonic
from typing import Any
from weakref import WeakSet

from django_mirrors.exceptions import MirrorUnavailable

__all__ = ["ServerLimits", "limits"]

# A thread may end without closing its connection: nobody tells those who wait.
_LOOK_SECONDS = 0.1


class ServerLimits:
    """Counts the connections to each server, and lets who asks for one more wait."""

    def __init__(self) -> None:
        self._open: dict[Hashable, WeakSet[Any]] = defaultdict(WeakSet)
        self._waiting: Counter[Hashable] = Counter()
        self._changed = Condition()

    def take(
        self,
        connection: Any,
        *,
        most: int,
        seconds: float,
        close_idle: Callable[[], bool],
    ) -> None:
        """Count one more connection to the server of `connection`.

        Waits for up to so many seconds until there are less than `most`; `close_idle`
        closes those of this thread and says whether there was one. Raises
        `MirrorUnavailable` if none gets free.
        """
        key, deadline = _find_server(connection), monotonic() + seconds
        with self._changed:
            self._waiting[key] += 1
            try:
                while len(self._open[key]) >= most and not close_idle():
                    left = deadline - monotonic()
                    if left <= 0:
                        raise MirrorUnavailable(
                            f"No connection is free for mirror '{connection.owner}': "
                            f"all {most} to its server are in use. Raise "
                            "MIRRORS_OPTIONS['MAX_SERVER_CONNECTIONS'], or use fewer "
                            "mirrors at once."
                        )
                    self._changed.wait(min(left, _LOOK_SECONDS))
                self._open[key].add(connection)
            finally:
                self._waiting[key] -= 1

    def give(self, connection: Any) -> None:
        """Count a connection no longer, which was closed or never made."""
        with self._changed:
            self._open[_find_server(connection)].discard(connection)
            self._changed.notify()

    def is_wanted(self, connection: Any) -> bool:
        """Whether somebody waits for a connection to the same server."""
        return self._waiting[_find_server(connection)] > 0

    def count(self, connection: Any) -> int:
        """Return how many connections there are to the server of `connection`."""
        return len(self._open[_find_server(connection)])


def _find_server(connection: Any) -> Hashable:
    config = connection.settings_dict
    return config["ENGINE"], config["HOST"], str(config["PORT"])


limits = ServerLimits()
