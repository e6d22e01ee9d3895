"""Steps of fleets that are rolled out to: where each mirror stands, and back."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db import connection, connections
from django.db.migrations.recorder import MigrationRecorder

from django_mirrors import mirrors, use_mirror, use_original
from django_mirrors.models import (
    LockRecord,
    Marker,
    MirrorRecord,
    OperationRecord,
    StepRecord,
)
from django_mirrors.operations.reports import DONE, SKIPPED
from django_mirrors.operations.rollout.bringing import IN_STEP

__all__ = ["STEPS"]

Answer = dict[str, Any]

_TABLES = ("orchard_tree", "orchard_fruit")
_PLANT = (
    "INSERT INTO orchard_tree (name) VALUES ('oak'), ('elm')",
    "INSERT INTO orchard_fruit (name, tree_id) SELECT 'acorn', id FROM orchard_tree",
)
# What takes back the second release, on servers.
_TAKE_BACK = (
    "ALTER TABLE orchard_tree DROP COLUMN IF EXISTS height",
    "ALTER TABLE orchard_tree DROP COLUMN IF EXISTS label",
    "ALTER TABLE orchard_fruit DROP COLUMN IF EXISTS is_ripe",
    "DELETE FROM orchard_tree WHERE name LIKE 'planted in %'",
    "DELETE FROM django_migrations WHERE app = 'orchard' AND name <> '0001_initial'",
)
_USUAL = {
    "fence": 0,
    "rollout": "",
    "migration": "",
    "operations": 0,
    "is_begun": False,
}


def plant() -> None:
    """Give each mirror rows of the first release."""
    for mirror in _list_mirrors():
        with use_mirror(mirror), connection.cursor() as cursor:
            for sql in _PLANT:
                cursor.execute(sql)
    connections.close_all()


def take_back() -> None:
    """Let each mirror have the first release again."""
    for mirror in _list_mirrors():
        with use_mirror(mirror), connection.cursor() as cursor:
            for sql in _TAKE_BACK:
                cursor.execute(sql)
            Marker.objects.update(**_USUAL)
    connections.close_all()


def break_orchards(names: list[str]) -> None:
    """Let the migrations of these mirrors fail."""
    _rename(names, "orchard_tree", "elsewhere")


def mend_orchards(names: list[str]) -> None:
    """Take back what break_orchards() did."""
    _rename(names, "elsewhere", "orchard_tree")


def _rename(names: list[str], old: str, new: str) -> None:
    for name in names:
        with use_mirror(name), connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")
    connections.close_all()


def survey() -> Answer:
    """Return where each mirror stands, and what is written of the last rollout."""
    ended = settings.DIRECTORY / "ended"
    with use_original():
        last = OperationRecord.objects.order_by("-started", "-pk").first()
        found = {
            "left": list(LockRecord.objects.exclude(holder="").values_list("name")),
            "unfinished": OperationRecord.objects.filter(finished=None).count(),
            "outcome": last.outcome if last else None,
            "ended": sorted({*ended.read_text().split()}) if ended.exists() else [],
            "steps": {
                item.mirror: _describe_step(item)
                for item in StepRecord.objects.filter(operation=last)
            },
            "ledger": {
                item.name: [item.release, item.migrations, item.rollout == last.uid]
                for item in MirrorRecord.objects.all()
                if last
            },
        }
    found["mirrors"] = {mirror.name: _survey(mirror) for mirror in _list_mirrors()}
    connections.close_all()
    return found


def list_rollouts() -> list[str]:
    """Return the ids of all rollouts, the newest first."""
    with use_original():
        uids = OperationRecord.objects.order_by("-pk").values_list("uid", flat=True)
        return [str(uid) for uid in uids]


def _list_mirrors() -> list[Any]:
    return [mirror for mirror in mirrors.values() if mirror is not mirrors.original]


def _describe_step(step: StepRecord) -> str:
    # What was done and not written down is found in step by the next.
    if step.outcome == DONE or (step.outcome, step.detail) == (SKIPPED, IN_STEP):
        return IN_STEP
    return f"{step.outcome}: {step.detail}{step.error}"


def _survey(mirror: Any) -> Answer:
    with use_mirror(mirror), connection.cursor() as cursor:
        applied = MigrationRecorder(connections[mirror.alias]).migration_qs
        ((rollout, migration, operations, is_begun),) = Marker.objects.values_list(
            "rollout", "migration", "operations", "is_begun"
        )
        return {
            "migrations": sorted(map(list, applied.values_list("app", "name"))),
            "marker": [rollout, migration, operations, is_begun],
            "tables": {name: _survey_table(cursor, name) for name in _TABLES},
        }


def _survey_table(cursor: Any, name: str) -> Answer:
    columns = connection.introspection.get_table_description(cursor, name)
    names = sorted(column.name for column in columns if not column.name.endswith("id"))
    cursor.execute(f"SELECT {', '.join(names)} FROM {name} ORDER BY name")
    rows = [list(row) for row in cursor.fetchall()]
    return {
        "columns": [repr(column) for column in columns],
        "constraints": sorted(_iter_constraints(cursor, name)),
        "rows": rows,
    }


def _iter_constraints(cursor: Any, name: str) -> Iterator[str]:
    if connection.vendor == "sqlite":
        # Its own words say all, and are at hand.
        cursor.execute("SELECT sql FROM sqlite_master WHERE tbl_name = %s", [name])
        yield from (sql for (sql,) in cursor.fetchall())
        return
    for found in connection.introspection.get_constraints(cursor, name).values():
        yield repr(sorted((key, found[key]) for key in found if key != "definition"))


STEPS = {
    "break_orchards": break_orchards,
    "mend_orchards": mend_orchards,
    "list_rollouts": list_rollouts,
    "plant": plant,
    "survey": survey,
    "take_back": take_back,
}
