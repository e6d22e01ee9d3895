"""What the commands that make a mirror have in common: its definition, and progress."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, NamedTuple

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import (
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TransferSpeedColumn,
)

from django_mirrors.counts import write_count
from django_mirrors.management.commands._fleet import (
    BAD_USAGE,
    FleetCommand,
    parse_pair,
    parse_setting,
)
from django_mirrors.operations import MediaFile, OnFile, OnStep

__all__ = ["MakingCommand", "add_definition", "build_definition"]


class Watchers(NamedTuple):
    """What an operation calls while it works."""

    on_step: OnStep
    on_file: OnFile


class MakingCommand(FleetCommand):
    """A command that works on one mirror for a while, and shows how far it is."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Add what all of them take."""
        super().add_arguments(parser)
        parser.add_argument(
            "--dry-run", action="store_true", help="Say what would be done, only."
        )

    @contextmanager
    def watch(self, options: dict[str, Any]) -> Iterator[Watchers]:
        """Give a block what shows steps, and on a terminal the files that pass."""
        is_quiet = options["json"] or options["verbosity"] < 1

        def show_step(title: str, number: int, total: int) -> None:
            if number < total and not is_quiet:
                self.stdout.write(f"[{number + 1}/{total}] {title}")

        if is_quiet or not self.stderr.isatty():
            yield Watchers(show_step, lambda file: None)
            return
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TextColumn("{task.fields[files]}"),
            DownloadColumn(),
            TransferSpeedColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("files", total=None, visible=False, files="")
            passed = count(1)

            def show_file(file: MediaFile) -> None:
                files = write_count(next(passed), "file")
                bar.update(task, advance=file.size, visible=True, files=files)

            yield Watchers(show_step, show_file)


def add_definition(parser: CommandParser) -> None:
    """Add the options that define a new mirror."""
    parser.add_argument(
        "--host", action="append", metavar="HOST", help="The first is primary."
    )
    parser.add_argument("--database", metavar="URL")
    parser.add_argument("--replica", metavar="URL", help="Of the same data, to read.")
    parser.add_argument(
        "--schema", metavar="NAME", help="In the PostgreSQL database of the URL."
    )
    parser.add_argument("--role", metavar="NAME", help="To act as in the schema.")
    parser.add_argument("--storage", metavar="DSN")
    parser.add_argument("--mail", metavar="DSN")
    parser.add_argument("--theme", metavar="THEME")
    parser.add_argument(
        "--share", action="append", type=parse_pair, metavar="SERVICE=MIRROR"
    )
    parser.add_argument("--label", action="append", type=parse_pair, metavar="K=V")
    parser.add_argument("--set", action="append", type=parse_setting, metavar="S=V")
    parser.add_argument("--title", metavar="TEXT", help="The name shown to people.")


def build_definition(options: dict[str, Any]) -> dict[str, Any]:
    """Return the definition that the options give."""
    pairs = {
        "NAME": options["title"],
        "HOSTS": options["host"],
        "DATABASE": options["database"],
        "REPLICA": options["replica"],
        "SCHEMA": build_schema(options),
        "STORAGE": options["storage"],
        "MAIL": options["mail"],
        "THEME": options["theme"],
        "SHARES": {key.upper(): item for key, item in options["share"] or ()},
        "LABELS": dict(options["label"] or ()),
        "SETTINGS": dict(options["set"] or ()),
    }
    return {key: value for key, value in pairs.items() if value}


def build_schema(options: dict[str, Any]) -> Any:
    """Return the `SCHEMA` that the options give, or None."""
    if options["role"] is None:
        return options["schema"]
    if options["schema"] is None:
        raise CommandError(
            "--role was given without --schema. Add --schema NAME.",
            returncode=BAD_USAGE,
        )
    return {"NAME": options["schema"], "ROLE": options["role"]}
