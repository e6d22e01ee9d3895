"""What rows with an owner cost, beside the same queries with a filter written by hand.

    python -m tests.benchmarks.owned [--rounds 30] [--count 200] [--rows 2000]

Both are asked in turn in one process, with the guard and the pins of this package, and
the least time of each counts. With PostgreSQL at TEST_POSTGRES_URL also there. The last
line is a query of a model that has no owner, with and without this package's part.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import uuid4

from django.conf import settings

POSTGRES_URL = os.environ.get(
    "TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/postgres"
)
MIRRORS = 20
Pair = tuple[Callable[[], object], Callable[[], object]]


def main() -> None:
    """Compare on each engine and print a line for each operation."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--rows", type=int, default=2000, help="of each mirror")
    arguments = parser.parse_args()
    name = f"dm_owned_{uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory() as directory:
        configure(Path(directory), name)
        run_on_server(f'CREATE DATABASE "{name}"')
        try:
            for mirror in ("sqlite", "postgres"):
                compare(mirror, arguments)
        finally:
            run_on_server(f'DROP DATABASE "{name}" WITH (FORCE)')


def run_on_server(statement: str) -> None:
    import psycopg

    with psycopg.connect(POSTGRES_URL, autocommit=True) as connection:
        connection.execute(statement)


def configure(directory: Path, database: str) -> None:
    import django

    from django_mirrors.db import mirror_databases

    default = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    server = POSTGRES_URL.rpartition("/")[0]
    (directory / "sqlite.sqlite3").touch()
    settings.configure(
        BASE_DIR=directory,
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[
            "django_mirrors", "django.contrib.contenttypes", "tests.market",
        ],
        DATABASES=mirror_databases({"default": default}),
        DATABASE_ROUTERS=["django_mirrors.db.MirrorRouter"],
        MIRRORS={
            "sqlite": {
                "HOSTS": ["sqlite.example"],
                "DATABASE": f"sqlite:///{directory}/sqlite.sqlite3",
                "STATE": "active",
            },
            "postgres": {
                "HOSTS": ["postgres.example"],
                "DATABASE": f"{server}/{database}",
                "STATE": "active",
            },
        },
        MIRRORS_OPTIONS={"RECORDS": False, "SNAPSHOT": None},
    )  # fmt: skip
    django.setup()


def compare(name: str, arguments: argparse.Namespace) -> None:
    from django_mirrors import mirrors, use_mirror

    with use_mirror(name):
        pairs = build_pairs(mirrors[name].uid, arguments.rows)
        print(f"{name:24}by hand µs  owned µs   ratio")
        for label, pair in pairs.items():
            # What must be the same is.
            assert repr(pair[0]()) == repr(pair[1]()), label
            best = [float("inf"), float("inf")]
            for _ in range(arguments.rounds):
                for side, run in enumerate(pair):
                    best[side] = min(best[side], measure(run, arguments.count))
            hand, owned = best
            print(f"{label:24}{hand:10.1f}{owned:10.1f}{owned / hand:8.2f}")


def measure(run: Callable[[], object], count: int) -> float:
    began = perf_counter()
    for _ in range(count):
        run()
    return (perf_counter() - began) / count * 1e6


def build_pairs(uid: Any, rows: int) -> dict[str, Pair]:
    from django.core.management import call_command
    from django.db import connection, transaction
    from django.db.models import Count, Q, Sum

    from django_mirrors import cross_mirrors
    from tests.market.models import Category

    models = build_models()
    trader_by_hand, product_by_hand, trader, product = models
    call_command("migrate", verbosity=0)
    with connection.schema_editor() as editor:
        for model in models:
            editor.create_model(model)
    with cross_mirrors("rows of many mirrors"):
        for owner in [uid, *(uuid4() for _ in range(MIRRORS - 1))]:
            fill(trader_by_hand, product_by_hand, owner, rows)
            fill(trader, product, owner, rows)
    food = Category.objects.create(name="food").pk
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    ann_by_hand = trader_by_hand.objects.get(mirror_uid=uid, name="Ann")
    ann = trader.objects.get(name="Ann")
    own = product.objects

    def by_hand(model: Any = product_by_hand) -> Any:
        return model.objects.filter(mirror_uid=uid)

    def create(model: Any, **values: Any) -> None:
        with transaction.atomic():
            model.objects.bulk_create(
                [model(name=f"x{n}", rank=7, **values) for n in range(20)]
            )
            transaction.set_rollback(True)

    return {
        "get": (
            lambda: by_hand().get(name="p5").price,
            lambda: own.get(name="p5").price,
        ),
        "list": (
            lambda: [row.price for row in by_hand().filter(price__lt=10)],
            lambda: [row.price for row in own.filter(price__lt=10)],
        ),
        "count": (lambda: by_hand().count(), lambda: own.count()),
        "exists": (
            lambda: by_hand().filter(price=5).exists(),
            lambda: own.filter(price=5).exists(),
        ),
        "aggregate": (
            lambda: by_hand().aggregate(s=Sum("price")),
            lambda: own.aggregate(s=Sum("price")),
        ),
        "join": (
            lambda: (
                by_hand()
                .filter(trader__mirror_uid=uid, trader__name="Ann", price__lt=5)
                .count()
            ),
            lambda: own.filter(trader__name="Ann", price__lt=5).count(),
        ),
        "select_related": (
            lambda: [
                row.trader.rank
                for row in by_hand().filter(price__lt=5).select_related("trader")
            ],
            lambda: [
                row.trader.rank
                for row in own.filter(price__lt=5).select_related("trader")
            ],
        ),
        "annotate": (
            lambda: list(
                by_hand(trader_by_hand)
                .annotate(n=Count("products", filter=Q(products__mirror_uid=uid)))
                .values_list("n")
            ),
            lambda: list(trader.objects.annotate(n=Count("products")).values_list("n")),
        ),
        "related": (
            lambda: ann_by_hand.products.filter(mirror_uid=uid, price__lt=5).count(),
            lambda: ann.products.filter(price__lt=5).count(),
        ),
        "update": (
            lambda: by_hand().filter(name="p5").update(price=5),
            lambda: own.filter(name="p5").update(price=5),
        ),
        "save": (lambda: ann_by_hand.save(), lambda: ann.save()),
        "delete": (
            lambda: by_hand().filter(name="gone").delete()[0],
            lambda: own.filter(name="gone").delete()[0],
        ),
        "bulk_create": (
            lambda: create(trader_by_hand, mirror_uid=uid),
            lambda: create(trader),
        ),
        "no owner": (
            unscoped(lambda: Category.objects.get(pk=food).name),
            lambda: Category.objects.get(pk=food).name,
        ),
    }


def fill(trader: Any, product: Any, owner: Any, rows: int) -> None:
    own = {"mirror_uid": owner}
    ann = trader.objects.create(name="Ann", rank=1, **own)
    product.objects.bulk_create(
        product(name=f"p{n}", price=n, trader=ann, **own) for n in range(rows)
    )


def unscoped(run: Callable[[], object]) -> Callable[[], object]:
    """Return `run` as it would be without the part that looks for owners."""
    from django.db.models.sql.compiler import SQLCompiler

    scoped = SQLCompiler.get_from_clause

    def run_unscoped() -> object:
        SQLCompiler.get_from_clause = scoped.__wrapped__
        try:
            return run()
        finally:
            SQLCompiler.get_from_clause = scoped

    return run_unscoped


@cache
def build_models() -> tuple[Any, ...]:
    """Return models by hand, and models with an owner, of tables that are alike."""
    from django.db import models

    from django_mirrors.models import OwnerField

    def build(kind: str, field: type[Any]) -> tuple[Any, Any]:
        class Meta:
            app_label = "market"
            unique_together = (("mirror_uid", "name"),)

        trader: Any = type(
            f"{kind}Trader",
            (models.Model,),
            {
                "__module__": __name__,
                "Meta": Meta,
                "mirror_uid": field(db_index=True),
                "name": models.CharField(max_length=50),
                "rank": models.IntegerField(default=0),
            },
        )
        product: Any = type(
            f"{kind}Product",
            (models.Model,),
            {
                "__module__": __name__,
                "Meta": Meta,
                "mirror_uid": field(db_index=True),
                "name": models.CharField(max_length=50),
                "price": models.IntegerField(),
                "trader": models.ForeignKey(
                    trader, models.CASCADE, null=True, related_name="products"
                ),
            },
        )
        return trader, product

    return (*build("Hand", models.UUIDField), *build("Owned", OwnerField))


if __name__ == "__main__":
    main()
