"""Add a mirror to the fleet."""

from typing import Any

from django.core.management.base import CommandParser

from django_mirrors.management.commands._making import (
    MakingCommand,
    add_definition,
    build_definition,
)
from django_mirrors.operations import add_mirror, plan_mirror


class Command(MakingCommand):
    """Register, provision, verify and activate a mirror."""

    help = (
        "Add a mirror: register it, make its database and storage, verify it, and "
        "serve it. Run again, it continues where it was stopped. Needs no restart."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the name and the definition."""
        super().add_arguments(parser)
        parser.add_argument("name", metavar="NAME")
        add_definition(parser)
        parser.add_argument("--superuser", metavar="USER")

    def handle(self, *args: Any, **options: Any) -> None:
        """Add the mirror, or print the plan."""
        name, definition = options["name"], build_definition(options)
        superuser = options["superuser"]
        if options["dry_run"]:
            _, plan = plan_mirror(name, definition, superuser=superuser)
            self.print_plan(plan, as_json=options["json"])
            return
        with self.watch(options) as watchers:
            report = add_mirror(
                name, definition, superuser=superuser, on_step=watchers.on_step
            )
        self.finish(report, as_json=options["json"])
