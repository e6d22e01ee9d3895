"""Fill the current mirror's shop, once: all of the shop that knows of mirrors."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandParser

from django_mirrors import get_current_mirror
from shop.seeding import get_catalogue_names, is_seeded, seed

ADMIN = "admin"


class Command(BaseCommand):
    help = "Fill the shop with a catalogue, and create the user admin / admin."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--catalogue",
            choices=get_catalogue_names(),
            help="Default: the one of the mirror's name, or 'demo'.",
        )

    def handle(self, *args: Any, catalogue: str | None = None, **options: Any) -> None:
        mirror = get_current_mirror()
        users = get_user_model().objects
        if not users.filter(username=ADMIN).exists():
            users.create_superuser(ADMIN, "admin@shopfront.example", ADMIN)
        if is_seeded():
            self.stdout.write(f"{mirror}: has a catalogue already.")
            return
        names = get_catalogue_names()
        name = catalogue or (mirror.name if mirror.name in names else "demo")
        number = seed(name)
        self.stdout.write(f"{mirror}: {number} products from the catalogue '{name}'.")
