"""What the guard and the pins add to a query, beside bare Django in the same run.

    python -m tests.benchmarks.queries [--rounds 30] [--count 300]

Two processes work on an SQLite database in memory each, in turn, and the least time of
each operation counts: what is added is work, and a noisy machine only adds to it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from django.conf import settings

APPS = ["django.contrib.contenttypes", "django.contrib.auth", "tests.bookshop"]
OPERATIONS = (
    "cursor", "get", "list", "exists", "update", "save", "create", "atomic", "related",
)  # fmt: skip


def main() -> None:
    """Compare both targets and print a line for each operation."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--worker", choices=("bare", "mirrors"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.worker, arguments.count)
    else:
        compare(arguments.rounds, arguments.count)


def compare(rounds: int, count: int) -> None:
    workers = {
        target: subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.queries",
             "--worker", target, "--count", str(count)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for target in ("bare", "mirrors")
    }  # fmt: skip
    best: dict[tuple[str, str], float] = {}
    for _ in range(rounds):
        for operation in OPERATIONS:
            for target, worker in workers.items():
                assert worker.stdin is not None
                assert worker.stdout is not None
                worker.stdin.write(operation + "\n")
                worker.stdin.flush()
                seconds = json.loads(worker.stdout.readline())
                key = (operation, target)
                best[key] = min(seconds, best.get(key, seconds))
    for worker in workers.values():
        worker.communicate(timeout=30)
    print("operation   bare µs  mirrors µs  added µs  ratio")
    for operation in OPERATIONS:
        bare, mirrored = (best[operation, target] * 1e6 for target in workers)
        print(
            f"{operation:10}{bare:9.1f}{mirrored:12.1f}{mirrored - bare:10.1f}"
            f"{mirrored / bare:7.2f}"
        )


def work(target: str, count: int) -> None:
    """Do each operation that is asked for `count` times, and tell its seconds."""
    with tempfile.TemporaryDirectory() as directory:
        configure(target, Path(directory))
        operations = build_operations()
        if target == "mirrors":
            from django_mirrors import use_mirror

            with use_mirror("books"):
                answer(operations, count)
        else:
            answer(operations, count)


def configure(target: str, directory: Path) -> None:
    databases: Any = {
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    }
    options: dict[str, Any] = {
        "BASE_DIR": directory,
        "INSTALLED_APPS": APPS,
        "USE_TZ": True,
    }
    if target == "mirrors":
        from django_mirrors.db import mirror_databases

        databases = mirror_databases(databases)
        path = directory / "books.sqlite3"
        path.touch()
        options |= {
            "INSTALLED_APPS": ["django_mirrors", *APPS],
            "DATABASE_ROUTERS": ["django_mirrors.db.MirrorRouter"],
            "MIRRORS": {
                "books": {
                    "HOSTS": ["books.example"],
                    "DATABASE": {**databases["default"], "NAME": ":memory:"},
                    "STATE": "active",
                }
            },
            "MIRRORS_OPTIONS": {"RECORDS": False, "SNAPSHOT": None},
        }
    settings.configure(DATABASES=databases, **options)
    import django

    django.setup()


def build_operations() -> dict[str, Callable[[], object]]:
    from django.core.management import call_command
    from django.db import connection, transaction

    from tests.bookshop.models import Author, Book

    def run_cursor() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()

    def run_atomic() -> None:
        with transaction.atomic():
            pass

    kept: list[Any] = []

    def get_kept() -> Any:
        if not kept:
            call_command("migrate", verbosity=0)
            author = Author.objects.create(name="Jane")
            Book.objects.bulk_create(
                [Book(title=f"Volume {n}", author=author) for n in range(10)]
            )
            kept.append(Book.objects.get(pk=1))
        return kept[0]

    return {
        "prepare": get_kept,
        "cursor": run_cursor,
        "get": lambda: Book.objects.get(pk=1),
        "list": lambda: list(Book.objects.all()[:10]),
        "exists": lambda: Book.objects.filter(pk=1).exists(),
        "update": lambda: Book.objects.filter(pk=1).update(title="Emma"),
        "save": lambda: get_kept().save(),
        "create": lambda: Author.objects.create(name="Mary"),
        "atomic": run_atomic,
        "related": lambda: list(get_kept().author.books.all()),
    }


def answer(operations: dict[str, Callable[[], object]], count: int) -> None:
    operations["prepare"]()
    for line in sys.stdin:
        run = operations[line.strip()]
        began = perf_counter()
        for _ in range(count):
            run()
        print(json.dumps((perf_counter() - began) / count), flush=True)


if __name__ == "__main__":
    main()
