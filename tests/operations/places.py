"""Places of every kind for the databases of mirrors, which are removed at the end."""

from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from django_mirrors import Mirror, mirrors
from django_mirrors.operations.databases import get_database_backend
from tests.leftovers import make_token
from tests.plugins.services import get_mariadb_url, get_postgres_url

__all__ = ["MARKS", "MODES", "PARAMETERS", "Places"]

MARKS = {
    "postgres": pytest.mark.postgres,
    "schema": pytest.mark.postgres,
    "mariadb": pytest.mark.mariadb,
}
MODES = ("sqlite", *MARKS)
PARAMETERS = [pytest.param(mode, marks=MARKS.get(mode, ())) for mode in MODES]


class Places:
    """Finds places, and removes what was made there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.token = make_token()
        self.made: list[dict[str, str]] = []

    def find(self, mode: str, name: str) -> tuple[dict[str, str], dict[str, str]]:
        """Return the keys of a definition, and the same for `move_mirror`."""
        name = f"{self.token}_{name}"
        if mode == "sqlite":
            found = {"DATABASE": f"sqlite:///{self.directory}/databases/{name}.sqlite3"}
        elif mode == "schema":
            found = {"DATABASE": get_postgres_url(), "SCHEMA": name}
        else:
            url = get_mariadb_url() if mode == "mariadb" else get_postgres_url()
            found = {"DATABASE": f"{url.rpartition('/')[0]}/{name}"}
        self.made.append(found)
        return found, {key.lower(): value for key, value in found.items()}

    def remove(self) -> None:
        """Remove what was made."""
        for name in list(mirrors):
            opened = getattr(connections._connections, name, None)
            if opened is not None:
                opened.close()
        for found in reversed(self.made):
            config = build_config(found)
            get_database_backend(config).drop(config)


def build_config(definition: dict[str, str]) -> dict[str, Any]:
    """Return the config of a database that a definition leads to."""
    mirror = Mirror.from_mapping("x", {"HOSTS": ["x.example"], **definition})
    config: dict[str, Any] = connections.settings.build_config(mirror)
    return config
