"""A fleet in a folder of its own, and Celery's workers for it, which may be killed."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import kombu

from tests.plugins.services import get_rabbitmq_url, get_redis_url

__all__ = ["BROKERS", "CeleryFleet", "Run"]

BROKERS = ("rabbitmq", "redis")

_ROOT = Path(__file__).parents[2]
_PROJECT = "tests.integrations.celery_project"
_SECONDS = 60  # more than anything takes that is about a few mirrors


def get_broker_url(broker: str) -> str:
    """Return the URL of a broker; of Redis, not the database that other tests empty."""
    if broker == "rabbitmq":
        return get_rabbitmq_url()
    return urlunsplit(urlsplit(get_redis_url())._replace(path="/6"))


class Run:
    """A management command under way in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def wait(self, *, seconds: float = _SECONDS) -> "Run":
        """Wait for its end."""
        self.out, self.err = self.process.communicate(timeout=seconds)
        self.code = self.process.returncode
        return self

    @property
    def report(self) -> dict[str, Any]:
        """What it printed as JSON."""
        assert self.out.startswith("{"), self.out + self.err
        return json.loads(self.out)

    @property
    def errors(self) -> str:
        """What is said of the mirrors that failed."""
        return " ".join(item["error"] for item in self.report["results"])


class CeleryFleet:
    """An original and mirrors that lack a release, on SQLite."""

    def __init__(self, directory: Path, mirrors: int) -> None:
        self.directory, self.mirrors = directory / "work", mirrors
        self.broker, self.timeout = "", 20.0
        self._kept = directory / "kept"
        self._token = f"dmcelery_{uuid4().hex[:8]}"
        self._processes: list[subprocess.Popen[str]] = []
        (self.directory / "databases").mkdir(parents=True)
        made = self._run(f"{_PROJECT}.build", str(mirrors), KILLS_RELEASE="first")
        assert made.wait(seconds=self.seconds).code == 0, made.err
        assert self.command("migrate", "--verbosity=0").wait().code == 0
        shutil.copytree(self.directory, self._kept)

    @property
    def seconds(self) -> float:
        """More than anything takes that is about all mirrors."""
        return _SECONDS + 3 * self.mirrors

    @property
    def names(self) -> list[str]:
        """The names of the mirrors."""
        return [f"m{number:03}" for number in range(self.mirrors)]

    def begin_again(self, broker: str) -> None:
        """Let every mirror lack the release, with no worker and no message."""
        self.end()
        self.broker, self.timeout = get_broker_url(broker) if broker else "", 20.0
        shutil.rmtree(self.directory)
        shutil.copytree(self._kept, self.directory)

    def end(self) -> None:
        """End every process that was started, and forget what was sent."""
        for process in self._processes:
            self.kill(process)
        self._processes.clear()
        if self.broker.startswith("amqp"):
            with kombu.Connection(self.broker) as connection:
                connection.default_channel.queue_delete(self._token)
        elif self.broker:
            import redis

            with closing(redis.Redis.from_url(self.broker)) as client:
                for key in client.scan_iter(f"{self._token}:*"):
                    client.delete(key)

    def command(self, *arguments: str, **environment: str) -> Run:
        """Begin a management command."""
        return self._run("django", *arguments, **environment)

    def roll_out(self, *options: str, executor: str = "celery", **given: str) -> Run:
        """Begin a rollout."""
        names = [item for item in options if item in self.names]
        is_whole = not names and "--resume" not in options
        own = ("--all",) if is_whole else ()
        return self.command(
            "mirror_rollout", *own, *options, "--executor", executor, "--json", **given
        )

    def start_worker(
        self, *options: str, **environment: str
    ) -> "subprocess.Popen[str]":
        """Start a worker, with one process unless the options say otherwise."""
        number = len(self._processes)
        log = self._find_log(number)
        run = self._run(
            "celery",
            f"--app={_PROJECT}",
            "worker",
            f"--hostname={self._token}-{number}@%h",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
            "--loglevel=INFO",
            *(options or ("--pool=solo",)),
            log=log,
            **environment,
        )
        return run.process

    def wait_for_worker(self, process: "subprocess.Popen[str]") -> None:
        """Wait until a worker listens."""
        until = monotonic() + _SECONDS
        while not self.is_ready(process):
            assert monotonic() < until, "The worker does not listen."
            sleep(0.05)

    def is_ready(self, process: "subprocess.Popen[str]") -> bool:
        """Whether a worker listens."""
        log = self._find_log(self._processes.index(process))
        return " ready." in log.read_text()

    def kill(self, process: "subprocess.Popen[str]") -> None:
        """Kill a process and its children."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in filter(None, (process.stdout, process.stderr)):
            stream.close()

    def kill_one(self, process: "subprocess.Popen[str]") -> None:
        """Kill a process and leave its children alone."""
        process.kill()
        process.wait()

    def pause(self, seconds: float) -> None:
        """Let each mirror take so long from now on."""
        (self.directory / "pause").write_text(str(seconds))

    def take_down(self, name: str) -> None:
        """Let a mirror kill every process that works on it."""
        (self.directory / "deadly").write_text(name)

    def list_begun(self) -> list[tuple[str, int]]:
        """Return which mirrors were begun, and by which processes."""
        path = self.directory / "begun.txt"
        if not path.exists():
            return []
        lines = [line.split() for line in path.read_text().splitlines()]
        return [(name, int(process)) for name, process in lines]

    def wait_for(self, begun: int) -> None:
        """Wait until so many mirrors were begun."""
        until = monotonic() + _SECONDS
        while len(self.list_begun()) < begun:
            assert monotonic() < until, "No mirror is begun."
            sleep(0.02)

    def find_problems(self, names: Iterable[str]) -> list[str]:
        """Return what is wrong in mirrors that should have the release."""
        return [item for name in names for item in self._find_problems(name)]

    def describe(self) -> dict[str, Any]:
        """Return what the original's database tells of rollouts."""
        return {
            "steps": self.read("original", _STEPS),
            "operations": self.read("original", _OPERATIONS),
            "ledger": self.read("original", _LEDGER),
            "errands": self.read("original", "SELECT * FROM django_mirrors_errand"),
        }

    def list_behind(self) -> list[str]:
        """Return the names of the mirrors that have nothing of the release."""
        return [name for name in self.names if len(self.read(name, _RECORDED)) == 1]

    def read(self, name: str, sql: str) -> list[tuple[Any, ...]]:
        """Return what a query gives in a database; `original` for the records."""
        path = self.directory / "original.sqlite3"
        if name != "original":
            path = self.directory / "databases" / f"{name}.sqlite3"
        with closing(sqlite3.connect(path, timeout=20)) as connection:
            return connection.execute(sql).fetchall()

    def _find_log(self, number: int) -> Path:
        return self.directory / f"worker-{number}.log"

    def _find_problems(self, name: str) -> list[str]:
        recorded = self.read(name, _RECORDED)
        trees = self.read(name, "SELECT name, height FROM orchard_tree ORDER BY id")
        markers = self.read(name, "SELECT rollout FROM django_mirrors_marker")
        found = {"recorded": recorded, "trees": trees, "markers": markers}
        wanted = {
            "recorded": [(migration,) for migration in _MIGRATIONS],
            "trees": [("old", 4), (f"planted in {name}", 3)],
            "markers": [("",)],
        }
        return [
            f"{name}: {key} {found[key]}" for key in wanted if found[key] != wanted[key]
        ]

    def _run(
        self, module: str, *arguments: str, log: Path | None = None, **given: str
    ) -> Run:
        environment = {
            **{key: os.environ[key] for key in os.environ if key[:7] != "CELERY_"},
            "DJANGO_SETTINGS_MODULE": f"{_PROJECT}.settings",
            "KILLS_DIRECTORY": str(self.directory),
            "KILLS_ENGINE": "sqlite",
            "KILLS_SERVER": "",
            "KILLS_TOKEN": self._token,
            "FLEET_BROKER": self.broker,
            "FLEET_TIMEOUT": str(self.timeout),
            "PYTHONPATH": str(_ROOT),
            **given,
        }
        out = subprocess.PIPE if log is None else log.open("w")
        process = subprocess.Popen(
            (sys.executable, "-m", module, *arguments),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.PIPE if log is None else subprocess.STDOUT,
            text=True,
            cwd=_ROOT,
            env=environment,
            start_new_session=True,
        )
        if log is not None:
            out.close()
        self._processes.append(process)
        return Run(process)


_RECORDED = "SELECT name FROM django_migrations WHERE app = 'orchard' ORDER BY name"
_STEPS = (
    "SELECT mirror, wave, outcome, detail, error FROM django_mirrors_steprecord "
    "ORDER BY mirror"
)
_OPERATIONS = "SELECT operation, outcome FROM django_mirrors_operationrecord"
_LEDGER = (
    "SELECT name, release, migrations, rollout IS NOT NULL "
    "FROM django_mirrors_mirrorrecord ORDER BY name"
)
_MIGRATIONS = ("0001_initial", "0002_height", "0003_grow", "0004_label")
