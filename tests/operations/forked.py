"""What a process does that forks workers.

It has no other threads and no open connection, as a process of tests would. Its last
line is what came of the scene, as JSON.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from django.db import connections, transaction
from django.test import override_settings

from django_mirrors import Mirror, get_current_mirror, mirrors, use_mirror
from django_mirrors.operations.executors import Processes, Threads, open_executor
from django_mirrors.operations.reports import Outcome, Report
from django_mirrors.operations.runner import run_steps
from django_mirrors.operations.workers import can_fork

__all__ = ["main"]

NAMES = ("books", "films", "music")


# -- Steps -----------------------------------------------------------------------------


def tell(mirror: Mirror) -> Outcome:
    """Say which process works on which mirror."""
    sys.stdout.write(f"in {mirror}\n")
    return Outcome("done", f"{get_current_mirror()} {os.getpid()}")


def tell_slowly(mirror: Mirror) -> Outcome:
    """Say when the step began and ended."""
    began = time.monotonic()
    time.sleep(0.2)
    return Outcome("done", f"{began} {time.monotonic()} {os.getpid()}")


def end(mirror: Mirror, *, how: str) -> Outcome:
    """End the process in one of the mirrors."""
    if mirror.name == "films":
        _ENDINGS[how]()
    return Outcome("done", str(os.getpid()))


def _raise() -> None:
    raise ValueError("Closed.")


def _end_all() -> None:
    """End the worker and the process that watches over it."""
    os.kill(os.getppid(), signal.SIGKILL)
    os._exit(1)


_ENDINGS: dict[str, Callable[[], object]] = {
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "terminated": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "exit 3": lambda: os._exit(3),
    "exit 0": lambda: os._exit(0),
    "sys.exit": lambda: sys.exit(4),
    "raises": _raise,
    "all": _end_all,
}


# -- Scenes ----------------------------------------------------------------------------


def run_results() -> Any:
    """Do a step in each mirror, in two processes."""
    with open_executor(2, in_processes=True) as workers:
        report = run_steps("test", mirrors.select(), tell, executor=workers)
        return [type(workers).__name__, os.getpid(), _show(report)]


def run_output() -> None:
    """Print before, in, and after the steps."""
    sys.stdout.write("before\n")
    with open_executor(2, in_processes=True) as workers:
        run_steps("test", mirrors.select(), tell, executor=workers)
    sys.stdout.write("after\n")


def run_ending(how: str, jobs: int = 2) -> Any:
    """Let a step end its process."""
    with open_executor(jobs, in_processes=True) as workers:
        assert isinstance(workers, Processes), "This would end who plays the scene."
        step = partial(end, how=how)
        first = run_steps("test", mirrors.select(), step, executor=workers)
        second = run_steps("test", mirrors.select(), tell, executor=workers)
        return [_show(first), _show(second)]


def run_sharing() -> Any:
    """Work on a mirror and on one that shares its database."""
    with open_executor(3, in_processes=True) as workers:
        chosen = mirrors.select("films", "films-fr", "books")
        return _show(run_steps("test", chosen, tell_slowly, executor=workers))


def run_gone() -> Any:
    """Work on a mirror that the worker does not know."""
    gone = Mirror.from_mapping(
        "gone", {"HOSTS": ["gone.example"], "DATABASE": "sqlite:///gone.sqlite3"}
    )
    with open_executor(2, in_processes=True) as workers:
        return _show(run_steps("test", [gone], tell, executor=workers))


def run_order() -> Any:
    """Return in which order results came, and how long it took in all."""
    came: list[str] = []
    began = time.monotonic()
    with open_executor(2, in_processes=True) as workers:
        for _ in range(2):
            run_steps(
                "test",
                mirrors.select(),
                tell,
                executor=workers,
                on_step=lambda result: came.append(result.mirror),
            )
    return [came, time.monotonic() - began]


def run_choices() -> Any:
    """Return where it is safe to fork."""
    found = {"plain": can_fork()}
    connections["analytics"].ensure_connection()  # in memory
    found["database in memory"] = can_fork()
    del connections["analytics"]
    with use_mirror("books"), transaction.atomic(using="books"):
        found["transaction"] = can_fork()
    with use_mirror("books"):
        connections["books"].ensure_connection()
    found["open connection"] = can_fork()
    found["is closed"] = connections["books"].connection is None
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    found["thread"] = can_fork()
    with open_executor(2, in_processes=True) as workers:
        found["instead"] = isinstance(workers, Threads)
    ended.set()
    thread.join()
    with open_executor(2, in_processes=True) as workers:
        found["again"] = isinstance(workers, Processes)
    return found


def _show(report: Report) -> list[list[str]]:
    return [
        [item.mirror, item.outcome, item.detail, item.error] for item in report.results
    ]


_SCENES: dict[str, Callable[..., Any]] = {
    "choices": run_choices,
    "ending": run_ending,
    "gone": run_gone,
    "order": run_order,
    "output": run_output,
    "results": run_results,
    "sharing": run_sharing,
}


def main(directory: str, scene: str, *arguments: str) -> None:
    """Play a scene with mirrors whose databases are files in a directory."""
    definitions: dict[str, Any] = {
        name: {
            "HOSTS": [f"{name}.example"],
            "DATABASE": f"sqlite:///{directory}/{name}.sqlite3",
            "STORAGE": f"file://{directory}/{name}/",
            "STATE": "active",
        }
        for name in NAMES
    }
    definitions["films-fr"] = {
        "HOSTS": ["fr.films.example"],
        "SHARES": {"DATABASE": "films", "STORAGE": "films"},
        "STATE": "active",
    }
    Path(directory, "books.sqlite3").touch()
    options = {"RECORDS": False, "SNAPSHOT": None}
    with override_settings(MIRRORS=definitions, MIRRORS_OPTIONS=options):
        found = _SCENES[scene](*arguments)
    sys.stdout.write(json.dumps(found))
