"""Turn a cart into an order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from shop.cart import CartLine
from shop.models import Customer, Order, OrderLine, Product

FREE_SHIPPING_FROM = Decimal(40)
SHIPPING = Decimal("4.90")


class SoldOut(Exception):
    """There are fewer of a product than were ordered."""

    def __init__(self, product: Product) -> None:
        self.product = product
        super().__init__(product.name)


def get_shipping(lines: Sequence[CartLine]) -> Decimal:
    """Return what it costs to send `lines`."""
    subtotal = sum(line.total for line in lines)
    return SHIPPING if 0 < subtotal < FREE_SHIPPING_FROM else Decimal(0)


@transaction.atomic
def place_order(
    lines: Sequence[CartLine], contact: Mapping[str, str], customer: Customer | None
) -> Order:
    """Take the goods from the stock and return the order, or raise `SoldOut`."""
    wanted = {line.product.pk: line.quantity for line in lines}
    products = Product.objects.select_for_update().filter(pk__in=wanted).order_by("pk")
    for product in products:
        if product.stock < wanted[product.pk]:
            raise SoldOut(product)
        product.stock -= wanted[product.pk]
        product.save(update_fields=["stock"])
    total = sum((line.total for line in lines), get_shipping(lines))
    order = Order.objects.create(customer=customer, total=total, **contact)
    OrderLine.objects.bulk_create(
        OrderLine(
            order=order,
            product=line.product,
            name=line.product.title,
            price=line.product.price,
            quantity=line.quantity,
        )
        for line in lines
    )
    transaction.on_commit(partial(_confirm, order))
    return order


def _confirm(order: Order) -> None:
    shop = settings.SHOP_NAME
    send_mail(
        _("Your order %(reference)s at %(shop)s")
        % {"reference": order.reference, "shop": shop},
        render_to_string("shop/order_mail.txt", {"order": order, "shop": shop}),
        None,
        [order.email],
    )
