"""Another process, which serves: it follows changes, and outlives the database."""

import http.client
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep
from uuid import uuid4

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = """
import sys
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

from django_mirrors.db import mirror_databases

BASE = Path(__file__).parent
settings.configure(
    BASE_DIR=BASE,
    SECRET_KEY="only for tests",
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    INSTALLED_APPS=["django_mirrors"],
    MIDDLEWARE=["django_mirrors.middleware.MirrorMiddleware"],
    DATABASES=mirror_databases({"default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE / "data" / "original.sqlite3",
    }}),
    DATABASE_ROUTERS=["django_mirrors.db.MirrorRouter"],
    MIRRORS={"books": {"HOSTS": ["books.example"], "STATE": "active"}},
    MIRRORS_OPTIONS={"ORIGINAL": {"HOSTS": ["original.example"]}, "POLL_SECONDS": 0.2},
)
urlpatterns = [path("", lambda request: HttpResponse(request.mirror.name))]
django.setup()


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Handler(WSGIRequestHandler):
    def log_message(self, *args):
        pass


if sys.argv[1] == "migrate":
    from django.core.management import call_command

    from django_mirrors import use_original

    with use_original():
        call_command("migrate", verbosity=0)
else:
    from django.core.wsgi import get_wsgi_application

    server = make_server("127.0.0.1", 0, get_wsgi_application(), Server, Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
"""


class Site:
    """A project in a directory, and its server."""

    def __init__(self, directory):
        self.directory = directory
        self.database = directory / "data" / "original.sqlite3"
        self.snapshot = directory / "mirrors-snapshot.sqlite3"
        self.server = None
        self.port = 0
        (directory / "data").mkdir()
        (directory / "project.py").write_text(PROJECT)

    def start(self, command="serve"):
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        env.pop("DJANGO_SETTINGS_MODULE", None)
        return subprocess.Popen(
            [sys.executable, str(self.directory / "project.py"), command],
            env=env,
            stdout=subprocess.PIPE,
            text=True,
        )

    def serve(self):
        self.server = self.start()
        self.port = int(self.server.stdout.readline())

    def stop(self):
        if self.server is not None:
            self.server.kill()
            self.server.communicate(timeout=10)

    def execute(self, statement, *values):
        with closing(sqlite3.connect(self.database, timeout=10)) as database, database:
            database.execute(statement, values)

    def ask(self, host):
        with closing(
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        ) as server:
            server.request("GET", "/", headers={"Host": host})
            response = server.getresponse()
            return response.status, response.read()[:20]


def wait_until(question, *, seconds=2):
    end = monotonic() + seconds
    while monotonic() < end:
        if question():
            return True
        sleep(0.02)
    return bool(question())


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    migration = made.start("migrate")
    assert migration.communicate(timeout=60)[0] == ""
    made.execute(
        "INSERT INTO django_mirrors_mirrorrecord (name, uid, state, declared, "
        'definition, reason, retry_after, "release", step, version, created, changed) '
        "VALUES ('music', ?, 'active', 0, ?, '', 0, '', '', 0, '2026-01-01', "
        "'2026-01-01')",
        uuid4().hex,
        '{"HOSTS": ["music.example"]}',
    )
    made.serve()
    yield made
    made.stop()


def test_server_follows_raw_sql_within_two_seconds(site):
    assert site.ask("music.example") == (200, b"music")

    site.execute("UPDATE django_mirrors_mirrorrecord SET state = 'suspended'")
    assert wait_until(lambda: site.ask("music.example")[0] == 503)
    site.execute("UPDATE django_mirrors_mirrorrecord SET state = 'active'")
    assert wait_until(lambda: site.ask("music.example")[0] == 200)

    assert site.ask("books.example") == (200, b"books")


def test_server_outlives_the_database_of_the_original_and_starts_without_it(site):
    assert wait_until(site.snapshot.exists)
    assert site.snapshot.stat().st_mode & 0o777 == 0o600
    sleep(0.5)

    site.database.parent.rename(site.directory / "away")
    sleep(0.5)
    running = site.ask("books.example"), site.ask("music.example")
    site.stop()
    site.serve()
    restarted = site.ask("books.example"), site.ask("music.example")

    assert running == restarted == ((200, b"books"), (200, b"music"))
    assert site.ask("nobody.example") == (404, b"Not Found")
