"""Filters of the shop's templates."""

from decimal import Decimal

from django import template
from django.conf import settings
from django.utils.formats import number_format
from django.utils.translation import get_language

register = template.Library()

_SIGNS = {"EUR": "€", "GBP": "£", "USD": "$", "CHF": "CHF"}


@register.filter
def money(amount: Decimal) -> str:
    """Return an amount in the shop's currency, as the active language writes it."""
    sign = _SIGNS.get(settings.SHOP_CURRENCY, settings.SHOP_CURRENCY)
    number = number_format(amount, decimal_pos=2, force_grouping=True)
    if (get_language() or "en").startswith("en"):
        return f"{sign}{number}" if len(sign) == 1 else f"{sign}\u00a0{number}"
    return f"{number}\u00a0{sign}"
