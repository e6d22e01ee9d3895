"""Management commands act wholly in one mirror: the one they name, or the original."""

import json
import re
import shutil
import sqlite3
from contextlib import closing

import pytest

from tests.db.conftest import SOURCE, Project

DATABASES = ("original", "acme", "beta")
MORE_SETTINGS = """
from settings import *

INSTALLED_APPS = [*INSTALLED_APPS, "django.contrib.sessions"]
"""
CODE = (
    "from stock.models import Item; print(*Item.objects.values_list('name', flat=True))"
)
TYPED = "N3w-passw0rd\n" * 2
ROW = [{"model": "stock.item", "pk": 77, "fields": {"name": "loaded"}}]

# What a command is, whether it takes --database, what it is given, what it does.
COMMANDS = {
    "flush": (["flush", "--noinput"], True, "", "writes"),
    "loaddata": (["loaddata", "rows.json"], True, "", "writes"),
    "createsuperuser": (
        ["createsuperuser", "--noinput", "--username=joe", "--email=joe@x.example"],
        True, "", "writes",
    ),
    "changepassword": (["changepassword", "jane"], True, TYPED, "writes"),
    "clearsessions": (["clearsessions"], False, "", "writes"),
    "migrate": (["migrate", "stock", "0001"], True, "", "writes"),
    "dumpdata": (["dumpdata", "stock"], True, "", "shows"),
    "shell": (["shell", "-c", CODE], False, "", "shows"),
    "sqlflush": (["sqlflush"], True, "", "shows tables"),
    "inspectdb": (["inspectdb"], True, "", "shows tables"),
}  # fmt: skip
WHERE = {
    "--database": (["--database=acme"], {}, "acme"),
    "environment": ([], {"DJANGO_MIRROR": "acme"}, "acme"),
    "nothing": ([], {}, "original"),
}
CASES = [
    pytest.param(command, where, id=f"{command}, {where}")
    for command, (_, takes_database, *_) in COMMANDS.items()
    for where in WHERE
    if takes_database or where != "--database"
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A project whose databases have all tables, and rows that say whose they are."""
    directory = tmp_path_factory.mktemp("commands") / "project"
    shutil.copytree(SOURCE, directory)
    (directory / "more.py").write_text(MORE_SETTINGS)
    (directory / "rows.json").write_text(json.dumps(ROW))
    made = Project(directory, {"DJANGO_SETTINGS_MODULE": "more"})
    for name in ("acme", "beta"):
        (directory / f"{name}.sqlite3").touch()
    for name in ("default", "acme", "beta"):
        made.manage("migrate", f"--database={name}", "-v0")
    for name in DATABASES:
        mark(directory / f"{name}.sqlite3", name)
    return made


def mark(path, name):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE stock_item SET name = ?", [f"of-{name}"])
        connection.execute(f"CREATE TABLE only_{name} (id INTEGER PRIMARY KEY)")
        connection.execute(
            "INSERT INTO auth_user (username, password, email, first_name, last_name,"
            " is_staff, is_active, is_superuser, date_joined)"
            " VALUES ('jane', 'x', '', '', '', 0, 1, 0, '2026-01-01')"
        )
        connection.execute(
            "INSERT INTO django_session VALUES ('a', 'b', '2020-01-01 00:00:00')"
        )
        connection.commit()


@pytest.fixture
def project(prepared, tmp_path):
    directory = tmp_path / "project"
    shutil.copytree(prepared.directory, directory)
    return Project(directory, prepared.environment)


# Where the fleet is told which migrations a mirror has.
LEDGER = ("mirrorrecord", "migrationstate", "fleetversion", "sqlite_sequence")


def dump(project):
    """Return all that each database holds, but for what the fleet knows of mirrors."""
    found = {}
    for name in DATABASES:
        path = project.directory / f"{name}.sqlite3"
        with closing(sqlite3.connect(path)) as connection:
            found[name] = [
                line
                for line in connection.iterdump()
                if not any(table in line for table in LEDGER)
            ]
    return found


def find_named(text, pattern):
    return {*re.findall(pattern, text)}


@pytest.mark.parametrize(("command", "where"), CASES)
def test_a_command_touches_its_own_database_only(project, command, where):
    arguments, _, given, does = COMMANDS[command]
    more, variables, owner = WHERE[where]
    if command == "flush" and owner == "acme":
        # Refused there: another mirror has rows in its tables.
        more = [item.replace("acme", "beta") for item in more]
        variables = dict.fromkeys(variables, "beta")
        owner = "beta"
    if command == "createsuperuser":
        variables = {**variables, "DJANGO_SUPERUSER_PASSWORD": "N3w-passw0rd"}
    before = dump(project)

    said = project.manage(*arguments, *more, given=given, **variables).stdout

    after = dump(project)
    changed = {name for name in DATABASES if before[name] != after[name]}
    assert changed == ({owner} if does == "writes" else set())
    assert find_named(said, r"of-(\w+)") == ({owner} if does == "shows" else set())
    assert find_named(said.lower(), r"only_?(original|acme|beta)") <= {owner}


@pytest.mark.parametrize(
    "command", ["flush", "loaddata", "dumpdata", "createsuperuser"]
)
def test_a_command_for_an_unknown_mirror_touches_nothing(project, command):
    arguments = COMMANDS[command][0]
    before = dump(project)

    project.manage(*arguments, "--database=music", code=2)
    said = project.manage(*arguments, code=1, DJANGO_MIRROR="music").stderr

    assert "music" in said
    assert dump(project) == before


@pytest.mark.parametrize("name", ["acme", "beta"])
def test_mirror_run_acts_in_the_mirror_it_names(project, name):
    project.manage("migrate", "-v0")
    before = dump(project)

    project.manage("mirror_run", name, "--", "clearsessions")

    after = dump(project)
    changed = {item for item in ("acme", "beta") if before[item] != after[item]}
    assert changed == {name}
    assert [line for line in after["original"] if "django_session" in line] == [
        line for line in before["original"] if "django_session" in line
    ]


def test_a_thread_of_a_command_has_no_mirror(project):
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from stock.models import Item\n"
        "error = ThreadPoolExecutor(1).submit(Item.objects.count).exception()\n"
        "print(type(error).__name__)"
    )

    said = project.manage("shell", "-v0", "-c", code, DJANGO_MIRROR="acme").stdout

    assert said.strip() == "NoCurrentMirror"
