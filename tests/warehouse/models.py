"""An app whose models have a field of every type, for what copies rows."""

import datetime
import decimal
import uuid
from typing import Any

from django.db import models
from django.db.models.functions import Upper


class Shelf(models.Model):
    """Has no number of its own, and refers to itself."""

    code = models.CharField(max_length=20, primary_key=True)
    above = models.ForeignKey("self", models.CASCADE, null=True)


class Base(models.Model):
    changed = models.DateTimeField(auto_now=True)


class Item(Base):
    """Inherits from a model with a table, and counts its rows there."""

    big = models.BigIntegerField(null=True)
    small = models.SmallIntegerField(null=True)
    positive = models.PositiveIntegerField(null=True)
    boolean = models.BooleanField(null=True)
    char = models.CharField(max_length=200, null=True)
    text = models.TextField(null=True)
    slug = models.SlugField(null=True)
    url = models.URLField(null=True)
    email = models.EmailField(null=True)
    file = models.FileField(null=True)
    decimal = models.DecimalField(max_digits=14, decimal_places=4, null=True)
    float = models.FloatField(null=True)
    date = models.DateField(null=True)
    moment = models.DateTimeField(null=True)
    time = models.TimeField(null=True)
    duration = models.DurationField(null=True)
    uid = models.UUIDField(null=True)
    address = models.GenericIPAddressField(null=True)
    binary = models.BinaryField(null=True)
    json = models.JSONField(null=True)
    loud = models.GeneratedField(
        expression=Upper("slug"),
        output_field=models.CharField(max_length=60, null=True),
        db_persist=True,
    )
    shelf = models.ForeignKey(Shelf, models.CASCADE, null=True)
    near = models.ManyToManyField("self")


EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
FULL: dict[str, Any] = {
    "big": -(2**63),
    "small": 32767,
    "positive": 2**31 - 1,
    "boolean": True,
    "char": "Füße 🎈 \\ ' \" ` % \t ",
    "text": "one\r\ntwo\n\\.\n-- no comment;\n" * 2000,
    "slug": "a-slug",
    "url": "https://films.example/?q=1#x",
    "email": "ann@books.example",
    "file": "covers/emma.txt",
    "decimal": decimal.Decimal("-1234567890.1200"),
    "float": 0.1 + 0.2,
    "date": datetime.date(1, 1, 1),
    "moment": datetime.datetime(2026, 2, 28, 23, 59, 59, 999999, datetime.UTC),
    "time": datetime.time(23, 59, 59, 123456),
    "duration": datetime.timedelta(days=-3, microseconds=7),
    "uid": uuid.UUID(int=1),
    "address": "2001:db8::1",
    "binary": bytes(range(256)),
    "json": {"nested": [1, 2.5, None, True, "🎈"], "": "key", "big": 2**60},
}


def fill() -> None:
    """Make rows of every kind, in the current mirror."""
    below = Shelf.objects.create(code="a", above=Shelf.objects.create(code="b"))
    full = Item.objects.create(**FULL, shelf=below)
    full.near.add(Item.objects.create(), Item.objects.create(json=[], text=""))
    Item.objects.create(json=build_null())
    Base.objects.filter(pk=full.pk).update(changed=EPOCH)
    # The next number is not the greatest that is there, plus one.
    Base.objects.create().delete()


def build_null() -> Any:
    own = getattr(models, "JSONNull", None)
    return models.Value(None, models.JSONField()) if own is None else own()
