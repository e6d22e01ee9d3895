"""What mirrors add to a request, beside bare Django in the same run.

    python -m tests.benchmarks.run [--rounds 15] [--sizes 10,1000,10000]

Both sides answer in turn, so that a noisy machine slows both. With PostgreSQL at
TEST_POSTGRES_URL the query is measured there too, one database for each of the mirrors
that are asked, and one schema for each. Figures are medians over the rounds.
"""

import argparse
import json
import os
import subprocess
import sys
from statistics import median
from typing import Any

import psycopg

from tests.leftovers import clean_up, make_token

POSTGRES_URL = os.environ.get(
    "TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/postgres"
)
DATABASES = 4
TOKEN = make_token("dm_benchmark_")
SCHEMAS = (1, 4, 100)  # as many as are asked in turn
_BARE = ("query", "atomic")


class Worker:
    """A process that answers requests in one way."""

    def __init__(self, **options: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.worker", json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read()

    def ask(self, view: str, count: int, face: str = "wsgi") -> float:
        """Return the seconds of one request."""
        command = {"view": view, "count": count, "face": face}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return float(self._read()) / count

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def _read(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


def compare(
    title: str,
    view: str,
    bare: Worker,
    mirrored: Worker,
    *,
    rounds: int,
    count: int,
    **how: Any,
) -> None:
    """Print both sides, the difference and the ratio."""
    how |= {"count": count}
    views = {mirrored: view, bare: f"{view}-bare" if view in _BARE else view}
    for worker in (bare, mirrored):
        worker.ask(views[worker], **how)
    pairs = []
    for number in range(rounds):
        order = (bare, mirrored) if number % 2 else (mirrored, bare)
        times = {worker: worker.ask(views[worker], **how) for worker in order}
        pairs.append((times[bare], times[mirrored]))
    base = median(pair[0] for pair in pairs)
    added = median(pair[1] - pair[0] for pair in pairs)
    ratio = median(pair[1] / pair[0] for pair in pairs)
    print(
        f"{title:58} {base * 1e6:8.1f} us  {added * 1e6:+7.1f} us  {ratio:5.2f} x",
        flush=True,
    )


def list_databases() -> list[str]:
    """Return the names of the databases of the mirrors."""
    return [f"{TOKEN}_{number}" for number in range(DATABASES)]


def build_databases() -> list[str]:
    """Make the databases of the mirrors; return their addresses."""
    server = POSTGRES_URL.rpartition("/")[0]
    names = list_databases()
    with psycopg.connect(POSTGRES_URL, autocommit=True) as connection:
        for name in names:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {name}")
    return [f"{server}/{name}" for name in names]


def drop_databases() -> None:
    """Remove what `build_databases` made."""
    with psycopg.connect(POSTGRES_URL, autocommit=True) as connection:
        for name in list_databases():
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def compare_schemas(databases: list[str], size: int, rounds: int) -> None:
    """Print what a schema for each mirror adds.

    Bare Django has one connection, and keeps it; then as many as mirrors are asked,
    since it costs a server something to serve them in turn.
    """
    with psycopg.connect(databases[0], autocommit=True) as connection:
        for number in range(max(SCHEMAS)):
            connection.execute(f"CREATE SCHEMA s{number}")
    common: dict[str, Any] = {"mirrors": size, "age": 600}
    sides = [(asked, 1) for asked in SCHEMAS] + [(DATABASES, DATABASES)]
    for asked, count in sides:
        bare = Worker(target="bare", asked=count, databases=databases[:count], **common)
        mirrored = Worker(
            target="mirrors",
            asked=asked,
            schemas=max(SCHEMAS),
            databases=databases[:1],
            **common,
        )
        title = f"wsgi, query, schemas, {size} mirrors, {asked} asked, bare {count}"
        compare(title, "query", bare, mirrored, rounds=rounds, count=1000)
        bare.close()
        mirrored.close()


def main() -> None:
    """Run all comparisons."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--sizes", default="10,1000,10000")
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    print(f"{'':58} {'bare Django':>11}  {'added':>10}  {'ratio':>7}")
    memory = ["sqlite://:memory:"]
    for size in sizes:
        common = {"mirrors": size, "databases": memory, "age": 0, "asked": size}
        bare = Worker(target="bare", **common)
        mirrored = Worker(target="mirrors", **common)
        for view, face in (("plain", "wsgi"), ("plain-async", "asgi")):
            title = f"{face}, no query, {size} mirrors, all asked"
            compare(
                title,
                view,
                bare,
                mirrored,
                rounds=options.rounds,
                count=3000,
                face=face,
            )
        bare.close()
        mirrored.close()
    databases = build_databases()
    try:
        for size in sizes:
            common = {
                "mirrors": size,
                "databases": databases,
                "age": 600,
                "asked": DATABASES,
            }
            bare = Worker(target="bare", **common)
            mirrored = Worker(target="mirrors", **common)
            for view in ("query", "atomic"):
                title = f"wsgi, {view}, PostgreSQL, {size} mirrors, {DATABASES} asked"
                compare(title, view, bare, mirrored, rounds=options.rounds, count=1000)
            bare.close()
            mirrored.close()
        compare_schemas(databases, max(sizes), options.rounds)
    finally:
        drop_databases()


if __name__ == "__main__":
    with clean_up():
        main()
