"""Have databases ready for mirrors that are added later."""

from typing import Any

from django.core.management.base import CommandParser

from django_mirrors.management.commands._fleet import FleetCommand
from django_mirrors.operations import prepare_mirrors


class Command(FleetCommand):
    """Make databases before they are needed, and remove those of older code."""

    help = (
        "Have COUNT databases ready, so that 'mirror_add' takes moments. Run it after "
        "each release, and from time to time."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add how many."""
        super().add_arguments(parser)
        parser.add_argument("count", type=int, metavar="COUNT", help="0 removes all.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make what is missing."""
        self.finish(prepare_mirrors(options["count"]), as_json=options["json"])
