"""Run the tests in a virtual environment made for them; say what was skipped and why.

Needs Python 3.11 or newer with its venv module, and nothing else.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - before a line that an older one trips on
    sys.exit("tests/run.py needs Python 3.11 or newer: run it with, say, python3.12.")

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / ".venv-test"
OLDEST_PYTHON = (3, 11)
DRIVERS = {"postgres": "PostgreSQL", "mysql": "MariaDB"}  # extra -> needed for
BUILD_TOOLS = ("gcc", "pkg-config", "mysql_config", "mariadb_config")

# Set for somebody's own project; here they would change what the tests test.
FOREIGN_VARIABLES = (
    "CACHE_URL", "DATABASE_URL", "DEFAULT_STORAGE_DSN", "DJANGO_MIRROR",
    "DJANGO_SETTINGS_MODULE", "PYTHONHOME", "PYTHONPATH", "SITE_ID",
)  # fmt: skip

# A gap in what keeps mirrors apart is a leak: every line and branch has a test.
COMPLETE = (
    "cache/", "context.py", "db/", "definition.py", "hosts.py", "mirror.py",
    "registry/", "services.py", "sessions.py", "signing.py", "steps.py", "storage/",
)  # fmt: skip

DESCRIPTION = """\
Run the tests of django_mirrors. The first run makes a virtual environment under
.venv-test/, which takes a minute or two; later runs use it again."""

EPILOG = """\
All other arguments go to pytest; paths start at the root of the checkout:
  python3 tests/run.py tests/db -x -k router

PostgreSQL, MariaDB, Redis, RabbitMQ and Chromium are used where they are found; or
elsewhere:
  TEST_POSTGRES_URL  default postgres://postgres@127.0.0.1:5432/postgres
  TEST_MYSQL_URL     default mysql://root@127.0.0.1:3306/test
  TEST_REDIS_URL     default redis://127.0.0.1:6379/9 (the tests empty it)
  TEST_RABBITMQ_URL  default amqp://guest@127.0.0.1:5672//
  TEST_CHROMIUM      a browser that is not on PATH"""


class CannotRun(Exception):
    """Says in one or two lines why there is no environment to run the tests in."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A virtual environment for one Python and one Django."""

    python: str  # the interpreter it is made with
    version: str  # of that interpreter, such as "3.12"
    django: str | None  # such as "5.2"; None lets pip choose

    @property
    def folder(self) -> Path:
        return ENVIRONMENTS / f"py{self.version}-django{self.django or '-newest'}"

    @property
    def lock(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.lock")

    @property
    def own_python(self) -> Path:
        windows = self.folder / "Scripts" / "python.exe"
        return windows if os.name == "nt" else self.folder / "bin" / "python"

    @property
    def stamp(self) -> Path:
        return self.folder / "installed"  # written last; its text tells from what


def main() -> int:
    """Return pytest's exit code, or 1 if there is no environment to run it in."""
    parser = build_parser()
    options, rest = parser.parse_known_args()
    try:
        environment = find_environment(options.python, options.django)
        with locked(environment):
            prepare(environment, fresh=options.fresh)
    except CannotRun as problem:
        print(f"{parser.prog}: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    if options.require_all:
        rest.append("--require-all")
    return run_tests(environment, rest, coverage=options.coverage)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tests/run.py",
        usage="python3 tests/run.py [options] [pytest arguments]",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--django",
        metavar="VERSION",
        default=os.environ.get("TEST_DJANGO"),
        help="Django to test with, such as 5.2 (or set TEST_DJANGO); "
        "the newest supported one otherwise",
    )
    parser.add_argument(
        "--python",
        metavar="PATH",
        default=os.environ.get("TEST_PYTHON") or sys.executable,
        help="interpreter to test with, a path or a version such as 3.13 "
        "(or set TEST_PYTHON); this one otherwise",
    )
    parser.add_argument(
        "--fresh", action="store_true", help="make the virtual environment again"
    )
    parser.add_argument(
        "--coverage",
        action="store_true",
        help="measure coverage, and fail below the limit in pyproject.toml, or below "
        "100 %% of what keeps mirrors apart",
    )
    parser.add_argument(
        "--require-all",
        action="store_true",
        help="count every skip as a failure, as CI does",
    )
    return parser


def find_environment(python: str, django: str | None) -> Environment:
    """Return the environment for an interpreter that was checked, and a Django."""
    if django and not all(part.isdecimal() for part in django.split(".")):
        raise CannotRun(f"'{django}' is not a version of Django. Write one like 5.2.")
    if python.replace(".", "").isdecimal():
        python = f"python{python}"
    ask = "import json, sys; print(json.dumps([sys.executable, *sys.version_info[:2]]))"
    try:
        answer = subprocess.run(
            [python, "-c", ask], check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotRun(
            f"the interpreter '{python}' does not run. Name another with --python."
        ) from error
    path, *version = json.loads(answer.stdout)
    if tuple(version) < OLDEST_PYTHON:
        raise CannotRun(
            f"'{python}' is Python {version[0]}.{version[1]}. "
            "Name Python 3.11 or newer with --python."
        )
    return Environment(
        python=path, version=f"{version[0]}.{version[1]}", django=django or None
    )


@contextmanager
def locked(environment: Environment) -> Iterator[None]:
    """Keep a second run from installing into the same environment meanwhile."""
    ENVIRONMENTS.mkdir(exist_ok=True)
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with environment.lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def prepare(environment: Environment, *, fresh: bool) -> None:
    """Make the environment, or bring it in step with pyproject.toml, if need be."""
    wanted = describe_wanted(environment)
    found = environment.stamp.read_text() if environment.stamp.exists() else ""
    if found == wanted and not fresh:
        return
    # An environment without a stamp is half made; one of another place is of no use.
    if fresh or found.splitlines()[:1] != wanted.splitlines()[:1]:
        make(environment)
    environment.stamp.unlink(missing_ok=True)
    install(environment)
    environment.stamp.write_text(wanted)


def describe_wanted(environment: Environment) -> str:
    """Return what an environment depends on; its first line cannot be upgraded."""
    project = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    tools = [shutil.which(name) for name in BUILD_TOOLS]
    return f"{environment.python} {ROOT}\n{project}\n{tools}\n"


def make(environment: Environment) -> None:
    say(f"Making {environment.folder.relative_to(ROOT)}")
    if environment.folder.exists():
        shutil.rmtree(environment.folder)
    made = subprocess.run(
        [environment.python, "-m", "venv", environment.folder],
        check=False,
        capture_output=True,
        text=True,
    )
    if made.returncode:
        raise CannotRun(
            f"'{environment.python} -m venv' failed. On Debian and Ubuntu, install "
            f"python3-venv.\n{last_lines(made)}"
        )


def install(environment: Environment) -> None:
    say("Installing the project and what its tests need (a minute or two)")
    requirements = ["--editable", ".[test]"]
    if environment.django:
        requirements.append(f"Django=={environment.django}.*")
    installed = pip_install(environment, requirements)
    if installed.returncode:
        raise CannotRun(f"pip could not install the project.\n{last_lines(installed)}")
    for extra, service in DRIVERS.items():
        driver = pip_install(environment, read_extra(extra))
        if driver.returncode:
            say(
                f"The driver for {service} could not be installed; "
                f"its tests will be skipped:\n{last_lines(driver)}"
            )


def read_extra(name: str) -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return list(project["optional-dependencies"][name])


def pip_install(
    environment: Environment, arguments: Sequence[str]
) -> "subprocess.CompletedProcess[str]":
    pip = [environment.own_python, "-m", "pip", "--disable-pip-version-check"]
    return subprocess.run(
        [*pip, "install", "--quiet", "--no-input", *arguments],
        check=False,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def run_tests(
    environment: Environment, arguments: Sequence[str], *, coverage: bool
) -> int:
    if not coverage:
        return run_python(environment, "-m", *pytest(arguments))
    os.environ.setdefault("MIRRORS_SIZES", "small")  # every line takes twice the time
    run_python(environment, "-m", "coverage", "erase")
    tests = run_python(environment, "-m", "coverage", "run", "-m", *pytest(arguments))
    run_python(environment, "-m", "coverage", "combine", "--quiet")
    whole = run_python(environment, "-m", "coverage", "report")
    say("What keeps mirrors apart, all of which must be covered:")
    parts = run_python(environment, "-m", "coverage", "report", *find_complete())
    return tests or whole or parts


def find_complete() -> Sequence[str]:
    """Return the options of a report of `COMPLETE`, which fails below 100 %."""
    package = ROOT / "django_mirrors"
    paths = [package / name for name in COMPLETE]
    if missing := [str(path) for path in paths if not path.exists()]:
        sys.exit(f"COMPLETE in tests/run.py names what is not there: {missing}.")
    patterns = [f"{path}/*" if path.is_dir() else str(path) for path in paths]
    return (f"--include={','.join(patterns)}", "--fail-under=100")


def pytest(arguments: Sequence[str]) -> list[str]:
    """Return pytest's command line: two workers, unless somebody wants to watch."""
    alone = {"--pdb", "--trace", "-s", "--capture=no", "--collect-only", "--co"}
    workers = [] if alone & {*arguments} else ["-n", "2", "--dist", "loadfile"]
    return ["pytest", *workers, *arguments]


def run_python(environment: Environment, *arguments: str) -> int:
    """Return the exit code. Ctrl-C reaches the child too, which says what it did."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if name not in FOREIGN_VARIABLES
    }
    with subprocess.Popen(
        [environment.own_python, *arguments], cwd=ROOT, env=variables
    ) as child:
        while True:
            try:
                code = child.wait()
            except KeyboardInterrupt:
                continue
            return code if code >= 0 else 128 - code


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def last_lines(done: "subprocess.CompletedProcess[str]") -> str:
    lines = f"{done.stdout or ''}{done.stderr or ''}".strip().splitlines()[-8:]
    return "\n".join(f"    {line}" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
