"""Stop serving a mirror, and archive it."""

from typing import Any

from django.core.management.base import CommandParser

from django_mirrors.management.commands._making import MakingCommand
from django_mirrors.operations import plan_retire, retire_mirror


class Command(MakingCommand):
    """Suspend a mirror, and write a verified archive of it."""

    help = (
        "Stop serving a mirror and write a verified archive of it. Nothing is "
        "destroyed, and its hosts stay taken, until 'mirror_purge'."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the mirror."""
        super().add_arguments(parser)
        parser.add_argument("name", metavar="NAME")

    def handle(self, *args: Any, **options: Any) -> None:
        """Retire the mirror, or print the plan."""
        name = options["name"]
        if options["dry_run"]:
            self.print_plan(plan_retire(name), as_json=options["json"])
            return
        with self.watch(options) as watchers:
            report = retire_mirror(name, on_file=watchers.on_file)
        self.finish(report, as_json=options["json"])
