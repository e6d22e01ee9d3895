"""The tutorial, done as it is written: every file, every command, every page.

How its blocks are read:

- ```python file=PATH: the reader writes the file; with `append`, at its end.
- ```console: what follows `$ ` is run, what follows that is all it prints.
- ```console server: the same, but it is left running.
- ```text open=URL: the page that a browser shows; `status=404` if it is not 200.

In what is shown, `...` stands for any text, and alone on a line for any lines. The port
8000 is replaced by a free one.
"""

import http.client
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.docs.pages import DOCS, ROOT, Block, iter_blocks

TUTORIAL = DOCS / "tutorial" / "index.md"
PORT = "8000"
PROGRAMS: Mapping[str, list[str]] = {
    "python": [sys.executable],
    "django-admin": [sys.executable, "-m", "django"],
}
SECONDS_FOR_A_COMMAND = 120
SECONDS_TO_START = 30
SECONDS_FOR_A_PAGE = 10  # two are promised; this machine may be busy
FOREIGN_VARIABLES = ("CACHE_URL", "DATABASE_URL", "DEFAULT_STORAGE_DSN", "SITE_ID")


class Reader:
    """Somebody who does what the tutorial says, in one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = find_free_port()
        self.server: subprocess.Popen[str] | None = None
        self.done = {"file": 0, "console": 0, "page": 0}

    def follow(self, page: Path) -> None:
        for block in iter_blocks(page):
            try:
                self.do(block)
            except AssertionError as error:
                raise AssertionError(
                    f"{page.name}, line {block.line}: {error}"
                ) from error

    def do(self, block: Block) -> None:
        text = block.text.replace(PORT, str(self.port))
        if "file" in block.values:
            self.write(self.directory / block.values["file"], text, block.words)
        elif block.language == "console" and "server" in block.words:
            self.start(text)
        elif block.language == "console":
            self.run_all(text)
        elif "open" in block.values:
            url = block.values["open"].replace(PORT, str(self.port))
            self.open(url, int(block.values.get("status", 200)), text)
        else:
            raise AssertionError("Nothing says what a reader does with this block.")

    def write(self, path: Path, text: str, words: frozenset[str]) -> None:
        before = path.read_text() + "\n" if "append" in words else ""
        path.write_text(before + text)
        self.done["file"] += 1

    def run_all(self, text: str) -> None:
        commands = list(iter_commands(text))
        assert commands, "A console without a command."
        for command, shown in commands:
            done = subprocess.run(
                build_arguments(command),
                cwd=self.directory,
                env=build_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=SECONDS_FOR_A_COMMAND,
            )
            assert done.returncode == 0, f"{command} failed:\n{done.stdout}"
            assert is_shown(done.stdout, shown), f"{command} printed:\n{done.stdout}"
            self.done["console"] += 1

    def start(self, text: str) -> None:
        ((command, _),) = iter_commands(text)
        with (self.directory / "server.log").open("w") as log:
            self.server = subprocess.Popen(
                build_arguments(command),
                cwd=self.directory,
                env=build_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                # The server has a child that serves: both are in this session.
                start_new_session=True,
            )
        self.done["console"] += 1
        deadline = time.monotonic() + SECONDS_TO_START
        while not self.accepts():
            log_text = (self.directory / "server.log").read_text()
            assert self.server.poll() is None, f"{command} ended:\n{log_text}"
            assert time.monotonic() < deadline, f"{command} is too slow:\n{log_text}"
            time.sleep(0.05)

    def accepts(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def open(self, url: str, status: int, text: str) -> None:
        deadline = time.monotonic() + SECONDS_FOR_A_PAGE
        while True:
            answer = fetch(url)
            if answer[0] == status and is_shown(answer[1], text):
                break
            assert time.monotonic() < deadline, f"{url} shows {answer}"
            time.sleep(0.1)
        self.done["page"] += 1

    def end_server(self) -> None:
        if self.server is None:
            return
        os.killpg(self.server.pid, signal.SIGTERM)
        try:
            self.server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(self.server.pid, signal.SIGKILL)
            self.server.wait(timeout=10)


@contextmanager
def reading(directory: Path) -> Iterator[Reader]:
    reader = Reader(directory)
    try:
        yield reader
    finally:
        reader.end_server()


def find_free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def build_environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("DJANGO_") and name not in FOREIGN_VARIABLES
    }
    path = filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
    return {**kept, "PYTHONPATH": os.pathsep.join(path)}


def build_arguments(command: str) -> list[str]:
    program, *rest = shlex.split(command)
    assert program in PROGRAMS, f"{program} is none of {', '.join(PROGRAMS)}."
    return [*PROGRAMS[program], *rest]


def iter_commands(text: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a console and what is shown after it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


def is_shown(printed: str, shown: str) -> bool:
    """Whether `printed` is what the page shows."""
    pattern = ""
    for line in shown.splitlines():
        if line.strip() == "...":
            pattern += r"(?:.*\n)*?"
        else:
            parts = (re.escape(part) for part in line.rstrip().split("..."))
            pattern += f"{'.*'.join(parts)}\n"
    text = "".join(f"{line.rstrip()}\n" for line in printed.splitlines())
    return re.fullmatch(pattern, text) is not None


def fetch(url: str) -> tuple[int, str]:
    """Return status and body, as a browser does that knows `.localhost`.

    The status is 0 while the server does not answer, as when it reloads its code.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=10)
    try:
        connection.request("GET", parts.path, headers={"Host": parts.netloc})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError as error:
        return 0, str(error)
    finally:
        connection.close()


def test_tutorial_does_what_it_shows(tmp_path):
    with reading(tmp_path) as reader:
        reader.follow(TUTORIAL)

    assert min(reader.done.values()) >= 5


def test_output_that_differs_from_what_is_shown_is_noticed():
    assert is_shown("done in 3 s\n", "done in ... s\n")
    assert is_shown("a\nb\nc\n", "a\n...\n")
    assert not is_shown("done\n", "")
    assert not is_shown("done\nand more\n", "done\n")


def test_block_that_says_nothing_of_what_to_do_is_refused(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1)\n```\n")

    with (
        reading(tmp_path) as reader,
        pytest.raises(AssertionError, match=r"page\.md, line 1: Nothing"),
    ):
        reader.follow(page)
