"""System checks: everything that is wrong is said at once, with what to do."""

import os
import subprocess
import sys
from pathlib import Path

import dj_database_url
import django
import pytest
from django.conf import settings as project
from django.core.checks import ERROR, run_checks
from django.db import connections
from django.db.models import UniqueConstraint
from django.db.models.functions import Lower

from django_mirrors.checks import check_fleet
from django_mirrors.testing import no_mirror
from tests.market.models import Product

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
HAS_MAILERS = django.VERSION >= (6, 1)
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


@pytest.mark.django_db
def test_checks_look_at_the_original_where_no_mirror_is_current():
    vars(connections["original"].features).pop("supports_json_field", None)

    with no_mirror():
        messages = run_checks(databases=["original"])

    assert not [item for item in messages if item.level >= ERROR]


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


@pytest.mark.parametrize(
    "database",
    [
        "postgres://app@db.example:5432/acme",
        "postgres://app@DB.example/acme",
        "postgres://other:secret@db.example/acme",
    ],
)
def test_database_of_a_server_is_known_by_any_spelling(declare, database):
    declare(
        acme={"DATABASE": "postgres://app@db.example/acme"}, shop={"DATABASE": database}
    )
    assert "E012" in find_ids()


@pytest.mark.parametrize(
    "database",
    [
        "postgres://app@db.example:5433/acme",
        "postgres://app@db.example/acme2",
        "postgres://app@db2.example/acme",
        "sqlite:///:memory:",
    ],
)
def test_databases_that_differ_are_no_error(declare, database):
    declare(
        acme={"DATABASE": "postgres://app@db.example/acme"}, shop={"DATABASE": database}
    )
    assert find_ids() == []


SHOP = "postgres://app@db.example/shop"


@pytest.mark.parametrize(
    "other",
    [
        {"DATABASE": "postgres://other:secret@DB.example:5432/shop", "SCHEMA": "acme"},
        {"DATABASE": SHOP, "SCHEMA": {"NAME": "acme", "ROLE": "other"}},
        {"DATABASE": f"{SHOP}?options=-c%20search_path%3Dacme"},
        {"DATABASE": f"{SHOP}?options=-csearch_path%3D%22acme%22"},
        # A user sees the schema of its own name first.
        {"DATABASE": "postgres://acme@db.example/shop"},
    ],
)
def test_two_mirrors_in_one_schema_are_an_error(declare, other):
    declare(acme={"DATABASE": SHOP, "SCHEMA": "acme"}, shop=other)
    assert find_ids() == ["E012"]


@pytest.mark.parametrize(
    "other",
    [
        {"DATABASE": SHOP, "SCHEMA": "acme2"},
        {"DATABASE": SHOP},
        {"DATABASE": SHOP.replace("shop", "other"), "SCHEMA": "acme"},
        {"DATABASE": SHOP.replace("db.", "db2."), "SCHEMA": "acme"},
    ],
)
def test_schemas_that_differ_are_no_error(declare, other):
    declare(acme={"DATABASE": SHOP, "SCHEMA": "acme"}, shop=other)
    assert find_ids() == []


def test_mirror_in_the_schema_of_the_originals_user_is_an_error(declare, monkeypatch):
    declare(acme={"DATABASE": SHOP, "SCHEMA": "app"})
    original = dj_database_url.parse(SHOP)
    monkeypatch.setitem(connections.settings, "default", original)

    assert "E012" in find_ids()


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


S3 = "storages.backends.s3.S3Storage"


def describe_bucket(backend=S3, **options):
    return {"BACKEND": backend, "OPTIONS": {"bucket_name": "media", **options}}


@pytest.mark.parametrize(
    "storage",
    [
        "s3://media/acme",
        "s3://media/acme/",
        "s3://key:secret@media/acme/",
        "s3://media/acme/inner/",
        "s3://media/",
        "s3://media",
        "s3://media/acme/?custom_domain=cdn.example",
        describe_bucket(location="acme"),
        describe_bucket(location="acme/inner"),
        describe_bucket(),
        describe_bucket("storages.backends.s3boto3.S3Boto3Storage", location="acme/"),
        describe_bucket("project.storages.PrivateS3Storage", location="acme"),
    ],
)
def test_files_of_two_mirrors_under_one_prefix_are_an_error(declare, storage):
    declare(acme={"STORAGE": "s3://media/acme/"}, shop={"STORAGE": storage})
    message = find_message("E013")
    assert "the STORAGE of mirror" in message.msg
    assert "so their data would be mixed." in message.msg


@pytest.mark.parametrize(
    "storage",
    [
        "s3://media/acme2/",
        "s3://media/acme2",
        "s3://media/acm/",
        "s3://media/acme-/",
        "s3://other/acme/",
        "s3://media/acme/?endpoint_url=https://s3.example",
        "gs://media/acme/",
        "azure://account:key@media/acme/",
        describe_bucket(location="acme2"),
        describe_bucket(location="inner/acme"),
    ],
)
def test_prefixes_that_begin_alike_are_not_in_one_another(declare, storage):
    declare(acme={"STORAGE": "s3://media/acme/"}, shop={"STORAGE": storage})
    assert find_ids() == []


def test_bucket_and_prefix_of_the_settings_are_known(declare, settings):
    settings.AWS_STORAGE_BUCKET_NAME = "media"
    settings.AWS_LOCATION = "acme/inner"
    settings.AWS_S3_ENDPOINT_URL = "https://s3.example/"
    declare(
        acme={"STORAGE": "s3://media/acme/?endpoint_url=https://S3.example"},
        shop={"STORAGE": {"BACKEND": S3}},
    )
    assert find_ids() == ["E013"]


def test_mirrors_that_share_a_bucket_by_choice_are_no_error(declare, settings):
    declare(acme={"STORAGE": "s3://media/acme/"}, shop={})
    shop = {"HOSTS": ["shop.example"], "DATABASE": "sqlite:///shop.sqlite3"}
    settings.MIRRORS = {
        **settings.MIRRORS,
        "shop": {**shop, "SHARES": {"STORAGE": "acme"}},
    }
    assert find_ids() == []


@pytest.mark.parametrize(
    "path", ["/srv/acme2/", "/srv/acme-/", "/srv/acm/", "/srv/x/acme/"]
)
def test_directories_that_begin_alike_are_not_in_one_another(declare, path):
    declare(acme={}, shop={"STORAGE": f"file://{path}"})
    assert find_ids() == []


def test_directory_behind_a_link_is_found(declare, tmp_path):
    (tmp_path / "acme").mkdir()
    (tmp_path / "link").symlink_to("acme")
    declare(
        acme={"STORAGE": f"file://{tmp_path}/acme/"},
        shop={"STORAGE": f"file://{tmp_path}/link/shop/"},
    )
    assert find_ids() == ["E013"]


@pytest.mark.parametrize(
    ("path", "ids"), [("srv/acme", ["E013"]), ("srv/acme/a", ["E013"]), ("srv/a", [])]
)
def test_other_storages_are_compared_by_their_options(declare, path, ids):
    declare(
        acme={"STORAGE": "sftp://files.example/srv/acme/"},
        shop={"STORAGE": f"sftp://files.example/{path}/"},
        toys={"STORAGE": "sftp://other.example/srv/acme/"},
    )
    assert find_ids() == ids


def test_values_that_are_no_text_are_left_as_they_are(declare):
    same = {"ENGINE": "django.db.backends.sqlite3", "NAME": "same", "CONN_MAX_AGE": 60}
    declare(acme={"DATABASE": same}, shop={"DATABASE": same})
    assert find_ids() == ["E012"]


def test_definition_that_makes_no_sense_is_an_error(declare):
    declare(acme={"STORAGE": {"BACKEND": S3, "OPTIONS": "media"}})
    assert find_message("E011").msg == (
        "MIRRORS['acme']['STORAGE'] cannot be read (ValueError)."
    )


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


@pytest.mark.parametrize("setting", ["SESSION_COOKIE_DOMAIN", "CSRF_COOKIE_DOMAIN"])
def test_cookie_domain_over_mirrors_that_share_sessions_is_right(
    declare, settings, setting
):
    declare(
        a={"HOSTS": ["a.shop.example"]},
        b={"HOSTS": ["b.shop.example"], "SHARES": {"SESSIONS": "a"}},
        c={"HOSTS": ["c.shop.example"], "SHARES": {"SESSIONS": "a"}},
    )
    setattr(settings, setting, ".shop.example")
    assert find_ids() == []


def test_cookie_domain_over_one_mirror_too_many_is_an_error(declare, settings):
    declare(
        a={"HOSTS": ["a.shop.example"]},
        b={"HOSTS": ["b.shop.example"], "SHARES": {"SESSIONS": "a"}},
        c={"HOSTS": ["c.shop.example"]},
    )
    settings.SESSION_COOKIE_DOMAIN = ".shop.example"
    assert find_ids() == ["E042"]


@pytest.fixture
def secure_siblings(declare, settings):
    """Declare two mirrors under one domain, with cookies that are sent securely."""
    declare(a={"HOSTS": ["a.shop.example"]}, b={"HOSTS": ["b.shop.example"]})
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True


def test_cookies_that_a_sibling_host_can_set_are_warned_of(secure_siblings):
    of_sessions, of_forms = check_fleet(None)
    assert of_sessions.id == of_forms.id == "mirrors.W045"
    assert of_sessions.msg == (
        "SESSION_COOKIE_NAME is 'sessionid', so mirror 'a' can set the cookie of 'b': "
        "both are under 'shop.example'."
    )
    assert of_forms.hint == (
        "Write CSRF_COOKIE_NAME = '__Host-csrftoken', which browsers keep to one host."
    )


def test_cookies_of_one_host_only_need_no_warning(secure_siblings, settings):
    settings.SESSION_COOKIE_NAME = "__Host-sessionid"
    settings.CSRF_COOKIE_NAME = "__Host-csrftoken"
    assert find_ids() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("SESSION_COOKIE_PATH", "/shop/"), ("SESSION_COOKIE_DOMAIN", "other.example")],
)
def test_cookies_that_cannot_have_the_prefix_are_left(
    secure_siblings, settings, name, value
):
    settings.CSRF_USE_SESSIONS = True
    setattr(settings, name, value)
    assert find_ids() == []


def test_cookies_of_hosts_under_different_domains_need_no_prefix(declare, settings):
    declare(a={"HOSTS": ["a.example"]}, b={"HOSTS": ["b.example", "localhost"]})
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    assert find_ids() == []


def test_cookies_of_siblings_that_share_sessions_need_no_prefix(declare, settings):
    declare(
        a={"HOSTS": ["a.shop.example"]},
        b={"HOSTS": ["b.shop.example"], "SHARES": {"SESSIONS": "a"}},
    )
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    assert find_ids() == []


def test_trusted_wildcard_over_two_mirrors_is_found(declare, settings):
    declare(a={"HOSTS": ["a.shop.example"]}, b={"HOSTS": ["b.shop.example"]})
    settings.CSRF_TRUSTED_ORIGINS = ["https://*.shop.example"]
    assert find_ids() == ["E044"]


@pytest.mark.parametrize("origin", ["https://acme.example", "https://*.acme.example"])
def test_trusted_origin_of_one_mirror_is_a_warning(declare, settings, origin):
    declare(acme={}, shop={})
    settings.CSRF_TRUSTED_ORIGINS = ["https://else.example", origin]
    assert find_message("W005").hint == (
        "Remove it: a mirror trusts its own hosts without it."
    )


@pytest.mark.parametrize(
    "origin", ["https://*.else.example", "https://*.cme.example", "https://example"]
)
def test_trusted_origin_of_nobody_is_no_problem(declare, settings, origin):
    declare(acme={}, shop={})
    settings.CSRF_TRUSTED_ORIGINS = [origin]
    assert find_ids() == []


def test_more_than_two_mirrors_under_a_cookie_domain_are_counted(declare, settings):
    declare(acme={}, shop={}, toys={})
    settings.SESSION_COOKIE_DOMAIN = ".Example"
    assert find_message("E042").msg == (
        "SESSION_COOKIE_DOMAIN is 'example', so browsers send the cookies of mirror "
        "'original' to 'acme' and 2 more."
    )


def test_poll_that_is_later_than_promised_is_a_warning(settings):
    set_options(settings, POLL_SECONDS=5)
    assert find_message("W003").hint == "Write 1.5 or less."


def test_mirror_that_no_link_leads_to_is_a_warning(declare):
    declare(acme={"HOSTS": ["*.acme.example"]})
    assert find_message("W002").hint == "Put a name without '*' first in 'HOSTS'."


def test_middleware_of_django_hosts_is_a_warning(settings):
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        "django_hosts.middleware.HostsRequestMiddleware",
    ]
    assert find_message("W004").hint == "Remove it: MirrorMiddleware does its work."


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


RIGHT = (
    SETTINGS
    + """
MIRRORS = {"one": {"HOSTS": ["one.example"], "DATABASE": "sqlite:///one"}}
MIDDLEWARE = ["django_mirrors.middleware.MirrorMiddleware"]
MIRRORS_OPTIONS["RECORDS"] = False
"""
)


def test_settings_without_mirror_databases_are_told(run):
    settings = RIGHT + "DATABASES = dict(DATABASES)\n"
    settings = settings.replace("mirror_databases(\n", "dict(\n")

    result = run("check", settings=settings)

    assert (
        "(mirrors.E023) DATABASES was not made by mirror_databases()" in result.stderr
    )
    assert "Traceback" not in result.stderr
    assert "E099" not in result.stderr


@pytest.mark.parametrize("arguments", [(), ("--database", "default")])
def test_variable_that_names_no_mirror_is_told(run, arguments):
    result = run("check", *arguments, settings=RIGHT, DJANGO_MIRROR="nobody")

    assert result.stderr.startswith("SystemCheckError: ")
    assert "(mirrors.E008) The variable DJANGO_MIRROR names 'nobody'" in result.stderr


@pytest.mark.parametrize("arguments", [(), ("--database", "default")])
def test_wrong_mirror_beside_that_of_the_variable_is_told(run, arguments):
    settings = RIGHT + 'MIRRORS["two"] = {"SHARES": {"DATABASE": "three"}}\n'

    result = run("check", *arguments, settings=settings, DJANGO_MIRROR="one")

    assert result.stderr.startswith("SystemCheckError: ")
    assert "(mirrors.E002) MIRRORS['two'] has no hosts" in result.stderr


DJANGO_STATIC = "django.contrib.staticfiles.storage.StaticFilesStorage"
THEME_STATIC = "django_mirrors.staticfiles.ThemeStaticStorage"


@pytest.fixture
def themes(settings, tmp_path):
    """A theme `dark` with templates and static files, and a theme `bare` with none."""
    (tmp_path / "dark/templates").mkdir(parents=True)
    (tmp_path / "dark/static").mkdir()
    (tmp_path / "bare").mkdir()
    set_options(settings, THEMES=tmp_path)
    settings.TEMPLATES = [
        {
            **settings.TEMPLATES[0],
            "BACKEND": "django_mirrors.templates.MirrorTemplates",
            "NAME": "django",
        }
    ]
    settings.STATICFILES_FINDERS = ["django_mirrors.staticfiles.ThemeFinder"]
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": THEME_STATIC}}
    return tmp_path


def test_theme_that_is_wired_has_no_problems(declare, themes):
    declare(acme={"THEME": "dark"}, shop={"THEME": "bare"}, other={})
    assert find_ids() == []


def test_theme_without_a_directory_of_themes_is_an_error(declare):
    declare(acme={"THEME": "dark"}, other={})

    message = find_message("E051")

    assert message.msg == (
        "MIRRORS['acme']: mirror 'acme' has a 'THEME', and there is no directory of "
        "themes."
    )
    assert message.hint == "Name it in MIRRORS_OPTIONS['THEMES']."


def test_theme_that_does_not_exist_is_an_error(declare, themes):
    declare(acme={"THEME": "drak"})

    message = find_message("E052")

    assert message.msg == (
        f"MIRRORS['acme']: the theme 'drak' of mirror 'acme' is not in '{themes}'."
    )
    assert message.hint == "Make the directory, or correct 'THEME'."


@pytest.mark.parametrize(
    ("setting", "value", "number"),
    [
        ("TEMPLATES", [], "E053"),
        ("TEMPLATES", [{"BACKEND": "no.such.Backend"}], "E053"),
        ("STATICFILES_FINDERS", [], "E054"),
        ("STORAGES", {"staticfiles": {"BACKEND": DJANGO_STATIC}}, "E055"),
    ],
)
def test_theme_that_django_does_not_look_into_is_an_error(
    declare, themes, settings, setting, value, number
):
    declare(acme={"THEME": "dark"})
    default = {"default": settings.STORAGES["default"]}
    setattr(settings, setting, {**default, **value} if setting == "STORAGES" else value)

    assert find_ids() == [number]


def test_engine_that_is_not_found_by_its_old_name_is_warned_of(
    declare, themes, settings
):
    declare(acme={"THEME": "dark"})
    settings.TEMPLATES = [
        {key: item for key, item in settings.TEMPLATES[0].items() if key != "NAME"}
    ]

    message = find_message("W056")

    assert message.msg == (
        "TEMPLATES: the engine of MirrorTemplates has no 'NAME', so code that asks for "
        "the engine 'django' does not find it."
    )
    assert message.hint == "Write 'NAME': 'django' beside 'BACKEND'."


def test_loader_of_themes_may_be_named_without_the_backend(declare, themes, settings):
    declare(acme={"THEME": "dark"})
    loader = "django_mirrors.templates.ThemeLoader"
    settings.TEMPLATES = [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [("django.template.loaders.cached.Loader", [loader])]
            },
        }
    ]

    assert find_ids() == []


def test_theme_without_the_app_of_static_files_needs_no_finder(
    declare, themes, settings
):
    declare(acme={"THEME": "dark"})
    settings.STATICFILES_FINDERS = []
    settings.INSTALLED_APPS = [
        name for name in settings.INSTALLED_APPS if "staticfiles" not in name
    ]

    assert "E054" not in find_ids()


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (
            {"BACKEND": "no.such.Backend"},
            "MIRRORS['acme']['MAIL'] cannot be used: No module named 'no'.",
        ),
        ("smtp:///", "MIRRORS['acme']['MAIL'] names no server."),
    ],
)
def test_mail_that_cannot_be_used_is_an_error(declare, value, problem):
    declare(acme={"MAIL": value})

    assert find_message("E011").msg == problem


def test_mail_is_checked_without_its_secrets(declare):
    declare(acme={"MAIL": "smtp://me:${NO_SUCH_WORD}@mail.example/"})

    assert find_ids() == []


@pytest.mark.needs_django(6, 1)  # MAILERS
def test_further_mailers_are_warned_of_when_a_mirror_has_mail(declare, monkeypatch):
    memory = {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}
    mirrored = {"BACKEND": "django_mirrors.mail.MirrorMail"}
    mailers = {"default": memory, "news": memory, "more": mirrored}
    monkeypatch.setattr(project._wrapped, "MAILERS", mailers)
    declare(acme={"MAIL": "smtp://mail.example"})

    message = find_message("W029")

    assert message.msg == (
        "MAILERS['news'] is the same for all mirrors, those with a MAIL too."
    )
    assert message.hint == "Send by the default one, or let this one be shared."


def share(settings, *common, **options):
    """Let two mirrors share a database, and models be common."""
    settings.MIRRORS = {
        "acme": {"HOSTS": ["acme.example"], "DATABASE": "sqlite:///acme.sqlite3"},
        "shop": {"HOSTS": ["shop.example"], "SHARES": {"DATABASE": "acme"}},
    }
    set_options(settings, COMMON_MODELS=list(common), **options)


COMMON = ("admin", "auth", "bookshop", "sites", "market.Category", "market.rating")


def find_texts(number):
    return [m.msg for m in check_fleet(None) if m.id == f"mirrors.{number}"]


def find_named(number):
    [text] = find_texts(number)
    return {*text.partition(": ")[2].removesuffix(".").split(", ")}


def test_model_that_mirrors_share_unknowingly_is_named(settings):
    share(settings, *COMMON[1:])

    message = find_message("W037")

    assert message.msg == (
        "Mirrors that share a database share the rows of models that have no owner: "
        "admin.LogEntry."
    )
    assert message.hint == (
        "Let each inherit from MirrorOwned, or name it in "
        "MIRRORS_OPTIONS['COMMON_MODELS'] if they may."
    )


def test_models_are_common_by_app_or_by_name_in_any_case(settings):
    share(settings, *COMMON)
    assert find_texts("W037") == []


def test_models_of_the_original_alone_are_not_shared(settings):
    share(settings, *COMMON[1:], ORIGINAL_APPS=["admin"])
    assert find_texts("W037") == []


def test_what_every_mirror_has_of_the_code_needs_no_declaration(settings):
    share(settings)

    named = find_named("W037")

    assert {"auth.User", "market.Rating", "sites.Site"} <= named
    assert named.isdisjoint(
        {"auth.Permission", "contenttypes.ContentType", "sessions.Session"}
    )
    assert not {name for name in named if name.startswith("django_mirrors")}


def test_models_with_an_owner_are_not_named(settings):
    share(settings)

    named = find_named("W037")

    # One has its owner in its parent's table, one is another model of such a table.
    assert named.isdisjoint(
        {"market.Product", "market.Perishable", "market.Note", "market.Notice"}
    )


def test_mirrors_with_a_database_each_share_no_rows(declare, settings):
    declare(acme={}, shop={})
    assert {"W035", "W036", "W037"}.isdisjoint(find_ids())


def test_common_model_that_is_not_there_is_an_error(settings):
    share(settings, *COMMON, "market.Categry", "nothing")

    first, second = (m for m in check_fleet(None) if m.id == "mirrors.E033")

    assert first.msg == (
        "MIRRORS_OPTIONS['COMMON_MODELS'] names 'market.Categry', which is no "
        "installed app or model."
    )
    assert first.hint == "Did you mean 'market.Category'?"
    assert second.hint == "Write 'app.Model'."


def test_common_model_with_an_owner_is_an_error(settings):
    share(settings, *COMMON, "market.Product")

    message = find_message("E034")

    assert message.msg == (
        "MIRRORS_OPTIONS['COMMON_MODELS'] names 'market.Product', whose rows belong to "
        "one mirror each."
    )
    assert message.hint == "Remove it from the list."


def test_key_from_rows_of_no_mirror_is_named(settings):
    share(settings, *COMMON)

    message = find_message("W036")

    assert message.msg == (
        "market.Rating.product leads from rows of no mirror to a row of one."
    )
    assert message.hint == "Let market.Rating inherit from MirrorOwned too."


def test_rules_that_name_the_owner_are_right(settings):
    share(settings, *COMMON)
    assert find_texts("W035") == []


@pytest.fixture
def change_rules(monkeypatch):
    """Return a function that gives `market.Product` other rules for a test."""

    def change(**options):
        for name, value in options.items():
            monkeypatch.setattr(Product._meta, name, value)

    return change


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"unique_together": (("name", "price"),)}, "'name', 'price'"),
        ({"constraints": [UniqueConstraint("name", name="x")]}, "'name'"),
        ({"constraints": [UniqueConstraint(Lower("name"), name="x")]}, "'name'"),
        ({"constraints": [UniqueConstraint(fields=["price"], name="x")]}, "'price'"),
    ],
)
def test_rule_without_the_owner_is_named(settings, change_rules, options, names):
    share(settings, *COMMON)
    change_rules(**options)

    message = find_message("W035")

    assert message.msg == (
        f"market.Product: {names} must be unique among the rows of all mirrors that "
        "share a database, so one learns what another one has."
    )
    assert message.hint == "Write a UniqueConstraint that has 'mirror_uid' too."


@pytest.mark.parametrize(
    "options",
    [
        {"unique_together": (("trader", "price"),)},  # the trader has an owner
        {"constraints": [UniqueConstraint("mirror_uid", Lower("name"), name="x")]},
    ],
)
def test_rule_that_two_mirrors_cannot_break_is_right(settings, change_rules, options):
    share(settings, *COMMON)
    change_rules(**options)
    assert find_texts("W035") == []


def test_field_that_is_unique_is_named(settings, monkeypatch):
    share(settings, *COMMON)
    field = Product._meta.get_field("name")
    monkeypatch.setattr(field, "_unique", True)
    monkeypatch.delitem(vars(field), "unique", raising=False)

    [text] = find_texts("W035")

    assert text.startswith("market.Product: 'name' must be unique")
    monkeypatch.delitem(vars(field), "unique", raising=False)


@pytest.mark.parametrize("value", ["auth", ["auth.User.email"], [1], ["a b"]])
def test_common_models_that_are_no_list_of_names_are_refused(settings, value):
    set_options(settings, COMMON_MODELS=value)

    assert find_message("E001").msg == (
        "MIRRORS_OPTIONS['COMMON_MODELS'] is not a list of apps and models."
    )
