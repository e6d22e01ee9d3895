"""A field of every type that all engines have, and values that may come to harm."""

import datetime
import decimal
import uuid
from typing import Any

from django.db import models
from django.db.models.functions import Upper

__all__ = ["FULL", "ROWS", "WITH_NULS", "Values", "build_json_null"]


class Values(models.Model):
    """A column for every type of field; each may be empty."""

    big = models.BigIntegerField(null=True)
    integer = models.IntegerField(null=True)
    small = models.SmallIntegerField(null=True)
    positive = models.PositiveIntegerField(null=True)
    positive_big = models.PositiveBigIntegerField(null=True)
    positive_small = models.PositiveSmallIntegerField(null=True)
    boolean = models.BooleanField(null=True)
    char = models.CharField(max_length=200, null=True)
    text = models.TextField(null=True)
    slug = models.SlugField(null=True)
    url = models.URLField(null=True)
    email = models.EmailField(null=True)
    file = models.FileField(null=True)
    image = models.ImageField(null=True)
    path = models.FilePathField(null=True)
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
    doubled = models.GeneratedField(
        expression=models.F("small") * 2,
        output_field=models.IntegerField(null=True),
        db_persist=True,
    )
    loud = models.GeneratedField(
        expression=Upper("slug"),
        output_field=models.CharField(max_length=60, null=True),
        db_persist=True,
    )

    class Meta:
        abstract = True


def build_json_null() -> Any:
    """Return the null of JSON, which None is not."""
    own = getattr(models, "JSONNull", None)
    return models.Value(None, models.JSONField()) if own is None else own()


FULL: dict[str, Any] = {
    "big": 0,
    "integer": -1,
    "small": 1,
    "positive": 999,
    "positive_big": 2**53 + 1,  # no float has it
    "positive_small": 7,
    "boolean": True,
    "char": "Füße 🎈 'quoted' \"twice\" `back` \\n \\ % %s {} \t ",
    "text": "one\r\ntwo\n\\.\nthree\r\\restrict x\n-- no comment;\nDELIMITER ;;\n/*!",
    "slug": "a-slug",
    "url": "https://films.example/?a=b&c=%20#x",
    "email": "ann@books.example",
    "file": "covers/ü 'emma'.txt",
    "image": "covers/🎈.png",
    "path": "/srv/a b",
    "decimal": decimal.Decimal("-1234567890.1200"),
    "float": 0.1 + 0.2,
    "date": datetime.date(2024, 2, 29),
    "moment": datetime.datetime(2026, 2, 28, 23, 59, 59, 120, datetime.UTC),
    "time": datetime.time(1, 2, 3, 500),
    "duration": datetime.timedelta(days=-3, seconds=5, microseconds=7),
    "uid": uuid.UUID("12345678-1234-5678-1234-567812345678"),
    "address": "2001:db8::1",
    "binary": bytes(range(256)) * 4,
    "json": {
        "nested": [1, 2.5, None, True, "🎈"],
        "empty": {},
        "": "key",
        "big": 2**60,
        "quotes": "' \" \\ `",
    },
}
_LEAST: dict[str, Any] = {
    "big": -(2**63),
    "integer": -(2**31),
    "small": -(2**15),
    "positive": 0,
    "positive_big": 0,
    "positive_small": 0,
    "boolean": False,
    "char": "",
    "text": "",
    "slug": "",
    "url": "",
    "email": "",
    "file": "",
    "image": "",
    "path": "",
    "decimal": decimal.Decimal("-9999999999.9999"),
    "float": -1.7976931348623157e308,
    "date": datetime.date.min,
    "moment": datetime.datetime.min.replace(tzinfo=datetime.UTC),
    "time": datetime.time.min,
    "duration": datetime.timedelta(microseconds=-(2**63) + 1),
    "uid": uuid.UUID(int=0),
    "address": "0.0.0.0",
    "binary": b"",
    "json": "",
}
_MOST: dict[str, Any] = {
    "big": 2**63 - 1,
    "integer": 2**31 - 1,
    "small": 2**15 - 1,
    "positive": 2**31 - 1,
    "positive_big": 2**63 - 1,
    "positive_small": 2**15 - 1,
    "boolean": True,
    "char": "🎈" * 200,
    "text": "Füße 🎈 \\ ' \" ` % \t " * 50_000,
    "slug": "z" * 50,
    "url": "https://books.example/" + "z" * 178,
    "email": "z" * 240 + "@books.example",
    "file": "z" * 100,
    "image": "z" * 100,
    "path": "z" * 100,
    "decimal": decimal.Decimal("9999999999.9999"),
    "float": 2.2250738585072014e-308,
    "date": datetime.date.max,
    "moment": datetime.datetime.max.replace(tzinfo=datetime.UTC),
    "time": datetime.time.max,
    "duration": datetime.timedelta(microseconds=2**63 - 1),
    "uid": uuid.UUID(int=2**128 - 1),
    "address": ":".join(["ffff"] * 8),
    "binary": b"\0",
    "json": [],
}
_EMPTY: dict[str, Any] = dict.fromkeys(FULL)

ROWS = (FULL, _EMPTY, _LEAST, _MOST)

# PostgreSQL has no texts with them.
WITH_NULS = {**FULL, "char": "a\0b", "text": "\0", "json": {"\0": "\0"}, "slug": "\0"}
