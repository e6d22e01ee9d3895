"""Where the database of one mirror stands, and the right to change it."""

from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError
from django.db.migrations.recorder import MigrationRecorder

from django_mirrors.exceptions import OperationFailed
from django_mirrors.mirror import Mirror
from django_mirrors.models import Marker
from django_mirrors.operations.locks import Lock
from django_mirrors.operations.rollout.changes import Key, Path

__all__ = [
    "Claim",
    "Progress",
    "Standing",
    "StandsElsewhere",
    "check_unfinished",
    "read_standing",
]

# One question for each mirror, since most have nothing to do.
_STANDING = (
    "SELECT app, name FROM django_migrations UNION ALL "
    "SELECT '', rollout FROM django_mirrors_marker WHERE rollout <> ''"
)


class StandsElsewhere(OperationFailed):
    """The database was changed by somebody else since it was looked at."""

    def __init__(self, alias: str) -> None:
        super().__init__(
            f"Something else migrates the database '{alias}' at this moment. Find out "
            "what, and roll out to it again."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is applied in a mirror's database."""

    applied: frozenset[Key]
    rollout: str = ""  # that changed it and did not finish


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a migration came that no single transaction holds."""

    operations: int = 0  # that are done
    is_begun: bool = False  # whether one more was begun


def read_standing(connection: Any) -> Standing:
    """Return where the database of `connection` stands, by one query."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(_STANDING)
            rows = cursor.fetchall()
    except DatabaseError:
        if not connection.is_usable() or MigrationRecorder(connection).has_table():
            raise
        return Standing(applied=frozenset())
    rollouts = [name for app, name in rows if not app]
    return Standing(
        applied=frozenset((app, name) for app, name in rows if app),
        rollout=rollouts[0] if rollouts else "",
    )


class Claim:
    """The right of one rollout to change the database of one mirror.

    Everything raises `OperationLocked` once another rollout has the lock, and
    `OperationFailed` if the database is not marked as that of the mirror.
    """

    def __init__(self, mirror: Mirror, *, rollout: str, lock: Lock) -> None:
        self._mirror = mirror
        self._rollout = rollout
        self._lock = lock

    def check(self) -> None:
        """Raise if the lock is not held any more."""
        self._lock.check()

    def take(self) -> None:
        """Mark the database as one that this rollout changes.

        In a transaction nobody else can until it ends, and no older rollout afterwards:
        one that was paused meanwhile is refused here.
        """
        values = {"fence": self._lock.fence, "rollout": self._rollout}
        markers = Marker.objects.filter(uid=self._mirror.uid)
        if markers.filter(fence__lte=self._lock.fence).update(**values):
            return
        # Another fleet may have numbered it; but then this lock is held.
        self._lock.confirm()
        if not markers.update(**values):
            raise OperationFailed(
                f"The database of mirror '{self._mirror}' is not marked as its own, so "
                "nothing is done there. See 'manage.py mirror_check "
                f"{self._mirror}'."
            )

    def finish(self) -> None:
        """Let the database say that the rollout has nothing left to do."""
        Marker.objects.filter(uid=self._mirror.uid, rollout=self._rollout).update(
            rollout="", migration="", operations=0, is_begun=False
        )

    def find_unfinished(self) -> str:
        """Return the mark of the change that the database is in the middle of, or ''.

        It may have been completed by hand since.
        """
        found = Marker.objects.filter(uid=self._mirror.uid)
        return found.values_list("migration", flat=True).first() or ""

    def read_progress(self, mark: str) -> Progress:
        """Return how far the change came here."""
        marker = Marker.objects.filter(uid=self._mirror.uid, migration=mark)
        for operations, is_begun in marker.values_list("operations", "is_begun"):
            return Progress(operations=operations, is_begun=is_begun)
        return Progress()

    def write_progress(self, mark: str, progress: Progress) -> None:
        """Write down how far the change came; "" when it is recorded."""
        Marker.objects.filter(uid=self._mirror.uid).update(
            migration=mark,
            operations=progress.operations,
            is_begun=progress.is_begun,
        )


def check_unfinished(path: Path, mark: str) -> None:
    """Raise `OperationFailed` if the path leaves a change behind that is half made.

    Where it would go on nobody could know any more.
    """
    if not mark:
        return
    name, _, direction = mark.partition(" ")
    is_applied = tuple(name.split(".", 1)) in path.applied
    if is_applied != bool(direction):
        return  # somebody has completed it by hand
    if path.changes and path.changes[0].mark == mark:
        return
    if any(change.is_fake and change.mark == mark for change in path.changes):
        return
    was = "taken back" if direction else "applied"
    raise OperationFailed(
        f"{name} was interrupted while it was {was}, and is complete neither way. "
        "Finish that first, with a rollout '--to' it alone, or by hand."
    )
