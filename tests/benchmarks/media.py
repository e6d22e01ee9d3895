"""How fast an operation takes the files of a mirror along, and in how much memory.

    python -m tests.benchmarks.media [--mib 1024] [--single 512] [--places file,s3]

Exports, restores, clones and moves a mirror with so many MiB of media in files of
64 MiB, and with one single file; on the file system, and on S3 as moto serves it in a
process of its own. Each line is a process of its own that does one thing and tells the
most memory that was resident above what was at its start. "Copy" is the floor: the same
bytes, read and written once from file to file.

Goal: the memory is bounded, below 100 MiB, however large the files are.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

FILE_MIB = 64
MIB = 1024 * 1024
OPERATIONS = ("export", "restore", "clone", "move")
_BUCKET = "media"

MOTO = """
import sys, time
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


def configure(directory: Path, place: str) -> None:
    """Configure Django with a fleet of records whose media are at `place`."""
    from django.conf import settings

    from django_mirrors.db import mirror_databases

    sqlite = {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{directory}/o.sqlite3"}
    settings.configure(
        SECRET_KEY="benchmark",
        INSTALLED_APPS=["django_mirrors"],
        DATABASES=mirror_databases({"default": sqlite}),
        DATABASE_ROUTERS=["django_mirrors.db.MirrorRouter"],
        MIDDLEWARE=["django_mirrors.middleware.MirrorMiddleware"],
        STORAGES={"default": {"BACKEND": "django_mirrors.storage.MirrorStorage"}},
        BASE_DIR=directory,
        USE_TZ=True,
        MIRRORS={},
        MIRRORS_OPTIONS={
            "SNAPSHOT": None,
            "POLL_SECONDS": 0.01,
            "ARCHIVES": f"file://{directory}/archives/",
            "ORIGINAL": {"HOSTS": ["original.example"]},
            "DEFAULTS": {
                "HOSTS": ["{name}.example"],
                "DATABASE": f"sqlite:///{directory}/{{name}}.sqlite3",
                "STORAGE": build_dsn(directory, place, "{name}"),
            },
        },
    )
    import django

    django.setup()


def build_dsn(directory: Path, place: str, name: str) -> str:
    """Return where the files of a mirror are."""
    if place == "file":
        return f"file://{directory}/media/{name}/"
    query = f"endpoint_url={place}&region_name=us-east-1"
    return f"s3://key:secret@{_BUCKET}/{name}/?{query}"


def fill(directory: Path, place: str, files: int, mib: int) -> None:
    """Add the mirror `books` with so many files of so many MiB."""
    from django.core.files import File
    from django.core.files.storage import default_storage
    from django.core.management import call_command

    from django_mirrors import use_mirror, use_original
    from django_mirrors.operations import add_mirror

    with use_original():
        call_command("migrate", database="original", verbosity=0)
    add_mirror("books", {})
    content = directory / "content"
    with content.open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(MIB))
    with use_mirror("books"):
        for number in range(files):
            with content.open("rb") as file:
                default_storage.save(f"{number:03}.bin", File(file))


def operate(operation: str, directory: Path, place: str) -> None:
    """Do one operation with the mirror `books`."""
    from django_mirrors import operations

    archive = str(directory / "books.tar")
    if operation == "export":
        operations.export_mirror("books", archive)
    elif operation == "restore":
        operations.restore_mirror(archive, name="films", definition={})
    elif operation == "clone":
        operations.clone_mirror("books", "music", {})
    else:
        operations.move_mirror("books", storage=build_dsn(directory, place, "moved"))


def copy(directory: Path, place: str, files: int) -> None:
    """Read and write the same bytes once, from file to file."""
    target = directory / "copied"
    for _ in range(files):
        with (directory / "content").open("rb") as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, MIB)
            file.flush()
            os.fsync(file.fileno())
    target.unlink()


def warm_up(directory: Path, place: str) -> None:
    """Import what is imported on the way, which is not what a file takes."""
    from django.core.files.base import ContentFile
    from django.core.files.storage import storages

    import django_mirrors.operations  # noqa: F401
    from django_mirrors.dsn import build_storage

    if place != "file":
        create_bucket(place)
    dsn = build_dsn(directory, place, "warm")
    storage = storages.create_storage(build_storage(dsn, place="The warm-up"))
    name = storage.save("small", ContentFile(b"x" * 1024))
    with storage.open(name) as file:
        file.read()
    storage.delete(name)


def create_bucket(place: str) -> None:
    """Make the bucket, if there is none yet."""
    import boto3

    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    client: Any = boto3.client(
        "s3", endpoint_url=place, region_name="us-east-1", **keys
    )
    client.create_bucket(Bucket=_BUCKET)


def run(what: str, directory: str, place: str, files: int, mib: int) -> dict[str, Any]:
    """Do one thing in this process; return its seconds and the memory it took."""
    path = Path(directory)
    configure(path, place)
    warm_up(path, place)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = perf_counter()
    if what == "fill":
        fill(path, place, files, mib)
    elif what == "copy":
        copy(path, place, files)
    else:
        operate(what, path, place)
    seconds = perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "memory": (peak - before) * 1024}


def print_run(title: str, *arguments: Any) -> None:
    """Run in a process of its own, and print a line."""
    what, _, _, files, mib = arguments
    done = subprocess.run(
        [
            sys.executable, "-m", "tests.benchmarks.media",
            "--run", json.dumps(arguments),
        ],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    size = files * mib
    print(
        f"{title:6}{files:4} x{mib:4} MiB  {what:8}{found['seconds']:8.1f}"
        f"{size * MIB / 1e6 / found['seconds']:10.0f}{found['memory'] / MIB:12.1f}",
        flush=True,
    )


@contextmanager
def served(place: str) -> Iterator[str]:
    """Give a block the address of an S3 server, if that is the place."""
    if place == "file":
        yield place
        return
    with subprocess.Popen(
        [sys.executable, "-c", MOTO],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def measure(place: str, files: int, mib: int) -> None:
    """Print a line for each operation."""
    with tempfile.TemporaryDirectory() as directory, served(place) as found:
        for what in ("fill", "copy", *OPERATIONS):
            print_run(place, what, directory, found, files, mib)


def main() -> None:
    """Measure each place."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--single", type=int, default=512)
    parser.add_argument("--places", default="file,s3")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(run(*json.loads(options.run))))
        return
    print(f"{'':30}{'seconds':>8}{'MB/s':>10}{'memory MiB':>12}")
    for place in options.places.split(","):
        if options.mib:
            measure(place, max(options.mib // FILE_MIB, 1), FILE_MIB)
        if options.single:
            measure(place, 1, options.single)


if __name__ == "__main__":
    main()
