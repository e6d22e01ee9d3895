"""What code can do with rows of one mirror that have the same names in another one.

Each reads or writes by names and numbers that rows of both mirrors have, and returns
what it met. `mark` is in every value of the mirror that is current.
"""

import io
import json
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any

from django.contrib.admin.utils import NestedObjects
from django.core import serializers
from django.core.management import call_command
from django.db import connection, models
from django.db.models import (
    Case,
    Count,
    Exists,
    F,
    FilteredRelation,
    Max,
    OuterRef,
    Prefetch,
    Q,
    Subquery,
    Sum,
    Value,
    When,
    Window,
)
from django.db.models.functions import Rank
from django.forms import modelform_factory
from django.shortcuts import get_object_or_404

from tests.market.models import (
    Category,
    Note,
    Notice,
    Perishable,
    Product,
    Rating,
    Trader,
)

__all__ = ["ASYNC_READS", "READS", "WRITES"]

Link = Product.categories.through
Friendship = Trader.friends.through
Read = tuple[Callable[[], object], Callable[[int], object]]


def prices(rows: Any) -> list[int]:
    return sorted(row.price for row in rows)


def all_prices(mark: int) -> list[int]:
    return [mark, 10 + mark, 20 + mark, 30 + mark]


def get_ann() -> Trader:
    return Trader.objects.get(name="Ann")


def get_apple() -> Product:
    return Product.objects.get(name="apple")


def get_food() -> Category:
    return Category.objects.get(name="food")


def count_in_food(mark: int) -> int:
    return 3 if mark > 1 else 2


def read_raw_where() -> list[int]:
    """Narrow by SQL that says OR, as if to let everything in."""
    return prices(Product.objects.extra(where=["1 = 1 OR price > 0"]))


def read_other_table() -> list[tuple[int, int]]:
    rows = Category.objects.filter(name="food").extra(
        tables=["market_product"],
        select={"price": "market_product.price"},
        where=["market_product.name = 'apple'"],
    )
    return [row.price for row in rows]


def read_cursor_iterator() -> list[int]:
    return prices(Product.objects.iterator(chunk_size=1))


def read_serialized() -> list[int]:
    text = serializers.serialize("json", Product.objects.all())
    return sorted(item["fields"]["price"] for item in json.loads(text))


def read_dumpdata(*options: str) -> list[int]:
    out = io.StringIO()
    call_command("dumpdata", "market.product", *options, stdout=out)
    return sorted(item["fields"]["price"] for item in json.loads(out.getvalue()))


def read_nested() -> list[int]:
    """Read what the admin says will be deleted."""
    collector = NestedObjects(using=connection.alias)
    collector.collect(Trader.objects.all())
    return prices(item for item in collector.data.get(Product, ()))


def read_choices() -> list[str]:
    form = modelform_factory(Product, fields=["trader"])()
    return sorted(row.rank for row in form.fields["trader"].queryset)


def read_foreign_number() -> object:
    """Ask for the number of a row of any mirror, as somebody does who guesses."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM market_product ORDER BY id")
        numbers = [row[0] for row in cursor.fetchall()]
    return prices(Product.objects.filter(pk__in=numbers))


def read_paths() -> list[int]:
    rows = Product.objects.filter(trader__name="Ann", trader__rank__gt=0)
    return prices(rows.select_related("trader").order_by("trader__rank", "-price"))


def read_twice() -> list[int]:
    """Use one query set for two queries."""
    rows = Product.objects.filter(price__gt=0)
    return [rows.count(), rows.count(), len(rows.filter(price__lt=100))]


# name -> what it returns, and what it must be of a mirror's mark
READS: dict[str, Read] = {
    "all": (lambda: prices(Product.objects.all()), all_prices),
    "get": (lambda: get_apple().price, lambda m: m),
    "get_object_or_404": (
        lambda: get_object_or_404(Product, name="bread").price,
        lambda m: 10 + m,
    ),
    "first": (lambda: Product.objects.first().price, lambda m: m),
    "last": (lambda: Product.objects.last().price, lambda m: 30 + m),
    "latest": (lambda: Product.objects.latest("pk").price, lambda m: 30 + m),
    "slice": (
        lambda: [row.price for row in Product.objects.all()[1:3]],
        lambda m: [10 + m, 20 + m],
    ),
    "count": (lambda: Product.objects.count(), lambda m: 4),
    "exists": (lambda: Product.objects.filter(price__gt=0).exists(), lambda m: True),
    "exclude": (
        lambda: prices(Product.objects.exclude(name="apple")),
        lambda m: all_prices(m)[1:],
    ),
    "or": (
        lambda: prices(Product.objects.filter(Q(name="apple") | Q(price__gt=0))),
        all_prices,
    ),
    "or of query sets": (
        lambda: prices(
            Product.objects.filter(name="apple") | Product.objects.filter(name="bread")
        ),
        lambda m: [m, 10 + m],
    ),
    "xor": (
        lambda: prices(Product.objects.filter(Q(price__gt=0) ^ Q(name="apple"))),
        lambda m: all_prices(m)[1:],
    ),
    "values_list": (
        lambda: sorted(Product.objects.values_list("price", flat=True)),
        all_prices,
    ),
    "values of a relation": (
        lambda: sorted(
            Product.objects.filter(trader__isnull=False).values_list(
                "trader__rank", flat=True
            )
        ),
        lambda m: [m, m],
    ),
    "distinct": (
        lambda: list(
            Trader.objects.values_list("name", flat=True).distinct().order_by("name")
        ),
        lambda m: ["Ann", "Bob"],
    ),
    "only": (lambda: prices(Product.objects.only("price")), all_prices),
    "deferred field": (
        lambda: prices(Product.objects.defer("price")),
        all_prices,
    ),
    "in_bulk": (
        lambda: prices(Product.objects.in_bulk(list(range(1, 200))).values()),
        all_prices,
    ),
    "iterator": (read_cursor_iterator, all_prices),
    "numbers of any mirror": (read_foreign_number, all_prices),
    "query set used twice": (read_twice, lambda m: [4, 4, 4]),
    "aggregate": (
        lambda: Product.objects.aggregate(n=Count("pk"), top=Max("price")),
        lambda m: {"n": 4, "top": 30 + m},
    ),
    "aggregate over a relation": (
        lambda: Trader.objects.aggregate(s=Sum("products__price")),
        lambda m: {"s": 10 + 2 * m},
    ),
    "aggregate of a slice": (
        lambda: Product.objects.all()[:2].aggregate(s=Sum("price")),
        lambda m: {"s": 10 + 2 * m},
    ),
    "annotate": (
        lambda: list(
            Trader.objects.annotate(n=Count("products"))
            .order_by("name")
            .values_list("name", "n")
        ),
        lambda m: [("Ann", 2), ("Bob", 0)],
    ),
    "having": (
        lambda: list(
            Trader.objects.annotate(n=Count("products"))
            .filter(n__gt=1)
            .values_list("rank", flat=True)
        ),
        lambda m: [m],
    ),
    "group by": (
        lambda: list(
            Product.objects.order_by()
            .values("trader__name")
            .annotate(s=Sum("price"))
            .filter(trader__name="Ann")
            .values_list("s", flat=True)
        ),
        lambda m: [10 + 2 * m],
    ),
    "window": (
        lambda: list(
            Product.objects.annotate(rank=Window(Rank(), order_by=F("price").asc()))
            .order_by("price")
            .values_list("price", "rank")
        ),
        lambda m: [(price, n) for n, price in enumerate(all_prices(m), 1)],
    ),
    "filter of a window": (
        lambda: prices(
            Product.objects.annotate(
                rank=Window(Rank(), order_by=F("price").asc())
            ).filter(rank__lte=2)
        ),
        lambda m: [m, 10 + m],
    ),
    "select_related": (
        lambda: sorted(
            row.trader.rank
            for row in Product.objects.select_related("trader")
            if row.trader_id
        ),
        lambda m: [m, m],
    ),
    "select_related keeps rows without": (
        lambda: len(Product.objects.select_related("trader")),
        lambda m: 4,
    ),
    "follow a key": (lambda: get_apple().trader.rank, lambda m: m),
    "join": (read_paths, lambda m: [m, 10 + m]),
    "join back": (
        lambda: sorted(
            Trader.objects.filter(products__name="apple").values_list("rank", flat=True)
        ),
        lambda m: [m],
    ),
    "join back excluded": (
        lambda: sorted(
            Trader.objects.exclude(products__name="apple").values_list(
                "rank", flat=True
            )
        ),
        lambda m: [10 + m],
    ),
    "is null": (
        lambda: prices(Product.objects.filter(trader__name__isnull=True)),
        lambda m: [20 + m, 30 + m],
    ),
    "order by a relation": (
        lambda: [
            row.price
            for row in Product.objects.order_by("trader__name", "price")
            if row.trader_id
        ],
        lambda m: [m, 10 + m],
    ),
    "filtered relation": (
        lambda: list(
            Trader.objects.annotate(
                cheap=FilteredRelation("products", condition=Q(products__price__lt=10))
            )
            .order_by("name")
            .values_list("name", "cheap__price")
        ),
        lambda m: [("Ann", m), ("Bob", None)],
    ),
    "related": (lambda: prices(get_ann().products.all()), lambda m: [m, 10 + m]),
    "related count": (lambda: get_ann().products.count(), lambda m: 2),
    "many": (
        lambda: sorted(row.rank for row in get_ann().friends.all()),
        lambda m: [10 + m],
    ),
    "many of what is common": (
        lambda: len(prices(get_food().products.all())),
        count_in_food,
    ),
    "count from what is common": (
        lambda: list(
            Category.objects.annotate(n=Count("products"))
            .order_by("name")
            .values_list("name", "n")
        ),
        lambda m: [("food", count_in_food(m)), ("rare", 0)],
    ),
    "sum from what is common": (
        lambda: list(
            Category.objects.annotate(s=Max("products__price"))
            .order_by("name")
            .values_list("name", "s")
        ),
        lambda m: [("food", 30 + m if m > 1 else 10 + m), ("rare", None)],
    ),
    "count and sum from what is common": (
        lambda: list(
            Category.objects.annotate(n=Count("products"), s=Sum("products__price"))
            .filter(name="food")
            .values_list("n", "s")
        ),
        lambda m: [(count_in_food(m), 40 + 3 * m if m > 1 else 10 + 2 * m)],
    ),
    "filter from what is common": (
        lambda: Category.objects.filter(products__name="milk").count(),
        lambda m: int(m > 1),
    ),
    "existence from what is common": (
        lambda: list(
            Category.objects.filter(products__isnull=True).values_list(
                "name", flat=True
            )
        ),
        lambda m: ["rare"],
    ),
    "exclude from what is common": (
        lambda: Category.objects.exclude(products__name="milk").count(),
        lambda m: 1 if m > 1 else 2,
    ),
    "join from what is of no mirror": (
        lambda: list(
            Rating.objects.filter(product__name="apple").values_list(
                "stars", "product__price"
            )
        ),
        lambda m: [(m, m)],
    ),
    "select_related from what is of no mirror": (
        lambda: [
            row.product.price
            for row in Rating.objects.select_related("product").filter(
                product__price__gt=0
            )
        ],
        lambda m: [m],
    ),
    "links": (lambda: Link.objects.count(), count_in_food),
    "links of friends": (lambda: Friendship.objects.count(), lambda m: 2),
    "prefetch": (
        lambda: [
            prices(row.products.all())
            for row in Trader.objects.order_by("name").prefetch_related("products")
        ],
        lambda m: [[m, 10 + m], []],
    ),
    "Prefetch": (
        lambda: [
            prices(row.found)
            for row in Trader.objects.order_by("name").prefetch_related(
                Prefetch(
                    "products", Product.cheap.filter(price__lt=10), to_attr="found"
                )
            )
        ],
        lambda m: [[m], []],
    ),
    "prefetch from what is common": (
        lambda: [
            len(row.products.all())
            for row in Category.objects.order_by("name").prefetch_related("products")
        ],
        lambda m: [count_in_food(m), 0],
    ),
    "in": (
        lambda: prices(
            Product.objects.filter(trader__in=Trader.objects.filter(name="Ann"))
        ),
        lambda m: [m, 10 + m],
    ),
    "in from what is common": (
        lambda: Category.objects.filter(
            products__in=Product.objects.filter(name="milk")
        ).count(),
        lambda m: int(m > 1),
    ),
    "Subquery": (
        lambda: list(
            Category.objects.filter(name="food")
            .annotate(
                p=Subquery(Product.objects.order_by("-price").values("price")[:1])
            )
            .values_list("p", flat=True)
        ),
        lambda m: [30 + m],
    ),
    "Subquery of an outer row": (
        lambda: list(
            Trader.objects.annotate(
                top=Subquery(
                    Product.objects.filter(trader=OuterRef("pk"))
                    .order_by("-price")
                    .values("price")[:1]
                )
            )
            .order_by("name")
            .values_list("top", flat=True)
        ),
        lambda m: [10 + m, None],
    ),
    "Exists": (
        lambda: list(
            Category.objects.annotate(
                has=Exists(Product.objects.filter(price__gt=0, name="milk", price=32))
            )
            .filter(name="food")
            .values_list("has", flat=True)
        ),
        lambda m: [m == 2],
    ),
    "union": (
        lambda: sorted(
            Product.objects.order_by()
            .values_list("price", flat=True)
            .union(Trader.objects.values_list("rank", flat=True), all=True)
        ),
        lambda m: sorted([*all_prices(m), m, 10 + m]),
    ),
    "union counted": (
        lambda: (
            Product.objects.order_by().union(Product.cheap.order_by(), all=True).count()
        ),
        lambda m: 6,
    ),
    "custom manager": (lambda: prices(Product.cheap.all()), lambda m: [m, 10 + m]),
    "base manager": (lambda: prices(Product._base_manager.all()), all_prices),
    "default manager": (lambda: prices(Product._default_manager.all()), all_prices),
    "manager of one's own": (lambda: prices(build_manager().all()), all_prices),
    "query set of one's own": (
        lambda: prices(models.QuerySet(Product).order_by("pk")),
        all_prices,
    ),
    "using": (
        lambda: prices(Product.objects.using("default")),
        all_prices,
    ),
    "child": (
        lambda: list(Perishable.objects.values_list("price", "days")),
        lambda m: [(30 + m, m)],
    ),
    "own fields of a child": (
        lambda: list(Perishable.objects.order_by().values_list("days", flat=True)),
        lambda m: [m],
    ),
    "children counted": (lambda: Perishable.objects.count(), lambda m: 1),
    "child of a parent": (
        lambda: Product.objects.get(name="milk").perishable.days,
        lambda m: m,
    ),
    "parents by a child": (
        lambda: prices(Product.objects.filter(perishable__days__gt=0)),
        lambda m: [30 + m],
    ),
    "parents and children": (
        lambda: sorted(
            Product.objects.values_list("perishable__days", flat=True),
            key=lambda days: days or 0,
        ),
        lambda m: [None, None, None, m],
    ),
    "another base": (
        lambda: [row.text for row in Note.objects.all()],
        lambda m: [f"note {m}"],
    ),
    "another model of the table": (
        lambda: [row.text for row in Notice.objects.all()],
        lambda m: [f"note {m}"],
    ),
    "extra": (read_raw_where, all_prices),
    "extra tables": (read_other_table, lambda m: [m]),
    "natural key": (
        lambda: Product.objects.get_by_natural_key("apple").price,
        lambda m: m,
    ),
    "refresh": (lambda: refresh(get_apple()).price, lambda m: m),
    "serialize": (read_serialized, all_prices),
    "dumpdata": (read_dumpdata, all_prices),
    "dumpdata by base managers": (lambda: read_dumpdata("--all"), all_prices),
    "admin's list of what goes": (read_nested, lambda m: [m, 10 + m]),
    "choices of a form": (read_choices, lambda m: [m, 10 + m]),
    "contains": (lambda: Product.objects.contains(get_apple()), lambda m: True),
    "explain": (
        lambda: bool(Product.objects.filter(price=1).explain()),
        lambda m: True,
    ),
}


def build_manager() -> Any:
    manager: Any = models.Manager()
    manager.model = Product
    return manager


def refresh(row: Any) -> Any:
    row.refresh_from_db()
    return row


async def read(rows: AsyncIterable[Any]) -> list[int]:
    return sorted([row.price async for row in rows])


async def read_related() -> list[int]:
    ann = await Trader.objects.aget(name="Ann")
    return await read(ann.products.all())


async def read_count() -> int:
    return await Product.objects.acount()


async def read_aggregate() -> Any:
    return await Product.objects.aaggregate(top=Max("price"))


async def read_one(name: str) -> int:
    return (await Product.objects.aget(name=name)).price


async def read_bulk() -> list[int]:
    rows = await Product.objects.ain_bulk(list(range(1, 200)))
    return prices(rows.values())


async def read_first() -> int:
    return (await Product.objects.afirst()).price


async def read_exists() -> bool:
    return await Category.objects.filter(products__name="milk").aexists()


ASYNC_READS: dict[
    str, tuple[Callable[[], Awaitable[object]], Callable[[int], object]]
] = {
    "all": (lambda: read(Product.objects.all()), all_prices),
    "iterator": (lambda: read(Product.objects.aiterator(chunk_size=1)), all_prices),
    "get": (lambda: read_one("apple"), lambda m: m),
    "first": (read_first, lambda m: m),
    "count": (read_count, lambda m: 4),
    "aggregate": (read_aggregate, lambda m: {"top": 30 + m}),
    "in_bulk": (read_bulk, all_prices),
    "exists": (read_exists, lambda m: m > 1),
    "related": (read_related, lambda m: [m, 10 + m]),
    "prefetch": (
        lambda: read(Product.objects.prefetch_related("categories", "ratings")),
        all_prices,
    ),
}


def change(row: Any, **values: Any) -> Any:
    for name, value in values.items():
        setattr(row, name, value)
    row.save()
    return row


def update_in_bulk() -> None:
    rows = list(Product.objects.all())
    for row in rows:
        row.price += 100
    Product.objects.bulk_update(rows, ["price"])


def save_with_form() -> None:
    form = modelform_factory(Product, fields=["name", "price"])(
        {"name": "pear", "price": 5}
    )
    form.save()


def load() -> None:
    row = {"model": "market.product", "fields": {"name": "fig", "price": 7}}
    for item in serializers.deserialize("json", json.dumps([row])):
        item.save()


# name -> what it does; its figures are those of the mirror it is done in alone
WRITES: dict[str, Callable[[], object]] = {
    "create": lambda: Product.objects.create(name="plum", price=1),
    "save a new one": lambda: Product(name="plum", price=1).save(),
    "save_base": lambda: Product(name="plum", price=1).save_base(raw=True),
    "bulk_create": lambda: Product.objects.bulk_create(
        [Product(name=f"plum {n}", price=n) for n in range(3)]
    ),
    "bulk_create ignoring": lambda: Product.objects.bulk_create(
        [Product(name="apple", price=99), Product(name="plum", price=1)],
        ignore_conflicts=True,
    ),
    "get_or_create": lambda: Product.objects.get_or_create(
        name="plum", defaults={"price": 1}
    ),
    "get_or_create of what is there": lambda: Product.objects.get_or_create(
        name="apple", defaults={"price": 99}
    ),
    "update_or_create": lambda: Product.objects.update_or_create(
        name="apple", defaults={"price": 99}
    ),
    "update": lambda: Product.objects.update(price=99),
    "update by a name": lambda: Product.objects.filter(name="apple").update(price=99),
    "update by a relation": lambda: Product.objects.filter(trader__name="Ann").update(
        price=99
    ),
    "update from a Subquery": lambda: Product.objects.update(
        price=Subquery(Trader.objects.order_by("-rank").values("rank")[:1])
    ),
    "update with Case": lambda: Product.objects.update(
        price=Case(When(name="apple", then=Value(99)), default=F("price"))
    ),
    "update a child": lambda: Perishable.objects.update(days=99),
    "update a child's parent": lambda: Perishable.objects.update(price=99),
    "update a child by its parent": lambda: Perishable.objects.filter(
        name="milk"
    ).update(days=99),
    "update another model of the table": lambda: Notice.objects.update(text="x"),
    "update another base": lambda: Note.objects.update(text="x"),
    "update what is related": lambda: get_ann().products.update(price=99),
    "update from what is common": lambda: Product.objects.filter(
        categories__name="food"
    ).update(price=99),
    "bulk_update": update_in_bulk,
    "save": lambda: change(get_apple(), price=99),
    "save some fields": lambda: get_apple().save(update_fields=["price"]),
    "save a child": lambda: change(Perishable.objects.get(), days=99, price=98),
    "delete": lambda: Trader.objects.all().delete(),
    "delete by a name": lambda: Product.objects.filter(name="apple").delete(),
    "delete by a relation": lambda: Product.objects.filter(trader__name="Ann").delete(),
    "delete one": lambda: get_apple().delete(),
    "delete one with what it has": lambda: get_ann().delete(),
    "delete a child": lambda: Perishable.objects.all().delete(),
    "delete a child but not its parent": lambda: Perishable.objects.get().delete(
        keep_parents=True
    ),
    "delete at once": lambda: Note.objects.all()._raw_delete("default"),
    "delete another model of the table": lambda: Notice.objects.all().delete(),
    "delete links": lambda: Link.objects.all().delete(),
    "delete links at once": lambda: Link.objects.all()._raw_delete("default"),
    "related create": lambda: get_ann().products.create(name="plum", price=1),
    "related add": lambda: get_ann().products.add(Product.objects.get(name="cheese")),
    "related remove": lambda: get_ann().products.remove(get_apple()),
    "related clear": lambda: get_ann().products.clear(),
    "related set": lambda: get_ann().products.set([get_apple()]),
    "many add": lambda: get_food().products.add(Product.objects.get(name="cheese")),
    "many remove": lambda: get_food().products.remove(get_apple()),
    "many clear": lambda: get_food().products.clear(),
    "many set": lambda: get_apple().categories.set([]),
    "many create": lambda: get_food().products.create(name="plum", price=1),
    "friends clear": lambda: get_ann().friends.clear(),
    "form": save_with_form,
    "deserialize": load,
}
