"""Which release the running code is, and which migrations a mirror lacks."""

from hashlib import sha256
from io import StringIO
from typing import Any

from django.core.management import call_command
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from django_mirrors.conf import get_conf
from django_mirrors.mirror import Mirror

__all__ = ["find_missing_migrations", "get_release", "migrate", "read_applied"]


def get_release() -> str:
    """Return the release of the running code.

    `MIRRORS_OPTIONS["RELEASE"]` if the project sets it, else a name made of the last
    migration of every app.
    """
    release = get_conf().release
    if release:
        return release
    leaves = sorted(MigrationLoader(None, ignore_no_migrations=True).graph.leaf_nodes())
    text = "\n".join(f"{app}.{name}" for app, name in leaves)
    return f"migrations-{sha256(text.encode()).hexdigest()[:12]}"


def find_missing_migrations(mirror: Mirror) -> tuple[str, ...]:
    """Return the migrations that `mirror`, the current one, has not applied yet."""
    executor: Any = MigrationExecutor(connections[mirror.alias])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return tuple(f"{migration.app_label}.{migration.name}" for migration, _ in plan)


def read_applied(mirror: Mirror) -> frozenset[tuple[str, str]]:
    """Return the migrations that `mirror`, the current one, has applied."""
    recorder: Any = MigrationRecorder(connections[mirror.alias])
    return frozenset(recorder.applied_migrations())


def migrate(mirror: Mirror) -> None:
    """Apply every migration that `mirror`, the current one, has not applied yet."""
    call_command(
        "migrate",
        database=mirror.alias,
        interactive=False,
        verbosity=0,
        stdout=StringIO(),
    )
