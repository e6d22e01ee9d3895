"""Make the database of a new mirror apart, and let it appear when it is complete.

Everything is done in a draft, whose name holds the uid of the mirror, so that what a
killed attempt left is known to be nobody else's. The marker is written last: a database
that has it is whole. Only then does it get its own name.
"""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from django.db import DatabaseError, connections

from django_mirrors.context import hold_mirror
from django_mirrors.exceptions import MirrorExists, OperationFailed
from django_mirrors.mirror import Mirror
from django_mirrors.operations.databases import get_database_backend
from django_mirrors.operations.databases.markers import read_marker
from django_mirrors.records import Marker

__all__ = ["check_database", "find_marker", "make_database"]

Config = Mapping[str, Any]


def make_database(mirror: Mirror, fill: Callable[[Config], None]) -> None:
    """Make the database of `mirror`, which nobody uses yet; `fill` makes the draft.

    Nothing is done if it is there and whole. Raises `MirrorExists` if it is there and
    is not marked as this mirror's. Of an attempt that fails nothing is left.
    """
    databases: Any = connections.settings
    config = databases.build_config(mirror)
    backend = get_database_backend(config)
    draft = backend.build_template_config(config, f"draft_{mirror.uid.hex}")
    if config.get("ROLE"):
        # A template has none, but who makes a table owns it.
        draft["ROLE"] = config["ROLE"]
    is_ready = find_marker(draft) == mirror.uid
    if is_ready and backend.is_unfinished(config):
        # Where a database cannot be renamed it is copied: that was cut short.
        backend.drop(config)
    if check_database(mirror):
        backend.drop(draft)
        return
    if is_ready:
        backend.rename(draft, config)
        return
    backend.drop(draft)
    try:
        fill(draft)
        mark(mirror, draft)
        backend.rename(draft, config)
    except BaseException:
        backend.drop(draft)
        raise


def check_database(mirror: Mirror) -> bool:
    """Return whether the database of `mirror` is there already, and marked as its own.

    Raises `MirrorExists` if it is there and is not: it may hold somebody's data.
    """
    databases: Any = connections.settings
    config = databases.build_config(mirror)
    if not get_database_backend(config).exists(config):
        return False
    if find_marker(config) == mirror.uid:
        return True
    raise MirrorExists(
        f"The database '{config.get('SCHEMA') or config['NAME']}' of mirror '{mirror}' "
        "is there already and is not marked as this mirror's, so it is left alone. "
        "Remove it, or name another one with --database."
    )


def find_marker(config: Config) -> UUID | None:
    """Return the uid in the database of `config`; None if it has none, or is not there.

    Raises `OperationFailed` if it cannot be read.
    """
    if not get_database_backend(config).exists(config):
        return None
    try:
        return read_marker(config)
    except DatabaseError as error:
        raise OperationFailed(
            f"The database '{config.get('SCHEMA') or config['NAME']}' is there and "
            f"cannot be read ({type(error).__name__}). See that the user may do so."
        ) from error


def mark(mirror: Mirror, config: Config) -> None:
    """Write into the database of `config` whose it is, and nobody else's."""
    databases: Any = connections.settings
    with databases.lend(mirror.alias, dict(config)), hold_mirror(mirror):
        Marker.objects.exclude(uid=mirror.uid).delete()
        Marker.objects.get_or_create(uid=mirror.uid, defaults={"name": mirror.name})
