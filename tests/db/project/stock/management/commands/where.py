"""Says which database it acts on, in its own thread and in another."""

from concurrent.futures import ThreadPoolExecutor

from django.core.management import BaseCommand
from django.db import connection

from django_mirrors.exceptions import MirrorError
from stock.models import Item


class Command(BaseCommand):
    def handle(self, **options):
        self.stdout.write(f"here: {connection.alias}")
        try:
            with ThreadPoolExecutor(1) as executor:
                executor.submit(Item.objects.count).result()
        except MirrorError as error:
            self.stdout.write(f"in a thread: {type(error).__name__}")
