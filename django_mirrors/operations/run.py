"""Run any management command in each of many mirrors."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from functools import partial
from io import StringIO, TextIOBase

from django.core.management import call_command
from django.core.management.base import CommandError

from django_mirrors.exceptions import OperationFailed
from django_mirrors.mirror import Mirror
from django_mirrors.operations.executors import Here, Processes, open_executor
from django_mirrors.operations.reports import DONE, Outcome, Report, StepResult
from django_mirrors.operations.runner import Step, StoppedWithOutput, run_steps

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

    `on_output` gets the mirror's name and what the command printed there: as it is
    printed, or with more than one job at its end. Those are run in processes, since
    commands share the standard output and are rarely safe for threads.
    """
    command = arguments[0]
    if command.startswith(_OWN_PREFIX):
        raise OperationFailed(
            f"'{command}' chooses its mirrors itself. Run it without 'mirror_run'."
        )

    def take(result: StepResult) -> None:
        if result.output:
            on_output(result.mirror, result.output)
        if on_step is not None:
            on_step(result)

    with open_executor(jobs, in_processes=True) as executor:
        step: Step
        if isinstance(executor, Here):
            step = partial(_run_here, arguments=arguments, on_output=on_output)
        elif isinstance(executor, Processes):
            step = partial(_run_and_keep, arguments=tuple(arguments))
        else:
            step = partial(_run_apart, arguments=arguments)
        return run_steps("run", mirrors, step, executor=executor, on_step=take)


def _run_here(
    mirror: Mirror,
    *,
    arguments: Sequence[str],
    on_output: Callable[[str, str], None],
) -> Outcome:
    _call(arguments, _Output(partial(on_output, mirror.name)))
    return Outcome(DONE)


def _run_and_keep(mirror: Mirror, *, arguments: Sequence[str]) -> Outcome:
    output = StringIO()
    try:
        _call(arguments, output)
    except Exception as error:
        raise StoppedWithOutput(error, output.getvalue()) from error
    return Outcome(DONE, output=output.getvalue())


def _call(arguments: Sequence[str], output: TextIOBase | StringIO) -> None:
    command, *rest = arguments
    try:
        # Many commands print past the output that they are given.
        with redirect_stdout(output):
            call_command(command, *rest, stdout=output, stderr=output)
    except SystemExit as error:
        if error.code not in {None, 0}:
            raise CommandError(f"The command ended with {error.code}.") from error


def _run_apart(mirror: Mirror, *, arguments: Sequence[str]) -> Outcome:
    own = ["mirror_run", mirror.name, "--verbosity=0", "--", *arguments]
    done = subprocess.run(  # noqa: S603 - this interpreter, and no shell
        [sys.executable, "-m", "django", *own],
        capture_output=True,
        check=False,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        last = lines[-1].removeprefix("CommandError: ") if lines else ""
        error = CommandError(last or f"The command ended with {done.returncode}.")
        raise StoppedWithOutput(error, done.stdout)
    return Outcome(DONE, output=done.stdout)
