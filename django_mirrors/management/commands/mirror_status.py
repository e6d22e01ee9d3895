"""Show how each mirror stands."""

from datetime import datetime
from typing import Any

from django.utils.timezone import localtime

from django_mirrors.management.commands._fleet import SelectionCommand
from django_mirrors.operations import iter_status


class Command(SelectionCommand):
    """Print release, missing migrations, health and size of each mirror."""

    help = "Show release, migrations behind, health and size of mirrors."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the table."""
        chosen = self.select(options, default_all=True)
        with self.show_progress(len(chosen), quiet=options["json"]):
            found = list(iter_status(chosen))
        if options["json"]:
            self.print_json([status.as_json() for status in found])
            return
        self.print_table(
            ("NAME", "STATE", "RELEASE", "ROLLED OUT", "BEHIND", "HEALTH", "SIZE"),
            [
                (
                    status.mirror.name,
                    status.mirror.state,
                    status.mirror.release or "-",
                    _format_time(status.entry.rolled_out),
                    len(status.behind) or "-",
                    status.health,
                    _format_size(status.database_bytes),
                )
                for status in found
            ],
        )


def _format_time(moment: datetime | None) -> str:
    return "-" if moment is None else f"{localtime(moment):%Y-%m-%d %H:%M}"


def _format_size(size: float) -> str:
    if not size:
        return "-"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
