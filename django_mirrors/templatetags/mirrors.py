"""Links from one mirror to another."""

from typing import Any

from django import template

from django_mirrors import urls
from django_mirrors.mirror import Mirror

__all__ = ["mirror_url", "register"]

register = template.Library()


@register.simple_tag
def mirror_url(
    viewname: str, *args: Any, mirror: Mirror | str | None = None, **kwargs: Any
) -> str:
    """Return the address of a view at a mirror, by default the current one.

    {% mirror_url "product" product.pk mirror="books" as address %}
    """
    return urls.reverse(viewname, mirror=mirror, args=args, kwargs=kwargs)
