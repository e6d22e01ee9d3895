"""Django's command `flush`, which spares rows of other mirrors."""

from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import flush
from django.db import connections

from django_mirrors.registry import mirrors

__all__ = ["Command"]


class Command(flush.Command):
    """Empty the tables of a database, unless other mirrors have rows in them."""

    def handle(self, **options: Any) -> None:
        """Empty the tables. Raises `CommandError` if several mirrors share them."""
        # Django's test cases, which alone say this, empty a database of tests.
        if "inhibit_post_migrate" not in options:
            _check_alone(connections[options["database"]].alias)
        super().handle(**options)


def _check_alone(alias: str) -> None:
    everyone = (mirrors.original, *mirrors.values())
    names = [mirror.name for mirror in everyone if mirror.alias == alias]
    if len(names) > 1:
        listed = ", ".join(f"'{name}'" for name in names)
        raise CommandError(
            f"'flush' would empty tables that the mirrors {listed} share. Delete rows "
            "of one mirror by a query in 'manage.py shell', or move it to a database "
            "of its own first."
        )
