"""A pinned process refuses a database of the environment that is another's."""

import sqlite3
from contextlib import closing

import pytest

from django_mirrors.mirror import build_uid

REFUSED = (
    "MirrorUnavailable: The database of mirror 'acme', which DATABASE_URL names, is "
    "that of {}. Correct the variable, or remove it to use the database of the "
    "mirror's definition.\n"
)
TABLES = "SELECT name FROM sqlite_master WHERE name = 'stock_item'"


@pytest.fixture
def run(project):
    """Return a function that runs SQL in a database of the project."""

    def run(database: str, statement: str, *values: str) -> None:
        path = project.directory / f"{database}.sqlite3"
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(statement, values)

    return run


def mark(run, database: str, mirror: str) -> None:
    run(
        database,
        "CREATE TABLE django_mirrors_marker (uid char(32) PRIMARY KEY, name TEXT)",
    )
    uid = build_uid(mirror).hex
    run(database, "INSERT INTO django_mirrors_marker VALUES (?, ?)", uid, mirror)


def test_database_of_another_mirror_is_refused(project, run):
    mark(run, "beta", "beta")

    done = project.manage(
        "migrate",
        code=1,
        DJANGO_MIRROR="acme",
        DATABASE_URL="sqlite:///beta.sqlite3",
    )

    assert done.stderr == REFUSED.format("another mirror")
    assert project.select("beta", TABLES) == []


def test_database_of_the_original_is_refused(project, run):
    run("original", "CREATE TABLE django_mirrors_mirrorrecord (name TEXT)")
    run("original", "INSERT INTO django_mirrors_mirrorrecord VALUES (?)", "acme")

    done = project.manage(
        "migrate",
        code=1,
        DJANGO_MIRROR="acme",
        DATABASE_URL="sqlite:///original.sqlite3",
    )

    assert done.stderr == REFUSED.format("the original")
    assert project.select("original", TABLES) == []


def test_database_of_the_mirror_itself_is_used(project, run):
    (project.directory / "other.sqlite3").touch()
    mark(run, "other", "acme")

    project.manage(
        "migrate",
        "stock",
        "-v0",
        DJANGO_MIRROR="acme",
        DATABASE_URL="sqlite:///other.sqlite3",
    )

    assert project.select("other", TABLES) == ["stock_item"]


@pytest.mark.parametrize("table", ["django_mirrors_mirrorrecord", "precious"])
def test_database_that_tells_nothing_is_used(project, run, table):
    (project.directory / "other.sqlite3").touch()
    run("other", f"CREATE TABLE {table} (name TEXT)")

    project.manage(
        "migrate",
        "stock",
        "-v0",
        DJANGO_MIRROR="acme",
        DATABASE_URL="sqlite:///other.sqlite3",
    )

    assert project.select("other", TABLES) == ["stock_item"]


def test_database_of_the_definition_is_not_asked(project, run):
    mark(run, "acme", "beta")

    project.manage("migrate", "stock", "-v0", DJANGO_MIRROR="acme")

    assert project.select("acme", TABLES) == ["stock_item"]
