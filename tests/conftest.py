"""Fleets for tests: two mirrors that hold equal keys, and one that shares."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connections

from django_mirrors import use_mirror
from tests.leftovers import make_token

pytest_plugins = [
    "tests.plugins.services",
    "tests.plugins.report",
    "tests.plugins.figures",
    "tests.plugins.versions",
    "tests.plugins.leftovers",
]

POSTGRES_URL = os.environ.get(
    "TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/postgres"
)


# What migrations put into a database, and no test changes.
KEPT_TABLES = (
    "auth_permission", "django_content_type", "django_migrations", "django_site",
)  # fmt: skip


@dataclass(frozen=True)
class Engine:
    """How to make the database of a mirror quickly, from one that has all tables."""

    name: str
    directory: Path
    template: str
    idle: list[str] = field(default_factory=list)  # empty databases of a server
    dumped: list[str] = field(default_factory=list)  # the SQL that makes the template

    def build_url(self, database: str) -> str:
        if self.name == "sqlite":
            return f"sqlite:///{self.directory / database}.sqlite3"
        server = POSTGRES_URL.rpartition("/")[0]
        if self.name == "postgres-schema":
            database = self.template  # a database of the same name holds all schemas
        return f"{server}/{database}?options=-c%20synchronous_commit%3Doff"

    def define(self, database: str) -> dict[str, str]:
        """Return the keys of a definition that lead to the database."""
        schema = {"SCHEMA": database} if self.name == "postgres-schema" else {}
        return {"DATABASE": self.build_url(database), **schema}

    def create(self, database: str, *, template: str = "") -> None:
        if self.name == "postgres-schema":
            self.create_schema(database, template=template)
            return
        if self.name == "sqlite":
            path = self.directory / f"{database}.sqlite3"
            if template:
                shutil.copy(self.directory / f"{template}.sqlite3", path)
            else:
                path.touch()
            return
        suffix = f' TEMPLATE "{template}"' if template else ""
        run_on_server(f'CREATE DATABASE "{database}"{suffix}')

    def create_schema(self, schema: str, *, template: str) -> None:
        if schema == self.template:
            run_on_server(f'CREATE DATABASE "{schema}"')
        url = self.build_url(schema)
        if not template:
            run_on_server(f'CREATE SCHEMA "{schema}"', url)
            return
        if not self.dumped:
            dump = ["pg_dump", "--no-owner", f"--schema={template}", "--inserts", url]
            done = subprocess.run(dump, capture_output=True, check=True, text=True)
            self.dumped.append(
                "".join(
                    line for line in done.stdout.splitlines(True) if line[0] != "\\"
                )
            )
        run_on_server(self.dumped[0].replace(template, schema), url)

    def drop(self, database: str) -> None:
        if self.name == "postgres" or database == self.template:
            run_on_server(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def take(self) -> str:
        """Return the name of a database with all tables, none of which has rows."""
        if self.idle:
            return self.idle.pop()
        database = make_token()
        self.create(database, template=self.template)
        return database

    def give_back(self, database: str) -> None:
        """Empty a database for the next test, which is faster than to make one."""
        if self.name == "postgres":
            self.idle.append(database)
            run_on_server(EMPTY_DATABASE, self.build_url(database))
        if self.name == "postgres-schema":
            self.idle.append(database)
            emptied = EMPTY_DATABASE.replace("public", database)
            # Others of the database go on being used.
            emptied = emptied.replace(
                "pg_backend_pid()", "pg_backend_pid() AND state <> 'idle'"
            )
            run_on_server(emptied, self.build_url(database))


def run_on_server(statement: str, url: str = POSTGRES_URL) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


EMPTY_DATABASE = f"""
DO $$ DECLARE name text; BEGIN
    SET synchronous_commit = off;
    SET session_replication_role = replica;  -- no order of tables to keep
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
    FOR name IN SELECT tablename FROM pg_tables
        WHERE schemaname = 'public' AND tablename NOT IN {KEPT_TABLES}
    LOOP EXECUTE format('DELETE FROM %I.%I', 'public', name); END LOOP;
    FOR name IN SELECT sequencename FROM pg_sequences
        WHERE schemaname = 'public' AND left(sequencename, -7) NOT IN {KEPT_TABLES}
    LOOP EXECUTE format('ALTER SEQUENCE %I.%I RESTART', 'public', name); END LOOP;
END $$
"""


@pytest.fixture(scope="session")
def build_engine(tmp_path_factory, django_db_setup):
    """Return a function that gives an engine by name, with its template made once."""
    engines: dict[str, Engine] = {}

    def build(name: str) -> Engine:
        if name not in engines:
            engine = Engine(
                name, tmp_path_factory.mktemp(name), make_token("dm_template_")
            )
            engine.create(engine.template)
            engines[name] = engine
        return engines[name]

    yield build
    for engine in engines.values():
        for database in (engine.template, *engine.idle):
            engine.drop(database)


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgres", marks=pytest.mark.postgres),
        pytest.param("postgres-schema", marks=pytest.mark.postgres),
    ]
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
            **made.define(made.template),
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
    databases = {name: engine.take() for name in ("books", "films")}
    settings.MIRRORS = {
        **{
            name: {
                "HOSTS": [f"{name}.example", f"www.{name}.example"],
                **engine.define(database),
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
            connection = connections[name]
            connection.close()
            del connections[connection.alias]
    settings.MIRRORS = {}
    for database in databases.values():
        engine.give_back(database)
