"""Do one step in each of many mirrors, and report every outcome."""

import logging
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from threading import Event, current_thread, main_thread
from time import monotonic
from typing import Any
from uuid import uuid4

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.db import DatabaseError

from django_mirrors.context import use_mirror
from django_mirrors.exceptions import MirrorError
from django_mirrors.mirror import Mirror
from django_mirrors.operations.executors import Executor, open_executor
from django_mirrors.operations.reports import (
    FAILED,
    SKIPPED,
    Outcome,
    Report,
    StepResult,
)
from django_mirrors.signals import step_finished

__all__ = [
    "NOT_BEGUN",
    "DoStep",
    "OnStep",
    "Step",
    "StoppedWithOutput",
    "describe",
    "do_step",
    "run_steps",
    "stop_on_interrupt",
]

logger = logging.getLogger("django_mirrors.operations")

# Of a mirror that an operation stopped before.
NOT_BEGUN = "not begun"

_TICK_SECONDS = 1

Step = Callable[[Mirror], Outcome]
OnStep = Callable[[StepResult], None]


class StoppedWithOutput(Exception):
    """A step failed, after it had printed something."""

    def __init__(self, error: BaseException, output: str) -> None:
        super().__init__(str(error))
        self.error = error
        self.output = output


def run_steps(
    operation: str,
    mirrors: Iterable[Mirror],
    step: Step,
    *,
    identity: str | None = None,
    jobs: int = 1,
    executor: Executor | None = None,
    stopped: Event | None = None,
    max_failures: int | None = None,
    on_step: OnStep | None = None,
    on_tick: Callable[[], bool] | None = None,
) -> Report:
    """Do `step` in each mirror, with that mirror current, and return the report.

    `on_step` and `on_tick` are called in the calling thread: after each mirror, and
    every second while several are worked on. No further mirror is begun once `on_tick`
    returns False.

    A failure never hides those of others: all are collected. After the N-th failure no
    further mirror is begun, nor after Ctrl-C; those are reported as skipped. Steps are
    done by `executor`, or by one that is made for this. Who runs several operations one
    after the other gives each the event `stopped`; see stop_on_interrupt().
    """
    opened = open_executor(jobs) if executor is None else nullcontext(executor)
    watched = stop_on_interrupt() if stopped is None else nullcontext(stopped)
    with watched as ended, opened as workers:
        run = _Run(
            operation=operation,
            left=deque(mirrors),
            workers=workers,
            stopped=ended,
            max_failures=max_failures,
            on_step=on_step,
            on_tick=on_tick,
        )
        run.work(DoStep(operation=operation, step=step))
    for mirror in run.left:
        run.take(StepResult(mirror=mirror.name, outcome=SKIPPED, detail=NOT_BEGUN))
    results = tuple(sorted(run.results, key=lambda item: item.mirror))
    return Report(operation=operation, id=identity or str(uuid4()), results=results)


@dataclass(slots=True, kw_only=True)
class _Run:
    """Steps under way."""

    operation: str
    left: deque[Mirror]
    workers: Executor
    stopped: Event
    max_failures: int | None
    on_step: OnStep | None
    on_tick: Callable[[], bool] | None
    results: list[StepResult] = field(default_factory=list)
    failures: int = 0

    def work(self, do: Callable[[Mirror], StepResult]) -> None:
        """Do it in one mirror after the other, until all are done or it is stopped."""
        while True:
            self._begin_some(do)
            ended = self.workers.wait(_TICK_SECONDS)
            for result in ended:
                self.take(result)
            if not ended and not self.workers.running:
                return
            if not ended:
                self._tick()

    def take(self, result: StepResult) -> None:
        """Note the result of one step."""
        self.results.append(result)
        step_finished.send(self.operation, result=result)
        if self.on_step is not None:
            self.on_step(result)
        self.failures += result.outcome == FAILED
        if self.max_failures is not None and self.failures >= self.max_failures:
            self.stopped.set()

    def _begin_some(self, do: Callable[[Mirror], StepResult]) -> None:
        while self._may_begin() and self._tick():
            self.workers.begin(self.left.popleft(), do)
            if not self.workers.running:
                return  # it is done already

    def _may_begin(self) -> bool:
        return (
            bool(self.left)
            and self.workers.has_room
            and not _follows(self.left[0], self.workers.running)
        )

    def _tick(self) -> bool:
        if self.on_tick is not None and not self.on_tick():
            self.stopped.set()
        return not self.stopped.is_set()


def _follows(mirror: Mirror, names: Iterable[str]) -> bool:
    """Whether the owner of the mirror's database is still at work on it."""
    return mirror.alias != mirror.name and mirror.alias in names


@dataclass(frozen=True, slots=True, kw_only=True)
class DoStep:
    """What an executor is given, as a value. See do_step()."""

    operation: str
    step: Step

    def __call__(self, mirror: Mirror) -> StepResult:
        """Do the step in `mirror`."""
        return do_step(self.operation, mirror, step=self.step)


def do_step(operation: str, mirror: Mirror, *, step: Step) -> StepResult:
    """Do `step` in `mirror`; whatever goes wrong there is in the result."""
    began = monotonic()
    logger.info("%s of '%s' begins.", operation, mirror)
    try:
        with use_mirror(mirror):
            given = step(mirror)
        error = ""
    except StoppedWithOutput as stopped:
        logger.info("%s of '%s' failed.", operation, mirror, exc_info=True)
        given, error = Outcome(FAILED, output=stopped.output), describe(stopped.error)
    except _EXPECTED as problem:
        given, error = Outcome(FAILED), describe(problem)
    except Exception as problem:
        # A project's own migration or command can raise anything; the other mirrors
        # must still be served. The traceback is what its developer needs; a level
        # above this one would show it to every operator whose project logs nothing.
        logger.info("%s of '%s' failed.", operation, mirror, exc_info=True)
        given, error = Outcome(FAILED), describe(problem)
    seconds = monotonic() - began
    logger.info("%s of '%s': %s in %.3f s.", operation, mirror, given.outcome, seconds)
    return StepResult(
        mirror=mirror.name, error=error, seconds=seconds, **given._asdict()
    )


_EXPECTED = (MirrorError, CommandError, DatabaseError, ImproperlyConfigured, OSError)


def describe(problem: BaseException) -> str:
    """Return one line that says what went wrong."""
    text = " ".join(str(problem).split())
    if isinstance(problem, MirrorError | CommandError):
        return text
    kind = type(problem).__name__
    notes = (f"({note})" for note in getattr(problem, "__notes__", ()))
    return " ".join((f"{kind}: {text}" if text else kind, *notes))


@contextmanager
def stop_on_interrupt() -> Iterator[Event]:
    """Yield an event that the first Ctrl-C sets; the second one interrupts as usual."""
    stopped = Event()
    if current_thread() is not main_thread():
        yield stopped
        return

    def stop(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, before)
        stopped.set()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)
