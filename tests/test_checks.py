"""System checks: everything that is wrong is said at once, with what to do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from django_mirrors.checks import check_fleet

ROOT = Path(__file__).parents[1]
MANAGE = """
import os, sys
from django.core.management import execute_from_command_line
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
execute_from_command_line(sys.argv)
"""
SETTINGS = """
from pathlib import Path
from django_mirrors.db import mirror_databases

BASE_DIR = Path(__file__).parent
SECRET_KEY = "only for tests"
INSTALLED_APPS = [
    "django.contrib.auth", "django.contrib.contenttypes", "django_mirrors",
]
MIDDLEWARE = []
DATABASES = mirror_databases(
    {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db"}}
)
DATABASE_ROUTERS = ["django_mirrors.db.MirrorRouter"]
STORAGES = {
    "default": {"BACKEND": "django_mirrors.storage.MirrorStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
CACHES = {"default": {"BACKEND": "django_mirrors.cache.MirrorCache", "OPTIONS": {
    "BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}}
MIRRORS = {
    "key": {"HOST": ["key.example"]},
    "host": {"HOSTS": ["a b"]},
    "one": {"HOSTS": ["x.example"], "DATABASE": "sqlite:///one"},
    "two": {"HOSTS": ["x.example"], "DATABASE": "sqlite:///two"},
}
MIRRORS_OPTIONS = {"SNAPSHOT": None}
"""
WRONG_OPTION = 'MIRRORS_OPTIONS["ORIGINAL_AP"] = []\n'


@pytest.fixture(autouse=True)
def _no_records(settings):
    settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "RECORDS": False}


@pytest.fixture
def declare(settings):
    """Return a function that declares mirrors, each with what it lacks filled in."""

    def declare(**definitions):
        settings.MIRRORS = {
            name: {
                "HOSTS": [f"{name}.example"],
                "DATABASE": f"sqlite:///{name}.sqlite3",
                "STORAGE": f"file:///srv/{name}/",
                **definition,
            }
            for name, definition in definitions.items()
        }

    return declare


@pytest.fixture
def run(tmp_path):
    """Return a function that runs a command of a project of its own."""

    def run(*arguments, settings=SETTINGS, **environment):
        (tmp_path / "manage.py").write_text(MANAGE)
        (tmp_path / "settings.py").write_text(settings)
        inherited = {k: v for k, v in os.environ.items() if k != "DJANGO_MIRROR"}
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=tmp_path,
            check=False,
            env={**inherited, "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def find_ids():
    return [message.id.removeprefix("mirrors.") for message in check_fleet(None)]


def find_message(number):
    [message] = [m for m in check_fleet(None) if m.id == f"mirrors.{number}"]
    return message


def set_options(settings, **options):
    settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, **options}


def test_right_configuration_has_no_problems(declare):
    declare(acme={}, shop={})
    assert find_ids() == []


def test_every_wrong_option_has_a_message(settings):
    set_options(settings, RETRY_AFTER=0, ORIGINAL_AP=[])
    assert find_ids() == ["E001", "E001"]


def test_every_mistake_of_every_definition_has_a_message(declare):
    declare(acme={"HOST": 1, "STATE": "gone"}, shop={"HOSTS": ["a b"]})
    assert find_ids() == ["E002", "E002", "E002"]


def test_every_wrong_file_has_a_message(settings, tmp_path):
    (tmp_path / "acme.toml").write_text("HOSTS = [")
    (tmp_path / "shop.toml").write_text("HOSTS = []")
    set_options(settings, FILES=tmp_path)
    assert find_ids() == ["E003", "E003"]


def test_other_topics_are_checked_when_a_source_cannot_be_read(settings):
    set_options(settings, FILES="\0")
    settings.MIDDLEWARE = []
    assert find_ids() == ["E003", "E021"]


def test_every_message_has_a_hint(declare, settings):
    declare(acme={"HOSTS": ["a b", 1]}, shop={"HOSTS": ["http://x"]}, x={"NAME": 3})
    settings.MIDDLEWARE = []
    assert all(message.hint for message in check_fleet(None))


def test_host_claimed_twice_is_said_beside_a_wrong_definition(declare):
    declare(
        acme={"HOST": 1}, one={"HOSTS": ["x.example"]}, two={"HOSTS": ["x.example"]}
    )
    assert find_ids() == ["E002", "E006"]


def test_share_that_leads_nowhere_is_an_error(settings):
    settings.MIRRORS = {
        "acme": {
            "HOSTS": ["acme.example"],
            "SHARES": {"DATABASE": "gone", "STORAGE": "original"},
        }
    }
    assert find_ids() == ["E007"]


def test_unreadable_dsn_is_an_error(declare):
    declare(acme={"DATABASE": "nosuch://server/name"})
    assert find_ids() == ["E011"]


@pytest.mark.parametrize(
    "database",
    ["file:/run/secrets/none", "postgres://u:${PW}@[${IP}]/x", {"ENGINE": "${ENGINE}"}],
)
def test_dsn_that_the_environment_completes_is_not_judged(declare, database):
    declare(acme={"DATABASE": database})
    assert find_ids() == []


def test_two_mirrors_in_one_database_are_an_error(declare):
    declare(acme={}, shop={"DATABASE": "sqlite:///acme.sqlite3"})
    assert find_ids() == ["E012"]


@pytest.mark.parametrize("path", ["/srv/acme/", "/srv/acme/inner/"])
def test_files_of_two_mirrors_in_one_directory_are_an_error(declare, path):
    declare(acme={}, shop={"STORAGE": f"file://{path}"})
    assert find_ids() == ["E013"]


def test_nested_storage_is_found_behind_another_one_of_the_outer_mirror(declare):
    storages = {"default": "file:///srv/acme/", "private": "file:///srv/acme/a/"}
    declare(shop={"STORAGE": "file:///srv/acme/b/"}, acme={})
    from django.conf import settings

    acme = {k: v for k, v in settings.MIRRORS["acme"].items() if k != "STORAGE"}
    settings.MIRRORS = {**settings.MIRRORS, "acme": {**acme, "STORAGES": storages}}
    assert find_ids() == ["E013"]


def test_files_in_the_media_of_the_original_are_an_error(declare, settings):
    declare(acme={"STORAGE": f"file://{settings.MEDIA_ROOT}/acme/"})
    assert find_ids() == ["E013"]


def test_missing_middleware_is_an_error(settings):
    settings.MIDDLEWARE = settings.MIDDLEWARE[1:]
    assert find_ids() == ["E021"]


def test_middleware_that_is_not_the_first_is_found(settings):
    settings.MIDDLEWARE = settings.MIDDLEWARE[::-1]
    assert find_ids() == ["E022"]


def test_missing_router_is_an_error(settings):
    settings.DATABASE_ROUTERS = []
    assert find_ids() == ["E024"]


def test_other_default_storage_is_an_error(settings):
    backend = "django.core.files.storage.InMemoryStorage"
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": backend}}
    assert find_ids() == ["W025"]


@pytest.mark.parametrize(("alias", "number"), [("default", "W026"), ("more", "W028")])
def test_cache_that_mirrors_share_is_found(settings, alias, number):
    backend = "django.core.cache.backends.locmem.LocMemCache"
    settings.CACHES = {**settings.CACHES, alias: {"BACKEND": backend}}
    assert find_ids() == [number]


def test_mirror_named_like_an_alias_is_an_error(declare):
    declare(analytics={})
    assert find_ids() == ["E027"]


def test_unknown_original_app_is_an_error_that_suggests_the_label(settings):
    set_options(settings, ORIGINAL_APPS=["tests.bookshopp"])
    assert find_message("E031").hint == "Did you mean 'bookshop'?"


def test_relation_to_a_model_of_the_original_is_an_error(settings):
    set_options(settings, ORIGINAL_APPS=["auth"])
    assert "E032" in find_ids()


def test_relation_from_a_model_of_the_original_is_an_error(settings):
    set_options(settings, ORIGINAL_APPS=["admin"])
    messages = [m.msg for m in check_fleet(None)]
    assert any("LogEntry.user" in text for text in messages)
    assert any("LogEntry.content_type" in text for text in messages)


def test_forwarded_host_without_trusted_proxies_is_an_error(settings):
    settings.USE_X_FORWARDED_HOST = True
    assert find_ids() == ["E041"]


@pytest.mark.parametrize(
    ("setting", "number"),
    [("SESSION_COOKIE_DOMAIN", "E042"), ("CSRF_COOKIE_DOMAIN", "E043")],
)
def test_cookie_domain_over_two_mirrors_is_an_error(declare, settings, setting, number):
    declare(a={"HOSTS": ["a.shop.example"]}, b={"HOSTS": ["b.shop.example"]})
    setattr(settings, setting, ".shop.example")
    assert find_ids() == [number]


def test_trusted_wildcard_over_two_mirrors_is_found(declare, settings):
    declare(a={"HOSTS": ["a.shop.example"]}, b={"HOSTS": ["b.shop.example"]})
    settings.CSRF_TRUSTED_ORIGINS = ["https://*.shop.example"]
    assert find_ids() == ["E044"]


def test_setting_that_the_project_does_not_define_is_a_warning(declare):
    declare(acme={"SETTINGS": {"TIME_ZON": "UTC"}})
    assert find_message("W001").hint == "Did you mean 'TIME_ZONE'?"


def test_other_topics_are_checked_when_one_cannot_be_finished(settings):
    settings.CACHES = {**settings.CACHES, "more": "nothing"}
    settings.USE_X_FORWARDED_HOST = True
    assert find_ids() == ["E099", "E041"]


def test_check_lists_everything_in_one_run(run):
    result = run("check", settings=SETTINGS + WRONG_OPTION)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    for number in ("E001", "E002", "E006", "E021"):
        assert f"mirrors.{number}" in result.stderr
    assert result.stderr.count("(mirrors.") == result.stderr.count("HINT: ") == 6


def test_migrate_ends_with_the_list_when_a_mirror_is_wrong(run):
    result = run("migrate")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "mirrors.E006" in result.stderr


@pytest.mark.parametrize("arguments", [["migrate"], ["migrate", "--skip-checks"]])
def test_migrate_ends_with_a_sentence_when_an_option_is_wrong(run, tmp_path, arguments):
    result = run(*arguments, settings=SETTINGS + WRONG_OPTION)
    assert result.returncode == 1
    assert result.stderr.startswith("CommandError: MIRRORS_OPTIONS has the unknown key")
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "db").exists()


@pytest.mark.parametrize("arguments", [["--database", "one"], ["--skip-checks"]])
def test_migrate_never_takes_the_original_for_a_wrong_mirror(run, tmp_path, arguments):
    result = run("migrate", *arguments, DJANGO_MIRROR="one")
    assert result.returncode == 1
    assert result.stderr.startswith("CommandError: ")
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "db").exists()
