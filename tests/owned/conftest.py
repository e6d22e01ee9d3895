"""Two mirrors with equal names and other values, in one database or in one each."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connections

from django_mirrors import mirrors, use_mirror
from tests.conftest import Engine
from tests.market.models import Category, Note, Perishable, Product, Rating, Trader
from tests.plugins.services import get_mariadb_url

POSTGRES = [
    pytest.param("postgres", marks=pytest.mark.postgres),
    pytest.param("postgres-schema", marks=pytest.mark.postgres),
]
MARIADB = pytest.param("mariadb", marks=pytest.mark.mariadb)
TABLES = (
    "market_rating", "market_perishable", "market_product_categories",
    "market_trader_friends", "market_product", "market_trader", "market_note",
    "market_category", "django_session", "django_admin_log", "auth_user",
)  # fmt: skip
# The mirrors whose rows are compared.
SHARED, ISOLATED = ("films", "films-fr"), ("books", "films")


@dataclass(frozen=True)
class Maria(Engine):
    """MariaDB: each database is migrated once, and emptied after each test."""

    def build_url(self, database: str) -> str:
        return f"{get_mariadb_url().rpartition('/')[0]}/{database}"

    def take(self) -> str:
        if self.idle:
            return self.idle.pop()
        database = f"dm_{uuid4().hex[:16]}"
        run_on_mariadb(f"CREATE DATABASE {database}")
        return database

    def give_back(self, database: str) -> None:
        self.idle.append(database)
        for table in TABLES:
            run_on_mariadb(f"DELETE FROM {database}.{table}")

    def drop(self, database: str) -> None:
        run_on_mariadb(f"DROP DATABASE IF EXISTS {database}")


def run_on_mariadb(statement: str) -> None:
    from contextlib import closing
    from urllib.parse import unquote, urlsplit

    import MySQLdb

    parts = urlsplit(get_mariadb_url())
    with closing(
        MySQLdb.connect(
            host=parts.hostname or "",
            port=parts.port or 3306,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
        )
    ) as connection:
        connection.cursor().execute(statement)
        connection.commit()


@pytest.fixture(scope="session")
def maria(tmp_path_factory) -> Iterator[Maria]:
    made = Maria("mariadb", tmp_path_factory.mktemp("maria"), "")
    yield made
    for database in made.idle:
        made.drop(database)


@pytest.fixture(params=["sqlite", *POSTGRES, MARIADB])
def engine(request, build_engine, settings, db) -> Engine:
    """Each database engine in turn."""
    if request.param == "mariadb":
        return request.getfixturevalue("maria")
    from tests.conftest import migrate_template

    made = build_engine(request.param)
    migrate_template(made, settings)
    return made


_migrated: set[str] = set()


@pytest.fixture
def market(engine, fleet, settings) -> Iterator[Engine]:
    """Fill the mirrors: the same names everywhere, and the values of each its own."""
    if engine.name == "mariadb":
        for name in ("books", "films"):
            database = connections.settings[name]["NAME"]
            if database not in _migrated:
                with use_mirror(name):
                    call_command("migrate", verbosity=0)
                _migrated.add(database)
    settings.MIRRORS_OPTIONS = {
        **settings.MIRRORS_OPTIONS,
        "COMMON_MODELS": ["market.Category"],
    }
    for name, mark in MARKS.items():
        with use_mirror(name):
            fill(mark)
    return engine


@pytest.fixture
def on_sqlite(request) -> None:
    """Ask for this where one engine is enough."""


MARKS = {"books": 3, "films": 1, "films-fr": 2}


def fill(mark: int) -> None:
    """Make the rows of the current mirror, all of whose values have `mark` in them."""
    food, _ = Category.objects.get_or_create(name="food")
    Category.objects.get_or_create(name="rare")
    ann = Trader.objects.create(name="Ann", rank=mark)
    bob = Trader.objects.create(name="Bob", rank=10 + mark)
    ann.friends.add(bob)
    apple = Product.objects.create(name="apple", price=mark, trader=ann)
    bread = Product.objects.create(name="bread", price=10 + mark, trader=ann)
    Product.objects.create(name="cheese", price=20 + mark)
    milk = Perishable.objects.create(name="milk", price=30 + mark, days=mark)
    food.products.add(apple, bread, *[milk] * (mark > 1))
    Rating.objects.create(product=apple, stars=mark)
    Note.objects.create(text=f"note {mark}")


def dump(name: str) -> dict[str, list[str]]:
    """Return all rows of a mirror by SQL that nothing narrows, and those beside them.

    Of its own tables those rows only that are its own.
    """
    mirror = mirrors[name]
    with use_mirror(name):
        connection = connections["default"]
        field = Product._meta.get_field("mirror_uid")
        uid = field.get_db_prep_value(mirror.uid, connection)
        with connection.cursor() as cursor:
            found = {}
            for table, condition in OWN_ROWS.items():
                cursor.execute(
                    f"SELECT * FROM {table} WHERE {condition}",
                    [uid] * ("%s" in condition),
                )
                found[table] = sorted(map(repr, cursor.fetchall()))
            return found


_PRODUCTS = "(SELECT id FROM market_product WHERE mirror_uid = %s)"
OWN_ROWS = {
    "market_trader": "mirror_uid = %s",
    "market_product": "mirror_uid = %s",
    "market_note": "who = %s",
    "market_perishable": f"product_ptr_id IN {_PRODUCTS}",
    "market_product_categories": f"product_id IN {_PRODUCTS}",
    "market_rating": f"product_id IN {_PRODUCTS}",
    "market_trader_friends": "from_trader_id IN "
    "(SELECT id FROM market_trader WHERE mirror_uid = %s)",
    "market_category": "1 = 1",
}
