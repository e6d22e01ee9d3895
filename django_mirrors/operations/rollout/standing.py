"""Where the database of one mirror stands, and the right to change it."""

from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, connections
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Q, QuerySet

from django_mirrors.exceptions import OperationFailed
from django_mirrors.mirror import Mirror
from django_mirrors.operations.locks import Lock
from django_mirrors.operations.rollout.changes import Key
from django_mirrors.records import Marker

__all__ = ["Claim", "Progress", "Standing", "StandsElsewhere", "read_standing"]

# One question for each mirror, since most have nothing to do.
_STANDING = (
    "SELECT app, name FROM django_migrations UNION ALL "
    "SELECT '', rollout FROM django_mirrors_marker WHERE rollout <> ''"
)
_MARK = "UPDATE django_mirrors_marker SET fence = %s, rollout = %s WHERE uid = %s"


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
        self._rollout = rollout  # "" if nothing is left to do after the migrations
        self._lock = lock

    def check(self) -> None:
        """Raise if the lock is not held any more."""
        self._lock.check()

    def take(self) -> None:
        """Mark the database as one that this rollout changes.

        In a transaction nobody else can until it ends, and no older rollout afterwards:
        one that was paused meanwhile is refused here.
        """
        if self._mark(f"{_MARK} AND fence <= %s", self._lock.fence):
            return
        # Another fleet may have numbered it; but then this lock is held.
        self._lock.confirm()
        if not self._mark(_MARK):
            raise OperationFailed(
                f"The database of mirror '{self._mirror}' is not marked as its own, so "
                "nothing is done there. See 'manage.py mirror_check "
                f"{self._mirror}'."
            )

    def _mark(self, sql: str, *more: int) -> int:
        # Plain SQL: the ORM would take longer to build it than a mirror to execute it.
        connection = connections[self._mirror.alias]
        uid = Marker._meta.get_field("uid").get_db_prep_value(
            self._mirror.uid, connection
        )
        with connection.cursor() as cursor:
            cursor.execute(sql, [self._lock.fence, self._rollout, uid, *more])
            return int(cursor.rowcount)

    def finish(self) -> None:
        """Let the database say that the rollout has nothing left to do."""
        self._find_marker().update(
            rollout="", migration="", operations=0, is_begun=False
        )

    def find_interrupted(self) -> str:
        """Return the label of the change that was made in part, or ''."""
        found = Marker.objects.filter(uid=self._mirror.uid)
        return found.values_list("migration", flat=True).first() or ""

    def read_progress(self, migration: str) -> Progress:
        """Return how far `migration` came here."""
        marker = Marker.objects.filter(uid=self._mirror.uid, migration=migration)
        for operations, is_begun in marker.values_list("operations", "is_begun"):
            return Progress(operations=operations, is_begun=is_begun)
        return Progress()

    def write_progress(self, migration: str, progress: Progress, new: Progress) -> None:
        """Write down how far `migration` came since `progress`.

        In a transaction nobody else can until it ends. Raises `StandsElsewhere`, or
        `OperationLocked`, if somebody else has gone on with it.
        """
        self._advance(
            migration,
            progress,
            migration=migration,
            operations=new.operations,
            is_begun=new.is_begun,
        )

    def end_progress(self, migration: str, progress: Progress) -> None:
        """Forget how far `migration` came: it is recorded. See write_progress()."""
        self._advance(migration, progress, migration="", operations=0, is_begun=False)

    def _advance(self, name: str, progress: Progress, **values: Any) -> None:
        before = Q(
            migration=name,
            operations=progress.operations,
            is_begun=progress.is_begun,
        )
        if progress == Progress():
            before |= ~Q(migration=name)
        if not self._find_marker().filter(before).update(**values):
            self._lock.confirm()
            raise StandsElsewhere(self._mirror.alias)

    def _find_marker(self) -> QuerySet[Marker]:
        """Return the marker of the mirror, unless another rollout has taken it."""
        return Marker.objects.filter(
            uid=self._mirror.uid, rollout=self._rollout, fence=self._lock.fence
        )
