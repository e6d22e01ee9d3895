"""Make the example's mirrors, say where they are, and serve them until Ctrl-C.

Needs Python 3.11 or newer with its venv module, and nothing else.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - before a line that an older one trips on
    sys.exit("example_project/run.py needs Python 3.11 or newer: try python3.12.")

import hashlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
ENVIRONMENT = ROOT / ".venv-example"
STAMP = ENVIRONMENT / "installed"  # written last; its text tells from what
ADDRESS = "127.0.0.1"

# Set for somebody's own project; here they would change what is served.
FOREIGN_VARIABLES = (
    "CACHE_URL", "DATABASE_URL", "DEFAULT_STORAGE_DSN", "DJANGO_MIRROR",
    "DJANGO_SETTINGS_MODULE", "PYTHONHOME", "PYTHONPATH", "SITE_ID",
)  # fmt: skip


class CannotRun(Exception):
    """Says in one or two lines why the example cannot be served."""


def main() -> int:
    """Serve the example. Return an exit code if that was not possible."""
    try:
        port = read_port()
        check_port(port)
        for name in FOREIGN_VARIABLES:
            os.environ.pop(name, None)
        if Path(sys.prefix) != ENVIRONMENT:
            make_environment()
            return become([str(find_python()), str(HERE / "run.py")])
        prepare()
        show_addresses(port)
        return serve(port)
    except CannotRun as problem:
        print(f"example_project/run.py: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def read_port() -> int:
    text = os.environ.get("PORT") or "8000"
    if not text.isascii() or not text.isdecimal() or not 0 < int(text[:6]) < 65536:
        raise CannotRun(f"PORT is {text!r}. Set it to a number from 1 to 65535.")
    return int(text)


def check_port(port: int) -> None:
    with socket.socket() as server:
        # As the server does, so that one just ended does not count.
        if os.name != "nt":
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((ADDRESS, port))
        except PermissionError as error:
            raise CannotRun(
                f"Port {port} needs privileges. Set PORT to one above 1023."
            ) from error
        except OSError as error:
            raise CannotRun(
                f"Port {port} is in use. Set PORT to a free one, such as {port + 1}."
            ) from error


def make_environment() -> None:
    """Make .venv-example, or bring it in step with pyproject.toml, if need be."""
    wanted = describe_wanted()
    found = STAMP.read_text() if STAMP.exists() else ""
    if found == wanted and runs(find_python()):
        return
    # An environment without a stamp is half made; one of another Python is of no use.
    if found.partition("\n")[0] != wanted.partition("\n")[0] or not runs(find_python()):
        say(f"Making {ENVIRONMENT.name}")
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        run_quietly(
            [sys.executable, "-m", "venv", str(ENVIRONMENT)],
            "venv failed. On Debian and Ubuntu, install python3-venv.",
        )
    STAMP.unlink(missing_ok=True)
    say("Installing the project (about half a minute)")
    pip = [str(find_python()), "-m", "pip", "--disable-pip-version-check"]
    run_quietly(
        [*pip, "install", "--quiet", "--no-input", "--editable", str(ROOT), "pillow"],
        "pip could not install the project. Is there a network?",
    )
    STAMP.write_text(wanted)


def describe_wanted() -> str:
    """Return what the environment depends on; its first line cannot be upgraded."""
    project = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    return f"{sys.base_prefix} {sys.version.split()[0]} {ROOT}\n{project}\n"


def find_python() -> Path:
    windows = os.name == "nt"
    return ENVIRONMENT / ("Scripts/python.exe" if windows else "bin/python")


def runs(python: Path) -> bool:
    try:
        return not subprocess.run([python, "-c", ""], check=False).returncode
    except OSError:
        return False


def run_quietly(command: Sequence[str], problem: str) -> None:
    done = subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        last = "\n".join(f"    {line}" for line in done.stdout.splitlines()[-5:])
        raise CannotRun(f"{problem}\n{last}")


def prepare() -> None:
    """Migrate the original, add and fill the mirrors. Quick when that is done."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "shopfront.settings"
    sys.path.insert(0, str(HERE))
    # Only the environment has these.
    import django
    from django.conf import settings
    from django.core.management import CommandError, call_command

    from django_mirrors import mirrors, use_original
    from django_mirrors.exceptions import MirrorError

    def call(*arguments: str) -> None:
        output = StringIO()
        try:
            call_command(*arguments, stdout=output, stderr=output)
        except (CommandError, MirrorError) as error:
            raise CannotRun(f"{output.getvalue()}{error}") from error

    django.setup()
    with use_original():
        call("migrate")
        call("seed")
        for name in settings.MIRRORS:
            if mirrors[name].state in {"provisioning", "failed"}:
                say(f"Adding the mirror '{name}'")
                call("mirror_add", name)
        call("mirror_rollout", "--all")
        say("Looking whether each shop has its goods")
        call("mirror_run", *settings.MIRRORS, "--", "seed")


def show_addresses(port: int) -> None:
    from django.conf import settings

    sites = {"Shopfront (the original)": "shop.localhost"}
    for mirror in settings.MIRRORS.values():
        sites[mirror["NAME"]] = mirror["HOSTS"][0]
    width = max(map(len, sites)) + 2
    print(f"\n{'Shop':{width}}{'Address':34}Back office (admin / admin)")
    for name, host in sites.items():
        address = f"http://{host}:{port}/"
        print(f"{name:{width}}{address:34}{address}admin/")
    print("\nCustomers are in each back office; their password is 'demo'.\n")
    sys.stdout.flush()


def serve(port: int) -> int:
    os.environ["DJANGO_RUNSERVER_HIDE_WARNING"] = "true"
    command = [sys.executable, str(HERE / "manage.py"), "runserver", "--noreload"]
    return become([*command, f"{ADDRESS}:{port}"])


def become(command: Sequence[str]) -> int:
    """Run `command` in place of this process, so that signals reach it."""
    if os.name != "nt":
        os.execv(command[0], command)
    return subprocess.run(command, check=False).returncode


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
