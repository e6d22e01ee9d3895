"""Write a mirror into one archive."""

from typing import Any

from django.core.management.base import CommandParser

from django_mirrors.management.commands._making import MakingCommand
from django_mirrors.operations import export_mirror, plan_export


class Command(MakingCommand):
    """Write database and media into one verified file."""

    help = (
        "Write the database and the files of a mirror into one verified archive: "
        "FILE, or a file of its own in MIRRORS_OPTIONS['ARCHIVES']."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the mirror and the file."""
        super().add_arguments(parser)
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("file", metavar="FILE", nargs="?")

    def handle(self, *args: Any, **options: Any) -> None:
        """Export the mirror, or print the plan."""
        name, file = options["name"], options["file"]
        if options["dry_run"]:
            self.print_plan(plan_export(name, file), as_json=options["json"])
            return
        with self.watch(options) as watchers:
            report = export_mirror(name, file, on_file=watchers.on_file)
        self.finish(report, as_json=options["json"])
