"""Bring mirrors in step with the running code."""

from typing import Any

from django.core.management.base import CommandParser

from django_mirrors.management.commands._fleet import (
    SelectionCommand,
    add_jobs,
    parse_count,
)
from django_mirrors.operations import plan_rollout, roll_out


class Command(SelectionCommand):
    """Apply all migrations in each selected mirror; skip those in step."""

    help = "Bring the selected mirrors in step with this code, and provision new ones."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add how to go about it."""
        super().add_arguments(parser)
        add_jobs(parser)
        parser.add_argument(
            "--plan", action="store_true", help="Print what would be done."
        )
        parser.add_argument("--max-failures", type=parse_count, metavar="N")
        parser.add_argument("--with-original", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Roll out, or print the plan."""
        chosen = self.select(options)
        if options["plan"]:
            self.print_plan(plan_rollout(chosen), as_json=options["json"])
            return
        with self.show_progress(len(chosen), quiet=options["json"]) as advance:
            report = roll_out(
                chosen,
                jobs=options["jobs"],
                max_failures=options["max_failures"],
                with_original=options["with_original"],
                on_step=advance,
            )
        self.finish(report, as_json=options["json"])
