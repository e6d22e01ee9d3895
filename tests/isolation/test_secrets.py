"""No password, key or token of a definition is ever shown: canaries in all of them."""

import copy
import logging
import os
import pprint
import subprocess
import sys
import traceback
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core import mail
from django.core.cache import caches
from django.core.files.storage import storages
from django.core.management import call_command, load_command_class
from django.db import connections
from django.template.defaultfilters import pprint as template_pprint
from django.test import Client
from django.utils.log import AdminEmailHandler
from django.views.debug import ExceptionReporter

from django_mirrors import mirrors, use_mirror
from django_mirrors.checks.findings import build_findings
from django_mirrors.conf import get_conf
from django_mirrors.exceptions import InvalidMirror
from tests.isolation.admins import ADMINS

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).parents[2]
NAMES = ("works", "dead", "refused", "dictionary", "variable", "mounted")
COMMANDS = [
    path.stem
    for path in (ROOT / "django_mirrors/management/commands").glob("mirror_*.py")
]
S3 = "storages.backends.s3.S3Storage"
REDIS = "django.core.cache.backends.redis.RedisCache"


class Canaries:
    """Makes words that nobody may see, and collects what was shown."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.outputs: list[tuple[str, str]] = []

    def __call__(self) -> str:
        self.words.append(f"canary{len(self.words):02}tweet")
        return self.words[-1]

    def show(self, place: str, text: object) -> None:
        self.outputs.append((place, str(text)))

    def show_error(self, place: str, error: BaseException) -> None:
        """Add what an error says, in all the ways that Django reports it."""
        self.show(f"{place}: error", f"{error} {error!r}")
        chain = "".join(traceback.format_exception(error))
        self.show(f"{place}: traceback", chain)
        reporter = ExceptionReporter(None, type(error), error, error.__traceback__)
        self.show(f"{place}: page", reporter.get_traceback_html())
        self.show(f"{place}: report", reporter.get_traceback_text())

    def find_hits(self) -> list[tuple[str, str]]:
        return [
            (place, word)
            for place, text in self.outputs
            for word in self.words
            if word in text
        ]


@pytest.fixture
def canary() -> Canaries:
    return Canaries()


@pytest.fixture
def fleet_of_secrets(canary, settings, tmp_path, monkeypatch) -> Iterator[None]:
    """Declare mirrors with a secret wherever there can be one; most cannot connect."""
    for name in ("DB", "S3_KEY", "S3_SECRET", "REDIS"):
        monkeypatch.setenv(f"OF_VARIABLE_{name}", canary())
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for name, url in {
        "db": f"postgres://app:{canary()}@127.0.0.1:1/mounted",
        "s3": f"s3://{canary()}:{canary()}@bucket/?endpoint_url=http://127.0.0.1:1",
        "cache": f"redis://:{canary()}@127.0.0.1:1/0",
    }.items():
        (tmp_path / name).write_text(url)
    s3_query = "endpoint_url=http://127.0.0.1:1"
    definitions = {
        "works": {
            "DATABASE": f"sqlite:///{tmp_path}/works.sqlite3",
            "STORAGE": f"file://{tmp_path}/works/",
            "SETTINGS": {
                "SHOP_API_KEY": canary(),
                "SHOP_PASSWORD": canary(),
                "SHOP_URL": f"https://user:{canary()}@shop.example/",
                "SHOP": {"TOKEN": canary(), "URLS": [f"amqp://a:{canary()}@b/"]},
            },
            "BILLING": {"API_TOKEN": canary()},
        },
        "dead": {
            "DATABASE": f"postgres://app:{canary()}@127.0.0.1:1/dead",
            "STORAGE": f"s3://{canary()}:{canary()}@bucket/?{s3_query}",
            "CACHE": f"redis://:{canary()}@127.0.0.1:1/0",
        },
        "refused": {
            "DATABASE": f"mysql://root:{canary()}@127.0.0.1:3306/refused",
            "STORAGE": f"s3://bucket/?{s3_query}&secret_key={canary()}&access_key=a",
            "CACHE": f"redis://nobody:{canary()}@127.0.0.1:6379/0",
        },
        "dictionary": {
            "DATABASE": {
                "ENGINE": "django.db.backends.postgresql",
                "HOST": "127.0.0.1",
                "PORT": 1,
                "NAME": "dictionary",
                "USER": "app",
                "PASSWORD": canary(),
                "OPTIONS": {"sslpassword": canary()},
            },
            "STORAGES": {
                "default": {
                    "BACKEND": S3,
                    "OPTIONS": {
                        "bucket_name": "bucket",
                        "access_key": canary(),
                        "secret_key": canary(),
                        "endpoint_url": "http://127.0.0.1:1",
                    },
                }
            },
            "CACHE": {
                "BACKEND": REDIS,
                "LOCATION": f"redis://:{canary()}@127.0.0.1:1/0",
                "OPTIONS": {"password": canary()},
            },
        },
        "variable": {
            "DATABASE": "postgres://app:${OF_VARIABLE_DB}@127.0.0.1:1/variable",
            "STORAGE": "s3://${OF_VARIABLE_S3_KEY}:${OF_VARIABLE_S3_SECRET}@bucket/"
            f"?{s3_query}",
            "CACHE": "redis://:${OF_VARIABLE_REDIS}@127.0.0.1:1/0",
        },
        "mounted": {
            "DATABASE": f"file:{tmp_path}/db",
            "STORAGE": f"file:{tmp_path}/s3",
            "CACHE": f"file:{tmp_path}/cache",
        },
    }
    settings.MIRRORS = {
        name: {"HOSTS": [f"{name}.example"], "STATE": "active", **definition}
        for name, definition in definitions.items()
    }
    settings.SHOP_API_KEY = settings.SHOP_PASSWORD = settings.SHOP_URL = ""
    settings.SHOP = {}
    settings.ADMINS = ADMINS
    declared = settings.MIRRORS
    yield
    settings.MIRRORS = declared
    for name in NAMES:
        if connections.settings.get_current(name) is not None:
            connections[name].close()
            del connections[name]


def run(canary: Canaries, *arguments: str) -> None:
    """Run a command; collect what it prints, and what it says when it fails."""
    out, place = StringIO(), " ".join(arguments)
    try:
        call_command(*arguments, stdout=out, stderr=out)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - any may be shown
        canary.show_error(place, error)
    canary.show(place, out.getvalue())


def run_all_commands(canary: Canaries) -> None:
    for command in COMMANDS:
        parser = load_command_class("django_mirrors", command).create_parser(
            "", command
        )
        canary.show(f"{command} --help", parser.format_help())
    for command in ("mirror_list", "mirror_status", "mirror_check --all"):
        run(canary, *command.split())
        run(canary, *command.split(), "--json")
    run(canary, "check")
    run(canary, "check", "--tag", "mirrors")
    run(canary, "check", "--deploy")
    for name in NAMES:
        for command in (
            f"mirror_show {name}",
            f"mirror_status {name}",
            f"mirror_check {name}",
            f"mirror_rollout {name} --plan",
            f"mirror_rollout {name}",
            f"mirror_change {name} --label tier=gold",
            f"mirror_change {name} --label tier=gold --dry-run",
            f"mirror_change {name} --set NO_SUCH=1",
            f"mirror_state {name} maintenance --reason moving",
            f"mirror_state {name} active",
            f"mirror_add {name} --dry-run",
            f"mirror_add {name}",
        ):
            run(canary, *command.split())
            run(canary, *command.split(), "--json")
        run(canary, "mirror_run", name, "--", "check", "--database", name)
        run(canary, "migrate", "--database", name)


def ask_all_hosts(canary: Canaries, settings) -> None:
    """Collect pages, of errors above all, and the mails that report them."""
    for debug in (False, True):
        settings.DEBUG = debug
        for name in NAMES:
            for path in ("/titles/", "/visit/", "/break-off/?title=x", "/nowhere/"):
                client = Client(raise_request_exception=False)
                response = client.get(path, HTTP_HOST=f"{name}.example")
                canary.show(f"{name} {path} {debug}", response.content.decode())
    for message in mail.outbox:
        canary.show("mail to the admins", message.message().as_string())


def report_in_full(canary: Canaries) -> None:
    """Collect the mails of a project that sends its admins the whole page."""
    handler = AdminEmailHandler(include_html=True)
    for name in NAMES:
        mail.outbox.clear()
        with use_mirror(name):
            try:
                connections[name].ensure_connection()
                storages["default"].exists("x")
                caches["default"].get("x")
            except Exception:  # noqa: BLE001 - any may be reported
                record = logging.LogRecord(
                    "app", logging.ERROR, "", 1, "failed", (), sys.exc_info()
                )
                handler.emit(record)
        for message in mail.outbox:
            canary.show(f"full report of {name}", message.message().as_string())


def write_all_objects(canary: Canaries) -> None:
    """Collect what objects look like where code or a shell shows them."""
    findings = build_findings(read_all=True)
    for place, value in {"conf": get_conf(), "mirrors": mirrors, "f": findings}.items():
        for show in (repr, str, pprint.pformat, template_pprint):
            canary.show(f"{show.__name__} of {place}", show(value))
    for name in NAMES:
        mirror = mirrors[name]
        for value in (mirror, [mirror], {"mirror": mirror}, copy.copy(mirror)):
            for show in (repr, str, format, pprint.pformat, template_pprint):
                canary.show(f"{show.__name__} of {name}", show(value))
        with use_mirror(name):
            canary.show("connection", f"{connections[name]!r} {connections[name]}")
            canary.show("storage", f"{storages['default']!r} {storages['default']}")
            canary.show("cache", f"{caches['default']!r} {caches['default']}")


MISTAKES = {
    "port": "postgres://app:{}@db:port/name",
    "scheme": "nosuch://app:{}@db/name",
    "bracket": "postgres://app:{}@[::1/name",
    "slash": "postgres://app:{}/x@db/name",
    "no scheme": "app:{}@db/name",
    "number": 5,
}


def make_all_mistakes(canary: Canaries, settings) -> None:
    """Collect what is said about definitions that are wrong."""
    for key, (kind, text) in [
        (key, item)
        for key in ("DATABASE", "STORAGE", "CACHE", "MAIL", "NOSUCH")
        for item in MISTAKES.items()
    ]:
        value = text.format(canary()) if isinstance(text, str) else text
        settings.MIRRORS = {
            "wrong": {"HOSTS": ["wrong.example"], "STATE": "active", key: value}
        }
        for command in (
            "check --tag mirrors",
            "mirror_show wrong",
            "mirror_check wrong",
        ):
            run(canary, *command.split())
        try:
            with use_mirror("wrong"):
                connections["wrong"].ensure_connection()
                storages["default"].exists("x")
                caches["default"].get("x")
        except Exception as error:  # noqa: BLE001 - any may be shown
            canary.show_error(f"wrong {key}, {kind}", error)


def test_no_secret_is_in_anything_that_is_shown(
    canary, fleet_of_secrets, settings, caplog, report_figure
):
    caplog.set_level(logging.DEBUG, logger="")
    # Its own log of each request has the id of the key, as the request itself.
    caplog.set_level(logging.INFO, logger="botocore")

    run_all_commands(canary)
    ask_all_hosts(canary, settings)
    report_in_full(canary)
    write_all_objects(canary)
    make_all_mistakes(canary, settings)
    canary.show("log", caplog.text)

    hits = canary.find_hits()
    assert hits == []
    assert len(canary.outputs) >= 300
    report_figure(
        "secrets",
        f"{len(canary.words)} canaries, {len(canary.outputs)} outputs, "
        f"{sum(len(text) for _, text in canary.outputs) // 1024} KiB: hits {len(hits)}",
    )


def test_the_canaries_would_be_found(canary, fleet_of_secrets, settings):
    canary.show("definitions", settings.MIRRORS)
    canary.show("environment", os.environ)

    assert {word for _, word in canary.find_hits()} >= {*canary.words[:4]}
    assert len(canary.find_hits()) > 20


PROJECT = """
from pathlib import Path
from django_mirrors.db import mirror_databases

BASE_DIR = Path(__file__).parent
SECRET_KEY = "canary-of-the-project"
INSTALLED_APPS = [
    "django.contrib.auth", "django.contrib.contenttypes", "django_mirrors",
]
MIDDLEWARE = ["django_mirrors.middleware.MirrorMiddleware"]
DATABASES = mirror_databases(
    {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db"}}
)
DATABASE_ROUTERS = ["django_mirrors.db.MirrorRouter"]
MIRRORS = {
    name: {
        "HOSTS": [f"{name}.example"],
        "DATABASE": f"sqlite:///{name}.sqlite3",
        "CACHE": "redis://:canary-of-the-cache@127.0.0.1:1/0",
        "SETTINGS": {"SHOP_API_KEY": "canary-of-a-setting"},
        "STATE": "active",
    }
    for name in ("one", "two")
}
SHOP_API_KEY = ""
MIRRORS_OPTIONS = {"SNAPSHOT": None, "ORIGINAL": {"HOSTS": ["original.example"]}}
"""
LOOK = (
    "print(open('/proc/self/cmdline').read().replace(chr(0), ' ')); "
    "print(open('/proc/self/environ').read().replace(chr(0), ' '))"
)


def test_child_processes_are_told_no_secret(tmp_path):
    (tmp_path / "project_settings.py").write_text(PROJECT)
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "project_settings",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
    }

    done = subprocess.run(
        [
            *[sys.executable, "-m", "django", "mirror_run", "one", "two"],
            *["--jobs", "2", "--", "shell", "--no-imports", "-c", LOOK],
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("DJANGO_SETTINGS_MODULE") == 2
    assert "canary" not in done.stdout + done.stderr


def test_error_of_a_definition_names_the_place_and_not_the_value(settings, canary):
    settings.MIRRORS = {
        "wrong": {"HOSTS": ["wrong.example"], "DATABASE": f"app:{canary()}@db"}
    }

    with pytest.raises(InvalidMirror) as caught, use_mirror("wrong"):
        connections["wrong"].ensure_connection()

    canary.show_error("wrong", caught.value)
    assert canary.find_hits() == []
    assert "wrong" in str(caught.value)
