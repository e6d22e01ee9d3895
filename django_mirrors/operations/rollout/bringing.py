"""Bring one mirror in step, wherever it stands."""

from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from django.core.cache import caches
from django.db import connections
from django.utils.module_loading import import_string
from django.utils.translation import deactivate_all

from django_mirrors import _compat
from django_mirrors.conf import get_conf
from django_mirrors.exceptions import OperationFailed
from django_mirrors.mirror import Mirror, State
from django_mirrors.operations.first_rows import update_site
from django_mirrors.operations.health import find_problems
from django_mirrors.operations.ledger import remember
from django_mirrors.operations.locks import hold_lock
from django_mirrors.operations.provision import continue_mirror, has_own_site
from django_mirrors.operations.reports import DONE, SKIPPED, Outcome
from django_mirrors.operations.rollout.applying import apply_path
from django_mirrors.operations.rollout.changes import Path
from django_mirrors.operations.rollout.gate import check_gate
from django_mirrors.operations.rollout.groups import get_groups
from django_mirrors.operations.rollout.orders import Order
from django_mirrors.operations.rollout.receivers import send_after, send_before
from django_mirrors.operations.rollout.standing import (
    Claim,
    Standing,
    StandsElsewhere,
    check_unfinished,
    read_standing,
)

__all__ = ["ENDED", "IN_STEP", "bring", "check_health", "find_path"]

IN_STEP = "in step"
ENDED = frozenset({State.ARCHIVED})

_NEW = frozenset({State.PROVISIONING, State.FAILED})
_ATTEMPTS = 5  # while others change the same database

_Result = TypeVar("_Result")


def bring(mirror: Mirror, *, order: Order) -> Outcome:
    """Bring `mirror`, the current one, to where `order` wants it.

    A new one is provisioned, and one that shares a database follows its owner.
    """
    if mirror.state in ENDED:
        return Outcome(SKIPPED, mirror.state)
    if mirror.state in _NEW:
        with hold_lock(f"mirror:{mirror}"[:64], operation=f"Adding '{mirror}'") as own:
            continue_mirror(mirror.name, lock=own)
        return Outcome(DONE, "provisioned")
    if mirror.alias != mirror.name:
        return _follow_owner(mirror, order)
    connection: Any = connections[mirror.alias]
    depth = _compat.count_atomic_blocks(mirror.alias)
    try:
        return _bring(mirror, connection, order)
    except BaseException:
        # In whatever state a failed migration left it: on SQLite also in a transaction,
        # if what it wrote refers to rows that are not there.
        if _compat.count_atomic_blocks(mirror.alias) > depth:
            _compat.abort_transaction(mirror.alias, depth=depth)
        connection.close()
        raise


def find_path(mirror: Mirror, order: Order) -> tuple[Standing, Path]:
    """Return where `mirror`, the current one, stands, and its path from there."""
    connection: Any = connections[mirror.alias]
    connection.ensure_connection()
    standing = read_standing(connection)
    groups = get_groups(order.rollout, order.targets, is_fake=order.is_fake)
    return standing, _untranslated(groups.get, connection, standing.applied)


def check_health(mirror: Mirror) -> Outcome:
    """Use every service of `mirror`, and ask the project's hook how it is."""
    problems = find_problems(mirror)
    hook = get_conf().hooks.get("HEALTH")
    if not problems and hook is not None:
        answer = import_string(hook)(mirror)
        if answer is False:
            problems = (f"the hook '{hook}' says that it is not well",)
        elif isinstance(answer, str) and answer:
            problems = (answer,)
    if problems:
        raise OperationFailed(f"It is not well after the rollout: {' '.join(problems)}")
    return Outcome(DONE, "healthy")


def _bring(mirror: Mirror, connection: Any, order: Order) -> Outcome:
    claim = Claim(mirror, rollout=order.rollout, lock=order.lock)
    for left in reversed(range(_ATTEMPTS)):
        claim.check()
        try:
            return _bring_once(mirror, connection, order, claim)
        except StandsElsewhere:
            if not left:
                raise
    raise AssertionError("unreachable")


def _bring_once(mirror: Mirror, connection: Any, order: Order, claim: Claim) -> Outcome:
    standing, path = find_path(mirror, order)
    if path.is_empty and not standing.rollout:
        return _report(SKIPPED, IN_STEP, path, order)
    if standing.rollout:
        check_unfinished(path, claim.find_unfinished())
    if not path.is_empty:
        check_gate(mirror, path, order.gate)
        _call_hook("BEFORE_ROLLOUT", mirror)
        _untranslated(_migrate, connection, path, claim)
    _finish(mirror, connection, path, claim, was_cut=bool(standing.rollout))
    return _report(DONE, _describe(path), path, order)


def _migrate(connection: Any, path: Path, claim: Claim) -> None:
    connection.prepare_database()
    send_before(path, connection.alias)
    apply_path(connection, path, claim)


def _untranslated(do: Callable[..., _Result], *arguments: Any) -> _Result:
    """Do it as the command `migrate` does: what is stored is not translated."""
    context = copy_context()
    context.run(deactivate_all)
    return context.run(do, *arguments)


def _report(outcome: str, detail: str, path: Path, order: Order) -> Outcome:
    return Outcome(outcome, detail, remember(path.reached, rollout=order.rollout))


def _finish(
    mirror: Mirror, connection: Any, path: Path, claim: Claim, *, was_cut: bool
) -> None:
    """Do what follows the migrations; again if a kill came in between."""
    claim.check()
    claim.take()
    _untranslated(partial(send_after, path, connection.alias, is_forced=was_cut))
    if has_own_site(mirror):
        update_site(mirror)
    for alias in get_conf().cleared_caches:
        caches[alias].clear()
    _call_hook("AFTER_ROLLOUT", mirror)
    claim.finish()


def _call_hook(name: str, mirror: Mirror) -> None:
    hook = get_conf().hooks.get(name)
    if hook is not None:
        import_string(hook)(mirror)


def _describe(path: Path) -> str:
    names = [change.name for change in path.changes]
    if not names:
        return "completed"
    verb = "taken back" if path.changes[0].is_backwards else "applied"
    if path.changes[0].is_fake:
        verb = "recorded"
    return f"{len(names)} migrations {verb}" if len(names) > 1 else f"{names[0]} {verb}"


def _follow_owner(mirror: Mirror, order: Order) -> Outcome:
    _, path = find_path(mirror, order)
    if not path.is_empty:
        raise OperationFailed(
            f"Mirror '{mirror}' shares the database of '{mirror.alias}', which lacks "
            f"{len(path.changes)} migrations. Roll out to '{mirror.alias}'."
        )
    return _report(SKIPPED, IN_STEP, path, order)
