"""Run a management command in each of many mirrors."""

import sys
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError, CommandParser, OutputWrapper

from django_mirrors.management.commands._fleet import (
    BAD_USAGE,
    SelectionCommand,
    add_jobs,
)
from django_mirrors.operations import run_command

_SEPARATOR = "--"


class _SplittingParser(CommandParser):
    """Leaves what follows '--' alone; argparse would take it for more names."""

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> Any:
        given = list(sys.argv[1:] if args is None else args)
        position = given.index(_SEPARATOR) if _SEPARATOR in given else len(given)
        parsed = super().parse_args(given[:position], namespace)
        parsed.command = given[position + 1 :]
        return parsed


class _Showing:
    """Prints what commands print, under the names of their mirrors."""

    def __init__(self, out: OutputWrapper, *, with_titles: bool) -> None:
        self._out = out
        self._with_titles = with_titles
        self._last = ""
        self._is_line_open = False

    def __call__(self, name: str, output: str) -> None:
        if self._with_titles and name != self._last:
            title = f"== {name}\n"
            self._out.write(f"\n{title}" if self._is_line_open else title, ending="")
        self._last = name
        self._is_line_open = not output.endswith("\n")
        self._out.write(output, ending="")
        self._out.flush()

    def end(self) -> None:
        """Let what follows begin on a line of its own."""
        if self._is_line_open:
            self._out.write("\n", ending="")


def _ignore(name: str, output: str) -> None:
    pass


class Command(SelectionCommand):
    """Run any command wholly in each selected mirror."""

    help = "Run a command in mirrors: mirror_run NAME... -- COMMAND ARGS..."

    def create_parser(
        self, prog_name: str, subcommand: str, **kwargs: Any
    ) -> CommandParser:
        """Return the parser of this command."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        # BaseCommand offers no way to name the class.
        parser.__class__ = _SplittingParser
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the number of jobs."""
        super().add_arguments(parser)
        add_jobs(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the command in the selection."""
        chosen = self.select(options)
        if not options["command"]:
            raise CommandError(
                "No command was given. Write: mirror_run NAME... -- COMMAND ARGS...",
                returncode=BAD_USAGE,
            )

        is_bare = options["verbosity"] == 0
        show = _Showing(self.stdout, with_titles=not is_bare)
        with self.show_progress(len(chosen), quiet=options["json"]) as advance:
            report = run_command(
                chosen,
                options["command"],
                jobs=options["jobs"],
                on_output=_ignore if options["json"] else show,
                on_step=advance,
            )
        show.end()
        if is_bare and report.failures:
            raise CommandError(report.failures[0].error)
        if not is_bare:
            self.finish(report, as_json=options["json"])
