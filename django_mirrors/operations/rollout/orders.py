"""What a rollout asks of each mirror, as a value that can be sent to a process."""

from dataclasses import dataclass

from django_mirrors.operations.locks import Lock
from django_mirrors.operations.rollout.changes import Target

__all__ = ["Order"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to do in each mirror."""

    rollout: str  # the uid of its record
    lock: Lock
    targets: tuple[Target, ...] = ()  # none: the newest migrations of all apps
    is_fake: bool = False
    gate: str = "shared"  # which mirrors are kept from breaking migrations
