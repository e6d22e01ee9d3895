"""Connections to a PostgreSQL server that mirrors with a schema each take in turn.

A pool belongs to one database of one server and to one set of credentials, and is made
when the first connection is asked for. Who asks connects, in its own thread: it sees
at once that a server refuses, and nothing runs beside it that a fork would lose.
"""

import os
import select
from collections import deque
from collections.abc import Callable, Hashable
from threading import Condition
from time import monotonic
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, WeakSet

from psycopg import Connection, Error, OperationalError
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, TransactionStatus

from django_mirrors.counts import write_count
from django_mirrors.options import PoolConf

__all__ = ["Pool", "PoolExhausted", "SetupRefused", "get_pool", "prune_pools"]

# All that a session can hold, in one round trip: DISCARD ALL would need a second one.
_RESET = (
    b"CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; RESET ALL; "
    b"DEALLOCATE ALL; UNLISTEN *; SELECT pg_advisory_unlock_all(); DISCARD TEMP; "
    b"DISCARD SEQUENCES; "
)
_DONE = frozenset({ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK})
_IN_TRANSACTION = frozenset({TransactionStatus.INTRANS, TransactionStatus.INERROR})
# A thread may end without closing its connection: nobody tells those who wait.
_LOOK_SECONDS = 0.1
_PRUNE_SECONDS = 15.0
_FRESH_SECONDS = 1.0


class PoolExhausted(OperationalError):
    """All connections that may be open are in use."""


class SetupRefused(OperationalError):
    """The server refused what a connection shall be set to; its text says why."""


class Silent(OperationalError):
    """The server did not answer in time."""


class _Idle(NamedTuple):
    connection: Connection[Any]
    setup: bytes  # what it was set to after it was reset
    born: float
    set_up: float  # when it was set to that
    since: float
    is_reset: bool  # else it is as whoever had it left it


class Pool:
    """At most so many connections, used or idle, for all threads of the process."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._idle: deque[_Idle] = deque()  # the one used last is the last
        # When it was opened, and set up. What a thread drops unclosed does not count
        # for ever.
        self._used: WeakKeyDictionary[Connection[Any], tuple[float, float]] = (
            WeakKeyDictionary()
        )
        self._kept: WeakSet[Connection[Any]] = WeakSet()  # of those in use
        self._opening = 0
        self._waiting = 0
        self._changed = Condition()

    def take(
        self, setup: bytes, connect: Callable[[], Connection[Any]], conf: PoolConf
    ) -> Connection[Any]:
        """Return a connection for which the SQL `setup` was run last.

        Raises `PoolExhausted` if none gets free in time, `SetupRefused` if the server
        does not run `setup`, and whatever `connect` raises.
        """
        deadline = monotonic() + conf.timeout
        while True:
            idle = self._reserve(setup, deadline, conf)
            if idle is None:
                return self._open(setup, connect, conf.timeout)
            if self._prepare(idle, setup, conf):
                return idle.connection
            # It broke while it was idle: that costs nobody a request.
            self.drop(idle.connection)

    def give_back(
        self, connection: Connection[Any], setup: bytes, *, is_clean: bool = False
    ) -> None:
        """Let others use a connection, after all that its session holds is gone.

        The server is told, and not waited for: its answer is read by whoever takes the
        connection next. `setup` is run last, so that the same need not be run again.
        A session that holds nothing, `is_clean`, stays as it is for the same setup; any
        other one resets it first.
        """
        if self._process != os.getpid():
            # It is the parent's, and so is what would be sent to its server.
            _abandoned.append(connection)
            return
        status = connection.pgconn.transaction_status
        if status not in (TransactionStatus.IDLE, *_IN_TRANSACTION):
            self.drop(connection)
            return
        is_reset = not is_clean or status in _IN_TRANSACTION
        try:
            if is_reset:
                before = b"ROLLBACK; " if status in _IN_TRANSACTION else b""
                _send(connection, before + _RESET + setup)
        except Error:
            self.drop(connection)
            return
        with self._changed:
            now = monotonic()
            born, set_up = self._used.pop(connection, (now, 0.0))
            self._kept.discard(connection)
            if is_reset:
                set_up = now
            self._idle.append(_Idle(connection, setup, born, set_up, now, is_reset))
            self._changed.notify()

    def keep(self, connection: Connection[Any], conf: PoolConf) -> float | None:
        """Let a clean connection stay with who has it, and return until when.

        Half of them at most, of which nobody can have a share meanwhile, and for as
        long as they need not be set up again. None if it must be given back.
        """
        with self._changed:
            is_kept = connection in self._kept
            is_room = is_kept or len(self._kept) < conf.max_size // 2
            if not is_room or self._process != os.getpid():
                return None
            self._kept.add(connection)
            _, set_up = self._used.get(connection, (0.0, 0.0))
            until = set_up + _FRESH_SECONDS
            return until if self.may_stay(until) else None

    def may_stay(self, until: float) -> bool:
        """Whether what was kept until then need not be given back yet."""
        return not self._waiting and monotonic() <= until

    def is_ready(self, connection: Connection[Any], until: float) -> bool:
        """Whether a connection that was kept until then can be used as it is."""
        is_late = monotonic() > until
        if connection.closed or is_late or self._process != os.getpid():
            return False
        # A server that has something to say now tells of its end.
        return not _wait(connection.pgconn.socket, 0)

    def is_full(self, conf: PoolConf) -> bool:
        """Whether whoever asks now has to wait."""
        used, idle = self.count()
        return not idle and used >= conf.max_size

    def drop(self, connection: Connection[Any]) -> None:
        """Close a connection that nobody shall use again."""
        if self._process != os.getpid():
            _abandoned.append(connection)
            return
        with self._changed:
            self._used.pop(connection, None)
            self._kept.discard(connection)
            self._changed.notify()
        connection.close()

    def prune(self, *, max_idle: float = 0) -> None:
        """Close what is idle for longer than so many seconds."""
        before = monotonic() - max_idle
        while True:
            with self._changed:
                if not self._idle or self._idle[0].since > before:
                    return
                connection = self._idle.popleft().connection
            self.drop(connection)

    def count(self) -> tuple[int, int]:
        """Return how many connections are used, and how many are idle."""
        return len(self._used) + self._opening, len(self._idle)

    def _reserve(self, setup: bytes, deadline: float, conf: PoolConf) -> _Idle | None:
        """Return an idle connection, or None where one more may be opened."""
        with self._changed:
            while not self._idle:
                if sum(self.count()) < conf.max_size:
                    self._opening += 1
                    return None
                self._wait_for_change(deadline, conf)
            idle = self._find_idle(setup)
            self._idle.remove(idle)
            self._used[idle.connection] = idle.born, idle.set_up
            return idle

    def _wait_for_change(self, deadline: float, conf: PoolConf) -> None:
        left = deadline - monotonic()
        if left <= 0:
            limit = write_count(conf.max_size, "connection")
            raise PoolExhausted(f"the limit is {limit}")
        self._waiting += 1
        try:
            self._changed.wait(min(left, _LOOK_SECONDS))
        finally:
            self._waiting -= 1

    def _find_idle(self, setup: bytes) -> _Idle:
        # Else the one used longest ago: others may be asked for as they are.
        found: _Idle = self._idle[0]
        for idle in self._idle:
            if idle.setup == setup:
                found = idle
        return found

    def _open(
        self, setup: bytes, connect: Callable[[], Connection[Any]], seconds: float
    ) -> Connection[Any]:
        opened = None
        try:
            connection = connect()
            try:
                _send(connection, setup)
                _settle(connection, monotonic() + seconds)
            except BaseException:
                connection.close()
                raise
            opened = connection
        finally:
            with self._changed:
                self._opening -= 1
                if opened is not None:
                    self._used[opened] = (now := monotonic()), now
                self._changed.notify()
        return opened

    def _prepare(self, idle: _Idle, setup: bytes, conf: PoolConf) -> bool:
        """Set up what was idle; return whether it can be used."""
        now = monotonic()
        if now - idle.born > conf.max_lifetime:
            return False
        try:
            _settle(idle.connection, now + conf.timeout)
        except Silent:
            self.drop(idle.connection)
            raise
        except Error:
            return False
        try:
            # A server that fell silent meanwhile is found here, where that is bounded,
            # and so is a schema that is gone, however often its mirror is asked.
            if idle.setup != setup or now - idle.set_up > _FRESH_SECONDS:
                before = b"" if idle.is_reset else _RESET
                _send(idle.connection, before + setup)
                _settle(idle.connection, now + conf.timeout)
                with self._changed:
                    self._used[idle.connection] = idle.born, monotonic()
        except SetupRefused:
            # None of it counts, so that it still is as it was.
            self._put_back(idle)
            raise
        except Silent:
            self.drop(idle.connection)
            raise
        except Error:
            return False
        return True

    def _put_back(self, idle: _Idle) -> None:
        with self._changed:
            self._used.pop(idle.connection, None)
            self._idle.append(idle._replace(since=monotonic()))
            self._changed.notify()


_pools: dict[tuple[int, Hashable], Pool] = {}
# A child must neither use nor close what its parent has open, nor let it be collected.
_abandoned: list[Connection[Any]] = []
_pruned = 0.0


def get_pool(key: Hashable, conf: PoolConf) -> Pool:
    """Return the one pool that this process has for `key`; nothing is connected to."""
    global _pruned  # noqa: PLW0603 - when all pools were looked at
    if monotonic() - _pruned > _PRUNE_SECONDS:
        _pruned = monotonic()
        prune_pools(max_idle=conf.max_idle)
    # After a fork there are others, and those of the parent are left alone.
    found = _pools.get((os.getpid(), key))
    return found or _pools.setdefault((os.getpid(), key), Pool())


def prune_pools(*, max_idle: float = 0) -> None:
    """Close what is idle for so long in all pools of this process."""
    for (process, _), pool in [*_pools.items()]:
        if process == os.getpid():
            pool.prune(max_idle=max_idle)


def _send(connection: Connection[Any], sql: bytes) -> None:
    connection.pgconn.send_query(sql)
    connection.pgconn.flush()


def _settle(connection: Connection[Any], deadline: float) -> None:
    """Read what the server still has to say. Raises unless it did all it was told."""
    pgconn = connection.pgconn
    refusal = None
    while (result := _read_result(pgconn, deadline)) is not None:
        if result.status not in _DONE:
            refusal = result
    # The end of the connection, if the server sent it meanwhile: first comes why.
    while pgconn.status == ConnStatus.OK and _wait(pgconn.socket, 0):
        pgconn.consume_input()
    is_good = pgconn.status == ConnStatus.OK
    if not is_good or pgconn.transaction_status != TransactionStatus.IDLE:
        raise OperationalError("the connection was lost")
    if refusal is not None:
        raise SetupRefused(_describe(refusal))


def _read_result(pgconn: Any, deadline: float) -> Any:
    while pgconn.is_busy():
        pgconn.flush()
        if not _wait(pgconn.socket, deadline - monotonic()):
            raise Silent("the server did not answer in time")
        pgconn.consume_input()
    return pgconn.get_result()


def _describe(result: Any) -> str:
    text: bytes = result.error_field(DiagnosticField.MESSAGE_PRIMARY) or b""
    return text.decode(errors="replace")


def _wait(socket: int, seconds: float) -> bool:
    """Whether there is something to read; not by select(), which has a highest one."""
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    return bool(poll.poll(max(seconds, 0) * 1000))
