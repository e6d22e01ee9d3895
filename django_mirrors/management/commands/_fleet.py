"""What the commands have in common: selecting mirrors, printing, exit codes."""

import json
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import Any

from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    OutputWrapper,
)
from django.db import DatabaseError
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from django_mirrors.counts import write_count
from django_mirrors.exceptions import MirrorError, UnknownMirror
from django_mirrors.mirror import STATES, Mirror
from django_mirrors.operations import Plan, Report, StepResult
from django_mirrors.operations.runner import NOT_BEGUN
from django_mirrors.registry import mirrors

__all__ = ["FleetCommand", "parse_pair"]

BAD_USAGE = 2
_WIDTH = 200


class FleetCommand(BaseCommand):
    """A command about mirrors. Errors of this package end it with one clear text."""

    requires_system_checks = ("mirrors",)

    def add_arguments(self, parser: CommandParser) -> None:
        """Add what every command takes."""
        parser.add_argument("--json", action="store_true", help="Print for machines.")

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command; turn the errors that can be expected into CommandError."""
        try:
            return super().execute(*args, **options)
        except UnknownMirror as error:
            raise CommandError(str(error), returncode=BAD_USAGE) from error
        except MirrorError as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(
                f"A database failed ({type(error).__name__}: {error}). Check that the "
                "original's runs, and run 'manage.py migrate'."
            ) from error

    def check(self, *args: Any, **kwargs: Any) -> None:
        """Raise `SystemCheckError` for errors; warnings are for `manage.py check`."""
        shown, self.stderr = self.stderr, OutputWrapper(StringIO())
        try:
            super().check(*args, **kwargs)
        finally:
            self.stderr = shown

    def print_json(self, value: Any) -> None:
        """Print one JSON document."""
        self.stdout.write(json.dumps(value, indent=2, default=str))

    def print_table(
        self, titles: Sequence[str], rows: Iterable[Sequence[object]]
    ) -> None:
        """Print aligned columns."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for title in titles:
            table.add_column(title, overflow="fold")
        for row in rows:
            table.add_row(*(str(item) for item in row))
        out = StringIO()
        is_terminal = self.stdout.isatty()
        console = Console(
            file=out,
            width=None if is_terminal else _WIDTH,
            force_terminal=is_terminal,
            no_color=not is_terminal,
            markup=False,
            highlight=False,
        )
        console.print(table)
        lines = out.getvalue().splitlines()
        self.stdout.write("\n".join(line.rstrip() for line in lines))

    def print_plan(self, plan: Plan, *, as_json: bool) -> None:
        """Print what would be done."""
        if as_json:
            self.print_json(plan.as_json())
            return
        self.stdout.write("Nothing is changed. This would be done:")
        rows = [
            (plan.waves.get(name, ""), name, step)
            for name, steps in plan.steps.items()
            for step in steps
        ]
        first = 0 if plan.waves else 1  # of the columns that say something
        self.print_table(
            ("WAVE", "MIRROR", "STEP")[first:], [row[first:] for row in rows]
        )
        for step, lines in plan.sql.items():
            self.stdout.write("\n".join(("", f"-- {step}", *lines)))

    def finish(
        self,
        report: Report,
        *,
        as_json: bool,
        again: str = "Run the command again to go on.",
    ) -> None:
        """Print the report. Raises `CommandError` if a mirror failed or was left out.

        `again` says how one goes on then.
        """
        if as_json:
            self.print_json(report.as_json())
        else:
            self.print_results(report.results)
        self.judge(report, again=again)

    def judge(self, report: Report, *, again: str) -> None:
        """Raise `CommandError` if a mirror failed or was left out. See finish()."""
        sentences, total = [], write_count(len(report), "mirror")
        if report.failures:
            sentences.append(
                f"{len(report.failures)} of {total} failed: "
                f"{', '.join(item.mirror for item in report.failures)}."
            )
        not_begun = [item for item in report.results if item.detail == NOT_BEGUN]
        if not_begun:
            sentences.append(
                f"Stopped with {len(not_begun)} of {total} not begun. {again}"
            )
        if sentences:
            raise CommandError(" ".join(sentences))

    def print_results(self, results: Iterable[StepResult]) -> None:
        """Print what was done to each mirror."""
        self.print_table(
            ("MIRROR", "OUTCOME", "TIME", "DETAIL"),
            [
                (
                    item.mirror,
                    item.outcome,
                    f"{item.seconds:.2f} s",
                    item.error or item.detail,
                )
                for item in results
            ],
        )

    @contextmanager
    def show_progress(
        self, total: int, *, quiet: bool
    ) -> Iterator[Callable[[StepResult], None] | None]:
        """Yield what to call after each mirror: a progress bar, on a terminal only."""
        if quiet or total < 2 or not self.stderr.isatty():
            yield None
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(
            *columns,
            console=Console(stderr=True),
            transient=True,
            auto_refresh=False,  # by a thread, beside which no process is forked
        ) as bar:
            task = bar.add_task("mirrors", total=total)

            def advance(result: StepResult) -> None:
                bar.update(task, advance=1, description=result.mirror, refresh=True)

            yield advance


class SelectionCommand(FleetCommand):
    """A command over chosen mirrors."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the selection that all commands share."""
        super().add_arguments(parser)
        parser.add_argument("names", nargs="*", metavar="NAME", help="Mirrors by name.")
        add_selection(parser)

    def select(
        self, options: dict[str, Any], *, default_all: bool = False
    ) -> tuple[Mirror, ...]:
        """Return the mirrors that were asked for; never silently none or all."""
        names: list[str] = options["names"]
        labels, states = dict(options["label"] or ()), tuple(options["state"] or ())
        if names and options["all"]:
            raise CommandError("Give names or --all, not both.", returncode=BAD_USAGE)
        if not (is_selecting(options) or default_all):
            raise CommandError(
                "No mirror was selected. Give names, --all, --label k=v or --state s.",
                returncode=BAD_USAGE,
            )
        chosen = mirrors.select(
            *names,
            labels=labels,
            states=states,
            exclude=tuple(options["exclude"] or ()),
        )
        if not chosen and not (default_all and not (names or labels or states)):
            raise CommandError("The selection matches no mirror.", returncode=BAD_USAGE)
        return chosen


def is_selecting(options: dict[str, Any]) -> bool:
    """Whether mirrors were chosen."""
    return any(options[key] for key in ("names", "all", "label", "state"))


def add_selection(parser: CommandParser) -> None:
    """Add the options that choose mirrors."""
    parser.add_argument("--all", action="store_true", help="Every mirror.")
    parser.add_argument("--label", action="append", type=parse_pair, metavar="K=V")
    parser.add_argument("--state", action="append", choices=STATES, metavar="STATE")
    parser.add_argument("--exclude", action="append", metavar="NAME")


def add_jobs(parser: CommandParser, *, default: int | None = 1) -> None:
    """Add the number of mirrors to work on at once."""
    parser.add_argument("--jobs", type=parse_count, default=default, metavar="N")


def parse_pair(text: str) -> tuple[str, str]:
    """Return the two sides of `key=value`."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ArgumentTypeError(f"{text!r} is not of the form KEY=VALUE")
    return key, value


def parse_count(text: str) -> int:
    """Return a whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def parse_setting(text: str) -> tuple[str, Any]:
    """Return name and value of `NAME=VALUE`; a value that is JSON is read as such."""
    name, value = parse_pair(text)
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def describe_mirror(mirror: Mirror) -> dict[str, Any]:
    """Return what `mirror_list` tells machines about a mirror."""
    return {
        "name": mirror.name,
        "display_name": mirror.display_name,
        "uid": str(mirror.uid),
        "state": mirror.state,
        "hosts": list(mirror.hosts),
        "labels": dict(mirror.labels),
        "release": mirror.release,
        "shares": dict(mirror.shares),
        "source": mirror.source,
    }
