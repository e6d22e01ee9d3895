"""What a fleet of records costs: to load, to hold, and to follow.

    python -m tests.benchmarks.registry [--records 100000] [--workers 8] [--changes 10]

The records are in an SQLite file. A server with forked workers then serves them, and
the time is taken until a change by raw SQL is live in all of them.
"""

import argparse
import json
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from time import time
from uuid import uuid4

from tests.registry.test_servers import DAY, INSERT, UPDATE, Original, Servers

LOAD = """
import json, time
from tests.registry import server

def measure_memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

server.configure()
from django_mirrors import mirrors
from django_mirrors.registry.loader import Loader

memory = measure_memory()
began = time.perf_counter()
count = len(mirrors)
seconds = time.perf_counter() - began
memory = measure_memory() - memory
looks = []
for name in input().split():
    input()
    began = time.perf_counter()
    mirrors.reload()
    looks.append(time.perf_counter() - began)
    assert mirrors[name].state == "suspended"
    print(json.dumps({"count": count, "seconds": seconds, "memory": memory,
                      "looks": looks}), flush=True)
"""


def fill(original: Original, count: int) -> None:
    """Record `count` mirrors, each with two hosts and services of its own."""
    rows = (
        (
            f"m{number}",
            uuid4().hex,
            False,
            json.dumps(
                {
                    "HOSTS": [f"m{number}.example.com", f"www.m{number}.example"],
                    "DATABASE": f"postgres://app:secret@db{number % 10}/m{number}",
                    "STORAGE": f"s3://bucket/m{number}/",
                    "LABELS": {"tier": "gold", "region": "eu"},
                    "SETTINGS": {
                        "TIME_ZONE": "Europe/Zurich",
                        "DEFAULT_FROM_EMAIL": f"m{number}@example.com",
                    },
                }
            ),
            DAY,
            DAY,
        )
        for number in range(count)
    )
    with closing(sqlite3.connect(original.path)) as database, database:
        database.executemany(INSERT.replace("%s", "?"), rows)


def print_load(servers: Servers, changes: int) -> None:
    """Print what one process needs to load the fleet, and to follow a change."""
    names = [f"m{number}" for number in range(changes)]
    with subprocess.Popen(
        [sys.executable, "-c", LOAD],
        env=servers._build_env({}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdin.write(" ".join(names) + "\n")
        for name in names:
            servers.original.execute(UPDATE, "suspended", name)
            process.stdin.write("\n")
            process.stdin.flush()
            line = process.stdout.readline()
    found = json.loads(line)
    each = found["memory"] / found["count"]
    print(f"{found['count']} mirrors loaded in {found['seconds']:.2f} s")
    print(f"memory of each: {each:.0f} bytes")
    print(f"a change taken over in {max(found['looks']) * 1000:.0f} ms at most")


def print_delays(servers: Servers, changes: int) -> None:
    """Print how long changes take until all workers serve them."""
    # A worker that was just forked copies what it touches for the first time.
    servers.ask_all("m1.example.com")
    delays = []
    for number in range(changes):
        name = f"m{number + 1000}"
        servers.original.execute(UPDATE, "suspended", name)
        delays.append(servers.measure(f"{name}.example.com", 503, time()))
    print(
        f"a change live in {len(servers.ports)} workers in {max(delays):.2f} s at most"
    )


def main() -> None:
    """Make the records, and print what they cost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--changes", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "original.sqlite3"
        servers = Servers(Path(directory), Original(f"sqlite:///{path}", path))
        servers.run("migrate")
        fill(servers.original, options.records)
        print_load(servers, options.changes)
        servers.start(options.workers)
        try:
            print_delays(servers, options.changes)
        finally:
            servers.stop()


if __name__ == "__main__":
    main()
