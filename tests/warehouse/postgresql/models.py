"""The fields that PostgreSQL alone has."""

import datetime
import decimal
from typing import Any

from django.contrib.postgres import fields
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from django.db.backends.postgresql.psycopg_any import (
    DateRange,
    DateTimeTZRange,
    NumericRange,
)


class Crate(models.Model):
    numbers = fields.ArrayField(models.IntegerField(null=True), null=True)
    texts = fields.ArrayField(models.TextField(null=True), null=True)
    grid = fields.ArrayField(
        fields.ArrayField(
            models.DecimalField(max_digits=30, decimal_places=10, null=True)
        ),
        null=True,
    )
    moments = fields.ArrayField(models.DateTimeField(), null=True)
    contents = fields.ArrayField(models.BinaryField(), null=True)
    pairs = fields.HStoreField(null=True)
    integers = fields.IntegerRangeField(null=True)
    bigs = fields.BigIntegerRangeField(null=True)
    decimals = fields.DecimalRangeField(null=True)
    dates = fields.DateRangeField(null=True)
    stay = fields.DateTimeRangeField(null=True)
    words = SearchVectorField(null=True)

    class Meta:
        required_db_vendor = "postgresql"


_MOMENT = datetime.datetime(2026, 2, 28, 23, 59, 59, 999999, datetime.UTC)
_TEXTS = ["", "NULL", None, "a,b", "{}", "'\"\\`", "one\r\ntwo", "🎈", "=>"]

FULL: dict[str, Any] = {
    "numbers": [1, None, -(2**31)],
    "texts": _TEXTS,
    "grid": [
        [decimal.Decimal("1.50"), None],
        [decimal.Decimal("-1e-9"), decimal.Decimal(0)],
    ],
    "moments": [_MOMENT, datetime.datetime.min.replace(tzinfo=datetime.UTC)],
    "contents": [bytes(range(256)), b""],
    "pairs": {"": "", "a => b": None, **{str(text): text for text in _TEXTS}},
    "integers": NumericRange(-5, 2**31 - 1),
    "bigs": NumericRange(None, 2**62),
    "decimals": NumericRange(decimal.Decimal("0.10"), decimal.Decimal("1e20"), "(]"),
    "dates": DateRange(datetime.date(1, 1, 1), None),
    "stay": DateTimeTZRange(_MOMENT - datetime.timedelta(1), _MOMENT, "[]"),
}
_EMPTY = {
    "numbers": [],
    "texts": [],
    "grid": [],
    "moments": [],
    "contents": [],
    "pairs": {},
    "integers": NumericRange(empty=True),
    "bigs": NumericRange(None, None),
    "decimals": NumericRange(empty=True),
    "dates": DateRange(empty=True),
    "stay": DateTimeTZRange(empty=True),
}


def fill() -> None:
    """Make rows of every kind, in the current mirror."""
    Crate.objects.create(**FULL)
    Crate.objects.create(**_EMPTY)
    Crate.objects.create()
    Crate.objects.update(words=SearchVector(models.Value("it's a fat rat's word")))
