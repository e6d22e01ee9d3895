"""Run a management command in each of many mirrors."""

import sys
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError, CommandParser

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

        def show(name: str, output: str) -> None:
            if output.strip() and not options["json"]:
                title = "" if is_bare else f"== {name}\n"
                self.stdout.write(f"{title}{output.rstrip()}")

        with self.show_progress(len(chosen), quiet=options["json"]) as advance:
            report = run_command(
                chosen,
                options["command"],
                jobs=options["jobs"],
                on_output=show,
                on_step=advance,
            )
        if is_bare and report.failures:
            raise CommandError(report.failures[0].error)
        if not is_bare:
            self.finish(report, as_json=options["json"])
