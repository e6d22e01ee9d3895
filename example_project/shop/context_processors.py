"""What every page of the shop needs."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from shop.cart import Cart
from shop.models import Category, Page


def shop(request: HttpRequest) -> dict[str, Any]:
    """Return the shop's name, theme, navigation and the size of the cart."""
    return {
        "shop": {
            "name": settings.SHOP_NAME,
            "tagline": settings.SHOP_TAGLINE,
            "lead": settings.SHOP_LEAD,
            "notice": settings.SHOP_NOTICE,
            "address": settings.SHOP_ADDRESS,
            "email": settings.DEFAULT_FROM_EMAIL,
            "time_zone": settings.TIME_ZONE,
            "cart_size": len(Cart(request)),
            "categories": Category.objects.prefetch_related("texts"),
            "pages": Page.objects.in_language(),
        }
    }
