"""Do one step in each of many mirrors, and report every outcome."""

import logging
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, current_thread, main_thread
from time import monotonic
from typing import Any
from uuid import uuid4

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.db import DatabaseError, connections

from django_mirrors.context import use_mirror
from django_mirrors.exceptions import MirrorError
from django_mirrors.mirror import Mirror
from django_mirrors.operations.reports import FAILED, SKIPPED, Report, StepResult
from django_mirrors.signals import step_finished

__all__ = ["Step", "run_steps"]

logger = logging.getLogger("django_mirrors.operations")

_TICK_SECONDS = 10

# A step returns its outcome and one line about it.
Step = Callable[[Mirror], tuple[str, str]]
OnStep = Callable[[StepResult], None]


def run_steps(
    operation: str,
    mirrors: Iterable[Mirror],
    step: Step,
    *,
    identity: str | None = None,
    jobs: int = 1,
    max_failures: int | None = None,
    on_step: OnStep | None = None,
    on_tick: Callable[[], None] | None = None,
) -> Report:
    """Do `step` in each mirror, with that mirror current, and return the report.

    `on_step` and `on_tick`, which may renew a lock, are called in the calling thread:
    after each mirror, and every few seconds while several are worked on.

    A failure never hides those of others: all are collected. After the N-th failure no
    further mirror is begun, nor after Ctrl-C; those are reported as skipped.
    """
    results: list[StepResult] = []
    waiting = list(mirrors)
    with _stop_on_interrupt() as stopped:

        def take(result: StepResult) -> None:
            results.append(result)
            step_finished.send(operation, result=result)
            if on_step is not None:
                on_step(result)
            if on_tick is not None:
                on_tick()
            failures = sum(item.outcome == FAILED for item in results)
            if max_failures is not None and failures >= max_failures:
                stopped.set()

        work = _Work(operation=operation, step=step, take=take, stopped=stopped)
        if jobs == 1:
            left = _run_here(work, waiting)
        else:
            left = _run_in_threads(work, waiting, jobs=jobs, on_tick=on_tick)
    for mirror in left:
        take(StepResult(mirror=mirror.name, outcome=SKIPPED, detail="not begun"))
    results.sort(key=lambda item: item.mirror)
    return Report(
        operation=operation, id=identity or str(uuid4()), results=tuple(results)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    operation: str
    step: Step
    take: OnStep
    stopped: Event


def _run_here(work: _Work, waiting: list[Mirror]) -> list[Mirror]:
    for position, mirror in enumerate(waiting):
        if work.stopped.is_set():
            return waiting[position:]
        work.take(_do(work.operation, mirror, work.step))
    return []


def _run_in_threads(
    work: _Work,
    waiting: list[Mirror],
    *,
    jobs: int,
    on_tick: Callable[[], None] | None,
) -> list[Mirror]:
    left = deque(waiting)
    running: dict[Future[StepResult], str] = {}
    with ThreadPoolExecutor(max_workers=jobs) as executor:
        while True:
            while left and len(running) < jobs and not work.stopped.is_set():
                if _follows(left[0], running.values()):
                    break
                mirror = left.popleft()
                future = executor.submit(
                    _do_in_thread, work.operation, mirror, work.step
                )
                running[future] = mirror.name
            if not running:
                return list(left)
            done, _ = wait(running, timeout=_TICK_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                del running[future]
                work.take(future.result())
            if not done and on_tick is not None:
                on_tick()


def _follows(mirror: Mirror, names: Iterable[str]) -> bool:
    """Whether the owner of the mirror's database is still at work on it."""
    return mirror.alias != mirror.name and mirror.alias in names


def _do_in_thread(operation: str, mirror: Mirror, step: Step) -> StepResult:
    try:
        return _do(operation, mirror, step)
    finally:
        # Connections belong to a thread: the caller's own close would not reach these.
        connections.close_all()


def _do(operation: str, mirror: Mirror, step: Step) -> StepResult:
    began = monotonic()
    logger.info("%s of '%s' begins.", operation, mirror)
    try:
        with use_mirror(mirror):
            outcome, detail = step(mirror)
        error = ""
    except _EXPECTED as problem:
        outcome, detail, error = FAILED, "", describe(problem)
    except Exception as problem:
        # A project's own migration or command can raise anything; the other mirrors
        # must still be served. The traceback is what its developer needs; a level
        # above this one would show it to every operator whose project logs nothing.
        logger.info("%s of '%s' failed.", operation, mirror, exc_info=True)
        outcome, detail, error = FAILED, "", describe(problem)
    seconds = monotonic() - began
    logger.info("%s of '%s': %s in %.3f s.", operation, mirror, outcome, seconds)
    return StepResult(
        mirror=mirror.name, outcome=outcome, error=error, seconds=seconds, detail=detail
    )


_EXPECTED = (MirrorError, CommandError, DatabaseError, ImproperlyConfigured, OSError)


def describe(problem: BaseException) -> str:
    """Return one line that says what went wrong."""
    text = " ".join(str(problem).split())
    if isinstance(problem, MirrorError | CommandError):
        return text
    return f"{type(problem).__name__}: {text}" if text else type(problem).__name__


@contextmanager
def _stop_on_interrupt() -> Iterator[Event]:
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
