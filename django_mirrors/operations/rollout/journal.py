"""What a rollout did so far, for whoever goes on with it."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from time import monotonic
from typing import Any
from uuid import UUID

from django.db import connections, transaction
from django.utils import timezone

from django_mirrors.context import use_original
from django_mirrors.exceptions import OperationFailed
from django_mirrors.mirror import ORIGINAL_NAME
from django_mirrors.operations import ledger
from django_mirrors.operations.locks import Lock, describe_process
from django_mirrors.operations.reports import DONE, FAILED, Report, StepResult
from django_mirrors.records import OperationRecord, StepRecord

__all__ = ["CANCEL", "CANCELLED", "OPERATION", "PAUSE", "Journal", "Summary"]

OPERATION = "rollout"
PAUSE, CANCEL = "pause", "cancel"  # what an operator asks of one that is under way
CANCELLED = "cancelled"

_FLUSH_SECONDS = 0.5
_FLUSH_ROWS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One rollout in one line."""

    id: str
    release: str
    started: datetime
    finished: datetime | None
    holder: str  # user@host:process
    outcome: str  # "" while it is under way, or was killed
    mirrors: int
    allow_breaking: str  # why the gate was opened

    def as_json(self) -> dict[str, Any]:
        """Return the summary for machines."""
        return asdict(self)


class Journal:
    """The record of one rollout.

    Results are written in batches, so a kill loses the last half second of them. That
    harms nothing: what is applied in a mirror stands in its own database. Whoever works
    on the rollout writes under its lock: one that was paused, and wakes after another
    has taken over, is refused with `OperationLocked`.
    """

    def __init__(self, record: OperationRecord, *, lock: Lock | None = None) -> None:
        self._record = record
        self._lock = lock  # None for those who only look
        self._waiting: list[tuple[StepResult, int]] = []
        self._flushed = monotonic()

    @property
    def id(self) -> str:
        """The uid of the rollout."""
        return str(self._record.uid)

    @property
    def plan(self) -> Mapping[str, Any]:
        """What was decided when it began."""
        plan: Mapping[str, Any] = self._record.plan
        return plan

    @classmethod
    def begin(cls, uid: UUID, plan: Mapping[str, Any], *, lock: Lock) -> "Journal":
        """Return the journal of a rollout that begins now; it ends those before."""
        record = OperationRecord(
            uid=uid,
            operation=OPERATION,
            holder=describe_process(),
            plan=dict(plan),
        )
        journal = cls(record, lock=lock)
        with journal._writing():
            _find().filter(finished=None).update(
                finished=timezone.now(), outcome="superseded"
            )
            record.save(force_insert=True)
        return journal

    @classmethod
    def find(cls, uid: str = "") -> "Journal":
        """Return the journal of a rollout; of the last one if none is named.

        Raises `OperationFailed` if there is none.
        """
        with use_original():
            found = _find() if not uid else _find().filter(uid=_parse(uid))
            record = found.order_by("-started", "-pk").first()
        if record is None:
            name = f"rollout '{uid}'" if uid else "rollout"
            raise OperationFailed(
                f"There is no {name}. See 'manage.py mirror_rollout --list'."
            )
        return cls(record)

    @classmethod
    def list(cls, *, at_most: int) -> tuple[Summary, ...]:
        """Return the latest rollouts, newest first."""
        with use_original():
            found = _find().order_by("-started", "-pk")[:at_most]
            return tuple(cls(record).summarise() for record in found)

    def summarise(self) -> Summary:
        """Return what is known of it as a whole."""
        record, plan = self._record, self.plan
        return Summary(
            id=self.id,
            release=plan["release"],
            started=record.started,
            finished=record.finished,
            holder=record.holder,
            outcome=record.outcome,
            mirrors=sum(len(names) for _, names in plan["waves"]),
            allow_breaking=plan["allow_breaking"],
        )

    @property
    def passed(self) -> int:
        """How many waves are done, their mirrors found well."""
        return int(self._record.step or 0)

    def pass_wave(self, number: int) -> None:
        """Write down that the mirrors of a wave are well."""
        with self._writing():
            _find().filter(pk=self._record.pk).update(step=str(number))

    def resume(self, lock: Lock) -> None:
        """Go on with it. Raises `OperationFailed` if it was cancelled or superseded."""
        if self._record.outcome in {CANCELLED, "superseded"}:
            raise OperationFailed(
                f"Rollout {self.id} was {self._record.outcome}. Begin a new one."
            )
        self._lock = lock
        with self._writing():
            _find().filter(pk=self._record.pk).update(
                holder=describe_process(), request="", outcome="", finished=None
            )

    def read_done(self) -> frozenset[str]:
        """Return the names of the mirrors that need nothing any more."""
        with use_original():
            found = self._find_steps().exclude(outcome=FAILED)
            return frozenset(found.values_list("mirror", flat=True))

    def find_done(self, mirror: str) -> StepResult | None:
        """Return what was done to a mirror that needs nothing any more, or None."""
        with use_original():
            found = self._find_steps().filter(mirror=mirror).exclude(outcome=FAILED)
            return next(map(_build_result, found), None)

    def read_report(self) -> Report:
        """Return everything that it did, also before it was interrupted."""
        with use_original():
            found = self._find_steps().order_by("mirror").iterator()
            results = tuple(map(_build_result, found))
        return Report(operation=OPERATION, id=self.id, results=results)

    def add(self, result: StepResult, *, wave: int) -> None:
        """Note what was done to a mirror; a failure is written at once."""
        self._waiting.append((result, wave))
        if result.outcome == FAILED or len(self._waiting) >= _FLUSH_ROWS:
            self.flush()
        else:
            self.flush_if_due()

    def flush_if_due(self) -> None:
        """Write what was noted more than half a second ago."""
        if monotonic() - self._flushed >= _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what was noted, and what the mirrors run now."""
        waiting, self._waiting = self._waiting, []
        self._flushed = monotonic()
        if not waiting:
            return
        # Together: a mirror that is written down as done is not looked at again.
        with self._writing():
            rows = [_build_row(self._record, *item) for item in waiting]
            StepRecord.objects.bulk_create(
                rows,
                update_conflicts=True,
                unique_fields=_find_unique_fields(),
                update_fields=_CHANGING,
            )
            self._enter_ledger(result for result, _ in waiting)

    def find_request(self) -> str:
        """Return what an operator asks in the meantime, or ''."""
        with use_original():
            found = _find().filter(pk=self._record.pk)
            return found.values_list("request", flat=True).first() or ""

    def ask(self, request: str) -> None:
        """Ask the process that works on it to stop after the mirrors at hand."""
        with use_original():
            _find().filter(pk=self._record.pk).update(request=request)

    def end(self, outcome: str) -> None:
        """Write down how it ended."""
        self.flush()
        with self._writing():
            _find().filter(pk=self._record.pk).update(
                outcome=outcome, finished=timezone.now()
            )

    def stop(self, outcome: str) -> None:
        """Write down that it stopped, and can be resumed."""
        self.flush()
        with self._writing():
            _find().filter(pk=self._record.pk).update(outcome=outcome)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Write in one transaction, during which nobody can take the lock over."""
        with use_original(), transaction.atomic(using=ORIGINAL_NAME):
            if self._lock is not None:
                self._lock.renew()
            yield

    def _enter_ledger(self, results: Iterable[StepResult]) -> None:
        plan, groups = self.plan, dict[str, list[str]]()
        for result in results:
            if result.migrations or result.outcome == DONE:
                groups.setdefault(result.migrations, []).append(result.mirror)
        for migrations, names in groups.items():
            ledger.enter(
                names,
                rollout=self.id,
                release=None if plan["targets"] else plan["release"],
                migrations=migrations,
            )

    def _find_steps(self) -> Any:
        return StepRecord.objects.filter(operation=self._record.pk)


_CHANGING = ("wave", "outcome", "detail", "error", "seconds", "ended")


def _find() -> Any:
    return OperationRecord.objects.filter(operation=OPERATION)


def _parse(uid: str) -> UUID:
    try:
        return UUID(uid)
    except ValueError as error:
        raise OperationFailed(
            f"'{uid}' is no id of a rollout. See 'manage.py mirror_rollout --list'."
        ) from error


def _find_unique_fields() -> tuple[str, ...] | None:
    features = connections[ORIGINAL_NAME].features
    has_target = features.supports_update_conflicts_with_target
    return ("operation", "mirror") if has_target else None


def _build_result(record: StepRecord) -> StepResult:
    return StepResult(
        mirror=record.mirror,
        outcome=record.outcome,
        error=record.error,
        seconds=record.seconds,
        detail=record.detail,
    )


def _build_row(record: OperationRecord, result: StepResult, wave: int) -> StepRecord:
    return StepRecord(
        operation=record,
        mirror=result.mirror,
        wave=wave,
        outcome=result.outcome,
        detail=result.detail[:200],
        error=result.error,
        seconds=result.seconds,
    )
