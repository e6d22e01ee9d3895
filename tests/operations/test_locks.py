"""One operation at a time."""

import os
import socket
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from django_mirrors import use_original
from django_mirrors.exceptions import OperationLocked
from django_mirrors.models import LockRecord
from django_mirrors.operations import locks
from django_mirrors.operations.locks import hold_lock

pytestmark = pytest.mark.django_db


def leave_lock(holder: str, *, seconds: int) -> None:
    with use_original():
        LockRecord.objects.create(
            name="work",
            holder=holder,
            operation="Work",
            fence=1,
            since=timezone.now(),
            expires=timezone.now() + timedelta(seconds=seconds),
        )


def test_lock_is_free_after_its_block():
    with hold_lock("work", operation="Work"):
        pass

    with hold_lock("work", operation="Work") as lock:
        lock.renew()


def test_lock_of_a_process_that_runs_is_respected():
    leave_lock(f"ann@{socket.gethostname()}:{os.getppid()}", seconds=60)

    with (
        pytest.raises(OperationLocked, match="Work is under way, by ann@"),
        hold_lock("work", operation="Work"),
    ):
        pass


def test_lock_of_another_machine_is_respected_while_it_lasts():
    leave_lock("ann@elsewhere:1", seconds=60)

    with pytest.raises(OperationLocked), hold_lock("work", operation="Work"):
        pass


@pytest.mark.parametrize(
    ("holder", "seconds"),
    [("ann@elsewhere:1", -1), (f"ann@{socket.gethostname()}:4194304", 60)],
)
def test_lock_that_nobody_holds_any_more_is_taken_over(holder, seconds):
    leave_lock(holder, seconds=seconds)

    with hold_lock("work", operation="Work") as lock:
        assert lock.fence == 2


def test_operation_that_ends_late_leaves_the_lock_to_its_new_holder():
    with hold_lock("work", operation="Work"):
        with use_original():
            LockRecord.objects.update(
                holder="ann@elsewhere:1",
                fence=7,
                expires=timezone.now() + timedelta(seconds=60),
            )

    with pytest.raises(OperationLocked, match="by ann@elsewhere"):
        with hold_lock("work", operation="Work"):
            pass


@pytest.mark.django_db(transaction=True)
def test_lock_is_kept_while_one_step_takes_longer_than_its_lease(monkeypatch):
    monkeypatch.setattr(locks, "_LEASE", timedelta(seconds=0.6))

    with hold_lock("work", operation="Work"):
        time.sleep(2)

        with use_original():
            assert LockRecord.objects.get().expires > timezone.now()
        with (
            pytest.raises(OperationLocked, match="Work is under way"),
            hold_lock("work", operation="Other work"),
        ):
            pass


@pytest.mark.django_db(transaction=True)
def test_lock_that_was_taken_over_is_not_renewed(monkeypatch):
    monkeypatch.setattr(locks, "_LEASE", timedelta(seconds=0.6))

    with hold_lock("work", operation="Work"):
        with use_original():
            LockRecord.objects.update(fence=7, expires=None)
        time.sleep(0.5)

        with use_original():
            assert LockRecord.objects.get().expires is None


def test_process_that_lost_its_lock_does_nothing_more():
    with hold_lock("work", operation="Work") as lock:
        with use_original():
            LockRecord.objects.update(fence=7)

        with pytest.raises(OperationLocked, match="was taken over"):
            lock.renew()
