"""What a rollout does in a mirror, as a value that can be made again elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django_mirrors.conf import get_conf
from django_mirrors.mirror import Mirror
from django_mirrors.operations.locks import Lock
from django_mirrors.operations.reports import Outcome
from django_mirrors.operations.rollout.bringing import bring, check_health
from django_mirrors.operations.rollout.gate import NEVER
from django_mirrors.operations.rollout.orders import Order

__all__ = ["BRING", "CHECK", "LOCK", "RolloutStep", "build_order"]

LOCK = "rollout"  # under which all of it is done
BRING, CHECK = "bring", "check"


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutStep:
    """Brings a mirror in step, or looks at its health."""

    kind: str
    order: Order

    def __call__(self, mirror: Mirror) -> Outcome:
        """Do it in `mirror`, the current one."""
        if self.kind == CHECK:
            return check_health(mirror)
        return bring(mirror, order=self.order)


def build_order(rollout: str, plan: Mapping[str, Any], lock: Lock) -> Order:
    """Return what a rollout asks of each mirror, from its plan in the journal."""
    return Order(
        rollout=rollout,
        lock=lock,
        targets=tuple((app, name) for app, name in plan["targets"]),
        is_fake=plan["fake"],
        gate=NEVER if plan["allow_breaking"] else get_conf().gate,
    )
