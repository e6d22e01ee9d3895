"""List the mirrors of the fleet."""

from typing import Any

from django_mirrors.management.commands._fleet import SelectionCommand, describe_mirror


class Command(SelectionCommand):
    """Print name, state, primary host and labels of each mirror."""

    help = "List the mirrors: all of them, or those selected."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the list."""
        chosen = self.select(options, default_all=True)
        if options["json"]:
            self.print_json([describe_mirror(mirror) for mirror in chosen])
            return
        if not chosen:
            self.stdout.write(
                "There are no mirrors yet. Add one with 'mirror_add NAME'."
            )
            return
        self.print_table(
            ("NAME", "STATE", "HOSTS", "SHARES", "LABELS", "SOURCE"),
            [
                (
                    mirror.name,
                    mirror.state,
                    " ".join(mirror.hosts),
                    " ".join(f"{key}={name}" for key, name in mirror.shares.items())
                    or "-",
                    " ".join(f"{key}={item}" for key, item in mirror.labels.items())
                    or "-",
                    mirror.source,
                )
                for mirror in chosen
            ],
        )
