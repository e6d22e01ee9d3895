"""Connect to every service of every mirror."""

from typing import Any

from django.core.management.base import CommandParser

from django_mirrors.management.commands._fleet import SelectionCommand, add_jobs
from django_mirrors.operations import check_mirrors


class Command(SelectionCommand):
    """Say which service of which mirror does not work, and why."""

    help = (
        "Connect to every service of the selected mirrors; say what is wrong and where."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the number of jobs."""
        super().add_arguments(parser)
        add_jobs(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Check the selection."""
        chosen = self.select(options)
        with self.show_progress(len(chosen), quiet=options["json"]) as advance:
            report = check_mirrors(chosen, jobs=options["jobs"], on_step=advance)
        self.finish(report, as_json=options["json"])
