"""What an operator types, reads and gets as exit code."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from django_mirrors import mirrors
from tests.bookshop.models import Book

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

    assert "[1/6] create the database" in text
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
    )  # fmt: skip

    mirror = mirrors["music"]
    assert mirror.hosts == ("music.example", "www.music.example")
    assert mirror.display_name == "Music"
    assert mirror.labels == {"tier": "gold"}
    assert mirror.settings == {"SHOP_SIZE": 3}


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
        (("mirror_add", "books", "--share", "DATABASE=nobody"), "does not exist"),
        (("mirror_add", "books", "--share", "WHAT=films"), "unknown service 'WHAT'"),
        (("mirror_add", "books", "--set", "SECRET_KEY=x"), "cannot vary by mirror"),
        (("mirror_add", "books", "--set", "lower=x"), "is not a setting"),
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
            "SETTINGS": {"SHOP_API_KEY": "hunter2"},
            "BILLING": {"SECRET": "hunter2", "ACCOUNT": "cus_1"},
        }
    }

    text = run("mirror_show", "music") + run("mirror_show", "music", "--json")

    assert "hunter2" not in text
    assert "postgres://app:********@db/music" in text
    assert "cus_1" in text


def test_run_runs_a_command_in_each_mirror(two):
    text = run("mirror_run", "--all", "--", "showmigrations", "sessions")

    assert text.count("[X] 0001_initial") == 2
    assert "== books" in text


def test_run_passes_a_failure_on(two):
    error = fail("mirror_run", "--all", "--", "loaddata", "nosuch")

    assert "2 of 2 mirrors failed: books, films" in str(error)


def test_run_acts_on_the_mirror_only(two):
    from django_mirrors import use_mirror

    with use_mirror("books"):
        Book.objects.create(title="Emma")

    run("mirror_run", "films", "--", "flush", "--no-input")

    with use_mirror("books"):
        assert Book.objects.count() == 1


def test_run_refuses_the_fleets_own_commands(two):
    assert "chooses its mirrors itself" in str(
        fail("mirror_run", "books", "--", "mirror_list")
    )


def test_change_is_shown_and_live(two):
    run(
        "mirror_change", "books", "--add-host", "www.books.example", "--primary-host",
        "www.books.example", "--label", "a=b", "--unlabel", "tier",
        "--set", "SHOP_SIZE=2", "--name", "Bücher",
    )  # fmt: skip

    mirror = mirrors["books"]
    assert mirror.hosts == ("www.books.example", "books.example")
    assert mirror.labels == {"a": "b"}
    assert mirror.settings == {"SHOP_SIZE": 2}
    assert mirror.display_name == "Bücher"


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


def test_check_names_the_service_that_is_wrong(two, database_of):
    from django.db import connections

    connections["books"].close()
    database_of("books").write_bytes(b"this is no database " * 100)

    out = StringIO()
    with pytest.raises(CommandError, match="1 of 2 mirrors failed: books"):
        call_command("mirror_check", "--all", stdout=out)
    assert "DATABASE: " in out.getvalue()


def test_status_shows_a_table(two):
    lines = run("mirror_status").splitlines()

    assert lines[0].split() == [
        "NAME",
        "STATE",
        "RELEASE",
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
