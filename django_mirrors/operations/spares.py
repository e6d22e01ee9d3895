"""Databases that are ready before a mirror needs one, so that adding takes moments."""

import logging
from collections.abc import Mapping
from time import monotonic
from typing import Any
from uuid import uuid4

from django.db import connections

from django_mirrors.conf import get_conf
from django_mirrors.counts import write_count
from django_mirrors.exceptions import OperationFailed
from django_mirrors.mirror import Mirror, build_uid, fill_defaults
from django_mirrors.operations.databases import get_database_backend
from django_mirrors.operations.locks import hold_lock
from django_mirrors.operations.reports import DONE, SKIPPED, Report, StepResult
from django_mirrors.operations.templates import (
    create_from_template,
    find_fleet,
    find_signature,
)

__all__ = ["prepare_mirrors", "take_spare"]

logger = logging.getLogger("django_mirrors.operations")

Config = Mapping[str, Any]

_PREFIX = "spare_"
_VENDOR = "postgresql"  # elsewhere a database is copied as fast as it is renamed
_STAND_IN = "spare"
_MOST = 1000


def take_spare(config: Config) -> bool:
    """Make the database of `config` of one that is ready; return whether one was.

    Several processes may come here at once: each takes another one.
    """
    backend = get_database_backend(config)
    if backend.vendor != _VENDOR or config.get("ROLE"):
        return False
    for name in _list_spares(config):
        if not name.startswith(_build_prefix()):
            continue  # made of other migrations
        try:
            backend.rename(backend.build_template_config(config, name), config)
        except OperationFailed as error:
            logger.info("Another process was faster: %s", error)
        else:
            return True
    return False


def prepare_mirrors(count: int) -> Report:
    """Have `count` databases ready beside those that DEFAULTS give to new mirrors.

    Those made of other migrations are removed. Raises `OperationFailed` if DEFAULTS
    name none, or one of an engine that gains nothing by it.
    """
    began = monotonic()
    if not 0 <= count <= _MOST:
        raise OperationFailed(
            f"{write_count(count, 'database')} cannot be kept ready. Give a number up "
            f"to {_MOST}."
        )
    config = _build_stand_in()
    backend = get_database_backend(config)
    if backend.vendor != _VENDOR or config.get("ROLE"):
        raise OperationFailed(
            "Databases are made ready on PostgreSQL only, and for schemas without a "
            "role: elsewhere a new mirror would be no faster. Leave the command out."
        )
    with hold_lock(_PREFIX, operation="Making databases ready") as lock:
        ready = [
            name for name in _list_spares(config) if name.startswith(_build_prefix())
        ]
        for name in {*_list_spares(config)} - {*ready[:count]}:
            backend.drop(backend.build_template_config(config, name))
        made = max(count - len(ready), 0)
        for _ in range(made):
            lock.renew()
            name = f"{_build_prefix()}{uuid4().hex[:8]}"
            spare = backend.build_template_config(config, name)
            create_from_template(spare, mirror=_stand_in())
    result = StepResult(
        mirror=_STAND_IN,
        outcome=DONE if made else SKIPPED,
        seconds=monotonic() - began,
        detail=f"{count} ready, {made} of them new",
    )
    return Report(operation="prepare", id=str(uuid4()), results=(result,))


def _list_spares(config: Config) -> list[str]:
    """Return the names of all spares of this fleet."""
    prefix = f"{_PREFIX}{find_fleet()}_"
    names = get_database_backend(config).list_templates(config)
    return [name for name in names if name.startswith(prefix)]


def _build_prefix() -> str:
    return f"{_PREFIX}{find_fleet()}_{find_signature()}_"


def _stand_in() -> Mirror:
    uid = build_uid(_STAND_IN)
    definition = fill_defaults(_STAND_IN, {}, get_conf().defaults, uid=uid)
    if "DATABASE" not in definition:
        raise OperationFailed(
            "MIRRORS_OPTIONS['DEFAULTS'] has no 'DATABASE', so that new mirrors have "
            "no usual place. Add one."
        )
    hosts = {"HOSTS": [f"{_STAND_IN}.invalid"]}
    return Mirror.from_mapping(_STAND_IN, {**definition, **hosts}, uid=uid)


def _build_stand_in() -> dict[str, Any]:
    databases: Any = connections.settings
    config: dict[str, Any] = databases.build_config(_stand_in())
    return config
