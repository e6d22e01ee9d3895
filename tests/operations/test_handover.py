"""A copy of a database has the rows of the mirror that was copied, as its own."""

from importlib import import_module

import pytest
from django.db import connections, migrations

from django_mirrors import mirrors, use_mirror
from django_mirrors.operations import (
    add_mirror,
    clone_mirror,
    export_mirror,
    restore_mirror,
)
from django_mirrors.operations.handover import hand_over
from tests.market.models import Category, Note, Perishable, Product, Rating, Trader
from tests.owned.conftest import fill

pytestmark = pytest.mark.django_db(transaction=True)

TABLES = (
    "market_trader", "market_product", "market_perishable", "market_rating",
    "market_note", "market_product_categories", "market_trader_friends",
)  # fmt: skip


@pytest.fixture
def on_sqlite(defaults):
    """Let new mirrors have a file."""
    return make_books()


def make_books():
    """Add a mirror with rows, and one that has the same names in its database."""
    add_mirror("books", {})
    add_mirror("films", {"SHARES": {"DATABASE": "books"}})
    for mark, name in enumerate(("books", "films"), 1):
        with use_mirror(name):
            fill(mark)


def count_all(name):
    """Return how many rows there are, whoever has them."""
    with use_mirror(name), connections["default"].cursor() as cursor:
        found = {}
        for table in TABLES:
            cursor.execute(f"SELECT COUNT(*) FROM {table}")
            found[table] = cursor.fetchone()[0]
        return found


ROWS_OF_BOOKS = {
    "market_trader": 2,
    "market_product": 4,
    "market_perishable": 1,
    "market_rating": 1,
    "market_note": 1,
    "market_product_categories": 2,
    "market_trader_friends": 2,
}


def check_is_copy(name):
    with use_mirror(name):
        uid = mirrors[name].uid
        assert [row.price for row in Product.objects.all()] == [1, 11, 21, 31]
        assert {row.mirror_uid for row in Product.objects.all()} == {uid}
        assert Perishable.objects.get().days == 1
        assert Note.objects.get().text == "note 1"
        assert Rating.objects.get().stars == 1
        assert Trader.objects.get(name="Ann").friends.get().rank == 11
        assert Category.objects.count() == 2
    assert count_all(name) == ROWS_OF_BOOKS


def test_clone_has_the_rows_of_its_source_alone(on_sqlite):
    before = count_all("books")

    clone_mirror("books", "music", {})

    check_is_copy("music")
    assert count_all("books") == before


def test_restored_mirror_has_the_rows_of_its_own_alone(on_sqlite, tmp_path):
    export_mirror("books", str(tmp_path / "books.tar"))

    restore_mirror(str(tmp_path / "books.tar"), name="music", definition={})

    check_is_copy("music")


def test_row_goes_with_another_mirrors_that_it_refers_to(on_sqlite):
    with use_mirror("films"):
        theirs = Trader.objects.get(name="Ann").pk
    with use_mirror("books"):
        # By number, which nobody checks.
        Product.objects.filter(name="apple").update(trader=theirs)

    clone_mirror("books", "music", {})

    # A product goes with its trader, and this was another mirror's.
    with use_mirror("music"):
        assert [row.price for row in Product.objects.all()] == [11, 21, 31]


def test_clone_is_scrubbed_of_its_own_rows(on_sqlite, settings):
    settings.MIRRORS_OPTIONS = {
        **settings.MIRRORS_OPTIONS,
        "SCRUB": {"market.Note.text": {"value": "gone"}},
    }

    clone_mirror("books", "music", {}, is_scrubbed=True)

    with use_mirror("music"):
        assert [row.text for row in Note.objects.all()] == ["gone"]
    with use_mirror("books"):
        assert [row.text for row in Note.objects.all()] == ["note 1"]


def test_rows_that_migrations_make_are_the_new_mirrors(defaults, monkeypatch):
    first = import_module("tests.market.migrations.0001_initial").Migration

    def make_note(apps, editor):
        apps.get_model("market", "Note").objects.create(text="welcome")

    monkeypatch.setattr(
        first, "operations", [*first.operations, migrations.RunPython(make_note)]
    )
    # The template that other tests use has no such row.
    (defaults / "databases" / ".templates").unlink()
    add_mirror("books", {})
    add_mirror("films", {})

    for name in ("books", "films"):
        with use_mirror(name):
            assert [row.text for row in Note.objects.all()] == ["welcome"]
            assert Note.objects.get().whose == mirrors[name].uid


def test_nothing_is_asked_where_no_row_has_an_owner(defaults, monkeypatch):
    monkeypatch.setattr("django_mirrors.operations.handover.find_owned_tables", dict)

    hand_over(mirrors.original, {"ENGINE": "none"}, source=None)
