"""Fill an empty shop from one of the catalogues."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone
from django.utils.text import slugify

from shop.artwork import draw_product
from shop.models import (
    Category,
    CategoryText,
    Customer,
    Order,
    OrderLine,
    Page,
    Product,
    ProductText,
)

DIRECTORY = Path(__file__).parent / "catalogues"
LANGUAGES = ("de", "fr")
PASSWORD = "demo"


def get_catalogue_names() -> list[str]:
    """Return the names of the catalogues there are."""
    return sorted(path.stem for path in DIRECTORY.glob("*.toml"))


def is_seeded() -> bool:
    """Whether the shop has anything in it."""
    return Product.objects.exists()


@transaction.atomic
def seed(name: str) -> int:
    """Put the catalogue `name` into the shop; return the number of products."""
    data = tomllib.loads((DIRECTORY / f"{name}.toml").read_text(encoding="utf-8"))
    categories = {
        row["slug"]: _add_category(row, i) for i, row in enumerate(data["categories"])
    }
    for row in data["products"]:
        _add_product(row, categories[row["category"]])
    Page.objects.bulk_create(
        Page(position=i, **{**row, "body": row["body"].strip()})
        for i, row in enumerate(data["pages"])
    )
    customers = _add_customers(data["customers"])
    for row in data["orders"]:
        _add_order(row, customers[row["customer"]])
    return len(data["products"])


def _add_category(row: Mapping[str, Any], position: int) -> Category:
    category = Category.objects.create(
        name=row["name"], slug=row["slug"], position=position
    )
    for language in LANGUAGES:
        if language in row:
            CategoryText.objects.create(
                category=category, language=language, name=row[language]
            )
    return category


def _add_product(row: Mapping[str, Any], category: Category) -> None:
    product = Product(
        category=category,
        name=row["name"],
        slug=slugify(row["name"]),
        byline=row["byline"],
        kind=row["kind"],
        description=row["description"].strip(),
        price=Decimal(row["price"]),
        stock=row["stock"],
        featured=row.get("featured", False),
        added=timezone.now() - timedelta(days=row["days"]),
    )
    product.image.name = _save_picture(product, row["art"])
    product.save()
    for language in LANGUAGES:
        if language in row:
            texts = {key: text.strip() for key, text in row[language].items()}
            ProductText.objects.create(product=product, language=language, **texts)


def _save_picture(product: Product, art: Mapping[str, Any]) -> str:
    picture = BytesIO()
    draw_product(product.name, product.byline, art).save(picture, "WEBP", quality=88)
    path = f"products/{product.slug}.webp"
    # Left behind by an attempt that was interrupted; its row was rolled back.
    default_storage.delete(path)
    return default_storage.save(path, ContentFile(picture.getvalue()))


def _add_customers(rows: list[dict[str, str]]) -> dict[str, Customer]:
    user_model, password = get_user_model(), make_password(PASSWORD)
    customers = {}
    for row in rows:
        email = row.pop("email")
        user = user_model.objects.create(username=email, email=email, password=password)
        customers[email] = Customer.objects.create(user=user, **row)
    return customers


def _add_order(row: Mapping[str, Any], customer: Customer) -> None:
    products = {slug: Product.objects.get(slug=slug) for slug, _ in row["lines"]}
    order = Order.objects.create(
        customer=customer,
        status=row["status"],
        name=customer.name,
        email=customer.user.email,
        address=customer.address,
        postcode=customer.postcode,
        city=customer.city,
        total=sum(products[slug].price * number for slug, number in row["lines"]),
        placed=timezone.now() - timedelta(days=row["days"], hours=1),
    )
    OrderLine.objects.bulk_create(
        OrderLine(
            order=order,
            product=products[slug],
            name=products[slug].name,
            price=products[slug].price,
            quantity=number,
        )
        for slug, number in row["lines"]
    )
