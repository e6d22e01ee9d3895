"""What runs of tests leave on servers is removed, however they end."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests import leftovers
from tests.conftest import run_on_server
from tests.leftovers import claim, make_token, remove_left
from tests.plugins import services
from tests.plugins.services import get_mariadb_url, get_postgres_url

ROOT = Path(__file__).parents[1]
FAIL = "assert False"
END = "os.kill(os.getpid(), signal.SIGTERM); time.sleep(20)"
RUN = """
import os
import signal
import time
from pathlib import Path

import psycopg

from tests.leftovers import make_token
from tests.plugins.services import get_postgres_url


def test_that_leaves_a_database():
    token = make_token("dm_left_")
    Path("token").write_text(token)
    with psycopg.connect(get_postgres_url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {{token}}_books")
    {end}
"""


@pytest.fixture(autouse=True)
def words(monkeypatch):
    """Claim nothing, so that these tests remove nothing of others."""
    monkeypatch.setattr(leftovers, "_words", set())


def list_databases():
    import psycopg

    with psycopg.connect(get_postgres_url()) as connection:
        return {
            name for (name,) in connection.execute("SELECT datname FROM pg_database")
        }


def run(directory, end, *options):
    """Run a test that leaves a database and ends so; return its token and output."""
    (directory / "test_left.py").write_text(RUN.format(end=end))
    (directory / "pytest.ini").touch()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.plugins.leftovers", *options],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return (directory / "token").read_text(), done.stdout + done.stderr


@pytest.mark.postgres
@pytest.mark.parametrize("end", [FAIL, END], ids=["fails", "ended"])
def test_database_that_a_test_left_is_removed(tmp_path, end):
    token, said = run(tmp_path, end)

    assert f"Left by tests, and removed: {token}_books" in said
    assert f"{token}_books" not in list_databases()


@pytest.mark.postgres
def test_database_that_a_test_of_a_worker_left_is_removed(tmp_path):
    token, said = run(tmp_path, FAIL, "-n", "1")

    assert "1 failed" in said
    assert f"{token}_books" not in list_databases()


@pytest.mark.postgres
def test_database_and_schema_are_removed_and_those_of_others_are_not():
    own, other = make_token(), f"{make_token()}other"
    leftovers._words.discard(other.removesuffix("other"))
    run_on_server(f'CREATE DATABASE "{own} x"')
    run_on_server(f'CREATE SCHEMA "{own}_books"')
    run_on_server(f"CREATE DATABASE {other}")

    removed = remove_left()

    assert removed == [f"{own} x", f"{own}_books"]
    assert other in list_databases()
    claim(other)
    assert remove_left() == [other]


@pytest.mark.mariadb
def test_database_on_mariadb_is_removed():
    import MySQLdb
    from dj_database_url import parse

    own, config = make_token(), parse(get_mariadb_url())
    with closing(
        MySQLdb.connect(
            host=config["HOST"],
            port=config["PORT"],
            user=config["USER"],
            password=config["PASSWORD"],
        )
    ) as connection:
        connection.cursor().execute(f"CREATE DATABASE `{own} ``x`")

    assert remove_left() == [f"{own} `x"]
    assert remove_left() == []


def test_no_server_is_asked_by_who_made_nothing(monkeypatch):
    monkeypatch.setattr(services, "find_postgres_problem", None)

    assert remove_left() == []
