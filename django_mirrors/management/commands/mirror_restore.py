"""Make a mirror of an archive."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_mirrors.management.commands._fleet import BAD_USAGE
from django_mirrors.management.commands._making import (
    MakingCommand,
    add_definition,
    build_definition,
)
from django_mirrors.operations import plan_restore, restore_mirror


class Command(MakingCommand):
    """Verify an archive, and make a mirror of it."""

    help = (
        "Make a mirror of an archive, under its own name or another. The archive is "
        "verified first. Run again, it continues where it was stopped."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the archive, the name, and what shall differ in the definition."""
        super().add_arguments(parser)
        parser.add_argument("file", metavar="FILE", help="A path, or one of ARCHIVES.")
        parser.add_argument("new_name", metavar="NAME", nargs="?")
        parser.add_argument("--name", metavar="NAME", help="Another name for it.")
        add_definition(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Restore the mirror, or print the plan."""
        if options["new_name"] and options["name"]:
            raise CommandError("Give the name once.", returncode=BAD_USAGE)
        file, name = options["file"], options["new_name"] or options["name"]
        definition = build_definition(options)
        if options["dry_run"]:
            plan = plan_restore(file, name=name, definition=definition)
            self.print_plan(plan, as_json=options["json"])
            return
        with self.watch(options) as watchers:
            report = restore_mirror(
                file,
                name=name,
                definition=definition,
                on_step=watchers.on_step,
                on_file=watchers.on_file,
            )
        self.finish(report, as_json=options["json"])
