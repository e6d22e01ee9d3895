"""Steps of a rollout that a worker does, wherever it runs, each of them once."""

import logging
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from django.db import transaction
from django.db.models import F

from django_mirrors.context import use_original
from django_mirrors.exceptions import OperationLocked, UnknownMirror
from django_mirrors.mirror import ORIGINAL_NAME
from django_mirrors.operations.locks import Lock, describe_process, hold_lock
from django_mirrors.operations.release import get_release
from django_mirrors.operations.reports import FAILED, SKIPPED, StepResult
from django_mirrors.operations.rollout.journal import Journal
from django_mirrors.operations.rollout.steps import (
    BRING,
    LOCK,
    RolloutStep,
    build_order,
)
from django_mirrors.operations.runner import NOT_BEGUN, do_step
from django_mirrors.records import Errand, LockRecord, OperationRecord
from django_mirrors.registry import mirrors

__all__ = ["do_errand", "name_lock"]

logger = logging.getLogger("django_mirrors.operations")

_MOST_ATTEMPTS = 6  # that took their process down


def name_lock(mirror: str) -> str:
    """Return the name of the lock that a worker holds while it is in a mirror.

    Its lease is the worker's sign of life.
    """
    return f"worker:{mirror}"[:64]


def do_errand(uid: str) -> None:
    """Do the step of an errand, and write down what came of it.

    Does nothing if the step is done, if a worker is at it, or if it is not wanted any
    more: the rollout was cancelled, or another one holds its lock. So a message that
    arrives twice, or too late, does no harm.
    """
    errand = _find(uid)
    if errand is None:
        logger.debug("Errand %s is done, or not wanted any more.", uid)
        return
    # Whoever changed the mirror a moment ago expects that it is known here.
    mirrors.reload()
    try:
        with hold_lock(
            name_lock(errand.mirror), operation=f"Rollout to '{errand.mirror}'"
        ) as own:
            _do(uid, own)
    except OperationLocked as error:
        logger.info("Nothing is done in '%s': %s", errand.mirror, error)


@dataclass(slots=True, kw_only=True)
class _BothLocks(Lock):
    """The lock of a rollout, and that of this worker on one of its mirrors."""

    own: Lock

    def check(self) -> None:
        """Raise `OperationLocked` if another holds one of them now."""
        self.own.check()
        Lock.check(self)

    def confirm(self) -> None:
        """Ask the database for both."""
        self.own.confirm()
        Lock.confirm(self)

    def renew(self) -> None:
        """Extend the worker's lease; the other is for its holder to extend.

        In a transaction nobody can take either of them until it ends.
        """
        self.own.renew()
        with use_original():
            same = LockRecord.objects.filter(name=self.name, fence=self.fence)
            same.update(fence=self.fence)
        Lock.confirm(self)


def _find(uid: str) -> Errand | None:
    with use_original():
        found = Errand.objects.filter(uid=UUID(uid), outcome="")
        # Of a large fleet the plan is long, and it is the same every time.
        return found.select_related("operation").defer("operation__plan").first()


def _do(uid: str, own: Lock) -> None:
    errand = _find(uid)  # as it is now that nobody else is at it
    if errand is None:
        return
    # Not known to be held, so that it is asked for at once.
    lock = _BothLocks(name=LOCK, fence=errand.fence, until=0.0, own=own)
    lock.check()
    with use_original():
        Errand.objects.filter(pk=errand.pk).update(
            attempts=F("attempts") + 1, worker=describe_process()
        )
    journal = Journal(_find_record(errand.operation.uid), lock=lock)
    result = _find_reason(errand, journal) or _find_done(errand, journal)
    if result is None:
        result = _do_step(errand, journal, lock)
    _finish(errand, journal, lock, result)


def _find_reason(errand: Errand, journal: Journal) -> StepResult | None:
    """Return why the step is not begun here, or None."""
    name = errand.mirror
    operation = errand.operation
    if operation.request or operation.finished is not None:
        return StepResult(mirror=name, outcome=SKIPPED, detail=NOT_BEGUN)
    if errand.attempts >= _MOST_ATTEMPTS:
        return _fail(
            name,
            f"The process that worked on it has ended {errand.attempts} times, the "
            f"last one being {errand.worker}. See its log, then roll out to it again; "
            "what was not complete is continued.",
        )
    planned, running = journal.plan["release"], _find_release(journal.id)
    if running != planned:
        return _fail(
            name,
            f"Rollout {journal.id} is of release '{planned}', and the worker "
            f"{describe_process()} runs '{running}'. Start the workers again with the "
            "new code, then go on with 'manage.py mirror_rollout --resume'.",
        )
    return None


def _find_done(errand: Errand, journal: Journal) -> StepResult | None:
    return journal.find_done(errand.mirror) if errand.kind == BRING else None


def _do_step(errand: Errand, journal: Journal, lock: Lock) -> StepResult:
    try:
        mirror = mirrors[errand.mirror]
    except UnknownMirror as error:
        return _fail(errand.mirror, str(error))
    order = build_order(journal.id, journal.plan, lock)
    return do_step("rollout", mirror, step=RolloutStep(kind=errand.kind, order=order))


def _fail(name: str, error: str) -> StepResult:
    return StepResult(mirror=name, outcome=FAILED, error=error)


def _finish(errand: Errand, journal: Journal, lock: Lock, result: StepResult) -> None:
    """Write the result for whoever sent the errand, and for the journal."""
    with use_original(), transaction.atomic(using=ORIGINAL_NAME):
        # What a worker that was paused believes to know is not written.
        lock.renew()
        Errand.objects.filter(pk=errand.pk).update(
            outcome=result.outcome,
            detail=result.detail[:200],
            error=result.error,
            seconds=result.seconds,
            migrations=result.migrations,
        )
        if errand.kind == BRING and result.detail != NOT_BEGUN:
            journal.add(result, wave=_find_wave(journal, errand.mirror))
            journal.flush()


def _find_wave(journal: Journal, name: str) -> int:
    waves = journal.plan["waves"]
    return next(
        (number for number, (_, names) in enumerate(waves, 1) if name in names), 0
    )


@lru_cache(maxsize=1)
def _find_record(uid: UUID) -> OperationRecord:
    """Return the record of a rollout, whose plan stays the same."""
    with use_original():
        return OperationRecord.objects.get(uid=uid)


@lru_cache(maxsize=1)
def _find_release(rollout: str) -> str:
    """Return the release of this process, which stays the same."""
    return get_release()
