"""Serve, hold or suspend a mirror."""

from typing import Any

from django.core.management.base import CommandParser

from django_mirrors.management.commands._fleet import (
    FleetCommand,
    describe_mirror,
    parse_count,
)
from django_mirrors.mirror import State
from django_mirrors.operations import set_state


class Command(FleetCommand):
    """Set the state of a mirror; live everywhere in two seconds."""

    help = "Set the state of a mirror. While it is not active, it answers 503."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add name and state."""
        super().add_arguments(parser)
        parser.add_argument("name", metavar="NAME")
        parser.add_argument(
            "state", choices=(State.ACTIVE, State.MAINTENANCE, State.SUSPENDED)
        )
        parser.add_argument(
            "--reason", default="", metavar="TEXT", help="Shown to visitors."
        )
        parser.add_argument(
            "--retry-after", type=parse_count, default=0, metavar="SECONDS"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Set the state."""
        mirror = set_state(
            options["name"],
            options["state"],
            reason=options["reason"],
            retry_after=options["retry_after"],
        )
        if options["json"]:
            self.print_json(describe_mirror(mirror))
            return
        self.stdout.write(f"Mirror '{mirror}' is {mirror.state}.")
