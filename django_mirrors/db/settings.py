"""`settings.DATABASES` of a project with mirrors: aliases are made when asked for."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import Any, NamedTuple

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.utils import ConnectionHandler

from django_mirrors import _compat
from django_mirrors.conf import get_conf
from django_mirrors.db.connections import MirrorConnectionHandler
from django_mirrors.db.readonly import forbid_writing
from django_mirrors.dsn import build_database
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.mirror import ORIGINAL_NAME, Mirror, Schema
from django_mirrors.registry import mirrors

__all__ = ["MirrorDatabases", "mirror_databases"]

# Readers never wait for a writer, and two writers queue instead of failing at commit.
# https://docs.djangoproject.com/en/stable/ref/databases/#sqlite-notes
_SQLITE_OPTIONS: Mapping[str, Any] = {
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
}
# A server that is gone from the network is given up after some ten seconds, in the
# middle of a query too; one that works long on a query is not.
_LIVENESS: Mapping[str, int] = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
# What a mirror's database takes over from the original's unless it says otherwise.
_INHERITED = (
    "AUTOCOMMIT",
    "CONN_MAX_AGE",
    "CONN_HEALTH_CHECKS",
    "DISABLE_SERVER_SIDE_CURSORS",
    "TIME_ZONE",
)


class _Built(NamedTuple):
    definition: object  # what the mirror says
    config: dict[str, Any]  # what was made of it; Django and test tools write into it
    written: dict[str, Any]  # the same as it was made
    replica: dict[str, Any] | None


class MirrorDatabases(dict[str, dict[str, Any]]):
    """The project's own aliases, and on demand `original` and one for each mirror.

    Iterating, `items()` and `values()` show the project's aliases and those pinned by
    a command or a test, so that what loops over all databases does not open a fleet.
    An alias keeps one dictionary until its definition changes, since Django and test
    tools write into it.
    """

    def __init__(self, databases: Mapping[str, dict[str, Any]]) -> None:
        super().__init__(databases)
        self.generation = 0  # counts changes of the fleet
        self._pinned: dict[str, None] = {}
        self._built: dict[str, _Built] = {}
        self._lent: dict[str, dict[str, Any]] = {}
        # By the identity of a config, which is kept: its pools by alias.
        self._pools: dict[int, tuple[object, dict[str, Any]]] = {}

    def __missing__(self, alias: str) -> dict[str, Any]:
        if alias == ORIGINAL_NAME:
            return self[DEFAULT_DB_ALIAS]
        if alias in self._lent:
            return self._lent[alias]
        mirror = mirrors.get(alias)
        if mirror is None:
            raise KeyError(alias)
        if mirror.alias != alias:
            return self[mirror.alias]
        built = self._built.get(alias)
        if built is None or built.definition != _define(mirror):
            config = self.build_config(mirror)
            replica = self.build_replica_config(mirror)
            made = _Built(_define(mirror), config, deepcopy(config), replica)
            # Two threads may come here at once; all must get the same dictionary.
            built = self._replace(alias, built, made)
        return built.config

    def __contains__(self, alias: object) -> bool:
        return (
            super().__contains__(alias)
            or alias == ORIGINAL_NAME
            or alias in self._lent
            or alias in mirrors
        )

    def __iter__(self) -> Iterator[str]:
        return iter({**dict.fromkeys(super().__iter__()), **self._pinned})

    def __deepcopy__(self, memo: dict[int, Any]) -> "MirrorDatabases":
        # What was built holds definitions, which are views that cannot be copied.
        return MirrorDatabases(deepcopy({**self}, memo))

    def is_static(self, alias: str) -> bool:
        """Whether `alias` is the project's own, and no mirror's."""
        return super().__contains__(alias) and alias != DEFAULT_DB_ALIAS

    def get_current(self, alias: str) -> dict[str, Any] | None:
        """Return the dictionary of `alias`, or None if it is no longer in the fleet."""
        # Not get(), which does not ask __missing__().
        return self[alias] if alias in self else None  # noqa: SIM401

    def find_replica(self, alias: str) -> dict[str, Any] | None:
        """Return the dictionary of the replica of the database `alias`, or None."""
        if alias in self._lent or super().__contains__(alias):
            return None
        self[alias]  # which builds it anew if the definition changed
        built = self._built.get(alias)
        return None if built is None else built.replica

    def is_lent(self, alias: str) -> bool:
        """Whether `alias` leads to a database that an operation lent to it."""
        return alias in self._lent

    @contextmanager
    def lend(self, alias: str, config: dict[str, Any]) -> Iterator[None]:
        """Let `alias` lead to the database of `config` for a block, in this process.

        For a database that is being made: of a mirror that nobody uses yet, or of none.
        """
        _forget_connection(alias)
        self._lent[alias] = config
        try:
            yield
        finally:
            _forget_connection(alias)
            del self._lent[alias]
            self._close_pools(config)
            self.generation += 1

    def pin(self, alias: str) -> None:
        """Let `alias` be seen by what iterates over all databases."""
        self._pinned[alias] = None

    def forget_changed(self, names: Iterable[str]) -> None:
        """Drop what was built of definitions that changed."""
        for name in names:
            built = self._built.get(name)
            if built is not None and built.definition != _find_definition(name):
                self._built.pop(name, None)
                self._close_pools(built.config)
        # Even if nothing was built: a thread may be building of the old one now.
        self.generation += 1

    def _replace(self, alias: str, old: _Built | None, new: _Built) -> _Built:
        if old is None:
            return self._built.setdefault(alias, new)
        self._built[alias] = new
        self._close_pools(old.config)
        self.generation += 1
        return new

    def find_pools(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return where Django keeps its own pools of the database of `config`."""
        # Django keeps one for an alias, for ever, and where it leads to changes here.
        return self._pools.setdefault(id(config), (config, {}))[1]

    def _close_pools(self, config: dict[str, Any]) -> None:
        """Close the pools of `config`; what was taken from them is closed after use."""
        _, pools = self._pools.pop(id(config), (None, {}))
        for pool in list(pools.values()):
            pool.close(timeout=0)  # its threads are not waited for

    def read_again(self, alias: str) -> bool:
        """Take over what a definition refers to; return whether something changed.

        A variable or the file of a secret may have changed, and the definition not.
        """
        if alias == ORIGINAL_NAME:
            # Asking the fleet would connect to this very database again.
            return False
        built, mirror = self._built.get(alias), mirrors.get(alias)
        if built is None or mirror is None or _define(mirror) != built.definition:
            return False
        config = self.build_config(mirror)
        if config == built.written:
            return False
        built.config.update(config)
        self._close_pools(built.config)
        self._built[alias] = built._replace(
            written=deepcopy(config), replica=self.build_replica_config(mirror)
        )
        return True

    def build_replica_config(self, mirror: Mirror) -> dict[str, Any] | None:
        """Return a new dictionary for the replica of `mirror`, or None if it has none.

        Raises `InvalidMirror` if it is not of the engine of the database.
        """
        if mirror.replica is None:
            return None
        own = replace(mirror, database=mirror.replica, is_read_only=False)
        config = self.build_config(own)
        if config["ENGINE"] != self.build_config(mirror)["ENGINE"]:
            raise InvalidMirror(
                f"The REPLICA of mirror '{mirror}' is of another engine than its "
                "DATABASE. Name a copy that the database itself keeps up to date."
            )
        forbid_writing(config)
        return config

    def build_config(self, mirror: Mirror) -> dict[str, Any]:
        """Return a new dictionary for the database of `mirror`; nothing is kept."""
        place = f"The DATABASE of mirror '{mirror}'"
        if mirror.database is None:
            raise InvalidMirror(
                f"Mirror '{mirror}' has no database. Add 'DATABASE' to its definition, "
                "or to MIRRORS_OPTIONS['DEFAULTS']."
            )
        conf = get_conf()
        config = build_database(mirror.database, directory=conf.directory, place=place)
        original = self[DEFAULT_DB_ALIAS]
        for key in _INHERITED:
            if key in original:
                config.setdefault(key, original[key])
        add_options(config)
        if mirror.schema is not None:
            _add_schema(config, mirror.schema, place=place)
        if mirror.is_read_only:
            forbid_writing(config)
        _bound_waiting(config, conf.connect_timeout)
        # Django's own rules fill in the rest.
        filled: dict[str, dict[str, Any]] = ConnectionHandler(
            {DEFAULT_DB_ALIAS: config}
        ).settings
        return filled[DEFAULT_DB_ALIAS]


def mirror_databases(databases: Mapping[str, Mapping[str, Any]]) -> MirrorDatabases:
    """Return the value for `DATABASES`, from a dictionary as Django documents it.

    `default` is the original's database, also known as `original`; while a mirror is
    current, `default` means that mirror's. From now on `django.db.connections` follows
    the current mirror. Raises `InvalidMirror` if there is no `default`.
    """
    if DEFAULT_DB_ALIAS not in databases:
        raise InvalidMirror(
            "mirror_databases() got no 'default'. Add the original's database to it."
        )
    if ORIGINAL_NAME in databases:
        raise InvalidMirror(
            f"mirror_databases() got the alias '{ORIGINAL_NAME}', which is another "
            "name of 'default' here. Give that database another alias."
        )
    copied = {alias: dict(config) for alias, config in databases.items()}
    add_options(copied[DEFAULT_DB_ALIAS])
    _compat.replace_connection_handler(connections, MirrorConnectionHandler)
    return MirrorDatabases(copied)


def add_options(config: dict[str, Any]) -> None:
    """Add what SQLite needs to serve several processes, unless the project chose."""
    options = config["OPTIONS"] = dict(config.get("OPTIONS") or {})
    if str(config.get("ENGINE", "")).endswith("sqlite3"):
        for key, value in _SQLITE_OPTIONS.items():
            options.setdefault(key, value)


def forget_changed_databases(*, mirrors: Iterable[str], **_: object) -> None:
    """Let changed databases be connected to anew. A receiver of `fleet_changed`."""
    databases = connections.settings
    if isinstance(databases, MirrorDatabases):
        databases.forget_changed(mirrors)


def _forget_connection(alias: str) -> None:
    """Close what this thread has open by `alias`, and connect anew at the next use."""
    for connection in connections.all(initialized_only=True):
        if connection.alias == alias:
            connection.close()
            del connections[alias]


def _bound_waiting(config: dict[str, Any], seconds: int) -> None:
    """Let nobody wait for ever for a server, unless the definition says so."""
    engine, options = config["ENGINE"], config["OPTIONS"]
    if "postg" in engine or "mysql" in engine:
        options.setdefault("connect_timeout", seconds)
    if "postg" in engine:
        for key, value in _LIVENESS.items():
            options.setdefault(key, value)
    pool = options.get("pool")
    if pool:
        # Django's own would let a request wait for half a minute.
        options["pool"] = {"timeout": seconds, **({} if pool is True else pool)}


def _find_definition(name: str) -> object:
    mirror = mirrors.get(name)
    return None if mirror is None else _define(mirror)


def _define(mirror: Mirror) -> object:
    """Return all of a definition that a configuration is built of."""
    return mirror.database, mirror.schema, mirror.replica, mirror.is_read_only


def _add_schema(config: dict[str, Any], schema: Schema, *, place: str) -> None:
    """Add the schema of a mirror to the database that holds it.

    Raises `InvalidMirror` where there can be none.
    """
    if "postg" not in config["ENGINE"]:
        raise InvalidMirror(
            f"{place} is not of PostgreSQL, and the mirror has a 'SCHEMA'. Write "
            "'postgres://...', or remove 'SCHEMA'."
        )
    if config["OPTIONS"].pop("pool", None):
        raise InvalidMirror(
            f"{place} has the option 'pool', and the mirror has a 'SCHEMA'. Set "
            "MIRRORS_OPTIONS['POOL'], which is for all mirrors of the database."
        )
    # The pool keeps connections, and looks whether they still work.
    config |= {"SCHEMA": schema.name, "CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": False}
    if schema.role:
        config["ROLE"] = schema.role
