"""A fleet whose mirrors are made by the operations themselves."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connections

from django_mirrors import mirrors
from django_mirrors.mirror import ORIGINAL_NAME
from django_mirrors.operations.databases import get_database_backend
from tests.leftovers import make_token
from tests.operations.places import Places
from tests.plugins.services import get_mariadb_url, get_postgres_url


@pytest.fixture(scope="session")
def template_directory(tmp_path_factory) -> Path:
    """Return where the template is, which is the same for all tests."""
    return tmp_path_factory.mktemp("templates")


@pytest.fixture
def defaults(settings, tmp_path, db, template_directory):
    """Let new mirrors have a file and a directory under `tmp_path`."""
    (tmp_path / "databases").mkdir()
    (tmp_path / "databases" / ".templates").symlink_to(template_directory)
    settings.MIRRORS = {}
    settings.MIRRORS_OPTIONS = {
        "SNAPSHOT": None,
        "POLL_SECONDS": 0.01,
        "ARCHIVES": f"file://{tmp_path}/archives/",
        "ORIGINAL": {"HOSTS": ["original.example"]},
        "DEFAULTS": {
            "HOSTS": ["{name}.example"],
            "DATABASE": f"sqlite:///{tmp_path}/databases/{{name}}.sqlite3",
            "STORAGE": f"file://{tmp_path}/media/{{name}}/",
        },
    }
    yield tmp_path
    # Also those of mirrors that are gone, which another test may have again.
    for connection in connections.all(initialized_only=True):
        is_fixed = connection.is_static or connection.owner == ORIGINAL_NAME
        if not (is_fixed or connection.is_replica):
            connection.close()
            del connections[connection.alias]


@pytest.fixture
def database_of(defaults):
    """Return where a mirror's database is."""

    def find(name: str) -> Path:
        return defaults / "databases" / f"{name}.sqlite3"

    return find


@pytest.fixture
def places(defaults):
    """Return where databases of each kind can be, for this test."""
    made = Places(defaults)
    yield made
    made.remove()


@pytest.fixture
def warehouse(settings):
    """Return the models of an app with a field of every type, now installed."""
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "tests.warehouse"]
    from tests.warehouse import models

    return models


def has_extension(name: str) -> bool:
    """Whether the server of PostgreSQL has the files of an extension."""
    import psycopg

    sql = "SELECT 1 FROM pg_available_extensions WHERE name = %s"
    with psycopg.connect(get_postgres_url()) as connection:
        return connection.execute(sql, [name]).fetchone() is not None


@pytest.fixture
def crates(settings):
    """Return the models of an app with the fields of PostgreSQL, now installed."""
    if not has_extension("hstore"):
        pytest.skip("PostgreSQL: the extension hstore is not there to be created")
    settings.INSTALLED_APPS = [
        *settings.INSTALLED_APPS,
        "django.contrib.postgres",
        "tests.warehouse.postgresql",
    ]
    from tests.warehouse.postgresql import models

    return models


NAMES = ("books", "films", "music")


POSTGRESQL = [
    pytest.param("postgres", marks=pytest.mark.postgres),
    pytest.param("schema", marks=pytest.mark.postgres),
]
MARIADB = pytest.param("mariadb", marks=pytest.mark.mariadb)


@pytest.fixture(params=[*POSTGRESQL, MARIADB])
def server(request, defaults, settings) -> Iterator[str]:
    """Let new mirrors have a database on a server; remove what they leave there."""
    url = get_mariadb_url() if request.param == "mariadb" else get_postgres_url()
    token = make_token()
    base = url.rpartition("/")[0]
    options = {**settings.MIRRORS_OPTIONS}
    options["DEFAULTS"] = {
        **options["DEFAULTS"],
        "DATABASE": f"{base}/{token}_{{name}}",
    }
    if request.param == "schema":
        options["DEFAULTS"] |= {"DATABASE": url, "SCHEMA": f"{token}_{{name}}"}
    settings.MIRRORS_OPTIONS = options
    yield token
    for name in NAMES:
        connection = getattr(connections._connections, name, None)
        if connection is not None:
            connection.close()
    configs = [
        connections.settings.build_config(mirror)
        for mirror in mirrors.values()
        if mirror.alias == mirror.name
    ]
    for config in configs:
        get_database_backend(config).drop(config)
