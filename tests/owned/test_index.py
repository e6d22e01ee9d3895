"""The condition of a mirror finds its rows by an index."""

import re
from uuid import uuid4

import pytest
from django.db import connections
from django.db.models import Count

from django_mirrors import cross_mirrors, use_mirror
from tests.market.models import Category, Perishable, Product, Trader
from tests.owned.conftest import SHARED

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.parametrize(
        "engine",
        ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)],
        indirect=True,
    ),
]

FILMS, FRENCH = SHARED
OTHERS, EACH = 200, 25


@pytest.fixture
def crowd(market):
    """Let there be many mirrors, each with as many rows."""
    uids = [uuid4() for _ in range(OTHERS)]
    numbers = [(uid, n) for uid in uids for n in range(EACH)]
    with use_mirror(FRENCH), cross_mirrors("rows of mirrors that are not there"):
        Trader.objects.bulk_create(
            [Trader(name=str(n), mirror_uid=uid) for uid, n in numbers]
        )
        Product.objects.bulk_create(
            [Product(name=str(n), price=n, mirror_uid=uid) for uid, n in numbers]
        )
        with connections["default"].cursor() as cursor:
            cursor.execute("ANALYZE")
    return market


def explain(rows):
    with use_mirror(FILMS):
        return rows().explain()


@pytest.mark.parametrize(
    "rows",
    [
        lambda: Product.objects.all(),
        lambda: Product.objects.filter(price__gt=0),
        lambda: Product.objects.filter(name__startswith="a"),
        lambda: Product.objects.select_related("trader"),
        lambda: Trader.objects.annotate(n=Count("products")),
        lambda: Perishable.objects.order_by().values("days"),
    ],
)
def test_rows_are_found_by_an_index(crowd, rows):
    plan = explain(rows)

    assert "mirror_uid" in plan
    assert not scans(plan, "market_product")
    assert not scans(plan, "market_trader")


def test_what_is_common_does_not_read_the_rows_of_others(crowd):
    plan = explain(lambda: Category.objects.annotate(n=Count("products")))

    assert not scans(plan, "market_product")


def scans(plan: str, table: str) -> bool:
    """Whether all rows of a table are read, one after the other."""
    # SQLite says SEARCH where it uses an index.
    return re.search(rf"(Seq Scan on|SCAN) {table}\b", plan) is not None
