"""Destroy a retired mirror."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_mirrors.management.commands._fleet import BAD_USAGE
from django_mirrors.management.commands._making import MakingCommand
from django_mirrors.operations import plan_purge, purge_mirror


class Command(MakingCommand):
    """Destroy database and media of a retired mirror whose archive is whole."""

    help = (
        "Destroy the database and the files of a retired mirror, and forget it. Its "
        "archive is verified first, and stays. What it shares is left alone."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the mirror, twice."""
        super().add_arguments(parser)
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--confirm", metavar="NAME", help="The same name again.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Purge the mirror, or print the plan."""
        name, confirm = options["name"], options["confirm"]
        if options["dry_run"]:
            self.print_plan(plan_purge(name), as_json=options["json"])
            return
        if confirm != name:
            given = "nothing" if confirm is None else f"'{confirm}'"
            raise CommandError(
                f"To destroy mirror '{name}', confirm it with --confirm {name}. "
                f"Given was {given}, and nothing was changed.",
                returncode=BAD_USAGE,
            )
        with self.watch(options) as watchers:
            report = purge_mirror(name, confirm=confirm, on_file=watchers.on_file)
        self.finish(report, as_json=options["json"])
