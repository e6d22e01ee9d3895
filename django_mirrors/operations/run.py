"""Run any management command in each of many mirrors."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from functools import partial
from io import TextIOBase

from django.core.management import call_command
from django.core.management.base import CommandError

from django_mirrors.exceptions import OperationFailed
from django_mirrors.mirror import Mirror
from django_mirrors.operations.reports import DONE, Outcome, Report, StepResult
from django_mirrors.operations.runner import run_steps

__all__ = ["run_command"]

_OWN_PREFIX = "mirror_"


class _Output(TextIOBase):
    """A stream that hands on what is written to it, at once: a command may ask."""

    def __init__(self, hand_on: Callable[[str], None]) -> None:
        self._hand_on = hand_on

    def write(self, text: str) -> int:
        """Hand the text on."""
        if text:
            self._hand_on(text)
        return len(text)


def run_command(
    mirrors: tuple[Mirror, ...],
    arguments: Sequence[str],
    *,
    jobs: int = 1,
    on_output: Callable[[str, str], None],
    on_step: Callable[[StepResult], None] | None = None,
) -> Report:
    """Run the management command `arguments` in each mirror; return the report.

    `on_output` gets the mirror's name and what the command printed there, as it is
    printed. With more than one job each mirror has a process of its own, since commands
    share the standard output and are rarely safe for threads.
    """
    command, *rest = arguments
    if command.startswith(_OWN_PREFIX):
        raise OperationFailed(
            f"'{command}' chooses its mirrors itself. Run it without 'mirror_run'."
        )

    def run_here(mirror: Mirror) -> Outcome:
        output = _Output(partial(on_output, mirror.name))
        try:
            # Many commands print past the output that they are given.
            with redirect_stdout(output):
                call_command(command, *rest, stdout=output, stderr=output)
        except SystemExit as error:
            if error.code not in {None, 0}:
                raise CommandError(f"The command ended with {error.code}.") from error
        return Outcome(DONE)

    def run_apart(mirror: Mirror) -> Outcome:
        own = ["mirror_run", mirror.name, "--verbosity=0", "--", command, *rest]
        done = subprocess.run(  # noqa: S603 - this interpreter, and no shell
            [sys.executable, "-m", "django", *own],
            capture_output=True,
            check=False,
            text=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        on_output(mirror.name, done.stdout)
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            last = lines[-1].removeprefix("CommandError: ") if lines else ""
            raise CommandError(last or f"The command ended with {done.returncode}.")
        return Outcome(DONE)

    step = run_here if jobs == 1 else run_apart
    return run_steps("run", mirrors, step, jobs=jobs, on_step=on_step)
