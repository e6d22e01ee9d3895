"""Plant each leak in a copy of the project and see the ordinary tests fail.

    python -m tests.leaks.run                # all
    python -m tests.leaks.run hosts storage  # some areas
    python -m tests.leaks.run --only "prefix"  # those whose name or file has the word
    python -m tests.leaks.run --jobs 2 --list

First the tests of all leaks are run with nothing planted, and must pass. Then one leak
at a time is planted. Exits with 1 if one was not caught, by an assertion and not by a
module that could not be imported.
"""

import argparse
import importlib
import os
import pkgutil
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from time import monotonic

import tests.leaks
from tests.leaks import Leak

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("django_mirrors", "example_project", "tests", "docs", "pyproject.toml")
LIMIT = 300  # seconds for the tests of one leak; one that hangs is caught too
PASSED, FAILED = 0, 1  # exit codes of pytest


def main() -> int:
    arguments = parse_arguments()
    leaks = list(find_leaks(arguments.areas, arguments.only))
    if not leaks:
        print("No leak has this area or word.")
        return 2
    for leak in leaks:
        check_text(leak)
    if arguments.list:
        for leak in leaks:
            print(f"{leak.file}: {leak.name}")
        return 0
    with tempfile.TemporaryDirectory() as directory:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(arguments.jobs):
            copies.put(make_copy(Path(directory) / str(number)))
        missed = plant_all(leaks, copies, arguments.jobs)
    print(f"{len(leaks) - len(missed)} of {len(leaks)} planted leaks were caught.")
    return 1 if missed else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("areas", nargs="*", help="modules of tests/leaks")
    parser.add_argument("--only", default="", help="a word of the name or the file")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--list", action="store_true", help="plant nothing")
    return parser.parse_args()


def find_leaks(areas: Sequence[str], word: str) -> Iterator[Leak]:
    names = [item.name for item in pkgutil.iter_modules(tests.leaks.__path__)]
    for name in sorted(set(names) - {"run"}):
        if areas and name not in areas:
            continue
        module = importlib.import_module(f"tests.leaks.{name}")
        for leak in module.LEAKS:
            if word.lower() in f"{leak.name} {leak.file}".lower():
                yield leak


def check_text(leak: Leak) -> None:
    text = (ROOT / "django_mirrors" / leak.file).read_text()
    count = text.count(leak.old)
    if count != 1 or leak.old == leak.new:
        sys.exit(f"{leak.file}: the text of {leak.name!r} occurs {count} times, not 1.")


def make_copy(directory: Path) -> Path:
    directory.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", "var", "_build")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, directory / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, directory / name)
    return directory


def plant_all(
    leaks: Sequence[Leak], copies: "SimpleQueue[Path]", jobs: int
) -> list[Leak]:
    missed = []

    def work(leak: Leak) -> tuple[bool, str, float]:
        copy = copies.get()
        began = monotonic()
        try:
            caught, said = plant(leak, copy)
        finally:
            copies.put(copy)
        return caught, said, monotonic() - began

    healthy = copies.get()
    try:
        for told in sorted({leak.tests for leak in leaks}):
            code, said = run_tests(told, healthy)
            if code != PASSED:
                sys.exit(f"With nothing planted, '{told}' does not pass:\n{said}")
    finally:
        copies.put(healthy)
    with ThreadPoolExecutor(jobs) as pool:
        for leak, (caught, said, seconds) in zip(
            leaks, pool.map(work, leaks), strict=True
        ):
            print(
                f"{'caught' if caught else 'MISSED'} {seconds:5.1f} s  {leak.file}: "
                f"{leak.name}" + ("" if caught else f"\n{said}"),
                flush=True,
            )
            if not caught:
                missed.append(leak)
    return missed


def plant(leak: Leak, copy: Path) -> tuple[bool, str]:
    path = copy / "django_mirrors" / leak.file
    healthy = path.read_text()
    path.write_text(healthy.replace(leak.old, leak.new))
    try:
        code, said = run_tests(leak.tests, copy)
    finally:
        path.write_text(healthy)
    return code == FAILED, said


def run_tests(told: str, copy: Path) -> tuple[int, str]:
    """Return pytest's exit code, and the end of what it said."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    # Not of an editable installation: the copy is first on the path.
    environment = {
        **os.environ,
        "PYTHONPATH": str(copy),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    try:
        done = subprocess.run(
            [*command, *told.split()],
            cwd=copy,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return FAILED, f"Ended after {LIMIT} s."
    code = done.returncode
    if code == FAILED and " error" in done.stdout and " failed" not in done.stdout:
        code = 2  # nothing was tested
    return code, (done.stdout + done.stderr)[-1500:]


if __name__ == "__main__":
    sys.exit(main())
