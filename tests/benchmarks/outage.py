"""What the outage of one mirror's database costs it, and the others beside it.

    python -m tests.benchmarks.outage [--seconds 8] [--ages 0,600] [--ways silent]

A server with a pool of threads serves mirrors with a PostgreSQL database each, from
TEST_POSTGRES_URL, to clients that ask at a steady pace. One of the databases is reached
through a proxy, which then refuses, leaves new connections without an answer, takes
all and passes on nothing, or passes each packet on late. The same server is measured
before, so that a noisy machine slows both. With `--ages 600` connections are kept, so
that statements meet the outage and not attempts to connect.

Goals: the others see no error, and at most 1.1 times the 99th percentile of before. The
sick mirror answers 503 within 2.5 s, then within 5 ms but for the one request at a time
that tries the database again, and is back 15 s after its database.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from statistics import median, quantiles
from time import monotonic, sleep
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psycopg

from tests.leftovers import clean_up, make_token

POSTGRES_URL = os.environ.get(
    "TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/postgres"
)
WAYS = ("refuse", "gone", "silent", "late")
TOKEN = make_token("dm_outage_")
MIRRORS = 4  # the first one of which falls ill
CLIENTS = 2  # of each mirror
PACE = 0.1  # seconds between two requests of a client
LONGEST = 30.0  # that a client or the recovery is waited for
_TRY = 1.0  # a request that takes longer tried the database itself


class Answer(NamedTuple):
    """What one request got, and when."""

    mirror: int
    began: float
    seconds: float
    status: int  # 0 if there was none in time

    @property
    def ended(self) -> float:
        """When the answer was there."""
        return self.began + self.seconds


class Child:
    """A process of `tests.benchmarks.outage_processes`, told what to do by lines."""

    def __init__(self, kind: str, **options: Any) -> None:
        module = "tests.benchmarks.outage_processes"
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, kind, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self._read())

    def tell(self, way: str) -> None:
        """Say what to do, and wait until it is done."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{way}\n")
        self._process.stdin.flush()
        self._read()

    def close(self) -> None:
        """End the process, whatever its threads wait for."""
        self._process.kill()
        self._process.communicate()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


class Load:
    """Clients that ask all mirrors at a steady pace until they are stopped."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stopped = threading.Event()
        self.answers: list[Answer] = []
        self._threads = [
            threading.Thread(target=self._run, args=[mirror, part], daemon=True)
            for part in range(CLIENTS)
            for mirror in range(MIRRORS)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let no client ask again, and wait for those that do."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(LONGEST)

    def find(self, began: float, ended: float, *, is_sick: bool) -> list[Answer]:
        """Return the answers to what was asked meanwhile, of the sick or the others."""
        return [
            answer
            for answer in list(self.answers)
            if began <= answer.began < ended and (answer.mirror == 0) is is_sick
        ]

    def _run(self, mirror: int, part: int) -> None:
        # The clients are spread over the time between two requests.
        number = part * MIRRORS + mirror
        due = monotonic() + PACE * number / (MIRRORS * CLIENTS)
        while not self._stopped.wait(max(due - monotonic(), 0)):
            began = monotonic()
            status = self._ask(mirror)
            self.answers.append(Answer(mirror, began, monotonic() - began, status))
            due = max(due + PACE, began)

    def _ask(self, mirror: int) -> int:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=LONGEST)
        try:
            connection.request("GET", "/", headers={"Host": f"h{mirror}.example.com"})
            response = connection.getresponse()
            response.read()
        except (OSError, HTTPException):
            return 0
        else:
            return response.status
        finally:
            connection.close()


def measure(way: str, age: int, seconds: float, late: float) -> None:
    """Print a line about one kind of outage."""
    server = urlsplit(POSTGRES_URL)
    target = (server.hostname or "127.0.0.1", server.port or 5432)
    proxy = Child("proxy", target=target, late=late)
    user = server.netloc.rpartition("@")[0]
    urls = [f"{POSTGRES_URL.rpartition('/')[0]}/{name}" for name in get_names()]
    urls[0] = urls[0].replace(server.netloc, f"{user}@127.0.0.1:{proxy.port}", 1)
    server_process = Child("server", urls=urls, age=age)
    load = Load(server_process.port)
    try:
        sleep(2)  # each thread connects
        before = monotonic()
        sleep(seconds)
        failed = monotonic()
        proxy.tell(way)
        sleep(seconds)
        proxy.tell("pass")
        healed = monotonic()
        sleep(1)
        while not is_back(load, healed) and monotonic() - healed < LONGEST:
            sleep(0.1)
    finally:
        threading.Thread(target=load.stop, daemon=True).start()
        sleep(0.5)
        server_process.close()
        proxy.close()
    print_line(way, age, load, (before, failed, healed))


def is_back(load: Load, healed: float) -> bool:
    """Whether the last answers of the sick mirror are good."""
    found = load.find(healed, float("inf"), is_sick=True)[-5:]
    return len(found) == 5 and {answer.status for answer in found} == {200}


def print_line(way: str, age: int, load: Load, times: tuple[float, ...]) -> None:
    """Print what the clients saw before, during and after the outage."""
    before, failed, healed = times
    others = [
        load.find(before, failed, is_sick=False),
        load.find(failed, healed, is_sick=False),
    ]
    errors = sum(answer.status != 200 for answer in others[1])
    late = [find_percentile(answers) for answers in others]
    middle = [median(answer.seconds for answer in answers) for answers in others]
    sick = [
        *load.find(0, failed, is_sick=True),
        *load.find(failed, float("inf"), is_sick=True),
    ]
    refused = [item for item in sick if item.status == 503 and item.ended > failed]
    first = min((item.ended - failed for item in refused), default=None)
    later = [
        item.seconds
        for item in refused
        if item.began > failed + (first or 0) and item.seconds < _TRY
    ]
    good = [item for item in sick if item.status == 200]
    back = min((item.ended for item in good if item.ended > healed), default=None)
    if any(item.ended > healed for item in refused):
        last = max(item.ended for item in refused)
        back = min((item.ended for item in good if item.ended > last), default=None)
    statuses = Counter(item.status for item in sick if failed <= item.ended < healed)
    print(
        f"{way:7}{age:5}{errors:8}{late[0] * 1e3:10.1f}{late[1] * 1e3:10.1f}"
        f"{late[1] / late[0]:7.2f}{middle[1] / middle[0]:9.2f}"
        f"{show(first):>11}{show(median(later) * 1e3 if later else None):>9}"
        f"{show(find_share(later) * 1e3 if later else None):>9}"
        f"{show(None if back is None else back - healed):>9}"
        f"  {dict(sorted(statuses.items()))}",
        flush=True,
    )


def find_percentile(answers: list[Answer]) -> float:
    """Return the 99th percentile of the seconds."""
    return find_share([answer.seconds for answer in answers])


def find_share(seconds: list[float]) -> float:
    """Return the 99th percentile."""
    return quantiles(seconds, n=100)[98] if len(seconds) > 1 else seconds[0]


def show(value: float | None) -> str:
    """Return a number, or that there was none."""
    return "-" if value is None else f"{value:.2f}"


def get_names() -> list[str]:
    """Return the names of the databases."""
    return [f"{TOKEN}_{number}" for number in range(MIRRORS)]


def build_databases() -> None:
    """Make the databases of the mirrors."""
    drop_databases()
    with psycopg.connect(POSTGRES_URL, autocommit=True) as connection:
        for name in get_names():
            connection.execute(f"CREATE DATABASE {name}")


def drop_databases() -> None:
    """Remove what `build_databases` made."""
    with psycopg.connect(POSTGRES_URL, autocommit=True) as connection:
        for name in get_names():
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def main() -> None:
    """Measure each kind of outage."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--ages", default="0,600")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--late", type=float, default=0.2, help="seconds of a packet")
    options = parser.parse_args()
    print(
        f"{'':12}{'others:':>8}{'p99 ms':>10}{'p99 ms':>10}{'':16}{'sick: 503':>11}"
        f"{'later ms':>9}{'':9}{'back':>9}"
    )
    print(
        f"{'':7}{'age':>5}{'errors':>8}{'before':>10}{'beside':>10}{'ratio':>7}"
        f"{'of p50':>9}"
        f"{'after s':>11}{'median':>9}{'p99':>9}{'after s':>9}  answers of the sick"
    )
    build_databases()
    try:
        for age in map(int, options.ages.split(",")):
            for way in options.ways.split(","):
                measure(way, age, options.seconds, options.late)
    finally:
        with suppress(psycopg.Error):
            drop_databases()


if __name__ == "__main__":
    with clean_up():
        main()
