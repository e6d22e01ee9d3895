"""Keep mirrors from migrations that break code of the release before."""

from django_mirrors.exceptions import OperationFailed
from django_mirrors.mirror import DATABASE, Mirror
from django_mirrors.operations.rollout.changes import Path
from django_mirrors.registry import mirrors

__all__ = ["ALWAYS", "NEVER", "SHARED", "check_gate"]

SHARED, ALWAYS, NEVER = "shared", "always", "never"


def check_gate(mirror: Mirror, path: Path, gate: str) -> None:
    """Raise `OperationFailed` if the path would break those who use the database.

    With the gate "shared" that concerns databases of several mirrors, with "always"
    all: any process may run the release before for a while.
    """
    if gate == NEVER or not path.breaches:
        return
    # Asked last: it looks through the whole fleet.
    if gate == SHARED and not _is_shared(mirror):
        return
    first = path.breaches[0]
    more = len(path.breaches) - 1
    others = f" ({more} more: see --plan)" if more else ""
    raise OperationFailed(
        f"{first.migration} would break the release before it: {first.operation}. "
        f"{first.reason}{others} To do it all the same give --allow-breaking 'REASON'."
    )


def _is_shared(mirror: Mirror) -> bool:
    return any(
        item.find_owner(DATABASE) == mirror.name and item.name != mirror.name
        for item in mirrors.values()
    )
