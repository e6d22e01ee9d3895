"""Add a mirror with the data and the files of another one."""

from typing import Any

from django.core.management.base import CommandParser

from django_mirrors.management.commands._making import (
    MakingCommand,
    add_definition,
    build_definition,
)
from django_mirrors.operations import clone_mirror, plan_clone


class Command(MakingCommand):
    """Copy database and media into a new mirror."""

    help = (
        "Add a mirror with the data and the files of SOURCE, which is served "
        "meanwhile. Run again, it continues where it was stopped."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add both names, and the definition of the new mirror."""
        super().add_arguments(parser)
        parser.add_argument("source", metavar="SOURCE", help="A mirror, or original.")
        parser.add_argument("name", metavar="NAME", help="The new mirror.")
        add_definition(parser)
        parser.add_argument(
            "--scrub",
            action="store_true",
            help="Replace personal data by MIRRORS_OPTIONS['SCRUB'].",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Clone the mirror, or print the plan."""
        source, name = options["source"], options["name"]
        definition, is_scrubbed = build_definition(options), options["scrub"]
        if options["dry_run"]:
            plan = plan_clone(source, name, definition, is_scrubbed=is_scrubbed)
            self.print_plan(plan, as_json=options["json"])
            return
        with self.watch(options) as watchers:
            report = clone_mirror(
                source,
                name,
                definition,
                is_scrubbed=is_scrubbed,
                on_step=watchers.on_step,
                on_file=watchers.on_file,
            )
        self.finish(report, as_json=options["json"])
