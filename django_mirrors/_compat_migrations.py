"""States of models between migrations, which Django keeps to its own executor."""

from typing import Any

from asgiref.sync import async_to_sync
from django.apps import apps
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import ModelState, ProjectState, StateApps
from django.dispatch import Signal

__all__ = ["build_state", "list_receivers", "render_for_signal"]


def build_state(executor: MigrationExecutor) -> ProjectState:
    """Return the state that the migrations applied in the executor's database made."""
    private: Any = executor
    state: ProjectState = private._create_project_state(  # noqa: SLF001
        with_applied_migrations=True
    )
    return state


def render_for_signal(state: ProjectState) -> StateApps:
    """Return the models of `state` as receivers of `post_migrate` expect them.

    As the command `migrate` does it: models of apps without migrations are rendered
    again, with the relations that they did not have in between.
    """
    final: Any = state
    final.clear_delayed_apps_cache()
    rendered: Any = final.apps
    with rendered.bulk_update():
        keys = [(item.app_label, item.name_lower) for item in rendered.real_models]
        for key in keys:
            rendered.unregister_model(*key)
    rendered.render_multiple(
        [ModelState.from_model(apps.get_model(*key)) for key in keys]
    )
    result: StateApps = rendered
    return result


def list_receivers(signal: Signal, sender: object) -> list[Any]:
    """Return what is called when `sender` sends `signal`, in this order."""
    synchronous, asynchronous = signal._live_receivers(sender)  # noqa: SLF001
    return [*synchronous, *map(async_to_sync, asynchronous)]
