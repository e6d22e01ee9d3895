"""Databases of all four modes, made on real servers and removed after each test."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from django.db.utils import load_backend

from django_mirrors import Mirror
from django_mirrors.operations.databases import get_database_backend
from tests.leftovers import make_token
from tests.operations.databases import content
from tests.plugins.services import get_mariadb_url, get_postgres_url

MODES = ("sqlite", "postgresql", "schema", "mysql")
MARKS = {
    "postgresql": pytest.mark.postgres,
    "schema": pytest.mark.postgres,
    "mysql": pytest.mark.mariadb,
}
TOOLS = {
    "postgresql": ("pg_dump", "pg_restore", "psql"),
    "schema": ("pg_dump", "pg_restore", "psql"),
    "mysql": ("mysqldump", "mysql"),
}
PARAMETERS = [pytest.param(mode, marks=MARKS.get(mode, ())) for mode in MODES]


@dataclass(frozen=True)
class Server:
    """Where databases of one mode are made, each under a name of its own."""

    mode: str
    base: dict[str, Any]
    made: list[dict[str, Any]] = field(default_factory=list)

    @property
    def backend(self) -> Any:
        return get_database_backend(self.base)

    def config(self, name: str = "") -> dict[str, Any]:
        """Return the config of a database that is not there."""
        name = name or make_token()
        key = "SCHEMA" if self.mode == "schema" else "NAME"
        if self.mode == "sqlite":
            name = str(self.base["DIRECTORY"] / name)
        config = {**self.base, key: name}
        self.made.append(config)
        return config

    def template(self, name: str = "") -> dict[str, Any]:
        config = self.backend.build_template_config(
            self.base, name or f"t{uuid4().hex[:16]}"
        )
        self.made.append(config)
        return config

    def filled(self, config: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the config of a database with rows of every type."""
        config = config or self.config()
        self.backend.create(config)
        with self.connect(config) as connection:
            content.fill(connection)
        return config

    @contextmanager
    def connect(self, config: dict[str, Any]) -> Iterator[Any]:
        alias = f"test-{uuid4().hex}"
        connection = load_backend(config["ENGINE"]).DatabaseWrapper({**config}, alias)
        connections[alias] = connection  # for atomic() of the editor of tables
        try:
            if config.get("SCHEMA"):
                quoted = config["SCHEMA"].replace('"', '""')
                with connection.cursor() as cursor:
                    cursor.execute(f'SET search_path TO "{quoted}"')
            yield connection
        finally:
            connection.close()
            del connections[alias]

    def ask(self, config: dict[str, Any], sql: str) -> list[Any]:
        with self.connect(config) as connection:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall()) if cursor.description else []

    def remove(self) -> None:
        for config in self.made:
            self.backend.drop(config)
        self.made.clear()


def build_config(url: str) -> dict[str, Any]:
    mirror = Mirror.from_mapping("made", {"HOSTS": ["made.example"], "DATABASE": url})
    config: dict[str, Any] = connections.settings.build_config(mirror)
    return config


def build_server(mode: str, directory: Any, shared: str = "") -> Server:
    """Return a server; `shared` is the database that holds schemas."""
    if mode == "sqlite":
        base = {**build_config(f"sqlite:///{directory}/x"), "DIRECTORY": directory}
        base["NAME"] = str(directory / "base.sqlite3")
        return Server(mode, base)
    if mode == "mysql":
        return Server(mode, build_config(get_mariadb_url()))
    base = build_config(get_postgres_url())
    if mode == "schema":
        base |= {"NAME": shared, "SCHEMA": "base"}
    return Server(mode, base)


@pytest.fixture(scope="session")
def shared_database(django_db_setup, django_db_blocker) -> Iterator[str]:
    """The name of a PostgreSQL database that holds the schemas of tests."""
    config = {**build_config(get_postgres_url()), "NAME": make_token()}
    with django_db_blocker.unblock():
        get_database_backend(config).create(config)
    yield config["NAME"]
    with django_db_blocker.unblock():
        get_database_backend(config).drop(config)


@pytest.fixture
def make_server(tmp_path, request, db):
    """Return a function that gives the server of a mode."""
    made: list[Server] = []

    def make(mode: str) -> Server:
        for tool in TOOLS.get(mode, ()):
            if shutil.which(tool) is None:
                pytest.skip(f"{tool}: not found")
        shared = ""
        if mode == "schema":
            shared = request.getfixturevalue("shared_database")
        made.append(build_server(mode, tmp_path, shared))
        return made[-1]

    yield make
    for server in made:
        server.remove()


@pytest.fixture(params=PARAMETERS)
def server(request, make_server) -> Server:
    """Each mode in turn."""
    return make_server(request.param)
