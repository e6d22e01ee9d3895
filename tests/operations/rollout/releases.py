"""Migrations that are not in files: what the running code has, as a test decides."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

import pytest
from django.apps import AppConfig, apps
from django.core.management.sql import (
    emit_post_migrate_signal,
    emit_pre_migrate_signal,
)
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.test import override_settings

from django_mirrors import _compat_migrations

__all__ = ["Release", "build_migration", "migrate_plainly", "use_release"]

Key = tuple[str, str]


@dataclass
class Release:
    """The migrations that the code has beside those in files, by app and name."""

    migrations: dict[Key, dict[str, Any]] = field(default_factory=dict)

    def add(self, app: str, name: str, *operations: Operation, **options: Any) -> None:
        """Add a migration, after the last one of its app unless it says otherwise."""
        before = [key for key in self.migrations if key[0] == app]
        options.setdefault("dependencies", before[-1:])
        self.migrations[app, name] = {"operations": operations, **options}

    def remove(self, app: str, name: str) -> None:
        """Take a migration away."""
        del self.migrations[app, name]

    def build(self) -> dict[Key, Migration]:
        """Return the migrations as if they were just read."""
        return {
            key: build_migration(*key, **options)
            for key, options in self.migrations.items()
        }


def build_migration(
    app: str, name: str, *, operations: Iterable[Operation] = (), **options: Any
) -> Migration:
    """Return a migration."""
    migration = Migration(name, app)
    migration.operations = list(operations)
    for attribute, value in options.items():
        setattr(migration, attribute, value)
    return migration


@contextmanager
def use_release(labels: Iterable[str]) -> Iterator[Release]:
    """Let apps with these labels be installed, with the migrations of a release."""
    release = Release()
    names = tuple(labels)
    configs = {name: _build_config(name) for name in names}
    load = MigrationLoader.load_disk

    def load_release(self: MigrationLoader) -> None:
        load(self)
        self.disk_migrations.update(release.build())
        for name in names:
            self.unmigrated_apps.discard(name)
            self.migrated_apps.add(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MigrationLoader, "load_disk", load_release)
        patch.setattr(apps, "app_configs", {**apps.app_configs, **configs})
        with override_settings(MIGRATION_MODULES=dict.fromkeys(names)):
            yield release


def _build_config(label: str) -> AppConfig:
    module = sys.modules[__name__.rpartition(".")[0]]
    config = AppConfig(label, module)
    config.apps, config.models, config.models_module = apps, {}, module
    config.default_auto_field = "django.db.models.BigAutoField"
    return config


def migrate_plainly(
    connection: Any, targets: Iterable[tuple[str, str | None]] = ()
) -> None:
    """Do what the command `migrate` does, for several targets at once."""
    executor = MigrationExecutor(connection)
    wanted = list(targets) or executor.loader.graph.leaf_nodes()
    plan = executor.migration_plan(wanted)
    before = _compat_migrations.build_state(executor)
    out = StringIO()
    arguments: Mapping[str, Any] = {"stdout": out, "plan": plan}
    emit_pre_migrate_signal(0, False, connection.alias, apps=before.apps, **arguments)
    executor.migrate(wanted, plan=plan, state=before.clone())
    # What it returns is right for one target only.
    after = _compat_migrations.build_state(MigrationExecutor(connection))
    rendered = _compat_migrations.render_for_signal(after)
    emit_post_migrate_signal(0, False, connection.alias, apps=rendered, **arguments)
