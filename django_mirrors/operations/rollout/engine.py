"""Bring mirrors in step with the running code: which, in what order, until when."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Event
from time import monotonic
from typing import Any
from uuid import uuid4

from django.core.management import call_command

from django_mirrors.context import use_original
from django_mirrors.counts import write_count
from django_mirrors.exceptions import OperationFailed, UnknownMirror
from django_mirrors.mirror import Mirror
from django_mirrors.operations.executors import Executor, open_executor
from django_mirrors.operations.locks import Lock, find_operation, hold_lock
from django_mirrors.operations.release import (
    find_missing_migrations,
    get_release,
    migrate,
)
from django_mirrors.operations.reports import DONE, FAILED, SKIPPED, Report, StepResult
from django_mirrors.operations.rollout.bringing import ENDED
from django_mirrors.operations.rollout.changes import Target
from django_mirrors.operations.rollout.journal import CANCEL, CANCELLED, Journal
from django_mirrors.operations.rollout.orders import Order
from django_mirrors.operations.rollout.paths import check_targets
from django_mirrors.operations.rollout.steps import (
    BRING,
    CHECK,
    LOCK,
    RolloutStep,
    build_order,
)
from django_mirrors.operations.rollout.waves import Wave, build_waves
from django_mirrors.operations.runner import (
    NOT_BEGUN,
    OnStep,
    run_steps,
    stop_on_interrupt,
)
from django_mirrors.registry import mirrors as fleet

__all__ = ["OnWave", "Options", "resume_rollout", "roll_out", "stop_rollout"]

OnWave = Callable[[Wave, int, int], None]  # the wave, its number from 1, how many
OpenExecutor = Callable[[int], Any]

_LOOK_SECONDS = 1.0  # between two looks at what an operator asks


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a rollout is done."""

    targets: tuple[Target, ...] = ()  # none: the newest migrations of all apps
    is_fake: bool = False  # migrations are recorded and not applied
    canary: int = 0  # so many mirrors come first
    waves: tuple[str, ...] = ()
    allow_breaking: str = ""  # the reason why the gate is opened
    collects_static: bool = False

    def as_plan(self) -> dict[str, Any]:
        """Return what the journal keeps of it."""
        return {
            "targets": [list(item) for item in self.targets],
            "fake": self.is_fake,
            "allow_breaking": self.allow_breaking,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rollout:
    """One rollout under way."""

    journal: Journal
    lock: Lock
    executor: Executor
    max_failures: int | None
    on_step: OnStep | None
    on_wave: OnWave | None
    stopped: Event  # by Ctrl-C, by an operator, or by too many failures
    is_resumed: bool = False


def roll_out(
    mirrors: Sequence[Mirror],
    *,
    options: Options | None = None,
    jobs: int = 1,
    max_failures: int | None = None,
    with_original: bool = False,
    on_step: OnStep | None = None,
    on_wave: OnWave | None = None,
    executor: OpenExecutor | None = None,
) -> Report:
    """Bring mirrors in step with the running code, and provision those that are new.

    Mirrors in step are skipped. Every failure is collected and none hides another; one
    in a wave, or in the health of a mirror afterwards, stops the waves that follow.
    Raises `OperationFailed` while the original is behind, `OperationLocked` while
    another rollout runs.
    """
    chosen = options or Options()
    uid = uuid4()
    check_targets(chosen.targets)
    with (
        _open(executor, jobs) as opened,
        _hold(uid) as lock,
        stop_on_interrupt() as stopped,
    ):
        _bring_original(with_original=with_original)
        waves = build_waves(mirrors, canary=chosen.canary, waves=chosen.waves)
        journal = Journal.begin(
            uid,
            {
                **chosen.as_plan(),
                "release": get_release(),
                "waves": [[wave.title, list(wave.mirrors)] for wave in waves],
            },
            lock=lock,
        )
        if chosen.collects_static:
            call_command("collectstatic", interactive=False, verbosity=0)
        work = _Rollout(
            journal=journal,
            lock=lock,
            executor=opened,
            max_failures=max_failures,
            on_step=on_step,
            on_wave=on_wave,
            stopped=stopped,
        )
        return _run(work, waves, done=frozenset())


def resume_rollout(
    uid: str = "",
    *,
    only: Iterable[str] | None = None,
    jobs: int = 1,
    max_failures: int | None = None,
    on_step: OnStep | None = None,
    on_wave: OnWave | None = None,
    executor: OpenExecutor | None = None,
) -> Report:
    """Go on with a rollout where it stopped; with the last one if none is named.

    What is done is not repeated, what failed is tried again; of the rest, those in
    `only` if that is given. The report tells of all of it. Raises `OperationFailed` if
    the running code is of another release.
    """
    found = Journal.find(uid).id
    with (
        _open(executor, jobs) as opened,
        _hold(found) as lock,
        stop_on_interrupt() as stopped,
    ):
        journal, release = Journal.find(found), get_release()
        if journal.plan["release"] != release:
            raise OperationFailed(
                f"Rollout {journal.id} is of release '{journal.plan['release']}', and "
                f"this code is '{release}'. Begin a new rollout."
            )
        journal.resume(lock)
        waves = tuple(
            Wave(title=title, mirrors=tuple(names))
            for title, names in journal.plan["waves"]
        )
        work = _Rollout(
            journal=journal,
            lock=lock,
            executor=opened,
            max_failures=max_failures,
            on_step=on_step,
            on_wave=on_wave,
            stopped=stopped,
            is_resumed=True,
        )
        done = journal.read_done()
        if only is not None:
            planned = {name for wave in waves for name in wave.mirrors}
            left_out = planned.difference(only, done)
            return _run(work, waves, done=done, left_out=frozenset(left_out))
        return _run(work, waves, done=done)


def stop_rollout(request: str, uid: str = "") -> str:
    """Pause or cancel a rollout, the last one if none is named; return its uid.

    It ends after the mirrors at hand. Raises `OperationFailed` if it has ended already,
    or cannot be paused since nobody works on it.
    """
    journal = Journal.find(uid)
    if journal.summarise().finished is not None:
        raise OperationFailed(f"Rollout {journal.id} has ended already.")
    if find_operation(LOCK) == _describe(journal.id):
        journal.ask(request)
    elif request == CANCEL:
        journal.end(CANCELLED)
    else:
        raise OperationFailed(
            f"Nobody works on rollout {journal.id} at this moment, so there is nothing "
            "to pause."
        )
    return journal.id


def _open(executor: OpenExecutor | None, jobs: int) -> Any:
    if executor is not None:
        return executor(jobs)
    return open_executor(jobs, in_processes=True)


def _hold(uid: object) -> Any:
    return hold_lock(LOCK, operation=_describe(uid))


def _describe(uid: object) -> str:
    return f"Rollout {uid}"


def _bring_original(*, with_original: bool) -> None:
    original = fleet.original
    with use_original():
        missing = find_missing_migrations(original)
        if not missing:
            return
        if not with_original:
            raise OperationFailed(
                f"The original lacks {write_count(len(missing), 'migration')}, first "
                f"{missing[0]}. "
                "Run 'manage.py migrate' first, or give --with-original."
            )
        migrate(original)


def _run(
    work: _Rollout,
    waves: Sequence[Wave],
    *,
    done: frozenset[str],
    left_out: frozenset[str] = frozenset(),
) -> Report:
    order = build_order(work.journal.id, work.journal.plan, work.lock)
    not_begun = list[StepResult]()
    left = [_reduce(wave, done | left_out) for wave in waves]
    failures = 0
    for number, wave in enumerate(left, start=1):
        if not_begun or failures or work.stopped.is_set():
            not_begun += _skip(wave, work.on_step)
            continue
        changed = _list_unchecked(work, waves[number - 1], number, left_out)
        if wave.mirrors:
            if work.on_wave is not None:
                work.on_wave(wave, number, len(left))
            report = _run_wave(work, order, wave, number)
            not_begun += [item for item in report.results if item.detail == NOT_BEGUN]
            failures += len(report.failures)
            changed |= {item.mirror for item in report.results if item.outcome == DONE}
        is_last = not any(item.mirrors for item in left[number:])
        if not failures and not not_begun and not is_last:
            failures += _check_wave(work, order, changed, number)
    not_begun += [_build_not_begun(name) for name in left_out]
    return _close(work, not_begun)


def _reduce(wave: Wave, names: frozenset[str]) -> Wave:
    left = tuple(name for name in wave.mirrors if name not in names)
    return Wave(title=wave.title, mirrors=left)


def _build_not_begun(name: str) -> StepResult:
    return StepResult(mirror=name, outcome=SKIPPED, detail=NOT_BEGUN)


def _run_wave(work: _Rollout, order: Order, wave: Wave, number: int) -> Report:
    def take(result: StepResult) -> None:
        if result.detail != NOT_BEGUN:
            work.journal.add(result, wave=number)
        if work.on_step is not None:
            work.on_step(result)

    found, gone = _find_mirrors(wave.mirrors)
    for result in gone:
        take(result)
    report = run_steps(
        "rollout",
        found,
        RolloutStep(kind=BRING, order=order),
        identity=work.journal.id,
        executor=work.executor,
        stopped=work.stopped,
        max_failures=work.max_failures,
        on_step=take,
        on_tick=_Look(work),
    )
    work.journal.flush()
    return report


class _Look:
    """Looks now and then whether to go on."""

    def __init__(self, work: _Rollout) -> None:
        self._work = work
        self._last = monotonic()

    def __call__(self) -> bool:
        work = self._work
        work.lock.check()
        if monotonic() - self._last < _LOOK_SECONDS:
            return True
        self._last = monotonic()
        work.journal.flush_if_due()
        return not work.journal.find_request()


def _find_mirrors(names: Iterable[str]) -> tuple[list[Mirror], list[StepResult]]:
    """Return the mirrors of these names, and a result for those that are gone."""
    found, gone = [], []
    for name in names:
        try:
            found.append(fleet[name])
        except UnknownMirror:
            gone.append(
                StepResult(
                    mirror=name,
                    outcome=FAILED,
                    error=f"Mirror '{name}' is gone since the rollout was planned.",
                )
            )
    return found, gone


def _skip(wave: Wave, on_step: OnStep | None) -> list[StepResult]:
    skipped = [_build_not_begun(name) for name in wave.mirrors]
    for result in skipped:
        if on_step is not None:
            on_step(result)
    return skipped


def _list_unchecked(
    work: _Rollout, wave: Wave, number: int, left_out: frozenset[str]
) -> set[str]:
    """Return the mirrors of a wave that was interrupted, well or not."""
    if not work.is_resumed or number <= work.journal.passed:
        return set()
    return set(wave.mirrors).difference(left_out)


def _check_wave(work: _Rollout, order: Order, names: Iterable[str], number: int) -> int:
    """Look at the health of mirrors; return how many are ill."""
    found, _ = _find_mirrors(sorted(names))
    checked = run_steps(
        "health",
        [mirror for mirror in found if mirror.state not in ENDED],
        RolloutStep(kind=CHECK, order=order),
        executor=work.executor,
        stopped=work.stopped,
    )
    for result in checked.failures:
        work.journal.add(result, wave=number)
    work.journal.flush()
    if not checked.failures and not work.stopped.is_set():
        work.journal.pass_wave(number)
    return len(checked.failures)


def _close(work: _Rollout, not_begun: list[StepResult]) -> Report:
    report = work.journal.read_report()
    request = work.journal.find_request()
    if request == CANCEL:
        work.journal.end(CANCELLED)
    elif not_begun:
        work.journal.stop("paused" if request else "stopped")
    else:
        work.journal.end("failed" if report.failures else "done")
    fleet.reload()
    known = {item.mirror for item in report.results}  # that failed before, perhaps
    rest = [item for item in not_begun if item.mirror not in known]
    results = sorted((*report.results, *rest), key=lambda item: item.mirror)
    return Report(operation=report.operation, id=report.id, results=tuple(results))
