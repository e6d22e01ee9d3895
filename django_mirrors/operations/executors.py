"""Where the steps of an operation are done: here, in threads or in processes."""

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from typing import Protocol

from django.db import connections

from django_mirrors.exceptions import UnknownMirror
from django_mirrors.mirror import Mirror
from django_mirrors.operations.reports import FAILED, StepResult
from django_mirrors.operations.workers import Worker, can_fork, wait_for_workers
from django_mirrors.registry import mirrors

__all__ = ["Executor", "Here", "Processes", "Threads", "open_executor"]

# Does one step in a mirror, and does not raise for what goes wrong there.
Do = Callable[[Mirror], StepResult]


class Executor(Protocol):
    """Does steps in mirrors, several at a time."""

    @property
    def running(self) -> tuple[str, ...]:
        """The names of the mirrors that are worked on."""

    @property
    def has_room(self) -> bool:
        """Whether one more mirror can be begun."""

    def begin(self, mirror: Mirror, do: Do) -> None:
        """Begin a step; only while there is room."""

    def wait(self, seconds: float) -> list[StepResult]:
        """Return the steps that ended, waiting for the first; none if time is up."""


@contextmanager
def open_executor(jobs: int, *, in_processes: bool = False) -> Iterator[Executor]:
    """Yield what does `jobs` steps at once, and end it.

    Processes are forked now, before other threads are started; where that is not safe,
    since there are some already or a transaction is open, threads are used.
    """
    if jobs == 1:
        yield Here()
    elif in_processes and can_fork():
        workers = Processes(jobs)
        try:
            yield workers
        finally:
            workers.end()
    else:
        with ThreadPoolExecutor(max_workers=jobs) as pool:
            yield Threads(pool, jobs)


class Here:
    """One mirror after the other, in the calling thread."""

    def __init__(self) -> None:
        self._ended: list[StepResult] = []

    @property
    def running(self) -> tuple[str, ...]:
        """Nothing: who asks has the result already."""
        return ()

    @property
    def has_room(self) -> bool:
        """Whether the last result was taken."""
        return not self._ended

    def begin(self, mirror: Mirror, do: Do) -> None:
        """Do the step."""
        self._ended.append(do(mirror))

    def wait(self, seconds: float) -> list[StepResult]:
        """Return the result."""
        ended, self._ended = self._ended, []
        return ended


class Threads:
    """Several mirrors at once, in threads of this process."""

    def __init__(self, pool: ThreadPoolExecutor, jobs: int) -> None:
        self._pool = pool
        self._jobs = jobs
        self._running: dict[Future[StepResult], str] = {}

    @property
    def running(self) -> tuple[str, ...]:
        """See `Executor`."""
        return tuple(self._running.values())

    @property
    def has_room(self) -> bool:
        """See `Executor`."""
        return len(self._running) < self._jobs

    def begin(self, mirror: Mirror, do: Do) -> None:
        """See `Executor`."""
        future = self._pool.submit(_do_and_disconnect, do, mirror)
        self._running[future] = mirror.name

    def wait(self, seconds: float) -> list[StepResult]:
        """See `Executor`."""
        done, _ = wait(self._running, timeout=seconds, return_when=FIRST_COMPLETED)
        for future in done:
            del self._running[future]
        return [future.result() for future in done]


class Processes:
    """Several mirrors at once, each in a process that others survive.

    What is begun here is sent to a process: `do` must be a function of a module, or a
    `partial` of one.
    """

    def __init__(self, jobs: int) -> None:
        self._idle: list[Worker] = []
        for _ in range(jobs):
            self._idle.append(Worker(self._idle))
        self._busy: dict[str, Worker] = {}
        self._gone: list[Worker] = []

    @property
    def running(self) -> tuple[str, ...]:
        """See `Executor`."""
        return tuple(self._busy)

    @property
    def has_room(self) -> bool:
        """See `Executor`."""
        return bool(self._idle)

    def begin(self, mirror: Mirror, do: Do) -> None:
        """See `Executor`."""
        worker = self._idle.pop()
        worker.send(mirror.name, partial(_do_by_name, do, mirror.name))
        self._busy[mirror.name] = worker

    def wait(self, seconds: float) -> list[StepResult]:
        """See `Executor`."""
        ended = []
        for worker in wait_for_workers(self._busy.values(), seconds):
            result = worker.receive()
            del self._busy[result.mirror]
            ended.append(result)
            (self._gone if worker.is_gone else self._idle).append(worker)
        return ended

    def end(self) -> None:
        """End the processes, once each has done what it was given."""
        for worker in (*self._idle, *self._busy.values(), *self._gone):
            worker.end()


def _do_by_name(do: Do, name: str) -> StepResult:
    try:
        mirror = mirrors[name]
    except UnknownMirror as error:
        return StepResult(mirror=name, outcome=FAILED, error=str(error))
    return do(mirror)


def _do_and_disconnect(do: Do, mirror: Mirror) -> StepResult:
    try:
        return do(mirror)
    finally:
        # Connections belong to a thread: the caller's own close would not reach these.
        connections.close_all()
