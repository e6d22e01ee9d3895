"""Links from one mirror to another."""

from typing import Any

from django import template

from django_mirrors import urls
from django_mirrors.mirror import Mirror

__all__ = ["mirror_url", "register"]

register = template.Library()


@register.simple_tag(takes_context=True)
def mirror_url(
    context: template.Context,
    mirror: Mirror | str,
    viewname: str,
    /,
    *args: Any,
    **kwargs: Any,
) -> str:
    """Return the address of a view at a mirror.

    {% mirror_url "books" "shop:product" slug=product.slug as address %}
    """
    return urls.reverse(
        viewname,
        mirror=mirror,
        args=args,
        kwargs=kwargs,
        request=context.get("request"),
    )
