"""Fleets for tests: two mirrors that hold equal keys, and one that shares."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connections

from django_mirrors import use_mirror

pytest_plugins = ["tests.plugins.services", "tests.plugins.report"]

POSTGRES_URL = os.environ.get(
    "TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/postgres"
)


@dataclass(frozen=True)
class Engine:
    """How to make the database of a mirror quickly, from one that has all tables."""

    name: str
    directory: Path
    template: str

    def build_url(self, database: str) -> str:
        if self.name == "sqlite":
            return f"sqlite:///{self.directory / database}.sqlite3"
        return f"{POSTGRES_URL.rpartition('/')[0]}/{database}"

    def create(self, database: str, *, template: str = "") -> None:
        if self.name == "sqlite":
            path = self.directory / f"{database}.sqlite3"
            if template:
                shutil.copy(self.directory / f"{template}.sqlite3", path)
            else:
                path.touch()
            return
        suffix = f' TEMPLATE "{template}"' if template else ""
        run_on_server(f'CREATE DATABASE "{database}"{suffix}')

    def drop(self, database: str) -> None:
        if self.name == "postgres":
            run_on_server(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')


def run_on_server(statement: str) -> None:
    import psycopg

    with psycopg.connect(POSTGRES_URL, autocommit=True) as connection:
        connection.execute(statement)


@pytest.fixture(scope="session")
def build_engine(tmp_path_factory, django_db_setup):
    """Return a function that gives an engine by name, with its template made once."""
    engines: dict[str, Engine] = {}

    def build(name: str) -> Engine:
        if name not in engines:
            engine = Engine(
                name, tmp_path_factory.mktemp(name), f"dm_template_{uuid4().hex[:12]}"
            )
            engine.create(engine.template)
            engines[name] = engine
        return engines[name]

    yield build
    for engine in engines.values():
        engine.drop(engine.template)


@pytest.fixture(
    params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
)
def engine(request, build_engine, settings, db) -> Engine:
    """Each database engine in turn."""
    made = build_engine(request.param)
    migrate_template(made, settings)
    return made


_migrated: set[str] = set()


def migrate_template(made: Engine, settings) -> None:
    if made.template in _migrated:
        return
    settings.MIRRORS = {
        "template": {
            "HOSTS": ["template.example"],
            "DATABASE": made.build_url(made.template),
            "STATE": "active",
        }
    }
    with use_mirror("template"):
        call_command("migrate", verbosity=0)
    connections["template"].close()
    del connections["template"]
    _migrated.add(made.template)


@pytest.fixture
def fleet(engine, settings, tmp_path) -> Iterator[Engine]:
    """Serve mirrors `books` and `films`, each with a database and media of its own.

    `films-fr` shares the database and the media of `films`.
    """
    suffix = uuid4().hex[:12]
    databases = {name: f"dm_{name}_{suffix}" for name in ("books", "films")}
    for database in databases.values():
        engine.create(database, template=engine.template)
    settings.MIRRORS = {
        **{
            name: {
                "HOSTS": [f"{name}.example", f"www.{name}.example"],
                "DATABASE": engine.build_url(database),
                "STORAGE": f"file://{tmp_path / name}/",
                "STATE": "active",
            }
            for name, database in databases.items()
        },
        "films-fr": {
            "HOSTS": ["fr.films.example"],
            "SHARES": {"DATABASE": "films", "STORAGE": "films"},
            "STATE": "active",
        },
    }
    yield engine
    for name in databases:
        if connections.settings.get_current(name) is not None:
            connections[name].close()
            del connections[name]
    settings.MIRRORS = {}
    for database in databases.values():
        engine.drop(database)
