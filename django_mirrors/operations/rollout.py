"""Bring mirrors in step with the running code."""

from collections.abc import Iterable
from uuid import uuid4

from django_mirrors.context import use_mirror, use_original
from django_mirrors.exceptions import OperationFailed
from django_mirrors.mirror import Mirror, State
from django_mirrors.models import MirrorRecord
from django_mirrors.operations.locks import hold_lock
from django_mirrors.operations.provision import continue_mirror
from django_mirrors.operations.release import (
    find_missing_migrations,
    get_release,
    migrate,
)
from django_mirrors.operations.reports import DONE, SKIPPED, Plan, Report, StepResult
from django_mirrors.operations.runner import OnStep, run_steps
from django_mirrors.registry import mirrors as fleet

__all__ = ["plan_rollout", "roll_out"]

_IN_STEP = "in step"
_ENDED = frozenset({State.ARCHIVED})


def plan_rollout(mirrors: Iterable[Mirror]) -> Plan:
    """Return what `roll_out` would do in each mirror; change nothing."""
    return Plan(
        operation="rollout",
        steps={mirror.name: _list_steps(mirror) for mirror in mirrors},
    )


def roll_out(
    mirrors: tuple[Mirror, ...],
    *,
    jobs: int = 1,
    max_failures: int | None = None,
    with_original: bool = False,
    on_step: OnStep | None = None,
) -> Report:
    """Apply all migrations in each mirror, and provision those that are not yet.

    Mirrors in step are skipped. Every failure is collected and none hides another.
    Raises `OperationFailed` while the original is behind, `OperationLocked` while
    another rollout runs.
    """
    identity = str(uuid4())
    with hold_lock("rollout", operation=f"Rollout {identity}") as lock:
        _bring_original(with_original=with_original)
        release = get_release()

        def record(result: StepResult) -> None:
            if result.outcome == DONE or result.detail == _IN_STEP:
                _record_release(result.mirror, release)
            if on_step is not None:
                on_step(result)

        # Owners of a database come before those that share it.
        ordered = sorted(mirrors, key=lambda item: (item.alias != item.name, item.name))
        return run_steps(
            "rollout",
            ordered,
            _bring,
            identity=identity,
            jobs=jobs,
            max_failures=max_failures,
            on_step=record,
            on_tick=lock.renew,
        )


def _bring_original(*, with_original: bool) -> None:
    original = fleet.original
    with use_original():
        missing = find_missing_migrations(original)
        if not missing:
            return
        if not with_original:
            raise OperationFailed(
                f"The original lacks {len(missing)} migrations, first {missing[0]}. "
                "Run 'manage.py migrate' first, or give --with-original."
            )
        migrate(original)


def _bring(mirror: Mirror) -> tuple[str, str]:
    if mirror.state in _ENDED:
        return SKIPPED, mirror.state
    if mirror.state in {State.PROVISIONING, State.FAILED}:
        with hold_lock(f"mirror:{mirror}"[:64], operation=f"Adding '{mirror}'") as own:
            continue_mirror(mirror.name, lock=own)
        return DONE, "provisioned"
    if mirror.alias != mirror.name:
        return _follow_owner(mirror)
    missing = find_missing_migrations(mirror)
    if not missing:
        return SKIPPED, _IN_STEP
    migrate(mirror)
    return DONE, f"{len(missing)} migrations"


def _follow_owner(mirror: Mirror) -> tuple[str, str]:
    missing = find_missing_migrations(mirror)
    if missing:
        raise OperationFailed(
            f"Mirror '{mirror}' shares the database of '{mirror.alias}', which lacks "
            f"{len(missing)} migrations. Roll out to '{mirror.alias}'."
        )
    return SKIPPED, _IN_STEP


def _record_release(name: str, release: str) -> None:
    with use_original():
        records = MirrorRecord.objects.filter(name=name).exclude(release=release)
        records.update(release=release)


def _list_steps(mirror: Mirror) -> tuple[str, ...]:
    if mirror.state in _ENDED:
        return (f"nothing, it is {mirror.state}",)
    if mirror.state in {State.PROVISIONING, State.FAILED}:
        return ("provision",)
    if mirror.alias != mirror.name:
        return (f"nothing of its own, it follows {mirror.alias}",)
    with use_mirror(mirror):
        missing = find_missing_migrations(mirror)
    return tuple(f"apply {name}" for name in missing) or ("nothing, it is in step",)
