"""Move the database or the files of a mirror elsewhere."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_mirrors.management.commands._fleet import BAD_USAGE
from django_mirrors.management.commands._making import MakingCommand, build_schema
from django_mirrors.operations import cancel_move, move_mirror, plan_move


class Command(MakingCommand):
    """Move a mirror to another database, server, engine or storage."""

    help = (
        "Move the database or the files of a mirror to a place that is empty. The "
        "mirror is served meanwhile, and read-only for some seconds. What is at the "
        "old place stays there. Run again, it continues where it was stopped."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the mirror and its new place."""
        super().add_arguments(parser)
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--database", metavar="URL", help="Is made.")
        parser.add_argument(
            "--schema", metavar="NAME", help="In the PostgreSQL database of the URL."
        )
        parser.add_argument("--role", metavar="NAME", help="To act as in the schema.")
        parser.add_argument("--storage", metavar="DSN", help="Must be empty.")
        parser.add_argument(
            "--cancel",
            action="store_true",
            help="Take back a move that was begun and not ended.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Move the mirror, take a move back, or print the plan."""
        name, place = options["name"], _build_place(options)
        if options["cancel"]:
            with self.watch(options) as watchers:
                report = cancel_move(name, on_file=watchers.on_file)
            self.finish(report, as_json=options["json"])
            return
        if options["dry_run"]:
            self.print_plan(plan_move(name, **place), as_json=options["json"])
            return
        with self.watch(options) as watchers:
            report = move_mirror(
                name, **place, on_step=watchers.on_step, on_file=watchers.on_file
            )
        self.finish(report, as_json=options["json"])


def _build_place(options: dict[str, Any]) -> dict[str, Any]:
    place = {
        "database": options["database"],
        "schema": build_schema(options),
        "storage": options["storage"],
    }
    given = {key: value for key, value in place.items() if value is not None}
    if options["cancel"] == bool(given):
        raise CommandError(
            "Give --database URL, --storage DSN or both; or --cancel alone.",
            returncode=BAD_USAGE,
        )
    if "schema" in given and "database" not in given:
        raise CommandError(
            "--schema was given without --database. Add --database URL.",
            returncode=BAD_USAGE,
        )
    return given
