"""The options of rollouts, and how one is shown while it goes on."""

import json
from time import monotonic
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.module_loading import import_string
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from django_mirrors.counts import write_count
from django_mirrors.management.commands._fleet import (
    BAD_USAGE,
    FleetCommand,
    parse_count,
)
from django_mirrors.operations import Report, StepResult
from django_mirrors.operations.reports import FAILED
from django_mirrors.operations.rollout import Options, Wave, parse_waves

__all__ = ["RolloutShow", "add_rollout", "build_options", "find_executor", "find_jobs"]

_EXECUTORS = ("local", "celery")
_JOBS = {"local": 1, "celery": 32}  # at once, if it is not said
# Longer tables are left to --json: only failures are shown, and how many there were.
_LONGEST_TABLE = 200


def add_rollout(parser: CommandParser) -> None:
    """Add what decides how mirrors are brought in step."""
    add = parser.add_argument
    add("--plan", action="store_true", help="Print what would be done, with the SQL.")
    add("--canary", type=parse_count, default=0, metavar="N", help="N mirrors first.")
    add("--waves", metavar="W,...", help="Waves, as '5%%,25%%,100%%' or 'tier=free'.")
    add("--max-failures", type=parse_count, metavar="N")
    add("--with-original", action="store_true", help="Migrate the original first.")
    add(
        "--to",
        nargs="+",
        action="append",
        metavar="TARGET",
        help="An app and one of its migrations, or 'zero': only up or back to it.",
    )
    add("--fake", action="store_true", help="Record migrations, and apply none.")
    add(
        "--allow-breaking",
        metavar="REASON",
        default="",
        help="Apply migrations that break the release before; the reason is recorded.",
    )
    add("--collectstatic", action="store_true", help="Collect static files first.")
    add("--executor", choices=_EXECUTORS, default=_EXECUTORS[0])
    add("--resume", action="store_true", help="Go on with a rollout that stopped.")
    add("--pause", action="store_true", help="Stop one after the mirrors at hand.")
    add("--cancel", action="store_true", help="The same, for good.")
    add("--show", action="store_true", help="Print what became of a rollout.")
    add("--list", action="store_true", help="Print the latest rollouts.")
    add("--id", metavar="ID", default="", help="Which rollout; the last otherwise.")
    add("--events", action="store_true", help="Print a line of JSON for each event.")


def build_options(options: dict[str, Any]) -> Options:
    """Return how to roll out, from the options of the command."""
    targets = []
    for given in options["to"] or ():
        if len(given) > 2:
            raise CommandError(
                f"--to takes an app and a migration, not '{' '.join(given)}'. Write "
                "the names of mirrors before it.",
                returncode=BAD_USAGE,
            )
        app, name = (*given, "")[:2]
        targets.append((app, None if name == "zero" else name))
    return Options(
        targets=tuple(targets),
        is_fake=options["fake"],
        canary=options["canary"],
        waves=parse_waves(options["waves"]) if options["waves"] else (),
        allow_breaking=options["allow_breaking"],
        collects_static=options["collectstatic"],
    )


def find_executor(name: str) -> Any:
    """Return what opens the executor of that name; None for the usual one."""
    if name == _EXECUTORS[0]:
        return None
    try:
        return import_string("django_mirrors.integrations.celery.open_celery_executor")
    except ImportError as error:
        raise CommandError(
            "The executor 'celery' needs Celery. Install 'dj-mirrors[celery]'.",
            returncode=BAD_USAGE,
        ) from error


def find_jobs(options: dict[str, Any]) -> int:
    """Return how many mirrors are worked on at once."""
    jobs: int = options["jobs"] or _JOBS[options["executor"]]
    return jobs


class RolloutShow:
    """Shows a rollout: a bar on a terminal, a line a wave elsewhere, or JSON."""

    def __init__(self, command: FleetCommand, options: dict[str, Any]) -> None:
        self._command = command
        self._is_json = options["json"]
        self._has_events = options["events"]
        self._failed = 0
        self._began = monotonic()
        self._bar: Progress | None = None
        self._task: Any = None
        if command.stderr.isatty() and not (self._is_json or self._has_events):
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[failed]} failed, {task.fields[pace]}"),
                console=Console(stderr=True),
                transient=True,
                auto_refresh=False,  # by a thread, beside which no process is forked
            )

    def __enter__(self) -> "RolloutShow":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin_wave(self, wave: Wave, number: int, total: int) -> None:
        """Say which wave begins."""
        if self._has_events:
            self._print_event(
                "wave", title=wave.title, number=number, of=total, mirrors=wave.mirrors
            )
        if self._bar is not None:
            self._began, self._failed = monotonic(), 0
            title = f"wave {number}/{total} ({wave.title})" if total > 1 else "mirrors"
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(
                title, total=len(wave.mirrors), failed=0, pace=""
            )
        elif total > 1 and not (self._is_json or self._has_events):
            self._command.stdout.write(
                f"Wave {number} of {total} ({wave.title}): "
                f"{write_count(len(wave.mirrors), 'mirror')}."
            )

    def take(self, result: StepResult) -> None:
        """Show that a mirror is done."""
        self._failed += result.outcome == FAILED
        if self._has_events:
            self._print_event("mirror", **result.as_json())
        if self._bar is not None and self._task is not None:
            task = self._bar.tasks[0]
            done = task.completed + 1
            pace = done / max(monotonic() - self._began, 0.001)
            left = ((task.total or done) - done) / pace
            self._bar.update(
                self._task,
                advance=1,
                refresh=True,
                failed=self._failed,
                pace=f"{pace:.1f} a second, {left:.0f} s left",
            )

    def finish(self, report: Report) -> None:
        """Print the report. Raises `CommandError` if not all is done."""
        again = (
            "Go on with 'manage.py mirror_rollout --resume', or begin a new rollout."
        )
        if self._has_events:
            whole = report.as_json()
            whole.pop("results")
            self._print_event("end", **whole)
            self._command.judge(report, again=again)
        elif self._is_json or len(report) <= _LONGEST_TABLE:
            self._command.finish(report, as_json=self._is_json, again=again)
        else:
            self._command.print_results(report.failures)
            self._command.stdout.write(
                f"{report.count('done')} done, {report.count('skipped')} skipped, "
                f"{len(report.failures)} failed. All of them: 'manage.py "
                f"mirror_rollout --show --json --id {report.id}'."
            )
            self._command.judge(report, again=again)

    def _print_event(self, event: str, **values: Any) -> None:
        line = json.dumps({"event": event, **values}, default=str)
        self._command.stdout.write(line)
        self._command.stdout.flush()
