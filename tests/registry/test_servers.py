"""Servers with several processes: changes, and life without the original's database.

TEST_FLIPS sets how often a mirror is suspended and resumed; 100 for a release.
"""

import http.client
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread
from time import monotonic, sleep, time
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from tests.leftovers import make_token
from tests.plugins.services import get_postgres_url

ROOT = Path(__file__).parents[2]
WORKERS = 8
FLIPS = int(os.environ.get("TEST_FLIPS", "2"))
LIMIT = 2.0  # seconds until a change is live everywhere
INSERT = """
    INSERT INTO django_mirrors_mirrorrecord
        (name, uid, state, declared, definition, reason, retry_after, "release", step,
         version, created, changed)
    VALUES (%s, %s, 'active', %s, %s, '', 0, '', '', 0, %s, %s)
"""
UPDATE = "UPDATE django_mirrors_mirrorrecord SET state = %s WHERE name = %s"
DAY = "2026-01-01 00:00:00+00:00"


class Original:
    """The original's database, and a way to it that can be cut."""

    def __init__(self, url, path=None):
        self.url = url  # for the servers
        self.path = path

    @contextmanager
    def connect(self):
        with closing(sqlite3.connect(self.path, timeout=10)) as database, database:
            yield database, "?"

    def execute(self, statement, *values):
        with self.connect() as (database, mark):
            database.execute(statement.replace("%s", mark), values)

    def insert(self, name, *hosts):
        definition = json.dumps({"HOSTS": hosts})
        self.execute(INSERT, name, str(uuid4()), False, definition, DAY, DAY)

    def cut(self):
        """Let it be as if the server had stopped."""
        Path(self.path).parent.rename(f"{Path(self.path).parent}.away")

    def heal(self):
        Path(f"{Path(self.path).parent}.away").rename(Path(self.path).parent)


class Postgres(Original):
    """One on a server, behind a forwarder."""

    def __init__(self, name, forwarder):
        address = urlsplit(get_postgres_url())
        self.own_url = address._replace(path=f"/{name}").geturl()
        user = address.netloc.rpartition("@")[0]
        netloc = f"{user}@127.0.0.1:{forwarder.port}"
        super().__init__(address._replace(netloc=netloc, path=f"/{name}").geturl())
        self.forwarder = forwarder

    @contextmanager
    def connect(self):
        with psycopg.connect(self.own_url) as database:
            yield database, "%s"

    def cut(self):
        self.forwarder.close()

    def heal(self):
        self.forwarder.open()


class Forwarder:
    """Passes what comes to a port of this machine on to a server."""

    def __init__(self, host, port):
        self._target = (host, port)
        self._opened = []
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.is_silent = False
        self.open()

    def open(self):
        self._server = socket.create_server(("127.0.0.1", self.port))
        Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def close(self):
        """Refuse new connections, and end those that are open."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.hang_up()

    def hang_up(self):
        while self._opened:
            opened = self._opened.pop()
            with closing(opened):
                try:
                    opened.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def _accept(self, server):
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            self._opened.append(client)
            if self.is_silent:
                continue
            target = socket.create_connection(self._target)
            self._opened.append(target)
            for pair in ((client, target), (target, client)):
                Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            return
        finally:
            for end in (source, target):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue


class Servers:
    """A server of `server.py`, with what it writes to its log."""

    def __init__(self, directory, original):
        self.directory = directory
        self.original = original
        self.log = directory / "log"
        self.snapshot = directory / "mirrors-snapshot.sqlite3"
        self.process = None

    def run(self, *command, **variables):
        done = subprocess.run(
            self._build(command),
            env=self._build_env(variables),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return json.loads(done.stdout or "null")

    def start(self, workers=WORKERS, **variables):
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                self._build(("serve", str(workers))),
                env=self._build_env(variables),
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        started = json.loads(self.process.stdout.readline())
        self.ports, self.children = started["ports"], started["children"]
        self.seconds = started["seconds"]

    def stop(self):
        if self.process is not None:
            # The process ends its workers when this pipe ends.
            self.process.communicate(timeout=20)
            self.process = None

    def restart(self, **options):
        self.stop()
        self.start(**options)

    def ask(self, port, host, url="/"):
        with closing(
            http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        ) as client:
            client.request("GET", url, headers={"Host": host})
            response = client.getresponse()
            return response.status, response.read().decode()

    def ask_all(self, host):
        """Return the status that each worker answers."""
        with ThreadPoolExecutor(len(self.ports)) as executor:
            answers = executor.map(lambda port: self.ask(port, host)[0], self.ports)
            return list(answers)

    def measure(self, host, status, since):
        """Return the seconds until the last worker answers `status`, for good."""

        def wait(port):
            while self.ask(port, host)[0] != status:
                assert time() - since < 3 * LIMIT, self.log.read_text()[-2000:]
                sleep(0.01)
            seconds = time() - since
            # What was seen once is not taken back.
            assert [self.ask(port, host)[0] for _ in range(5)] == [status] * 5
            return seconds

        with ThreadPoolExecutor(len(self.ports)) as executor:
            return max(executor.map(wait, self.ports))

    def wait_for_all(self, host, status):
        assert self.measure(host, status, time()) >= 0

    def _build(self, command):
        # Not with -m: the module is imported once, for its URLs too.
        code = f"from tests.registry.server import main; main(*{command!r})"
        return [sys.executable, "-c", code]

    def _build_env(self, variables):
        env = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
        env.pop("DJANGO_SETTINGS_MODULE", None)
        env["SERVER_DIRECTORY"] = str(self.directory)
        env["SERVER_DATABASE"] = self.original.url
        return env


@pytest.fixture
def postgres():
    """An original on PostgreSQL, reached through a forwarder."""
    name = make_token("dm_servers_")
    address = urlsplit(get_postgres_url())
    with psycopg.connect(get_postgres_url(), autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        forwarder = Forwarder(address.hostname, address.port or 5432)
        yield Postgres(name, forwarder)
        forwarder.close()
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def original(request, tmp_path):
    """An original of each kind in turn."""
    if request.param == "postgres":
        return request.getfixturevalue("postgres")
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "original.sqlite3"
    return Original(f"sqlite:///{path}", path)


@pytest.fixture
def servers(original, tmp_path):
    """Workers that serve the declared `books`, and `films` and `music` of records."""
    made = Servers(tmp_path, original)
    made.run("migrate")
    original.insert("films", "films.example")
    original.insert("music", "music.example", "www.music.example")
    made.start()
    yield made
    made.stop()


def test_changes_are_live_in_every_worker_within_two_seconds(servers):
    delays = []
    for number in range(FLIPS):
        for state, status in (("suspended", 503), ("active", 200)):
            if number % 2:
                since = servers.run("update", "films", state)
            else:
                servers.original.execute(UPDATE, state, "films")
                since = time()
            delays.append(servers.measure("films.example", status, since))

    assert max(delays) <= LIMIT
    assert servers.ask_all("music.example") == [200] * WORKERS


def test_mirrors_are_added_renamed_and_deleted_while_servers_run(servers):
    servers.original.insert("games", "games.example")
    added = servers.measure("games.example", 200, time())
    servers.original.execute(
        "UPDATE django_mirrors_mirrorrecord SET name = %s WHERE name = %s",
        "toys",
        "games",
    )
    servers.original.execute(UPDATE, "maintenance", "toys")
    renamed = servers.measure("games.example", 503, time())
    servers.original.execute(
        "DELETE FROM django_mirrors_mirrorrecord WHERE name = %s", "toys"
    )
    deleted = servers.measure("games.example", 404, time())

    assert max(added, renamed, deleted) <= LIMIT
    assert servers.ask_all("films.example") == [200] * WORKERS


def test_servers_outlive_the_originals_database_and_start_without_it(servers):
    servers.wait_for_all("films.example", 200)
    wait_for_snapshot(servers, "films")
    servers.original.execute(UPDATE, "suspended", "music")
    servers.wait_for_all("music.example", 503)
    wait_for_snapshot(servers, "suspended")

    servers.original.cut()
    sleep(1.5)
    running = [servers.ask_all(f"{name}.example") for name in ("films", "music")]
    servers.restart()
    restarted = [servers.ask_all(f"{name}.example") for name in ("films", "music")]
    unknown = servers.ask_all("unknown.example")
    servers.original.heal()
    servers.original.execute(UPDATE, "active", "music")
    delay = servers.measure("music.example", 200, time())

    assert running == restarted == [[200] * WORKERS, [503] * WORKERS]
    assert unknown == [404] * WORKERS
    # The first look after the outage may come a second after the change.
    assert delay <= 2 * LIMIT
    assert servers.snapshot.stat().st_mode & 0o777 == 0o600
    log = servers.log.read_text()
    assert "Traceback" not in log
    assert log.count("cannot be read") <= 3 * (WORKERS + 1)


def wait_for_snapshot(servers, text):
    """Wait until the file of the last known fleet holds `text`."""
    end = monotonic() + 10
    while monotonic() < end:
        if servers.snapshot.exists() and text.encode() in servers.snapshot.read_bytes():
            return
        sleep(0.05)
    raise AssertionError(f"The file never held {text!r}.")


def test_a_change_that_is_wrong_is_refused_and_told_once(servers):
    servers.original.execute(
        "UPDATE django_mirrors_mirrorrecord SET definition = %s WHERE name = %s",
        json.dumps({"HOSTS": ["music.example"]}),
        "films",
    )
    servers.original.execute(UPDATE, "suspended", "music")
    servers.wait_for_all("music.example", 503)
    sleep(2.5)

    assert servers.ask_all("films.example") == [200] * WORKERS
    sentences = [
        line for line in servers.log.read_text().splitlines() if "claimed twice" in line
    ]
    # The process that forked the workers watches too.
    assert len(sentences) == WORKERS + 1
    assert "Host 'music.example' is claimed twice" in sentences[0]


@pytest.mark.parametrize("original", ["sqlite"], indirect=True)
def test_requests_make_no_query(servers):
    for host in (
        "films.example",
        "books.example",
        "unknown.example",
        "original.example",
    ):
        for _ in range(25):
            servers.ask_all(host)

    for port in servers.ports:
        queries = json.loads(servers.ask(port, "films.example", "/stats/")[1])[
            "queries"
        ]
        assert queries.keys() <= {"MainThread", "django_mirrors"}
        # The main thread is the one that was forked, before any request.
        assert queries.get("MainThread", 0) == 0
        assert 0 < queries["django_mirrors"] < 60


@pytest.mark.parametrize("original", ["sqlite"], indirect=True)
def test_a_broken_file_is_outlived(servers):
    servers.wait_for_all("films.example", 200)
    wait_for_snapshot(servers, "films")
    path = servers.original.path
    servers.stop()
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    whole = path.read_bytes()

    path.write_bytes(b"garbage" * 1000)
    servers.start()
    broken = servers.ask_all("films.example")
    shutil.copy(path, f"{path}.broken")
    path.write_bytes(whole)
    servers.original.execute(UPDATE, "suspended", "films")
    servers.wait_for_all("films.example", 503)

    assert broken == [200] * WORKERS


@pytest.mark.postgres
@pytest.mark.parametrize("original", ["postgres"], indirect=True)
def test_a_database_that_is_silent_does_not_hold_up_a_start(servers):
    servers.wait_for_all("films.example", 200)
    wait_for_snapshot(servers, "films")
    servers.stop()

    servers.original.forwarder.is_silent = True
    servers.start(SERVER_START_SECONDS="1")
    silent = servers.ask_all("films.example")
    servers.original.forwarder.is_silent = False
    servers.original.forwarder.hang_up()
    servers.original.execute(UPDATE, "suspended", "films")
    servers.wait_for_all("films.example", 503)

    assert servers.seconds < 5
    assert silent == [200] * WORKERS


@pytest.mark.parametrize("original", ["sqlite"], indirect=True)
def test_a_worker_that_is_killed_takes_nothing_with_it(servers):
    os.kill(servers.children[0], signal.SIGKILL)
    survivors = servers.ports[1:]

    servers.original.execute(UPDATE, "suspended", "films")
    servers.ports = survivors

    assert servers.measure("films.example", 503, time()) <= LIMIT


ASGI = """
import asyncio
from asgiref.testing import ApplicationCommunicator
from tests.registry import server


async def main():
    # As uvicorn does: the application is built on the running loop.
    from django.core.asgi import get_asgi_application

    application = get_asgi_application()
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1",
        "method": "GET", "path": "/", "query_string": b"",
        "headers": [(b"host", b"films.example")],
    }
    while True:
        communicator = ApplicationCommunicator(application, scope)
        await communicator.send_input({"type": "http.request", "body": b""})
        start = await communicator.receive_output(5)
        await communicator.receive_output(5)
        await communicator.wait()
        print(start["status"], flush=True)
        if start["status"] != 200:
            return
        await asyncio.sleep(0.05)


server.configure()
asyncio.run(main())
"""


@pytest.mark.parametrize("original", ["sqlite"], indirect=True)
def test_a_fleet_is_read_when_an_event_loop_runs(servers):
    with subprocess.Popen(
        [sys.executable, "-c", ASGI],
        env=servers._build_env({}),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        first = process.stdout.readline().strip()

        servers.original.execute(UPDATE, "suspended", "films")
        since = time()
        *_, last = process.stdout.read().split()

    assert (first, last) == ("200", "503")
    assert time() - since <= LIMIT + 0.5
