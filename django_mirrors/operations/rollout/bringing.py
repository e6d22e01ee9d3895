"""Bring one mirror in step, wherever it stands."""

from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any, TypeVar

from django.core.cache import caches
from django.db import connections
from django.utils.module_loading import import_string
from django.utils.translation import deactivate_all

from django_mirrors import _compat
from django_mirrors.conf import get_conf
from django_mirrors.counts import write_count
from django_mirrors.exceptions import OperationFailed
from django_mirrors.mirror import Mirror, State
from django_mirrors.operations.first_rows import has_right_site, update_site
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
from django_mirrors.operations.rollout.receivers import (
    is_quiet,
    send_after,
    send_before,
)
from django_mirrors.operations.rollout.standing import (
    Claim,
    Standing,
    StandsElsewhere,
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
        return _bring(mirror, order)
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


def _bring(mirror: Mirror, order: Order) -> Outcome:
    for _ in range(_ATTEMPTS - 1):
        with suppress(StandsElsewhere):
            return _bring_once(mirror, order)
    return _bring_once(mirror, order)


def _bring_once(mirror: Mirror, order: Order) -> Outcome:
    order.lock.check()
    standing, path = find_path(mirror, order)
    was_cut = bool(standing.rollout)
    if path.is_empty and not was_cut:
        return _report(SKIPPED, IN_STEP, path, order)
    has_rest = was_cut or _has_rest(mirror, path)
    claim = Claim(mirror, rollout=order.rollout if has_rest else "", lock=order.lock)
    if was_cut:
        _check_interrupted(claim.find_interrupted(), standing, path)
    _apply(mirror, path, order, claim)
    if has_rest:
        _finish(mirror, path, claim, was_cut=was_cut)
    return _report(DONE, _describe(path), path, order)


def _untranslated(do: Callable[..., _Result], *arguments: Any) -> _Result:
    """Do it as the command `migrate` does: what is stored is not translated."""
    context = copy_context()
    context.run(deactivate_all)
    return context.run(do, *arguments)


def _check_interrupted(label: str, standing: Standing, path: Path) -> None:
    """Raise `OperationFailed` if the path leaves a migration as it is, made in part."""
    name = label.removeprefix("-")
    app, _, migration = name.partition(".")
    is_backwards = label != name
    is_ended = ((app, migration) in standing.applied) != is_backwards
    if not label or is_ended or any(item.label == label for item in path.changes):
        return
    verb = "taken back" if is_backwards else "applied"
    raise OperationFailed(
        f"{name} was {verb} in part, and this rollout would leave it so. Complete that "
        "first, with the rollout that began it or another one to the same migrations."
    )


def _report(outcome: str, detail: str, path: Path, order: Order) -> Outcome:
    return Outcome(outcome, detail, remember(path.reached, rollout=order.rollout))


def _apply(mirror: Mirror, path: Path, order: Order, claim: Claim) -> None:
    if path.is_empty:
        claim.take()
        return
    check_gate(mirror, path, order.gate)
    _call_hook("BEFORE_ROLLOUT", mirror)
    _untranslated(_migrate, connections[mirror.alias], path, claim)


def _migrate(connection: Any, path: Path, claim: Claim) -> None:
    connection.prepare_database()
    send_before(path, connection.alias)
    apply_path(connection, path, claim)


def _has_rest(mirror: Mirror, path: Path) -> bool:
    """Whether something follows the migrations, which a kill must not leave out."""
    conf = get_conf()
    return (
        any(not change.is_atomic for change in path.changes)
        or not connections[mirror.alias].features.can_rollback_ddl
        or "AFTER_ROLLOUT" in conf.hooks
        or bool(conf.cleared_caches)
        or not is_quiet(path)
        or (has_own_site(mirror) and not has_right_site(mirror))
    )


def _finish(mirror: Mirror, path: Path, claim: Claim, *, was_cut: bool) -> None:
    """Do what follows the migrations; again if a kill came in between."""
    claim.check()
    if was_cut or not is_quiet(path):
        _untranslated(send_after, path, mirror.alias)
    if has_own_site(mirror):
        update_site(mirror)
    for alias in get_conf().cleared_caches:
        caches[alias].clear()
    claim.check()
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
    told = names[0] if len(names) == 1 else write_count(len(names), "migration")
    return f"{told} {verb}"


def _follow_owner(mirror: Mirror, order: Order) -> Outcome:
    _, path = find_path(mirror, order)
    if not path.is_empty:
        raise OperationFailed(
            f"Mirror '{mirror}' shares the database of '{mirror.alias}', which lacks "
            f"{write_count(len(path.changes), 'migration')}. Roll out to "
            f"'{mirror.alias}'."
        )
    return _report(SKIPPED, IN_STEP, path, order)
