"""Mirrors whose databases stand alike: their path is worked out once."""

from collections import OrderedDict
from functools import lru_cache
from threading import Lock
from typing import Any

from django.db import router

from django_mirrors.conf import find_setting
from django_mirrors.db.router import MirrorRouter
from django_mirrors.mirror import ORIGINAL_NAME
from django_mirrors.operations.rollout.changes import Key, Path, Target
from django_mirrors.operations.rollout.paths import build_path

__all__ = ["Groups", "get_groups"]

# Fleets have few; each holds the states of all models between its migrations.
_MAX_GROUPS = 32


@lru_cache(maxsize=1)
def get_groups(rollout: str, targets: tuple[Target, ...], *, is_fake: bool) -> "Groups":
    """Return the groups of the rollout that this process works for."""
    return Groups(targets, is_fake=is_fake)


class Groups:
    """The paths that were worked out, by where they begin."""

    def __init__(self, targets: tuple[Target, ...], *, is_fake: bool) -> None:
        self._targets = targets
        self._is_fake = is_fake
        self._paths: OrderedDict[object, Path] = OrderedDict()
        self._lock = Lock()

    def get(self, connection: Any, applied: frozenset[Key]) -> Path:
        """Return the path from `applied`, in databases like that of `connection`."""
        key = applied, _find_dialect(connection)
        with self._lock:
            path = self._paths.get(key)
            if path is None:
                path = build_path(
                    connection, applied, self._targets, is_fake=self._is_fake
                )
                self._paths[key] = path
            self._paths.move_to_end(key)
            if len(self._paths) > _MAX_GROUPS:
                self._paths.popitem(last=False)
            return path


def _find_dialect(connection: Any) -> object:
    """Return what decides how SQL is written for the database, and which."""
    if not all(type(item) is MirrorRouter for item in router.routers):
        # Another router may allow other models in each of them.
        return str(connection.alias)
    # The original has tables that no mirror has. A date without a time zone means one
    # moment here and another there.
    place = (
        connection.vendor,
        connection.alias == ORIGINAL_NAME,
        str(connection.timezone),
        find_setting("TIME_ZONE"),
    )
    if connection.vendor == "postgresql":
        return *place, connection.pg_version
    if connection.vendor == "mysql":
        return *place, connection.mysql_is_mariadb, connection.mysql_version
    return place
