"""What an operator types, reads and gets as exit code."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from io import StringIO

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import connections

from django_mirrors import mirrors, use_mirror
from django_mirrors.management.commands import mirror_add
from tests.bookshop.models import Book
from tests.docs.code import find_commands

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, stderr=out)
    return out.getvalue()


def fail(*arguments: str) -> CommandError:
    with pytest.raises(CommandError) as caught:
        run(*arguments)
    return caught.value


@pytest.fixture
def two(defaults):
    run("mirror_add", "books", "--label", "tier=gold")
    run("mirror_add", "films", "--label", "tier=silver")


def test_add_prints_its_steps_and_the_outcome(defaults):
    text = run("mirror_add", "books")

    assert "[2/4] make the database" in text
    assert text.splitlines()[-1].split()[:2] == ["books", "done"]


def test_add_as_json_is_a_report(defaults):
    report = json.loads(run("mirror_add", "books", "--json"))

    assert report["operation"] == "add"
    assert (report["done"], report["failed"], report["skipped"]) == (1, 0, 0)
    assert report["results"][0].keys() >= {"mirror", "outcome", "error", "seconds"}


def test_add_takes_the_whole_definition(defaults, tmp_path):
    run(
        "mirror_add", "music", "--host", "music.example", "--host", "www.music.example",
        "--database", f"sqlite:///{tmp_path}/m.sqlite3",
        "--storage", f"file://{tmp_path}/m/",
        "--label", "tier=gold", "--set", "SHOP_SIZE=3", "--title", "Music",
        "--mail", "memory://", "--theme", "vinyl",
    )  # fmt: skip

    mirror = mirrors["music"]
    assert mirror.hosts == ("music.example", "www.music.example")
    assert mirror.display_name == "Music"
    assert mirror.labels == {"tier": "gold"}
    assert mirror.settings == {"SHOP_SIZE": 3}
    assert (mirror.mail, mirror.theme) == ("memory://", "vinyl")


@pytest.mark.parametrize(
    ("options", "schema"),
    [
        ((), {}),
        (("--schema", "music"), {"SCHEMA": "music"}),
        (
            ("--schema", "music", "--role", "app"),
            {"SCHEMA": {"NAME": "music", "ROLE": "app"}},
        ),
    ],
)
def test_add_takes_a_schema_and_its_role(options, schema):
    parser = mirror_add.Command().create_parser("manage.py", "mirror_add")
    given = parser.parse_args(["music", *options])

    assert mirror_add.build_definition(vars(given)) == schema


def test_role_without_a_schema_is_bad_usage(defaults):
    error = fail("mirror_add", "music", "--role", "app")

    assert error.returncode == 2
    assert str(error) == "--role was given without --schema. Add --schema NAME."


def test_schema_of_another_mirror_is_refused(defaults, settings):
    database = "postgres://app@db.example/shop"
    settings.MIRRORS = {
        "books": {"HOSTS": ["books.example"], "DATABASE": database, "SCHEMA": "shop"}
    }

    error = fail("mirror_add", "music", "--database", database, "--schema", "shop")

    assert "the DATABASE of mirror 'music' and that of 'books' are the same" in str(
        error
    )


def test_show_tells_the_schema(defaults, settings):
    settings.MIRRORS = {
        "music": {
            "HOSTS": ["music.example"],
            "DATABASE": "postgres://app@db.example/shop",
            "SCHEMA": {"NAME": "own", "ROLE": "app"},
        }
    }

    shown = json.loads(run("mirror_show", "music", "--json"))

    assert (shown["schema"], shown["role"]) == ("own", "app")


def test_dry_run_makes_nothing(defaults, database_of):
    text = run("mirror_add", "books", "--dry-run")

    assert "Nothing is changed" in text
    assert not database_of("books").exists()
    assert "books" not in mirrors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mirror_add", "Books"), "is not a mirror's name"),
        (("mirror_add", "default"), "'default' is reserved"),
        (("mirror_add", "books", "--host", "a b"), "Host 'a b' is not valid"),
        (("mirror_add", "books", "--host", "a:80"), "has a port"),
        (
            ("mirror_add", "books", "--database", "nosuch://x"),
            "unknown scheme 'nosuch'",
        ),
        (("mirror_add", "books", "--storage", "ftp://x"), "unknown scheme 'ftp'"),
        (("mirror_add", "books", "--mail", "ftp://u:pw@x"), "unknown scheme 'ftp'"),
        (("mirror_add", "books", "--theme", "../x"), "is not the name of a theme"),
        (("mirror_add", "books", "--share", "DATABASE=nobody"), "does not exist"),
        (("mirror_add", "books", "--share", "WHAT=films"), "unknown service 'WHAT'"),
        (("mirror_add", "books", "--set", "SECRET_KEY=x"), "cannot vary by mirror"),
        (("mirror_add", "books", "--set", "lower=x"), "is not a setting"),
        (
            ("mirror_add", "books", "--set", "TIME_ZONE=Mars/Phobos"),
            "'TIME_ZONE' is 'Mars/Phobos'. Write the name of a time zone",
        ),
        (
            ("mirror_add", "books", "--database", "postgres://u:pw@127.0.0.1:1/x"),
            "at '127.0.0.1' refused",
        ),
    ],
)
def test_wrong_input_is_explained_and_changes_nothing(defaults, arguments, message):
    error = fail(*arguments)

    assert message in str(error)
    assert "pw@" not in str(error)
    assert not list(mirrors)


@pytest.mark.parametrize(
    "arguments",
    [
        ("mirror_check",),
        ("mirror_rollout",),
        ("mirror_run", "--", "check"),
        ("mirror_run", "books"),
        ("mirror_check", "--label", "tier=none"),
        ("mirror_check", "nobody"),
        ("mirror_check", "books", "--all"),
        ("mirror_check", "--all", "--exclude", "nobody"),
        ("mirror_show", "nobody"),
        ("mirror_change", "books"),
    ],
)
def test_wrong_usage_ends_with_2(two, arguments):
    assert fail(*arguments).returncode == 2


def test_list_shows_every_mirror(two):
    lines = run("mirror_list").splitlines()

    assert lines[0].split() == ["NAME", "STATE", "HOSTS", "SHARES", "LABELS", "SOURCE"]
    assert [line.split()[0] for line in lines[1:]] == ["books", "films"]


def test_list_as_json_is_an_array(two):
    shown = json.loads(run("mirror_list", "--json", "--label", "tier=gold"))

    assert [item["name"] for item in shown] == ["books"]
    assert shown[0].keys() == {
        "name", "display_name", "uid", "state", "hosts", "labels", "release", "shares",
        "source",
    }  # fmt: skip


def test_empty_fleet_is_listed_as_an_empty_array(defaults):
    assert json.loads(run("mirror_list", "--json")) == []


def test_show_hides_secrets(settings, defaults):
    settings.MIRRORS = {
        "music": {
            "HOSTS": ["music.example"],
            "DATABASE": "postgres://app:hunter2@db/music",
            "STORAGE": "s3://key:hunter2@bucket/music/",
            "MAIL": "smtp://app:hunter2@mail.example/",
            "SETTINGS": {"SHOP_API_KEY": "hunter2"},
            "BILLING": {"SECRET": "hunter2", "ACCOUNT": "cus_1"},
        }
    }

    text = run("mirror_show", "music") + run("mirror_show", "music", "--json")

    assert "hunter2" not in text
    assert "postgres://app:********@db/music" in text
    assert "smtp://app:********@mail.example/" in text
    assert "cus_1" in text


def test_run_runs_a_command_in_each_mirror(two):
    text = run("mirror_run", "--all", "--", "showmigrations", "sessions")

    assert text.count("[X] 0001_initial") == 2
    assert "== books" in text


def test_run_passes_a_failure_on(two):
    error = fail("mirror_run", "--all", "--", "loaddata", "nosuch")

    assert "2 of 2 mirrors failed: books, films" in str(error)


def test_run_acts_on_the_mirror_only(two):
    with use_mirror("books"):
        Book.objects.create(title="Emma")

    run("mirror_run", "films", "--", "flush", "--no-input")

    with use_mirror("books"):
        assert Book.objects.count() == 1


def test_run_shows_what_a_command_prints_under_its_mirror(two, capsys):
    script = "from django.db import connection; print('in', connection.alias)"

    text = run("mirror_run", "--all", "--", "shell", "-v0", "-c", script)

    assert text.startswith("== books\nin books\n== films\nin films\nMIRROR")
    assert capsys.readouterr().out == ""


def test_run_as_json_is_a_report_whatever_a_command_prints(two, capsys):
    script = "import sys; print('1'); sys.stdout.write('2')"

    text = run("mirror_run", "books", "--json", "--", "shell", "-v0", "-c", script)

    assert json.loads(text)["done"] == 1
    assert capsys.readouterr().out == ""


def test_line_that_a_command_leaves_open_is_ended(two):
    script = "import sys; sys.stdout.write('2')"

    text = run("mirror_run", "--all", "--", "shell", "-v0", "-c", script)

    assert text.startswith("== books\n2\n== films\n2\nMIRROR")


def test_run_shows_no_traceback_of_a_command_that_fails(two):
    script = (
        "import django; django.setup()\n"
        "from django_mirrors.operations.runner import run_steps\n"
        "from django_mirrors import mirrors\n"
        "report = run_steps('run', [mirrors.original], lambda mirror: 1 / 0)\n"
        "print(report.failures[0].error)"
    )

    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
    )

    assert done.stdout == "ZeroDivisionError: division by zero\n"
    assert done.stderr == ""


def test_run_refuses_the_fleets_own_commands(two):
    assert "chooses its mirrors itself" in str(
        fail("mirror_run", "books", "--", "mirror_list")
    )


def test_change_is_shown_and_live(two):
    run(
        "mirror_change", "books", "--add-host", "www.books.example", "--primary-host",
        "www.books.example", "--label", "a=b", "--unlabel", "tier",
        "--set", "SHOP_SIZE=2", "--name", "Bücher",
        "--mail", "dummy://", "--theme", "paper",
    )  # fmt: skip

    mirror = mirrors["books"]
    assert mirror.hosts == ("www.books.example", "books.example")
    assert mirror.labels == {"a": "b"}
    assert mirror.settings == {"SHOP_SIZE": 2}
    assert mirror.display_name == "Bücher"
    assert (mirror.mail, mirror.theme) == ("dummy://", "paper")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--remove-host", "nosuch.example", "has no host 'nosuch.example'"),
        ("--primary-host", "nosuch.example", "is not a host of the mirror"),
        ("--remove-host", "books.example", "is empty"),
        ("--unlabel", "nosuch", "has no 'nosuch' in LABELS"),
        ("--unset", "NOSUCH", "has no 'NOSUCH' in SETTINGS"),
        ("--add-host", "films.example", "is claimed twice"),
    ],
)
def test_wrong_change_is_explained(two, option, value, message):
    before = mirrors["books"]

    assert message in str(fail("mirror_change", "books", option, value))
    assert mirrors["books"] == before


def test_dry_run_of_a_change_shows_the_mirror_as_it_would_be(two):
    was = json.loads(run("mirror_show", "books", "--json"))

    text = run("mirror_change", "books", "--label", "a=b", "--dry-run", "--json")

    shown = json.loads(text)
    assert shown.pop("labels") == {"tier": "gold", "a": "b"}
    assert shown.items() <= was.items()
    assert shown["state"] == "active"


def test_original_is_changed_in_the_settings(two):
    error = fail("mirror_change", "original", "--label", "a=b")

    assert str(error) == (
        "The original is defined by the settings, and so is read-only here. Change "
        "MIRRORS_OPTIONS['ORIGINAL']."
    )


def test_warnings_of_the_checks_are_left_to_the_command_check(two):
    run("mirror_change", "books", "--set", "NOBODYS_SETTING=1")

    out, err = StringIO(), StringIO()
    call_command("mirror_list", stdout=out, stderr=err, skip_checks=False)

    assert err.getvalue() == ""
    assert "books" in out.getvalue()


def test_errors_of_the_checks_end_a_command(two, settings):
    settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "ORIGINAL_APPS": ["nope"]}

    with pytest.raises(CommandError, match="names 'nope', which is no installed app"):
        call_command("mirror_list", skip_checks=False)


def test_state_is_set_and_explained(two):
    run(
        "mirror_state",
        "books",
        "maintenance",
        "--reason",
        "Moving",
        "--retry-after",
        "30",
    )

    mirror = mirrors["books"]
    assert (mirror.state, mirror.reason, mirror.retry_after) == (
        "maintenance",
        "Moving",
        30,
    )


def test_status_as_json_lists_what_is_missing(two):
    shown = json.loads(run("mirror_status", "--json"))

    assert [(item["name"], item["behind"], item["health"]) for item in shown] == [
        ("books", [], "ok"),
        ("films", [], "ok"),
    ]


def test_rollout_as_json_is_a_report(two):
    report = json.loads(run("mirror_rollout", "--all", "--json"))

    assert (report["done"], report["failed"], report["skipped"]) == (0, 0, 2)


def test_rollout_that_stopped_says_how_to_go_on(two, database_of):
    connections["books"].close()
    database_of("books").write_bytes(b"this is no database " * 100)

    error = fail("mirror_rollout", "--all", "--max-failures", "1")

    assert str(error) == (
        "1 of 2 mirrors failed: books. Stopped with 1 of 2 mirrors not begun. Go on "
        "with 'manage.py mirror_rollout --resume', or begin a new rollout."
    )


def test_check_names_the_service_that_is_wrong(two, database_of):
    from django.db import connections

    connections["books"].close()
    database_of("books").write_bytes(b"this is no database " * 100)

    out = StringIO()
    with pytest.raises(CommandError, match="1 of 2 mirrors failed: books"):
        call_command("mirror_check", "--all", stdout=out)
    assert "DATABASE: " in out.getvalue()


def test_one_mirror_is_not_told_as_several(two, database_of):
    connections["books"].close()
    database_of("books").write_bytes(b"this is no database " * 100)

    error = fail("mirror_check", "books")

    assert str(error) == "1 of 1 mirror failed: books."


def test_status_shows_a_table(two):
    lines = run("mirror_status").splitlines()

    assert lines[0].split() == [
        "NAME",
        "STATE",
        "RELEASE",
        "ROLLED",
        "OUT",
        "BEHIND",
        "HEALTH",
        "SIZE",
    ]
    assert "KiB" in lines[1]


def test_empty_fleet_is_listed_with_what_to_do(defaults):
    assert "mirror_add NAME" in run("mirror_list")


def test_plan_of_a_rollout_is_printed(two):
    assert "nothing, it is in step" in run("mirror_rollout", "--all", "--plan")


def test_state_as_json_is_the_mirror(two):
    shown = json.loads(run("mirror_state", "books", "suspended", "--json"))

    assert (shown["name"], shown["state"]) == ("books", "suspended")


def test_change_as_json_is_the_mirror(two):
    shown = json.loads(run("mirror_change", "books", "--label", "a=b", "--json"))

    assert shown["labels"] == {"tier": "gold", "a": "b"}


def test_plan_of_adding_as_json(defaults):
    plan = json.loads(run("mirror_add", "books", "--dry-run", "--json"))

    assert plan["plan"][0]["mirror"] == "books"


@pytest.mark.parametrize("option", ["--add-host", "--remove-host"])
def test_host_that_is_none_is_explained(two, option):
    assert "is not valid" in str(fail("mirror_change", "books", option, "a b"))


def test_run_without_words_prints_the_output_only(two):
    text = run("mirror_run", "books", "--verbosity=0", "--", "showmigrations", "sites")

    assert "MIRROR" not in text
    assert "[X]" in text


# How each command can be used on a mirror, also where it is refused.
USES = {
    "mirror_add": ["mirror_add books", "mirror_add books --superuser ann"],
    "mirror_change": [
        "mirror_change books --add-host new.example --remove-host books.example",
        "mirror_change books --database sqlite:///{0}/other.sqlite3",
        "mirror_change books --database sqlite:///{0}/link.sqlite3",
        "mirror_change books --storage file://{0}/other/",
    ],
    "mirror_check": ["mirror_check --all"],
    "mirror_clone": ["mirror_clone books films", "mirror_clone books music"],
    "mirror_export": ["mirror_export books {0}/books.tar", "mirror_export films"],
    "mirror_list": ["mirror_list"],
    "mirror_move": [
        "mirror_move books",
        "mirror_move books --database sqlite:///{0}/moved.sqlite3",
        "mirror_move films --storage file://{0}/moved/",
        "mirror_move films --cancel",
    ],
    "mirror_prepare": ["mirror_prepare 0", "mirror_prepare 2"],
    "mirror_purge": [
        "mirror_purge books",
        "mirror_purge books --confirm books",
        "mirror_purge books --confirm films",
        "mirror_purge original --confirm original",
    ],
    "mirror_restore": ["mirror_restore {0}/books.tar", "mirror_restore none.tar"],
    "mirror_retire": ["mirror_retire books", "mirror_purge books --confirm films"],
    "mirror_rollout": ["mirror_rollout --all --plan", "mirror_rollout --all"],
    "mirror_run": ["mirror_run --all -- migrate"],
    "mirror_show": ["mirror_show books"],
    "mirror_state": [
        f"mirror_state books {state}" for state in ("maintenance", "suspended")
    ],
    "mirror_status": ["mirror_status"],
}


@pytest.fixture
def kept(two, tmp_path, database_of):
    """Return a function that reads what two mirrors have, without Django."""
    for name in ("books", "films"):
        with use_mirror(name):
            Book.objects.create(title=f"of {name}")
            default_storage.save("cover.txt", ContentFile(name.encode()))

    # Another address of the same database, which may be changed to.
    (tmp_path / "link.sqlite3").symlink_to(database_of("books"))

    def read_all():
        found = {
            str(path): path.read_bytes()
            for name in ("books", "films")
            for path in (tmp_path / "media" / name).rglob("*")
            if path.is_file()
        }
        for name in ("books", "films"):
            with closing(sqlite3.connect(database_of(name))) as connection:
                rows = connection.execute("SELECT title FROM bookshop_book")
                found[name] = rows.fetchall()
        return found

    return read_all


@pytest.mark.parametrize("command", find_commands())
def test_no_command_removes_what_a_mirror_has(kept, tmp_path, command):
    before = kept()

    for use in USES[command]:
        with suppress(CommandError):
            run(*use.format(tmp_path).split())

    assert kept() == before
    assert before["books"] == [("of books",)]
    assert len(before) == 4


def test_clone_as_json_is_a_report(two):
    report = json.loads(run("mirror_clone", "books", "music", "--json"))

    assert (report["operation"], report["done"]) == ("clone", 1)
    assert report["results"][0]["mirror"] == "music"


def test_archive_is_printed_and_can_be_restored(two, tmp_path):
    report = json.loads(run("mirror_export", "books", "--json"))
    place = report["results"][0]["detail"]

    run("mirror_restore", place, "music", "--host", "music.example", "--verbosity=0")

    assert json.loads(run("mirror_show", "music", "--json"))["state"] == "active"


def test_mirror_is_moved_and_told_where_the_old_things_are(two, tmp_path):
    place = ("--database", f"sqlite:///{tmp_path}/moved.sqlite3")
    plan = run("mirror_move", "books", *place, "--dry-run")
    assert "copy the database and compare it" in plan
    assert not (tmp_path / "moved.sqlite3").exists()

    said = run("mirror_move", "books", *place)

    assert "[2/5] make the mirror read-only" in said
    assert "can be removed by hand" in said
    assert json.loads(run("mirror_show", "books", "--json"))["database"] == place[1]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ([], "Give --database URL, --storage DSN or both; or --cancel alone."),
        (["--cancel", "--storage", "file:///x/"], "or --cancel alone"),
        (["--schema", "books"], "--schema was given without --database"),
        (["--role", "clerk"], "--role was given without --schema"),
    ],
)
def test_move_to_nowhere_is_bad_usage(two, options, text):
    error = fail("mirror_move", "books", *options)

    assert text in str(error)
    assert error.returncode == 2


def test_mirror_is_retired_and_purged(two, database_of):
    run("mirror_retire", "books")
    plan = run("mirror_purge", "books", "--dry-run")
    assert "destroy the database" in plan
    assert database_of("books").exists()

    run("mirror_purge", "books", "--confirm", "books")

    assert not database_of("books").exists()
    names = [item["name"] for item in json.loads(run("mirror_list", "--json"))]
    assert names == ["films"]


def test_purge_without_the_name_says_what_to_type(two):
    error = fail("mirror_purge", "books")

    assert "confirm it with --confirm books" in str(error)
    assert error.returncode == 2


def test_name_of_a_restored_mirror_is_given_once(two):
    error = fail("mirror_restore", "books.tar", "music", "--name", "song")

    assert (str(error), error.returncode) == ("Give the name once.", 2)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("mirror_clone", "none", "music"), "There is no mirror 'none'"),
        (("mirror_clone", "books", "Music"), "'Music' is not a mirror's name"),
        (("mirror_export", "none"), "There is no mirror 'none'"),
        (("mirror_restore", "none.tar"), "There is no archive 'none.tar'"),
        (("mirror_move", "books", "--cancel"), "No move of mirror 'books' was begun"),
        (("mirror_retire", "original"), "The original cannot be retired"),
        (("mirror_purge", "books", "--confirm", "books"), "Retire it first"),
        (("mirror_clone", "books", "music", "--scrub"), "nothing to scrub by"),
    ],
)
def test_mistake_of_an_operation_is_explained(two, words, text):
    assert text in str(fail(*words))


def test_resources_and_billing_are_changed_and_removed(two):
    run("mirror_change", "books", "--resource", "CPU=500m", "--billing", "PLAN=pro")
    run("mirror_change", "books", "--resource", "MEMORY=1Gi", "--billing", "PLAN=")

    shown = json.loads(run("mirror_show", "books", "--json"))
    assert shown["resources"] == {"CPU": "500m", "MEMORY": "1Gi"}
    assert shown["billing"] == {}
