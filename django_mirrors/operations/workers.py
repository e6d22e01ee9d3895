"""Processes that do steps, each followed by one that begins another in its place."""

import os
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe, wait
from threading import active_count
from typing import Any

from django.db import connections

from django_mirrors.operations.reports import FAILED, StepResult

__all__ = ["Worker", "can_fork", "wait_for_workers"]

_ENDED = "ended"  # what the guardian says when its worker is gone


class Worker:
    """A process that does one step after the other.

    Its parent is a guardian, which does nothing but wait for it: if a step takes the
    process down, the guardian tells of it and forks another. So no process is forked by
    one that has threads.
    """

    def __init__(self, others: "Iterable[Worker]" = ()) -> None:
        self._connection, theirs = Pipe()
        self._mirror = ""
        self._is_gone = False  # for good: its guardian is gone too
        # What waits to be written would be written by each process.
        sys.stdout.flush()
        sys.stderr.flush()
        self._guardian = os.fork()
        if self._guardian == 0:
            # The others see the end of the parent only if nobody else holds these.
            for worker in (*others, self):
                worker.let_go()
            _guard(theirs)
        theirs.close()

    def fileno(self) -> int:
        """Return what `multiprocessing.connection.wait` waits for."""
        return self._connection.fileno()

    @property
    def is_gone(self) -> bool:
        """Whether nobody is left who could do a step."""
        return self._is_gone

    def send(self, mirror: str, do: Callable[[], StepResult]) -> None:
        """Let the worker do a step in the mirror of that name."""
        self._mirror = mirror
        # If it is gone meanwhile, there is something to receive: its end.
        with suppress(OSError):
            self._connection.send(do)

    def receive(self) -> StepResult:
        """Return the result of the step; a failure if it ended the process."""
        try:
            received = self._connection.recv()
        except (EOFError, OSError):
            self._is_gone = True
            received = _ENDED, "the one that watched over it"
        if isinstance(received, StepResult):
            return received
        return StepResult(
            mirror=self._mirror,
            outcome=FAILED,
            error=f"The process that worked on it ended with {received[1]}. Begin "
            "again with this mirror.",
        )

    def let_go(self) -> None:
        """Close this end of the connection."""
        self._connection.close()

    def end(self) -> None:
        """Let the process end when it has done its step, and wait for that."""
        self.let_go()
        try:
            os.waitpid(self._guardian, 0)
        except ChildProcessError:
            return  # somebody else has waited for it


def can_fork() -> bool:
    """Whether this process can be forked, and let go of its connections for that."""
    if not hasattr(os, "fork") or sys.platform == "darwin" or active_count() > 1:
        return False
    opened = connections.all(initialized_only=True)
    if any(item.in_atomic_block or _is_in_memory(item) for item in opened):
        return False
    # What one process closes properly would be gone for the other too.
    connections.close_all()
    return True


def wait_for_workers(workers: Iterable[Worker], seconds: float) -> list[Worker]:
    """Return the workers that have something to say, waiting for the first."""
    waiting: Any = list(workers)
    if not waiting:
        return []
    found: Any = wait(waiting, timeout=seconds)
    return list(found)


def _is_in_memory(connection: Any) -> bool:
    is_in_memory = getattr(connection, "is_in_memory_db", None)
    return is_in_memory is not None and bool(is_in_memory())


def _guard(given: Connection) -> None:
    """Fork a worker, and another one whenever it ends without being told to."""
    # Ctrl-C reaches the whole group; it is for the parent to decide what is begun.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        worker = os.fork()
        if worker == 0:
            _work(given)
        _, status = os.waitpid(worker, 0)
        code = os.waitstatus_to_exitcode(status)
        if code == 0 and _is_closed(given):
            os._exit(0)
        try:
            given.send((_ENDED, _describe(code)))
        except OSError:
            os._exit(1)  # nobody is there any more


def _is_closed(given: Connection) -> bool:
    """Whether the parent has nothing more to do. A step can end a process too."""
    if not given.poll():
        return False
    try:
        given.recv()
    except (EOFError, OSError):
        return True
    return False


def _work(given: Connection) -> None:
    """Do what is sent, until the connection is closed."""
    code = 1
    try:
        while True:
            try:
                do = given.recv()
            except EOFError:
                code = 0
                break
            given.send(do())
    finally:
        # Without what the parent has registered for its own end.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _describe(code: int) -> str:
    if code < 0:
        return f"signal {-code} ({signal.Signals(-code).name})"
    return f"exit code {code}"
