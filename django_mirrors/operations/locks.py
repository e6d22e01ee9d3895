"""One operation at a time, over all processes and machines of the fleet."""

import getpass
import logging
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event, Thread
from time import monotonic

from django.db import DatabaseError, connections, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from django_mirrors.context import use_original
from django_mirrors.exceptions import MirrorError, OperationLocked
from django_mirrors.mirror import ORIGINAL_NAME
from django_mirrors.records import LockRecord

__all__ = [
    "Lock",
    "describe_process",
    "find_held",
    "find_operation",
    "hold_lock",
    "is_abandoned",
]

logger = logging.getLogger("django_mirrors.operations")

_LEASE = timedelta(seconds=60)


@dataclass(slots=True, kw_only=True)
class Lock:
    """A lock that is held until its lease ends; `fence` grows with each holder."""

    name: str
    fence: int
    # Until when it is surely held. Goes on while the process is stopped.
    until: float = field(default_factory=lambda: monotonic() + _LEASE.total_seconds())

    def renew(self) -> None:
        """Extend the lease. Raises `OperationLocked` if another holds the lock now."""
        began = monotonic()
        with use_original():
            renewed = (
                _find(self.name)
                .filter(fence=self.fence)
                .update(expires=timezone.now() + _LEASE)
            )
        self._note(began + _LEASE.total_seconds(), is_held=bool(renewed))

    def check(self) -> None:
        """Raise `OperationLocked` if another holds the lock now.

        Asks the database only if the lease may have ended: call it often.
        """
        if monotonic() >= self.until:
            self.confirm()

    def confirm(self) -> None:
        """Ask the database whether the lock is held. See check()."""
        began, now = monotonic(), timezone.now()
        with use_original():
            record = _find(self.name).filter(fence=self.fence).first()
        expires = None if record is None or not record.holder else record.expires
        left = (expires - now).total_seconds() if expires is not None else 0.0
        self._note(began + left, is_held=left > 0)

    def _note(self, until: float, *, is_held: bool) -> None:
        if not is_held:
            raise OperationLocked(
                f"The lock '{self.name}' was taken over while this process was paused. "
                "Nothing more is done here. Start the operation again."
            )
        self.until = until


@contextmanager
def hold_lock(name: str, *, operation: str) -> Iterator[Lock]:
    """Hold the lock `name` for a block, in the original's database.

    Raises `OperationLocked`, saying who holds it and since when. A lock whose holder
    ended without releasing it is taken over.
    """
    lock = _take(name, operation)
    try:
        with _keeping(lock):
            yield lock
    finally:
        with use_original():
            _find(name).filter(fence=lock.fence).update(holder="", expires=None)


def is_abandoned(name: str) -> bool:
    """Whether the holder of the lock `name` ended without releasing it."""
    with use_original():
        record = _find(name).exclude(holder="").first()
    return record is not None and _is_abandoned(record, timezone.now())


def find_held(names: Iterable[str]) -> frozenset[str]:
    """Return those of the locks `names` whose holder is alive, as far as is known."""
    with use_original():
        found = LockRecord.objects.filter(name__in=list(names)).exclude(holder="")
        records = list(found)
    now = timezone.now()
    return frozenset(item.name for item in records if not _is_abandoned(item, now))


def find_operation(name: str) -> str:
    """Return what is done under the lock `name` at this moment, or ''."""
    with use_original():
        record = _find(name).exclude(holder="").first()
    if record is None or _is_abandoned(record, timezone.now()):
        return ""
    return record.operation


@contextmanager
def _keeping(lock: Lock) -> Iterator[None]:
    """Renew the lease during a block, in a thread: one migration can outlast it."""
    with use_original():
        is_hidden = connections[ORIGINAL_NAME].in_atomic_block
    if is_hidden:
        # Nobody else sees the lock, and a renewal would wait for this very transaction.
        yield
        return
    ended = Event()
    keeper = Thread(target=_keep, args=(lock, ended), name=lock.name, daemon=True)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()


def _keep(lock: Lock, ended: Event) -> None:
    """Renew the lease again and again until `ended`."""
    while not ended.wait(_LEASE.total_seconds() / 6):
        try:
            lock.renew()
        except OperationLocked:
            return  # the holder is told by its own renewal
        except (MirrorError, DatabaseError) as error:
            logger.info("Lock '%s' could not be renewed: %s", lock.name, error)
        finally:
            connections.close_all()


def _take(name: str, operation: str) -> Lock:
    now = timezone.now()
    with use_original(), transaction.atomic(using=ORIGINAL_NAME):
        LockRecord.objects.get_or_create(name=name)
        record = _find(name).select_for_update().get()
        if record.holder and not _is_abandoned(record, now):
            raise OperationLocked(
                f"{record.operation} is under way, by {record.holder} since "
                f"{timezone.localtime(record.since):%Y-%m-%d %H:%M:%S}. Wait for its "
                "end."
            )
        _find(name).filter(fence=record.fence).update(
            holder=describe_process(),
            operation=operation,
            fence=F("fence") + 1,
            since=now,
            expires=now + _LEASE,
        )
        return Lock(name=name, fence=record.fence + 1)


def _find(name: str) -> QuerySet[LockRecord]:
    return LockRecord.objects.filter(name=name)


def _is_abandoned(record: LockRecord, now: datetime) -> bool:
    if record.expires is None or record.expires < now:
        return True
    host, _, process = record.holder.rpartition("@")[2].rpartition(":")
    if host != socket.gethostname() or not process.isdecimal():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def describe_process() -> str:
    """Return who works here, as `user@host:process`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}:{os.getpid()}"
