"""What one process holds open after it touched every mirror of a fleet.

    python -m tests.benchmarks.fleet [--sizes 500,5000] [--databases 500]

Each line is a process of its own that asks each mirror one query, as a request would,
and keeps its connections: an SQLite file each, a PostgreSQL schema each in one database
of TEST_POSTGRES_URL, and a PostgreSQL database each, for as many as `--databases` says,
since making them takes long. The fleet is known and one mirror was asked before memory
is measured; then each mirror is asked once, and all of them again.

Goal: a thread keeps at most MAX_OPEN_CONNECTIONS, and a process at most MAX_SIZE of a
POOL, however many mirrors there are; so do memory and the descriptors of files.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import psycopg

from tests.leftovers import end_orderly

POSTGRES_URL = os.environ.get(
    "TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/postgres"
)
SERVER = POSTGRES_URL.rpartition("/")[0]
PREFIX = "dm_fleet"
_AT_ONCE = 100


def configure(mode: str, size: int, directory: str) -> None:
    """Configure Django with a fleet in which each mirror has its own database."""
    from django.conf import settings

    from django_mirrors.db import mirror_databases

    places = {
        "sqlite": lambda n: {"DATABASE": f"sqlite:///{directory}/m{n}.sqlite3"},
        "schemas": lambda n: {"DATABASE": f"{SERVER}/{PREFIX}", "SCHEMA": f"m{n}"},
        "databases": lambda n: {"DATABASE": f"{SERVER}/{PREFIX}_{n}"},
    }
    sqlite = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    settings.configure(
        SECRET_KEY="benchmark",
        INSTALLED_APPS=["django_mirrors"],
        DATABASES=mirror_databases({"default": {**sqlite, "CONN_MAX_AGE": None}}),
        DATABASE_ROUTERS=["django_mirrors.db.MirrorRouter"],
        BASE_DIR=Path(directory),
        USE_TZ=True,
        MIRRORS_OPTIONS={"RECORDS": False, "SNAPSHOT": None},
        MIRRORS={
            f"m{number}": {
                "HOSTS": [f"m{number}.example.com"],
                "STATE": "active",
                **places[mode](number),
            }
            for number in range(size)
        },
    )
    import django

    django.setup()


def touch(names: list[str]) -> float:
    """Ask each of the mirrors one query; return the seconds of one."""
    from django.core.signals import request_finished, request_started
    from django.db import connection

    from django_mirrors import use_mirror

    began = perf_counter()
    for name in names:
        request_started.send(None)
        with use_mirror(name), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
        request_finished.send(None)
    return (perf_counter() - began) / len(names)


def count_open(mode: str) -> int:
    """Return how many connections this process believes to have."""
    from django.db import connections

    if mode == "schemas":
        from django_mirrors.db.pools import _pools

        return sum(sum(pool.count()) for pool in _pools.values())
    opened = connections.all(initialized_only=True)
    return sum(item.connection is not None for item in opened)


def count_on_server(mode: str) -> int | None:
    """Return how many connections the server has to databases of the fleet."""
    if mode == "sqlite":
        return None
    with psycopg.connect(POSTGRES_URL) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE starts_with(datname, %s)",
            [PREFIX],
        ).fetchone()
    assert row is not None
    return int(row[0])


def measure_memory() -> int:
    """Return the bytes of memory that are resident."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def count_descriptors() -> int:
    """Return how many descriptors of files are open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def run(mode: str, size: int, directory: str) -> dict[str, Any]:
    """Touch the fleet in this process, and return what that left."""
    configure(mode, size, directory)
    from django_mirrors.conf import get_conf

    names = [f"m{number}" for number in range(size)]
    touch(names[:1])
    descriptors, memory = count_descriptors(), [measure_memory()]
    seconds = touch(names)
    memory.append(measure_memory())
    touch(names)
    memory.append(measure_memory())
    conf = get_conf()
    return {
        "most": conf.pool.max_size if mode == "schemas" else conf.max_open_connections,
        "own": count_open(mode),
        "server": count_on_server(mode),
        "descriptors": [descriptors, count_descriptors()],
        "memory": memory,
        "seconds": seconds,
    }


def print_run(mode: str, size: int, directory: str) -> None:
    """Run in a process of its own, and print a line."""
    arguments = ["--run", json.dumps([mode, size, directory])]
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.fleet", *arguments],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    found = json.loads(done.stdout)
    first, second, third = found["memory"]
    server = "-" if found["server"] is None else found["server"]
    print(
        f"{mode:10}{size:7}{found['most']:7}{found['own']:7}{server:>7}"
        f"{found['descriptors'][0]:9}{found['descriptors'][1]:7}"
        f"{first / 2**20:10.1f}{second / 2**20:8.1f}"
        f"{(second - first) / size / 1024:9.2f}{(third - second) / size / 1024:9.2f}"
        f"{found['seconds'] * 1e3:8.2f}",
        flush=True,
    )


@contextmanager
def made(mode: str, size: int) -> Iterator[str]:
    """Make the databases of a fleet for a block; give it a directory."""
    with tempfile.TemporaryDirectory() as directory:
        if mode == "sqlite":
            for number in range(size):
                Path(directory, f"m{number}.sqlite3").touch()
            yield directory
            return
        names = [PREFIX] if mode == "schemas" else _name_databases(size)
        drop(names)
        try:
            with psycopg.connect(POSTGRES_URL, autocommit=True) as connection:
                for name in names:
                    connection.execute(f"CREATE DATABASE {name}")
            if mode == "schemas":
                make_schemas(size)
            yield directory
        finally:
            drop(names)


def make_schemas(size: int) -> None:
    """Make a schema for each mirror."""
    with psycopg.connect(f"{SERVER}/{PREFIX}", autocommit=True) as connection:
        for begin in range(0, size, _AT_ONCE):
            numbers = range(begin, min(begin + _AT_ONCE, size))
            connection.execute("; ".join(f"CREATE SCHEMA m{n}" for n in numbers))


def drop(names: list[str]) -> None:
    """Remove databases."""
    with psycopg.connect(POSTGRES_URL, autocommit=True) as connection:
        for name in names:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _name_databases(size: int) -> list[str]:
    return [f"{PREFIX}_{number}" for number in range(size)]


def main() -> None:
    """Measure each kind of fleet."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", default="500,5000")
    parser.add_argument("--databases", type=int, default=500)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(run(*json.loads(options.run))))
        return
    print(
        f"{'':17}{'':>7}{'open:':>7}{'the':>7}{'descriptors':>16}"
        f"{'memory MiB':>18}{'KiB each':>9}{'asked':>9}{'ms':>8}"
    )
    print(
        f"{'':10}{'size':>7}{'most':>7}{'own':>7}{'server':>7}{'before':>9}{'after':>7}"
        f"{'before':>10}{'after':>8}{'':9}{'again':>9}{'each':>8}"
    )
    sizes = [int(size) for size in options.sizes.split(",")]
    runs = [(mode, size) for mode in ("sqlite", "schemas") for size in sizes]
    for mode, size in [*runs, ("databases", options.databases)]:
        if size:
            with made(mode, size) as directory:
                print_run(mode, size, directory)


if __name__ == "__main__":
    end_orderly()
    main()
