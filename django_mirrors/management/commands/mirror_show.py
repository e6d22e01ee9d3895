"""Show one mirror in full."""

from typing import Any

from django.core.management.base import CommandParser

from django_mirrors.management.commands._fleet import FleetCommand, describe_mirror
from django_mirrors.mirror import Mirror
from django_mirrors.redaction import redact
from django_mirrors.registry import mirrors


class Command(FleetCommand):
    """Print everything that is known of a mirror, secrets hidden."""

    help = "Show one mirror in full. Passwords, tokens and keys are hidden."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the name."""
        super().add_arguments(parser)
        parser.add_argument("name", metavar="NAME")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the mirror."""
        shown = describe_in_full(mirrors[options["name"]])
        if options["json"]:
            self.print_json(shown)
            return
        self.print_table(("FIELD", "VALUE"), list(_iter_lines(shown)))


def describe_in_full(mirror: Mirror) -> dict[str, Any]:
    """Return every field of a mirror, redacted."""
    shown = describe_mirror(mirror)
    shown |= {
        "alias": mirror.alias,
        "database": redact(mirror.database),
        "replica": redact(mirror.replica),
        "schema": mirror.schema.name if mirror.schema else None,
        "role": mirror.schema.role or None if mirror.schema else None,
        "storages": redact(mirror.storages),
        "cache": redact(mirror.cache),
        "mail": redact(mirror.mail),
        "settings": redact(mirror.settings),
        "urlconf": mirror.urlconf,
        "theme": mirror.theme,
        "resources": redact(mirror.resources),
        "billing": redact(mirror.billing),
        "redirect_aliases": mirror.redirect_aliases,
        "trusted_origins": list(mirror.trusted_origins),
        "reason": mirror.reason,
        "retry_after": mirror.retry_after,
        "read_only": mirror.is_read_only,
    }
    return shown


def _iter_lines(value: dict[str, Any], prefix: str = "") -> Any:
    for key, item in value.items():
        if isinstance(item, dict):
            yield from _iter_lines(item, f"{prefix}{key}.")
        elif isinstance(item, list):
            yield f"{prefix}{key}", " ".join(str(part) for part in item) or "-"
        else:
            yield f"{prefix}{key}", "-" if item in (None, "") else item
