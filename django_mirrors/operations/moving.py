"""One move of a mirror, as its record in the original's database tells it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from django.utils import timezone

from django_mirrors.context import use_original
from django_mirrors.mirror import Mirror
from django_mirrors.operations.fleet import plan_change
from django_mirrors.operations.locks import Lock, describe_process
from django_mirrors.operations.media import OnFile, ignore_file
from django_mirrors.operations.places import apply_change, read_place
from django_mirrors.operations.provision import OnStep
from django_mirrors.records import OperationRecord
from django_mirrors.redaction import redact

__all__ = [
    "BEGUN",
    "MADE",
    "OPERATION",
    "Moving",
    "begin_record",
    "build_moving",
    "close_record",
    "find_begun",
]

OPERATION = "move"
# The steps that are recorded. From MADE on, a database at the new place is ours.
BEGUN, MADE = "begun", "made"

_STEPS = 5  # that are told


@dataclass(frozen=True, slots=True, kw_only=True)
class Moving:
    """One move: where from, where to, and who is told of it."""

    name: str
    record: OperationRecord
    before: Mirror  # as it was when the move began
    after: Mirror  # as it will be
    lock: Lock
    on_step: OnStep
    on_file: OnFile

    @property
    def has_database(self) -> bool:
        """Whether the database is moved."""
        return "DATABASE" in self.record.plan["change"]

    @property
    def has_storage(self) -> bool:
        """Whether the files are moved."""
        return "STORAGE" in self.record.plan["change"]

    @property
    def is_switched(self) -> bool:
        """Whether the mirror has its services at the new place already."""
        plan = self.record.plan
        return read_place(self.name) == {**plan["before"], **plan["change"]}

    def begin(self, number: int, title: str) -> None:
        """Say which step begins, and go on only while the lock is ours."""
        self.lock.renew()
        self.on_step(title, number, _STEPS)

    def record_step(self, step: str) -> None:
        """Write down how far the move came."""
        self.record.step = step
        with use_original():
            self.record.save(update_fields=["step"])


def begin_record(name: str, change: Mapping[str, Any]) -> OperationRecord:
    """Write down that a move begins, where to, and where from."""
    with use_original():
        return OperationRecord.objects.create(
            operation=OPERATION,
            mirror=name,
            step=BEGUN,
            holder=describe_process(),
            plan={"change": dict(change), "before": read_place(name)},
        )


def build_moving(
    name: str,
    record: OperationRecord,
    lock: Lock,
    on_step: OnStep | None,
    on_file: OnFile | None,
) -> Moving:
    """Return the move that `record` tells of."""
    return Moving(
        name=name,
        record=record,
        before=_build_place(name, record.plan["before"]),
        after=_build_place(name, {**record.plan["before"], **record.plan["change"]}),
        lock=lock,
        on_step=on_step or _ignore_step,
        on_file=on_file or ignore_file,
    )


def _build_place(name: str, change: Mapping[str, Any]) -> Mirror:
    planned = plan_change(name, partial(apply_change, change))
    # Its databases are written into here, whatever visitors may do.
    return replace(planned, is_read_only=False)


def close_record(work: Moving) -> None:
    """Let the record say that the move has ended, and forget its secrets."""
    with use_original():
        OperationRecord.objects.filter(pk=work.record.pk).update(
            finished=timezone.now(), plan=redact(work.record.plan)
        )


def find_begun(name: str) -> OperationRecord | None:
    """Return the record of a move of this mirror that has not ended, or None."""
    with use_original():
        return OperationRecord.objects.filter(
            operation=OPERATION, mirror=name, finished=None
        ).first()


def _ignore_step(title: str, number: int, total: int) -> None:
    """Do nothing: for who does not want to know of each step."""
