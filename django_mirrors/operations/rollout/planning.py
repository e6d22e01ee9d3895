"""What a rollout would do, and with which SQL."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from django.db import DatabaseError, connections

from django_mirrors.conf import get_conf
from django_mirrors.context import use_mirror
from django_mirrors.exceptions import MirrorError, OperationFailed
from django_mirrors.mirror import Mirror, State
from django_mirrors.operations.locks import Lock
from django_mirrors.operations.reports import Plan
from django_mirrors.operations.rollout.bringing import ENDED, find_path
from django_mirrors.operations.rollout.changes import Change
from django_mirrors.operations.rollout.engine import Options
from django_mirrors.operations.rollout.gate import NEVER, check_gate
from django_mirrors.operations.rollout.orders import Order
from django_mirrors.operations.rollout.paths import check_targets
from django_mirrors.operations.rollout.waves import build_waves
from django_mirrors.operations.runner import describe

__all__ = ["plan_rollout"]

_NOTHING = "nothing, it is in step"


def plan_rollout(mirrors: Sequence[Mirror], options: Options | None = None) -> Plan:
    """Return what `roll_out` would do in each mirror, in its order; change nothing."""
    chosen = options or Options()
    order = Order(
        rollout=str(uuid4()),
        lock=Lock(name="plan", fence=0),
        targets=chosen.targets,
        is_fake=chosen.is_fake,
        gate=NEVER if chosen.allow_breaking else get_conf().gate,
    )
    check_targets(chosen.targets)
    known = {item.name: item for item in mirrors}
    steps: dict[str, tuple[str, ...]] = {}
    titles: dict[str, str] = {}
    sql: dict[str, tuple[str, ...]] = {}
    waves = build_waves(mirrors, canary=chosen.canary, waves=chosen.waves)
    for wave in waves:
        for name in wave.mirrors:
            steps[name] = _list_steps(known[name], order, sql)
            if len(waves) > 1:
                titles[name] = wave.title
    return Plan(operation="rollout", steps=steps, waves=titles, sql=sql)


def _list_steps(
    mirror: Mirror, order: Order, sql: dict[str, tuple[str, ...]]
) -> tuple[str, ...]:
    if mirror.state in ENDED:
        return (f"nothing, it is {mirror.state}",)
    if mirror.state in {State.PROVISIONING, State.FAILED}:
        return ("provision",)
    if mirror.alias != mirror.name:
        return (f"nothing of its own, it follows {mirror.alias}",)
    try:
        with use_mirror(mirror):
            return _list_changes(mirror, order, sql)
    except (MirrorError, DatabaseError) as error:
        return (f"fail: {describe(error)}",)


def _list_changes(
    mirror: Mirror, order: Order, sql: dict[str, tuple[str, ...]]
) -> tuple[str, ...]:
    standing, path = find_path(mirror, order)
    connection: Any = connections[mirror.alias]
    for change in path.changes:
        title = f"{_describe(change)} ({connection.display_name})"
        if title not in sql:
            sql[title] = _list_sql(change, connection)
    found = [_describe(change) for change in path.changes]
    if not found and (path.squashed or standing.rollout):
        found = ["complete what was begun"]
    try:
        check_gate(mirror, path, order.gate)
    except OperationFailed as error:
        found.append(f"refuse: {error}")
    return tuple(found) or (_NOTHING,)


def _describe(change: Change) -> str:
    if change.is_fake:
        return f"record {change.name}"
    return f"{'take back' if change.is_backwards else 'apply'} {change.name}"


def _list_sql(change: Change, connection: Any) -> tuple[str, ...]:
    if change.statements is None:
        return tuple(
            f"-- {move.operation.describe()}: worked out in each mirror"
            for move in change.moves
        )
    return tuple(
        f"{_fill_in(connection, *statement)};" for statement in change.statements
    )


def _fill_in(connection: Any, sql: str, parameters: Any) -> str:
    if not parameters:
        return sql if parameters is None else sql.replace("%%", "%")
    editor = connection.schema_editor()
    return sql % tuple(editor.quote_value(item) for item in parameters)
