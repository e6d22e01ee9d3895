"""The cart, kept in the session: how many of which product."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from django.http import HttpRequest

from shop.models import Product

_KEY = "cart"
MOST = 20


class CartLine(NamedTuple):
    """One product in the cart."""

    product: Product
    quantity: int

    @property
    def total(self) -> Decimal:
        return self.product.price * self.quantity

    @property
    def is_available(self) -> bool:
        return self.quantity <= self.product.stock


class Cart:
    """The cart of the visitor who sent `request`."""

    def __init__(self, request: HttpRequest) -> None:
        self._session = request.session
        self._quantities: dict[str, int] = dict(self._session.get(_KEY, {}))

    def __len__(self) -> int:
        return sum(self._quantities.values())

    def get_lines(self) -> list[CartLine]:
        """Return the lines; products that are no longer sold drop out."""
        products = Product.objects.with_texts().in_bulk(self._quantities)
        return [
            CartLine(products[int(key)], quantity)
            for key, quantity in self._quantities.items()
            if int(key) in products
        ]

    def add(self, product: Product, quantity: int) -> None:
        held = self._quantities.get(str(product.pk), 0)
        self.change(product.pk, held + quantity)

    def change(self, product_id: int, quantity: int) -> None:
        """Set how many of a product are wanted; 0 takes it out."""
        self._quantities.pop(str(product_id), None)
        if quantity > 0:
            self._quantities[str(product_id)] = min(quantity, MOST)
        self._session[_KEY] = self._quantities

    def clear(self) -> None:
        self._quantities = {}
        self._session[_KEY] = {}
