"""Add a mirror to the fleet."""

from typing import Any

from django.core.management.base import CommandParser

from django_mirrors.management.commands._fleet import (
    FleetCommand,
    parse_pair,
    parse_setting,
)
from django_mirrors.operations import add_mirror, plan_mirror


class Command(FleetCommand):
    """Register, provision, verify and activate a mirror."""

    help = (
        "Add a mirror: register it, make its database and storage, verify it, and "
        "serve it. Run again, it continues where it was stopped. Needs no restart."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the definition."""
        super().add_arguments(parser)
        parser.add_argument("name", metavar="NAME")
        parser.add_argument(
            "--host", action="append", metavar="HOST", help="The first is primary."
        )
        parser.add_argument("--database", metavar="URL")
        parser.add_argument("--storage", metavar="DSN")
        parser.add_argument(
            "--share", action="append", type=parse_pair, metavar="SERVICE=MIRROR"
        )
        parser.add_argument("--label", action="append", type=parse_pair, metavar="K=V")
        parser.add_argument("--set", action="append", type=parse_setting, metavar="S=V")
        parser.add_argument("--title", metavar="TEXT", help="The name shown to people.")
        parser.add_argument("--superuser", metavar="USER")
        parser.add_argument("--dry-run", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Add the mirror, or print the plan."""
        name, definition = options["name"], build_definition(options)
        superuser = options["superuser"]
        if options["dry_run"]:
            _, plan = plan_mirror(name, definition, superuser=superuser)
            self.print_plan(plan, as_json=options["json"])
            return

        def show(title: str, number: int, total: int) -> None:
            if number < total and not options["json"] and options["verbosity"] > 0:
                self.stdout.write(f"[{number + 1}/{total}] {title}")

        report = add_mirror(name, definition, superuser=superuser, on_step=show)
        self.finish(report, as_json=options["json"])


def build_definition(options: dict[str, Any]) -> dict[str, Any]:
    """Return the definition that the options give."""
    pairs = {
        "NAME": options["title"],
        "HOSTS": options["host"],
        "DATABASE": options["database"],
        "STORAGE": options["storage"],
        "SHARES": {key.upper(): item for key, item in options["share"] or ()},
        "LABELS": dict(options["label"] or ()),
        "SETTINGS": dict(options["set"] or ()),
    }
    return {key: value for key, value in pairs.items() if value}
