"""Template context of a mirror."""

from django.http import HttpRequest

from django_mirrors.context import find_current_mirror
from django_mirrors.mirror import Mirror

__all__ = ["mirror"]


def mirror(request: HttpRequest) -> dict[str, Mirror | None]:
    """Return the current mirror as `mirror`."""
    return {"mirror": find_current_mirror()}
