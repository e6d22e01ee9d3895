"""Where the services of a mirror are, and where a move shall lead it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.db import connections

from django_mirrors.context import use_original
from django_mirrors.exceptions import MirrorExists, OperationFailed
from django_mirrors.mirror import DATABASE, STORAGE, Mirror, State
from django_mirrors.operations.contents import find_storages
from django_mirrors.operations.databases import get_database_backend
from django_mirrors.operations.fleet import get_record
from django_mirrors.operations.media import iter_files
from django_mirrors.operations.provision import check_storage
from django_mirrors.registry import mirrors

__all__ = [
    "Schema",
    "apply_change",
    "build_change",
    "check_movable",
    "check_place",
    "get_config",
    "read_place",
]


Schema = str | Mapping[str, str]  # as a definition has it

_MOVABLE = frozenset({State.ACTIVE, State.MAINTENANCE, State.SUSPENDED})


_KEYS = ("DATABASE", "SCHEMA", "REPLICA", "STORAGE", "STORAGES")


def build_change(
    database: str | None, schema: Schema | None, storage: str | None
) -> dict[str, Any]:
    """Return the keys of a definition that change, with None for those that go."""
    change: dict[str, Any] = {}
    if database is not None:
        # A replica follows the old database.
        change |= {"DATABASE": database, "SCHEMA": schema, "REPLICA": None}
    if storage is not None:
        change |= {"STORAGE": storage, "STORAGES": None}
    return change


def check_movable(name: str, change: Mapping[str, Any]) -> Mirror:
    """Return the mirror `name`. Raises `OperationFailed` if it cannot be moved so."""
    mirrors.reload()
    mirror = mirrors[name]
    if not change:
        raise OperationFailed(
            f"Nothing of mirror '{name}' was named to be moved. Give --database URL, "
            "--storage DSN, or both."
        )
    if mirror.state not in _MOVABLE:
        raise OperationFailed(
            f"Mirror '{name}' is {mirror.state}, so it cannot be moved. Finish it "
            f"first with 'manage.py mirror_add {name}'."
        )
    for service in (DATABASE, STORAGE):
        owner = mirror.find_owner(service)
        if service in change and owner != name:
            raise OperationFailed(
                f"Mirror '{name}' shares the {service.lower()} of '{owner}', which "
                f"moves with its owner. Move '{owner}'."
            )
    return mirror


def check_place(before: Mirror, after: Mirror, change: Mapping[str, Any]) -> None:
    """Raise if anything is at the new place: it may be somebody's."""
    after = replace(after, is_read_only=False)
    if "DATABASE" in change:
        config = get_config(after)
        if get_database_backend(config).exists(config):
            raise MirrorExists(
                f"The database '{config.get('SCHEMA') or config['NAME']}' is there "
                f"already, so mirror '{before}' is not moved there. Name one that is "
                "not, which is made then. If this is the mirror's own database under "
                "another address, use 'manage.py mirror_change'."
            )
    if "STORAGE" in change:
        check_storage(after)
        for storage in find_storages(after).values():
            if next(iter_files(storage), None) is not None:
                raise MirrorExists(
                    f"The new storage of mirror '{before}' holds files already. Empty "
                    "it, or name another one with --storage."
                )


def apply_change(change: Mapping[str, Any], definition: dict[str, Any]) -> None:
    """Write `change` into a definition."""
    for key, value in change.items():
        if value is None:
            definition.pop(key, None)
        else:
            definition[key] = value


def read_place(name: str) -> dict[str, Any]:
    """Return the keys of the recorded definition that lead to the services."""
    with use_original():
        definition = get_record(name).definition
    return {key: definition.get(key) for key in _KEYS}


def get_config(mirror: Mirror) -> dict[str, Any]:
    """Return the config of the database of `mirror`, which may not be in the fleet."""
    databases: Any = connections.settings
    config: dict[str, Any] = databases.build_config(mirror)
    return config
