"""Steps that are done by workers elsewhere, and how their results come back."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, sleep

from django_mirrors.conf import get_conf
from django_mirrors.context import use_original
from django_mirrors.counts import write_count
from django_mirrors.exceptions import OperationFailed
from django_mirrors.mirror import Mirror
from django_mirrors.operations.executors import Do
from django_mirrors.operations.locks import find_held
from django_mirrors.operations.reports import FAILED, StepResult
from django_mirrors.operations.rollout.errands import name_lock
from django_mirrors.operations.rollout.steps import RolloutStep
from django_mirrors.operations.runner import DoStep
from django_mirrors.records import Errand, OperationRecord

__all__ = ["Elsewhere", "Send"]

logger = logging.getLogger("django_mirrors.operations")

# Tells some worker of an errand and its mirror. Raises `OperationFailed` if it cannot.
Send = Callable[[str, str], None]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.25  # between two questions for results
_LOOK_SECONDS = 1.0  # between two looks at who is alive
# A message is sent again after this part of WORKER_TIMEOUT, then after twice that, up
# to a half.
_SEND_AGAIN = 1 / 8


class Elsewhere:
    """Several mirrors at once, by workers that may be on other machines.

    What is begun is an errand in the original's database; `send` tells a worker of it,
    and the result is read there. While a worker is at it, the lease of its lock is
    renewed: that is the sign of life, however long a migration takes. A message may get
    lost: it is sent again now and then. If for `WORKER_TIMEOUT` there is no sign of
    life in any mirror, those under way have failed, and no other is begun.
    """

    def __init__(self, send: Send, *, at_most: int, remedy: str) -> None:
        self._send = send
        self._at_most = at_most
        self._remedy = remedy
        self._record: OperationRecord | None = None
        self._sent: dict[str, _Sent] = {}
        self._is_over = False
        self._problem = ""  # why the last message could not be sent
        self._heard = self._looked = monotonic()

    @property
    def running(self) -> tuple[str, ...]:
        """See `Executor`."""
        return tuple(self._sent)

    @property
    def has_room(self) -> bool:
        """See `Executor`."""
        return len(self._sent) < self._at_most and not self._is_over

    def begin(self, mirror: Mirror, do: Do) -> None:
        """See `Executor`."""
        step = _find_step(do)
        with use_original():
            record = self._find_record(step)
            errand = Errand.objects.create(
                operation=record,
                mirror=mirror.name,
                kind=step.kind,
                fence=step.order.lock.fence,
            )
        if not self._sent:
            self._heard = monotonic()  # nobody was asked before
        self._sent[mirror.name] = _Sent(mirror=mirror.name, errand=str(errand.uid))
        self._tell(self._sent[mirror.name])

    def wait(self, seconds: float) -> list[StepResult]:
        """See `Executor`."""
        until, pause = monotonic() + seconds, _FIRST_PAUSE
        while self._sent:
            ended = self._look() if self._is_due() else self._take()
            left = until - monotonic()
            if ended or left <= 0:
                return ended
            sleep(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        return []

    def end(self) -> None:
        """Take back what no worker has begun."""
        if self._record is not None:
            with use_original():
                Errand.objects.filter(operation=self._record).delete()

    def _find_record(self, step: RolloutStep) -> OperationRecord:
        if self._record is None:
            found = OperationRecord.objects.defer("plan")
            self._record = found.get(uid=step.order.rollout)
            # Of a process that was killed, whose lock is ours now.
            Errand.objects.filter(operation__operation=self._record.operation).delete()
        return self._record

    def _tell(self, sent: "_Sent") -> None:
        """Send the message; if that fails, once more in a while."""
        now = monotonic()
        try:
            self._send(sent.errand, sent.mirror)
        except OperationFailed as error:
            logger.info("The worker of '%s' could not be told: %s", sent.mirror, error)
            self._problem = str(error)
            sent.due = now + _find_pause(0)
            return
        self._problem = ""
        sent.due = now + _find_pause(sent.times)
        sent.times += 1

    def _take(self) -> list[StepResult]:
        """Return the results that are there, and forget them."""
        with use_original():
            done = Errand.objects.filter(operation=self._record).exclude(outcome="")
            found = [item for item in done if item.mirror in self._sent]
            if found:
                Errand.objects.filter(pk__in=[item.pk for item in found]).delete()
        for errand in found:
            del self._sent[errand.mirror]
            self._heard = monotonic()
        return [_build_result(errand) for errand in found]

    def _is_due(self) -> bool:
        return monotonic() - self._looked >= _LOOK_SECONDS

    def _look(self) -> list[StepResult]:
        """Return the results, after a look at who is alive and who has to be told."""
        self._looked = now = monotonic()
        attempts = self._count_attempts()
        held = find_held(name_lock(name) for name in self._sent)
        ended = self._take()
        for sent in self._sent.values():
            if sent.note_attempts(attempts.get(sent.mirror, 0), now):
                self._heard = now
        if held:
            self._heard = now
        if now - self._heard > get_conf().worker_timeout:
            return [*ended, *self._give_up()]
        for sent in self._sent.values():
            if now >= sent.due and name_lock(sent.mirror) not in held:
                self._tell(sent)
        return ended

    def _count_attempts(self) -> dict[str, int]:
        with use_original():
            found = Errand.objects.filter(operation=self._record, attempts__gt=0)
            return dict(found.values_list("mirror", "attempts"))

    def _give_up(self) -> list[StepResult]:
        self._is_over = True
        with use_original():
            left = list(Errand.objects.filter(operation=self._record, outcome=""))
            Errand.objects.filter(pk__in=[item.pk for item in left]).delete()
        failed = [item for item in left if self._sent.pop(item.mirror, None)]
        return [
            StepResult(
                mirror=item.mirror, outcome=FAILED, error=self._describe_silence(item)
            )
            for item in failed
        ]

    def _describe_silence(self, errand: Errand) -> str:
        seconds = write_count(get_conf().worker_timeout, "second")
        if errand.worker:
            said = (
                f"The worker {errand.worker} that was at it has given no sign of life "
                f"for {seconds}, and no other has taken its place."
            )
        else:
            said = f"No worker has begun it within {seconds}."
        return (
            f"{said} {self._problem or self._remedy} Then go on with 'manage.py "
            "mirror_rollout --resume'."
        )


@dataclass(slots=True, kw_only=True)
class _Sent:
    """An errand on its way."""

    mirror: str
    errand: str
    times: int = 0  # that it was sent
    due: float = 0.0  # when it is sent again
    attempts: int = 0  # that workers have begun

    def note_attempts(self, attempts: int, now: float) -> bool:
        """Return whether a worker has begun it since this was asked last.

        If nobody is at it any more, it is sent again at once; later on it waits for
        those behind it, since it may be what ends the workers.
        """
        if attempts <= self.attempts:
            return False
        self.attempts = attempts
        self.due = now + (_find_pause(attempts - 2) if attempts > 1 else 0)
        return True


def _find_pause(times: int) -> float:
    """Return after how many seconds a message is sent again."""
    return get_conf().worker_timeout * min(_SEND_AGAIN * 2.0**times, 0.5)


def _find_step(do: Do) -> RolloutStep:
    if isinstance(do, DoStep) and isinstance(do.step, RolloutStep):
        return do.step
    raise OperationFailed(
        "Workers elsewhere do the steps of rollouts only. Use the executor 'local'."
    )


def _build_result(errand: Errand) -> StepResult:
    return StepResult(
        mirror=errand.mirror,
        outcome=errand.outcome,
        detail=errand.detail,
        error=errand.error,
        seconds=errand.seconds,
        migrations=errand.migrations,
    )
