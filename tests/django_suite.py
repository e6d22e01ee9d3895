"""Run Django's own test suite with and without mirrors; nothing may fail that passed.

    python tests/django_suite.py                     # all labels on SQLite
    python tests/django_suite.py transactions basic  # some labels
    python tests/django_suite.py --database postgres://postgres@127.0.0.1:5432/postgres transactions

Fetches the source distribution of the installed Django with pip, or takes the unpacked
one of `--source`. Runs `tests/runtests.py` twice: plain, then with `mirror_databases`,
the router and the app in place and the original current. Exits with 1 if a test that
passed plain does not pass with mirrors, unless it is one of `INTERNAL`, which see.
"""

import argparse
import json
import os
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import django

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".venv-test"
APP = "django_mirrors"

# Run by name only: they need a browser or a spatial database.
LEFT_OUT = frozenset({"gis_tests"})

# Tests that look at what this package replaces on purpose; id -> what they look at.
INTERNAL: Mapping[str, str] = {}


@dataclass(frozen=True, kw_only=True)
class Run:
    """How the tests of one run ended, by id."""

    name: str
    outcomes: Mapping[str, str]
    details: Mapping[str, str]
    seconds: float

    def describe(self) -> str:
        counts = Counter(self.outcomes.values())
        parts = ", ".join(
            f"{count} {outcome}" for outcome, count in counts.most_common()
        )
        return (
            f"{self.name}: {len(self.outcomes)} tests in {self.seconds:.0f} s: {parts}"
        )


def main() -> int:
    options = build_parser().parse_args()
    source = options.source or fetch_source()
    labels = options.labels or list_labels(source)
    work = options.work or CACHE / f"suite-{django.__version__}"
    work.mkdir(parents=True, exist_ok=True)
    # Both at once, a process each; their databases and directories are their own.
    started = {
        name: start(name, source, work, labels, options) for name in options.runs
    }
    runs = [finish(name, process, work) for name, process in started.items()]
    for run in runs:
        print(run.describe())
    if len(runs) == 1:
        return int(
            any(outcome in {"failed", "error"} for outcome in run.outcomes.values())
        )
    return report(*runs)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "labels", nargs="*", help="labels of Django's tests; all of them"
    )
    parser.add_argument(
        "--source", type=Path, help="an unpacked source distribution of Django"
    )
    parser.add_argument(
        "--database", default="", help="URL of a server; SQLite if none"
    )
    parser.add_argument("--work", type=Path, help="where outcomes and output are kept")
    parser.add_argument(
        "--only",
        dest="runs",
        type=lambda name: [name],
        default=["plain", "mirrored"],
        help="run 'plain' or 'mirrored' alone, and compare nothing",
    )
    return parser


def fetch_source() -> Path:
    """Return the directory of the installed Django's source distribution."""
    target = CACHE / f"django-{django.__version__}"
    if (target / "tests" / "runtests.py").exists():
        return target
    target.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--no-binary", "Django", "--dest", str(target)]
    subprocess.run([*command, f"Django=={django.__version__}"], check=True)
    (archive,) = target.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        for member in file.getmembers():
            member.path = member.path.partition("/")[2]
            if member.path:
                file.extract(member, target, filter="data")
    return target


def list_labels(source: Path) -> list[str]:
    return sorted(
        path.parent.name
        for path in (source / "tests").glob("*/__init__.py")
        if path.parent.name
        not in LEFT_OUT | {"import_error_package", "test_runner_apps"}
    )


def start(
    name: str,
    source: Path,
    work: Path,
    labels: Sequence[str],
    options: argparse.Namespace,
) -> "subprocess.Popen[bytes]":
    """Start the labels with the settings `tests.suite.<name>`."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SUITE_OUTCOMES": str(work / f"{name}.json"),
        "SUITE_PREFIX": name,
        "SUITE_DATABASE_URL": options.database,
    }
    (work / f"{name}.json").unlink(missing_ok=True)
    command = [sys.executable, "-c", START, APP if name == "mirrored" else ""]
    command += [f"--settings=tests.suite.{name}", "--noinput", "--parallel=1"]
    with (work / f"{name}.log").open("w") as log:
        return subprocess.Popen(
            [*command, *labels],
            cwd=source / "tests",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def finish(name: str, process: "subprocess.Popen[bytes]", work: Path) -> Run:
    began = monotonic()
    process.wait()
    outcomes = work / f"{name}.json"
    if not outcomes.exists():
        sys.exit(f"The {name} run did not end. Read {work / name}.log")
    read = json.loads(outcomes.read_text(encoding="utf-8"))
    return Run(name=name, seconds=monotonic() - began, **read)


# runtests.py names the apps to install itself; the package is added to its text.
START = """
import sys
from pathlib import Path
path, app = Path("runtests.py").resolve(), sys.argv.pop(1)
text = path.read_text(encoding="utf-8")
marker = "ALWAYS_INSTALLED_APPS = ["
assert marker in text
if app:
    text = text.replace(marker, f"{marker}'{app}',", 1)
sys.argv[0] = str(path)
sys.path[0] = str(path.parent)
globals()["__file__"] = str(path)
exec(compile(text, str(path), "exec"))
"""


def report(plain: Run, mirrored: Run) -> int:
    """Print what differs; return the exit code."""
    lost = {
        test: mirrored.outcomes.get(test, "not run")
        for test, outcome in plain.outcomes.items()
        if outcome == "passed" and mirrored.outcomes.get(test) != "passed"
    }
    # A class that fails before its tests has an id of its own.
    lost |= {
        test: outcome
        for test, outcome in mirrored.outcomes.items()
        if outcome in {"failed", "error"} and test not in plain.outcomes
    }
    for test in sorted(lost):
        reason = INTERNAL.get(test)
        print(
            f"  {lost[test]:8} {test}" + (f"  [expected: {reason}]" if reason else "")
        )
    unexpected = sorted(set(lost) - set(INTERNAL))
    if unexpected:
        print(f"{len(unexpected)} tests pass without mirrors only.")
        return 1
    print("Nothing fails that passes without mirrors.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
