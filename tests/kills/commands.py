"""Steps that run a command: here, or in a process beside that may be killed."""

import ctypes
import json
import os
import signal
import traceback
from datetime import timedelta
from io import StringIO
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections
from django.utils import timezone

from django_mirrors import use_original
from django_mirrors.db import settings as settings_of_databases
from django_mirrors.models import LockRecord
from django_mirrors.operations import locks
from django_mirrors.operations.rollout import engine
from tests.kills import hooks
from tests.kills.events import Events

__all__ = ["STEPS", "command"]

Answer = dict[str, Any]

_LONGEST_WAIT = 60  # seconds
_SHORT_WAIT = 0.2
_begun: list[int] = []  # processes, in the order in which they are waited for


def command(name: str, *arguments: str) -> Answer:
    """Run a command as an operator does; return what it ended with."""
    out = StringIO()
    try:
        with use_original():
            call_command(name, *arguments, stdout=out, stderr=out)
    except CommandError as error:
        return {"code": error.returncode, "said": str(error), "out": out.getvalue()}
    except Exception:  # noqa: BLE001 - it is told
        return {"code": -1, "said": traceback.format_exc(), "out": out.getvalue()}
    return {"code": 0, "said": out.getvalue(), "out": out.getvalue()}


def apart(options: dict[str, Any], *arguments: str) -> Answer:
    """Run a command in a process beside; return its answer, or what stopped it."""
    begin(options, *arguments)
    return join()


def begin(options: dict[str, Any], *arguments: str) -> None:
    """Begin a command in a process beside."""
    connections.close_all()
    process = os.fork()
    if process:
        _begun.append(process)
        return
    try:
        _die_with_parent()
        _act(options, arguments)
    finally:
        os._exit(0)


def _die_with_parent() -> None:
    set_signal_of_parents_death = 1
    ctypes.CDLL(None).prctl(set_signal_of_parents_death, signal.SIGKILL, 0, 0, 0)


def _act(options: dict[str, Any], arguments: tuple[str, ...]) -> None:
    given = dict(options)
    if "lease" in given:
        locks._LEASE = timedelta(seconds=given.pop("lease"))
    engine._LOOK_SECONDS = given.pop("look", engine._LOOK_SECONDS)
    hooks.SECONDS = given.pop("seconds", 0.0)
    hooks.ILL = given.pop("ill", "")
    hooks.IS_KILLED = given.pop("is_killed_by_hook", False)
    events = Events(settings.DIRECTORY, **given)
    events.watch()
    answer = {**command(*arguments), "events": list(events.seen)}
    _find_answer(os.getpid()).write_text(json.dumps(answer))


def _find_answer(process: int) -> Path:
    return settings.DIRECTORY / "tmp" / f"answer-{process}.json"


def join(number: int = 0) -> Answer:
    """Wait until a process ends, or is stopped: usually that which was begun first."""
    process = _begun[number]
    _, status = os.waitpid(process, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        return {"stopped": True}
    _begun.remove(process)
    if os.WIFSIGNALED(status):
        return {"killed": True}
    path = _find_answer(process)
    answer: Answer = json.loads(path.read_text())
    path.unlink()
    return answer


def send(name: str) -> None:
    """Send a signal to the process that was begun first."""
    os.kill(_begun[0], signal.Signals[name])


def await_begin() -> None:
    """Wait until a rollout works on a mirror."""
    until = monotonic() + _LONGEST_WAIT
    while not (settings.DIRECTORY / "begun").exists():
        assert monotonic() < until, "It does not begin."
        sleep(0.01)


def wake() -> None:
    """Let the process go on that was stopped, and wait for its end."""
    process = int((settings.DIRECTORY / "tmp" / "stopped").read_text())
    os.kill(process, signal.SIGCONT)
    until = monotonic() + _LONGEST_WAIT
    while _read_status(process) not in {"", "Z"}:
        assert monotonic() < until, "It does not end."
        sleep(0.01)


def _read_status(process: int) -> str:
    """Return a letter for what a process does, or '' if there is none."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return ""
    return status.rpartition(") ")[2][0]


def await_stop() -> None:
    """Wait until the process that kills its parent is stopped."""
    process = int((settings.DIRECTORY / "tmp" / "stopped").read_text())
    while _read_status(process) != "T":
        sleep(0.01)


def hurry() -> None:
    """Let nobody wait long for a lock of SQLite."""
    settings_of_databases._SQLITE_OPTIONS["timeout"] = _SHORT_WAIT


def end_leases() -> None:
    """Let an hour pass for those who hold locks."""
    with use_original():
        LockRecord.objects.update(expires=timezone.now())
    connections.close_all()


STEPS = {
    "apart": apart,
    "await_begin": await_begin,
    "await_stop": await_stop,
    "begin": begin,
    "end_leases": end_leases,
    "command": command,
    "hurry": hurry,
    "join": join,
    "send": send,
    "wake": wake,
}
