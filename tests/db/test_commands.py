"""A management command acts wholly in the mirror that it names."""

import json

import pytest

WRITTEN = ["from the ORM", "in a transaction", "by a cursor", "by SQL"]
NAMES = "SELECT name FROM stock_item ORDER BY id"


def test_migrate_names_a_mirror(project):
    project.manage("migrate", "--database", "acme", "-v0")

    assert project.select("acme", NAMES) == WRITTEN
    assert project.list_tables("beta") == set()
    assert "stock_item" not in project.list_tables("original")
    assert "django_mirrors_marker" in project.list_tables("acme")
    assert "django_mirrors_mirrorrecord" not in project.list_tables("acme")


def test_migrate_in_the_mirror_of_the_environment(project):
    project.manage("migrate", "-v0", DJANGO_MIRROR="acme")

    assert project.select("acme", NAMES) == WRITTEN
    assert project.list_tables("beta") == set()
    assert "stock_item" not in project.list_tables("original")


def test_migrate_without_a_mirror_serves_the_original(project):
    project.manage("migrate", "-v0")

    assert project.select("original", NAMES) == WRITTEN
    assert "django_mirrors_mirrorrecord" in project.list_tables("original")
    assert project.list_tables("acme") == project.list_tables("beta") == set()


def test_migrate_backwards_in_a_mirror(project):
    project.manage("migrate", "-v0")
    project.manage("migrate", "--database=acme", "-v0")

    project.manage("migrate", "--database=acme", "-v0", "stock", "0001")

    assert project.select("acme", NAMES) == []
    assert project.select("original", NAMES) == WRITTEN


@pytest.fixture
def gamma(project):
    """Add a mirror that a rollout has had last; return what is written down of it."""
    project.manage("migrate", "-v0")
    project.manage(
        "mirror_add", "gamma", "--host=gamma.example", f"--storage=file://{project.directory}/gamma/",
        "--database=sqlite:///gamma.sqlite3",
    )  # fmt: skip
    project.manage("migrate", "--database=gamma", "-v0", "stock", "0001")
    project.manage("mirror_rollout", "gamma")

    def look():
        (found,) = json.loads(project.manage("mirror_status", "gamma", "--json").stdout)
        digests = "SELECT migrations FROM django_mirrors_mirrorrecord"
        (digest,) = project.select("original", digests)
        applied = (
            "SELECT applied FROM django_mirrors_migrationstate WHERE digest = '%s'"
        )
        (names,) = project.select("original", applied % digest)
        return found["rollout"], found["behind"], json.loads(names)

    return look


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (("migrate", "--database=gamma"), {}),
        (("migrate",), {"DJANGO_MIRROR": "gamma"}),
        (("mirror_run", "gamma", "--", "migrate"), {}),
    ],
)
def test_migrations_of_a_mirror_are_written_down(project, gamma, arguments, variables):
    rollout, behind, names = gamma()
    assert rollout
    assert behind == []
    assert "stock.0002_first_items" in names

    project.manage(*arguments, "stock", "0001", **variables)

    rollout, behind, names = gamma()
    assert rollout == ""
    assert behind == ["stock.0002_first_items"]
    assert "stock.0001_initial" in names
    assert "stock.0002_first_items" not in names


def test_mirror_that_shares_is_named(project):
    project.manage("migrate", "--database=acme-ch", "-v0")

    assert project.select("acme", NAMES) == WRITTEN


def test_showmigrations_of_a_mirror(project):
    project.manage("migrate", "--database=acme", "-v0", "stock", "0001")

    said = project.manage("showmigrations", "--database=acme", "stock").stdout

    assert "[X] 0001_initial" in said
    assert "[ ] 0002_first_items" in said


def test_dumpdata_loaddata_and_flush_of_a_mirror(project):
    for name in ("acme", "beta"):
        project.manage("migrate", f"--database={name}", "-v0")

    dumped = project.manage("dumpdata", "--database=beta", "stock").stdout
    rows = json.loads(dumped)
    rows[0]["fields"]["name"] = "loaded"
    (project.directory / "rows.json").write_text(json.dumps(rows))
    project.manage("flush", "--database=beta", "--noinput", "-v0")
    assert project.select("beta", NAMES) == []
    project.manage("loaddata", "--database=beta", "rows.json", "-v0")

    assert [row["fields"]["name"] for row in json.loads(dumped)] == WRITTEN
    assert project.select("beta", NAMES) == ["loaded", *WRITTEN[1:]]
    assert project.select("acme", NAMES) == WRITTEN


def test_createsuperuser_in_a_mirror(project):
    project.manage("migrate", "-v0")
    project.manage("migrate", "--database=acme", "-v0")

    project.manage(
        "createsuperuser", "--database=acme", "--noinput", "--username=jane",
        "--email=jane@acme.example", DJANGO_SUPERUSER_PASSWORD="secret",
    )  # fmt: skip

    assert project.select("acme", "SELECT username FROM auth_user") == ["jane"]
    assert project.select("original", "SELECT username FROM auth_user") == []


def test_shell_in_the_mirror_of_the_environment(project):
    code = "from django.db import connection; print(connection.alias)"

    said = project.manage("shell", "-v0", "-c", code, DJANGO_MIRROR="acme").stdout

    assert said.strip() == "acme"


def test_command_acts_in_its_own_thread_only(project):
    said = project.manage("where").stdout

    assert said == "here: original\nin a thread: NoCurrentMirror\n"


def test_default_means_the_mirror_of_the_environment(project):
    project.manage("migrate", "--database=default", "-v0", DJANGO_MIRROR="acme")

    assert project.select("acme", NAMES) == WRITTEN


def test_projects_own_database_is_named(project):
    project.manage("migrate", "--database=analytics", "-v0", "stock", "0001")

    assert "stock_item" in project.list_tables("analytics")
    assert project.list_tables("acme") == set()


def test_unknown_mirror_is_refused(project):
    said = project.manage("migrate", "--database=music", code=2).stderr

    assert "invalid choice: 'music'" in said
    assert "Traceback" not in said


def test_sqlite_file_of_a_mirror_is_not_made_by_a_command(project):
    (project.directory / "acme.sqlite3").unlink()

    said = project.manage("migrate", "--database=acme", code=1).stderr

    assert "The database of mirror 'acme' does not exist" in said
    assert not (project.directory / "acme.sqlite3").exists()


def test_check_and_makemigrations_open_no_mirror(project):
    project.manage("migrate", "-v0")
    (project.directory / "acme.sqlite3").unlink()

    project.manage("check")
    project.manage("makemigrations", "--check")


def test_view_imported_in_one_mirror_serves_the_other(project):
    for name in ("acme", "beta"):
        project.manage("migrate", f"--database={name}", "-v0")
    code = (
        "from django.conf import settings; from django.test import Client;"
        "print(*(Client().get('/', headers={'host': host}).json()['items'][0]"
        " for host in ('acme.example', 'beta.example', 'acme.example')), sep='|')"
    )

    said = project.manage("shell", "-v0", "-c", code).stdout

    assert said.strip() == "|".join([WRITTEN[0]] * 3)


@pytest.mark.parametrize("processes", ["1", "2"])
def test_tests_of_the_project_pass_unchanged(project, processes):
    said = project.manage("test", f"--parallel={processes}", "--noinput").stderr

    assert "Ran 11 tests" in said
    assert said.rstrip().splitlines()[-1].startswith(("OK", "Destroying"))
    assert project.list_tables("acme") == project.list_tables("beta") == set()


@pytest.mark.postgres
@pytest.mark.django_db
def test_migrate_names_a_mirror_on_postgresql(project, build_engine):
    engine = build_engine("postgres")
    database = f"{engine.template}_acme"
    engine.create(database)
    try:
        url = engine.build_url(database)
        project.manage("migrate", "--database=acme", "-v0", ACME_URL=url)
        dumped = project.manage("dumpdata", "--database=acme", "stock", ACME_URL=url)
    finally:
        engine.drop(database)

    assert [row["fields"]["name"] for row in json.loads(dumped.stdout)] == WRITTEN
    assert "stock_item" not in project.list_tables("original")
