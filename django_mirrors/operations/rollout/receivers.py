"""The signals that Django sends around migrations, where somebody waits for them."""

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from io import StringIO
from typing import Any

from django.apps import AppConfig, apps
from django.core.management.sql import emit_post_migrate_signal
from django.db import migrations
from django.db.migrations import Migration
from django.db.migrations.state import ProjectState, StateApps
from django.db.models.signals import post_migrate, pre_migrate
from django.dispatch import Signal
from django.utils.module_loading import module_has_submodule

from django_mirrors import _compat_migrations
from django_mirrors.operations.rollout.changes import Path

__all__ = ["complete_plan", "is_quiet", "send_after", "send_before"]

# They make content types, permissions and the first site from the models alone.
_OF_DJANGO = "django.contrib."
_OWN = "django_mirrors."  # which is about the command `migrate` alone
# After these there is nothing new for them to make.
_QUIET = (
    migrations.AddConstraint,
    migrations.AddField,
    migrations.AddIndex,
    migrations.AlterField,
    migrations.AlterIndexTogether,
    migrations.AlterModelManagers,
    migrations.AlterModelTable,
    migrations.AlterModelTableComment,
    migrations.AlterOrderWithRespectTo,
    migrations.AlterUniqueTogether,
    migrations.RemoveConstraint,
    migrations.RemoveField,
    migrations.RemoveIndex,
    migrations.RenameField,
    migrations.RenameIndex,
)


def complete_plan(
    plan: list[tuple[Migration, bool]], before: ProjectState, alias: str
) -> None:
    """Let Django's own apps add to the plan, as they do before each `migrate`.

    They follow models that are renamed. Once for a plan: they would add again.
    """
    operations = [item for migration, _ in plan for item in migration.operations]
    if not any(isinstance(item, migrations.RenameModel) for item in operations):
        return  # to render the models takes long
    for config, receiver in _iter_receivers(pre_migrate):
        if _is_of_django(receiver):
            receiver(**_build_arguments(config, plan, before.apps, alias))


def send_before(path: Path, alias: str) -> None:
    """Tell the project's own receivers of `pre_migrate`."""
    for config, receiver in _iter_receivers(pre_migrate):
        if not _is_of_django(receiver):
            receiver(**_build_arguments(config, path.plan, path.before.apps, alias))


def send_after(path: Path, alias: str) -> None:
    """Send `post_migrate`."""
    emit_post_migrate_signal(
        0,
        False,  # noqa: FBT003 - Django's
        alias,
        stdout=StringIO(),
        apps=path.final_apps,
        plan=path.plan,
        by_rollout=True,  # which writes down by itself what it did
    )


def is_quiet(path: Path) -> bool:
    """Whether nobody who waits for `post_migrate` would find anything to do."""
    found = [item for _, item in _iter_receivers(post_migrate)]
    if not all(_is_of_django(item) or _is_own(item) for item in found):
        return False
    operations = (item for migration, _ in path.plan for item in migration.operations)
    return all(
        isinstance(item, _QUIET) and type(item).__module__.startswith("django.")
        for item in operations
    )


@cache
def _import_receivers() -> None:
    """Import the modules in which apps may connect them, as `migrate` does."""
    for config in apps.get_app_configs():
        if module_has_submodule(config.module, "management"):
            import_module(".management", config.name)


def _build_arguments(
    config: AppConfig,
    plan: list[tuple[Migration, bool]],
    rendered: StateApps,
    alias: str,
) -> dict[str, Any]:
    return {
        "signal": pre_migrate,
        "sender": config,
        "app_config": config,
        "verbosity": 0,
        "interactive": False,
        "using": alias,
        "stdout": StringIO(),
        "apps": rendered,
        "plan": plan,
    }


def _is_of_django(receiver: Any) -> bool:
    return str(getattr(receiver, "__module__", "")).startswith(_OF_DJANGO)


def _is_own(receiver: Any) -> bool:
    return str(getattr(receiver, "__module__", "")).startswith(_OWN)


def _iter_receivers(signal: Signal) -> Iterator[tuple[AppConfig, Any]]:
    _import_receivers()
    for config in apps.get_app_configs():
        if config.models_module is not None:
            for receiver in _compat_migrations.list_receivers(signal, config):
                yield config, receiver
