"""A fleet whose mirrors are made by the operations themselves."""

from pathlib import Path

import pytest
from django.db import connections

from django_mirrors import mirrors


@pytest.fixture
def defaults(settings, tmp_path, db):
    """Let new mirrors have a file and a directory under `tmp_path`."""
    settings.MIRRORS = {}
    settings.MIRRORS_OPTIONS = {
        "SNAPSHOT": None,
        "ORIGINAL": {"HOSTS": ["original.example"]},
        "DEFAULTS": {
            "HOSTS": ["{name}.example"],
            "DATABASE": f"sqlite:///{tmp_path}/databases/{{name}}.sqlite3",
            "STORAGE": f"file://{tmp_path}/media/{{name}}/",
        },
    }
    yield tmp_path
    for name in list(mirrors):
        if hasattr(connections._connections, name):
            connections[name].close()
            del connections[name]


@pytest.fixture
def database_of(defaults):
    """Return where a mirror's database is."""

    def find(name: str) -> Path:
        return defaults / "databases" / f"{name}.sqlite3"

    return find
