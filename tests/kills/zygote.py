"""A process that has imported everything, and is forked for each run.

It reads requests from its input, one a line, and answers each with one line. A request
is a list of steps, which the forked process does one after the other, and perhaps when
it is killed.
"""

import gc
import json
import os
import select
import signal
import sys
import tempfile
import traceback
from contextlib import suppress
from time import monotonic, sleep
from typing import Any

import django

__all__ = ["main"]

Request = dict[str, Any]
Answer = dict[str, Any]

_LONGEST_RUN = 120  # seconds
_TOOLS_SECONDS = 10  # in which what a killed process had started ends by itself


def main() -> None:
    """Answer requests until there are no more."""
    django.setup()
    _import_all()
    # Tools that a killed process leaves become children of this one.
    _adopt_orphans()
    gc.freeze()  # no collection touches, and so copies, what is shared with a fork
    for line in sys.stdin:
        requests = json.loads(line)
        print(json.dumps(_serve(requests)), flush=True)  # noqa: T201 - the answer


def _import_all() -> None:
    from django.core.management import get_commands, load_command_class
    from django.urls import get_resolver

    from django_mirrors.operations.templates import find_signature
    from tests.kills import steps  # noqa: F401

    for name, app in get_commands().items():
        if app == "django_mirrors":
            load_command_class(app, name)
    get_resolver()._populate()
    find_signature()
    tempfile.gettempdir()


def _adopt_orphans() -> None:
    import ctypes

    set_child_subreaper = 36
    ctypes.CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0)


def _serve(requests: list[Request]) -> list[Answer]:
    """Do all `requests` at once, each in a process of its own."""
    begin, beginning = os.pipe()
    running = [_fork(request, begin, beginning) for request in requests]
    os.close(begin)
    os.close(beginning)  # all see its end, and begin
    return [_follow(*one) for one in running]


def _fork(request: Request, begin: int, beginning: int) -> tuple[int, int, Request]:
    end, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return process, end, request
    os.setsid()
    os.close(end)
    os.close(beginning)
    os.read(begin, 1)
    _act(request, writing)
    os._exit(0)


def _act(request: Request, writing: int) -> None:
    from tests.kills import steps

    try:
        answer = steps.run(request)
    except BaseException:  # noqa: BLE001 - it is told
        answer = {"crash": traceback.format_exc()}
    with os.fdopen(writing, "w") as file:
        json.dump(answer, file)


def _follow(process: int, end: int, request: Request) -> Answer:
    """Return what a process answers, or that it was killed."""
    seconds = request.get("kill_after")
    began, said = monotonic(), b""
    while True:
        left = (_LONGEST_RUN if seconds is None else seconds) - (monotonic() - began)
        ready, _, _ = select.select([end], [], [], max(left, 0))
        data = os.read(end, 1 << 16) if ready else b""
        said += data
        if not data:
            break
    os.close(end)
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    _wait_for_tools(process)
    return json.loads(said) if said else {"killed": True}


def _wait_for_tools(group: int) -> None:
    until = monotonic() + _TOOLS_SECONDS
    while monotonic() < until:
        with suppress(ChildProcessError):
            while os.waitpid(-group, os.WNOHANG)[0]:
                pass
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        sleep(0.005)
    os.killpg(group, signal.SIGKILL)
    raise RuntimeError("What a killed process had started goes on.")


if __name__ == "__main__":
    main()
