"""Run the tools that come with a database, and connect them."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

from django_mirrors.exceptions import OperationFailed
from django_mirrors.redaction import redact_text

__all__ = [
    "Command",
    "feed",
    "find_tool",
    "iter_file",
    "iter_lines",
    "iter_output",
    "read_output",
    "read_version",
]

_CHUNK = 1 << 17
_ERROR = re.compile(r"\b(error|fatal|panic)\b", re.IGNORECASE)
_WANTED_LINES = 2  # of what a tool says about an error
_LONGEST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One run of a tool.

    Everybody on the machine can see `arguments`: secrets go into `environment`, or into
    a file.
    """

    arguments: tuple[str, ...]
    place: str  # what it works on, for messages
    environment: Mapping[str, str] = field(default_factory=dict)
    # What a file of options holds, which the first argument names without its path. It
    # is given by a pipe, and so is nowhere if this process is killed.
    options: bytes = b""


def find_tool(*names: str, package: str) -> str:
    """Return the path of the first tool that is there. Raises `OperationFailed`."""
    for name in names:
        path = shutil.which(name)
        if path is not None:
            return path
    raise OperationFailed(
        f"The tool '{names[0]}' is not on PATH. Install it: on Debian, the package "
        f"'{package}'."
    )


@lru_cache(maxsize=32)
def read_version(path: str) -> str:
    """Return what a tool says about its version."""
    command = Command(arguments=(path, "--version"), place="the version of this tool")
    return read_output(command).decode(errors="replace").strip()


def read_output(command: Command) -> bytes:
    """Return everything that a tool writes."""
    return b"".join(iter_output(command))


def iter_output(*commands: Command) -> Iterator[bytes]:
    """Yield what the last of several connected tools writes.

    Raises `OperationFailed` if one fails, at the latest instead of ending.
    """
    running: list[_Running] = []
    try:
        for command in commands:
            given = running[-1].process.stdout if running else subprocess.DEVNULL
            running.append(_start(command, stdin=given, stdout=subprocess.PIPE))
        for one, _ in pairwise(running):
            # The next tool has it; if that ends, this one is told.
            _get(one.process.stdout).close()
        output = _get(running[-1].process.stdout)
        while chunk := output.read1(_CHUNK):
            yield chunk
        for one in running:
            one.finish()
    finally:
        for one in running:
            one.end()


def feed(command: Command, chunks: Iterable[bytes]) -> None:
    """Give `chunks` to a tool. Raises `OperationFailed` if it fails.

    If something goes wrong with `chunks`, the tool is killed: it never sees an end that
    it would take for the whole.
    """
    running = _start(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        given = _get(running.process.stdin)
        try:
            for chunk in chunks:
                given.write(chunk)
            given.close()
        except BrokenPipeError:
            running.finish()
            raise OperationFailed(
                f"{running.title} ended before it had read everything. Look into the "
                "log of the server."
            ) from None
        running.finish()
    finally:
        running.end()


def iter_file(path: Path) -> Iterator[bytes]:
    """Yield what a file holds. Raises `OperationFailed`."""
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except OSError as error:
        raise OperationFailed(
            f"The dump '{path}' cannot be read: {error.strerror}. Name one that can be."
        ) from error


def iter_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of `chunks`, each with its end."""
    pending: list[bytes] = []
    for chunk in chunks:
        first, mark, rest = chunk.partition(b"\n")
        pending.append(first)
        if not mark:
            continue
        yield b"".join(pending) + b"\n"
        lines = rest.split(b"\n")
        yield from (line + b"\n" for line in lines[:-1])
        pending = lines[-1:]
    last = b"".join(pending)
    if last:
        yield last


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    process: "subprocess.Popen[bytes]"
    errors: IO[bytes]
    title: str

    def finish(self) -> None:
        """Wait for the end. Raises `OperationFailed` unless it is a good one."""
        code = self.process.wait()
        # One that is told nobody reads any more is not the one that failed.
        if code in (0, -signal.SIGPIPE):
            return
        self.errors.seek(0)
        said = _pick(self.errors.read(1 << 20).decode(errors="replace"))
        raise OperationFailed(
            f"{self.title} failed: {said or f'it ended with code {code}'}. Mend that, "
            "and start again."
        )

    def end(self) -> None:
        """Let nothing of it remain, finished or not."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            if stream is not None:
                with suppress(OSError):  # what was not written yet is of no use
                    stream.close()


def _start(command: Command, *, stdin: Any, stdout: int) -> _Running:
    name = Path(command.arguments[0]).name
    path, *arguments = command.arguments
    options = _open_options(command.options)
    if options:
        arguments[0] += f"/dev/fd/{options[0]}"
    errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end()
    try:
        process = subprocess.Popen(  # noqa: S603 - a list, and no shell
            (path, *arguments),
            pass_fds=options,
            stdin=stdin,
            stdout=stdout,
            stderr=errors,
            # Messages that can be understood here, in English.
            env={**os.environ, "LC_ALL": "C", **command.environment},
        )
    except OSError as error:
        errors.close()
        raise OperationFailed(
            f"The tool '{name}' cannot be run: {error.strerror}. Install it again."
        ) from error
    finally:
        for file in options:
            os.close(file)
    return _Running(
        process=process, errors=errors, title=f"'{name}' of {command.place}"
    )


def _open_options(text: bytes) -> tuple[int, ...]:
    """Return the end of a pipe that holds `text`, or none for no text."""
    if not text:
        return ()
    end, beginning = os.pipe()
    try:
        os.write(beginning, text)  # much less than a pipe holds
    finally:
        os.close(beginning)
    return (end,)


def _pick(text: str) -> str:
    """Return the lines that say what went wrong, as one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if _ERROR.search(line)]
    picked = " ".join((errors or lines[-1:])[:_WANTED_LINES])
    return redact_text(picked[:_LONGEST].rstrip("."))


def _get(stream: IO[bytes] | None) -> Any:
    assert stream is not None  # noqa: S101 - it was asked for when starting
    return stream
