"""Change a recorded mirror."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_mirrors.exceptions import InvalidHost, InvalidMirror
from django_mirrors.hosts import parse_pattern
from django_mirrors.management.commands._fleet import (
    BAD_USAGE,
    FleetCommand,
    describe_mirror,
    parse_pair,
    parse_setting,
)
from django_mirrors.operations import change_mirror


class Command(FleetCommand):
    """Change hosts, labels, settings or credentials; live everywhere in two seconds."""

    help = (
        "Change a mirror. Every process follows within two seconds, without a restart."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add what can be changed."""
        super().add_arguments(parser)
        parser.add_argument("mirror", metavar="NAME")
        parser.add_argument("--add-host", action="append", default=[], metavar="HOST")
        parser.add_argument(
            "--remove-host", action="append", default=[], metavar="HOST"
        )
        parser.add_argument("--primary-host", metavar="HOST")
        parser.add_argument(
            "--label", action="append", default=[], type=parse_pair, metavar="K=V"
        )
        parser.add_argument("--unlabel", action="append", default=[], metavar="K")
        parser.add_argument(
            "--set", action="append", default=[], type=parse_setting, metavar="S=V"
        )
        parser.add_argument("--unset", action="append", default=[], metavar="S")
        for option in ("--resource", "--billing"):
            parser.add_argument(
                option,
                action="append",
                default=[],
                type=parse_setting,
                metavar="K=V",
                help="An empty value removes the key.",
            )
        parser.add_argument(
            "--database", metavar="URL", help="Where the same data is reached now."
        )
        parser.add_argument(
            "--replica", metavar="URL", help="To read from. An empty value removes it."
        )
        parser.add_argument("--storage", metavar="DSN")
        parser.add_argument("--mail", metavar="DSN")
        parser.add_argument("--theme", metavar="THEME")
        parser.add_argument("--name", metavar="TEXT", help="The name shown to people.")
        parser.add_argument("--dry-run", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Apply the changes."""
        if options["replica"] is None and not any(options[key] for key in _CHANGES):
            raise CommandError("Nothing to change was given.", returncode=BAD_USAGE)

        def change(definition: dict[str, Any]) -> None:
            apply(definition, options)

        changed = change_mirror(options["mirror"], change, dry_run=options["dry_run"])
        if options["json"]:
            self.print_json(describe_mirror(changed))
            return
        verb = "would be changed" if options["dry_run"] else "was changed"
        self.stdout.write(f"Mirror '{changed}' {verb}.")


_CHANGES = (
    "add_host", "remove_host", "primary_host", "label", "unlabel", "set", "unset",
    "resource", "billing", "database", "storage", "mail", "theme", "name",
)  # fmt: skip


def apply(definition: dict[str, Any], options: dict[str, Any]) -> None:
    """Write the options into a definition; refuse to remove what is not there."""
    definition["HOSTS"] = _change_hosts(definition.get("HOSTS", []), options)
    _change_pairs(definition, "LABELS", options["label"], options["unlabel"])
    _change_pairs(definition, "SETTINGS", options["set"], options["unset"])
    for key, option in (("RESOURCES", "resource"), ("BILLING", "billing")):
        kept = [(name, value) for name, value in options[option] if value != ""]
        gone = [name for name, value in options[option] if value == ""]
        _change_pairs(definition, key, kept, gone)
    given = {
        "DATABASE": options["database"],
        "STORAGE": options["storage"],
        "MAIL": options["mail"],
        "THEME": options["theme"],
        "NAME": options["name"],
    }
    definition.update({key: value for key, value in given.items() if value})
    if options["storage"]:
        definition.pop("STORAGES", None)
    if options["replica"]:
        definition["REPLICA"] = options["replica"]
    elif options["replica"] is not None:
        definition.pop("REPLICA", None)


def _change_hosts(hosts: list[str], options: dict[str, Any]) -> list[str]:
    kept = [parse_pattern(host) for host in hosts]
    kept += [_parse(host) for host in options["add_host"]]
    for host in map(_parse, options["remove_host"]):
        if host not in kept:
            raise InvalidMirror(f"The mirror has no host '{host}' to remove.")
        kept.remove(host)
    if options["primary_host"]:
        primary = _parse(options["primary_host"])
        if primary not in kept:
            raise InvalidMirror(
                f"'{primary}' is not a host of the mirror. Add it with --add-host."
            )
        kept.remove(primary)
        kept.insert(0, primary)
    return kept


def _parse(host: str) -> str:
    try:
        return parse_pattern(host)
    except InvalidHost as error:
        raise InvalidMirror(str(error)) from error


def _change_pairs(
    definition: dict[str, Any],
    key: str,
    given: list[tuple[str, Any]],
    removed: list[str],
) -> None:
    pairs = {**definition.get(key, {}), **dict(given)}
    for name in removed:
        if name not in pairs:
            raise InvalidMirror(f"The mirror has no {name!r} in {key} to remove.")
        del pairs[name]
    if pairs or key in definition:
        definition[key] = pairs
