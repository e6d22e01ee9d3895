"""`django.db.connections` of a project with mirrors."""

import logging
from collections.abc import Iterator
from itertools import islice
from time import monotonic
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.utils import ConnectionHandler, load_backend
from django.utils.module_loading import import_string

from django_mirrors.conf import get_conf
from django_mirrors.context import find_current_mirror, is_entered
from django_mirrors.db.guard import Guarded
from django_mirrors.db.reaching import build_guarded
from django_mirrors.exceptions import InvalidMirror, MirrorUnavailable
from django_mirrors.mirror import ORIGINAL_NAME
from django_mirrors.registry import mirrors

__all__ = ["MirrorConnectionHandler", "find_current_alias"]

logger = logging.getLogger("django_mirrors.db")

# By alias: the config of a replica that failed, and until when it is not tried again.
_held: dict[str, tuple[dict[str, Any], float]] = {}
_HOLD_SECONDS = 5.0
# Evicted ones that a thread remembers: as objects they cost more than a request.
_MAX_PARKED = 256

# In the thread's store of connections beside the aliases, none of which begins so.
_OPEN = "-open"
_PARKED = "-parked"
_REPLICA = "-replica-"  # followed by the alias of the database
# Need PostgreSQL's driver, which other projects have not.
_WATCHED_ENGINE = "django_mirrors.db.silence.build_watched_engine"
_SCHEMA_ENGINE = "django_mirrors.db.schemas.build_schema_engine"


def find_current_alias() -> str:
    """Return the alias of the current mirror.

    Without one it is the original's, whose connection then refuses to be used: its
    features and its SQL are the project's, as Django wants them for an unused one.
    """
    mirror = find_current_mirror()
    return ORIGINAL_NAME if mirror is None else mirror.alias


class MirrorConnectionHandler(ConnectionHandler):
    """Connections by alias, where `default` is that of the current mirror.

    Connections to mirrors are opened on demand. A thread keeps at most
    `MAX_OPEN_CONNECTIONS` of them, not counting the original's, and closes the one used
    longest ago, but never one that is in a transaction, is being read from, or belongs
    to a mirror the thread is in.
    """

    settings: Any
    _connections: Any

    def __getitem__(self, alias: str) -> Any:
        if alias == DEFAULT_DB_ALIAS:
            mirror = find_current_mirror()
            alias = ORIGINAL_NAME if mirror is None else mirror.alias
        try:
            connection = getattr(self._connections, alias)
        except AttributeError:
            return self._make(alias)
        if connection.generation != self.settings.generation:
            return self._renew(alias, connection)
        return connection

    def __setitem__(self, alias: str, connection: Any) -> None:
        if alias == DEFAULT_DB_ALIAS:
            alias = find_current_alias()
        connection.generation = self.settings.generation
        super().__setitem__(alias, connection)
        self._get_open()[alias] = connection

    def __delitem__(self, alias: str) -> None:
        if alias == DEFAULT_DB_ALIAS:
            alias = find_current_alias()
        super().__delitem__(alias)
        self._get_open().pop(alias, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self.settings)

    def configure_settings(self, settings: Any) -> Any:
        """Return the project's databases. Raises `InvalidMirror` if they are plain."""
        databases = super().configure_settings(settings)
        if not hasattr(databases, "is_static"):
            raise InvalidMirror(
                "DATABASES is not what mirror_databases() returned. Write "
                "DATABASES = mirror_databases({...}) and change it in place."
            )
        return databases

    def all(self, initialized_only: bool = False) -> list[Any]:  # noqa: FBT001, FBT002 - Django's
        """Return the connections this thread has, or one for each alias to be seen."""
        if initialized_only:
            return list(self._get_open().values())
        return [self[alias] for alias in self]

    def create_connection(self, alias: str) -> Any:
        """Return a new, guarded connection object; nothing is connected to yet."""
        return self._build(self.settings[alias], alias)

    def _build(self, config: dict[str, Any], alias: str) -> Any:
        engine = load_backend(config["ENGINE"]).DatabaseWrapper
        if engine.vendor == "postgresql":
            engine = import_string(_WATCHED_ENGINE)(engine)
        if "SCHEMA" in config:
            engine = import_string(_SCHEMA_ENGINE)(engine)
        return build_guarded(engine)(config, alias)

    def _make(self, alias: str) -> Any:
        alias = str(alias)  # the owner's connection serves those that share it
        if alias not in self.settings:
            raise self.exception_class(f"The connection '{alias}' doesn't exist.")
        if alias != ORIGINAL_NAME and not self._is_fixed(alias):
            # A mirror that shares a database has the connection of the owner.
            owner = mirrors[alias].alias
            if owner != alias:
                return self[owner]
            self._evict()
        generation = self.settings.generation
        connection = self._unpark(alias) or self.create_connection(alias)
        self[alias] = connection
        # If the definition changed meanwhile, the next use finds out.
        connection.generation = generation
        return connection

    def find_replica(self, alias: str) -> Any:
        """Return the connection to the replica of a mirror's database, or None.

        None also if it does not answer, or is not marked as this mirror's.
        """
        config = self.settings.find_replica(alias)
        if config is None or self._is_held(alias, config):
            return None
        key = f"{_REPLICA}{alias}"
        connection = getattr(self._connections, key, None)
        if connection is None or connection.settings_dict is not config:
            if connection is not None and not _is_in_use(connection):
                connection.close()
            self._evict()
            connection = self._build(config, alias)
            connection.is_replica = True
            self[key] = connection
        try:
            connection.ensure_connection()
        except MirrorUnavailable as error:
            logger.warning("Mirror '%s' reads from its database: %s", alias, error)
            _held[alias] = config, monotonic() + _HOLD_SECONDS
            return None
        return connection

    def _is_held(self, alias: str, config: dict[str, Any]) -> bool:
        held, until = _held.get(alias, (None, 0.0))
        return held is config and monotonic() < until

    def _is_fixed(self, alias: str) -> bool:
        return bool(self.settings.is_static(alias) or self.settings.is_lent(alias))

    def _renew(self, alias: str, connection: Any) -> Any:
        if self.settings.get_current(alias) is connection.settings_dict:
            connection.generation = self.settings.generation
            return connection
        # The definition changed. What was begun ends on the connection it began on.
        if _is_in_use(connection):
            return connection
        connection.close()
        del self[alias]
        return self[alias]

    def _evict(self) -> None:
        of_mirrors = {
            alias: item
            for alias, item in self._get_open().items()
            if _is_of_mirror(item)
        }
        excess = len(of_mirrors) - get_conf().max_open_connections + 1
        if excess <= 0:
            return
        by_use = sorted(of_mirrors.items(), key=lambda item: item[1].used)
        idle = (item for item in by_use if _is_idle(item[1]))
        for alias, connection in islice(idle, excess):
            connection.close()
            del self[alias]
            self._park(alias, connection)

    def _park(self, alias: str, connection: Any) -> None:
        # Others lead to a server of their own: to connect takes longer than all else.
        if "SCHEMA" not in connection.settings_dict or connection.is_replica:
            return
        parked = self._get_store(_PARKED)
        parked[alias] = connection
        if len(parked) > _MAX_PARKED:
            del parked[next(iter(parked))]

    def _unpark(self, alias: str) -> Any:
        """Return the connection that was evicted, if it still leads to the mirror."""
        connection = self._get_store(_PARKED).pop(alias, None)
        if connection is None:
            return None
        is_current = self.settings.get_current(alias) is connection.settings_dict
        return connection if is_current else None

    def _get_open(self) -> dict[str, Any]:
        return self._get_store(_OPEN)

    def _get_store(self, name: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = getattr(self._connections, name)
        except AttributeError:
            found = {}
            setattr(self._connections, name, found)
        return found


def _is_of_mirror(connection: Any) -> bool:
    # A test may have put in an object of its own.
    if not isinstance(connection, Guarded):
        return False
    return not connection.is_static and connection.owner != ORIGINAL_NAME


def _is_in_use(connection: Any) -> bool:
    return not isinstance(connection, Guarded) or connection.is_in_use()


def _is_idle(connection: Guarded) -> bool:
    return not (connection.is_in_use() or is_entered(connection.owner))
