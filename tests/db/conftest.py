"""A project that knows nothing of mirrors but its settings, run as its own process."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = Path(__file__).parent / "project"


@dataclass(frozen=True)
class Project:
    """A copy of `tests/db/project`, with SQLite files of its own."""

    directory: Path
    environment: dict[str, str] = field(default_factory=dict)

    def manage(
        self, *arguments: str, code: int = 0, given: str = "", **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run `manage.py` and return what it said; fail if it exits otherwise."""
        foreign = {"DJANGO_MIRROR", "DATABASE_URL", "DJANGO_SETTINGS_MODULE"}
        kept = {key: item for key, item in os.environ.items() if key not in foreign}
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=self.directory,
            env={**kept, "PYTHONPATH": str(ROOT), **self.environment, **variables},
            input=given,
            start_new_session=True,  # no terminal, so that a password is read here
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def select(self, database: str, sql: str) -> list[Any]:
        path = self.directory / f"{database}.sqlite3"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return [row[0] for row in connection.execute(sql)]

    def list_tables(self, database: str) -> set[str]:
        return set(self.select(database, "SELECT name FROM sqlite_master"))


@pytest.fixture
def project(tmp_path) -> Iterator[Project]:
    """Two mirrors without tables, `acme` and `beta`, and `acme-ch`, which shares."""
    directory = tmp_path / "project"
    shutil.copytree(SOURCE, directory)
    for name in ("acme", "beta"):
        (directory / f"{name}.sqlite3").touch()
    return Project(directory)
