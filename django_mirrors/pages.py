"""Pages that stand in for a mirror that cannot be served."""

from functools import cache
from math import ceil
from pathlib import Path

from django.template import Context, Engine, TemplateDoesNotExist, loader

from django_mirrors.mirror import Mirror

__all__ = ["render_page"]

_TEMPLATES = Path(__file__).parent / "templates"


def render_page(name: str, mirror: Mirror, *, retry_after: int) -> str:
    """Return the page `django_mirrors/<name>.html`, the project's or ours.

    Knows no request, so that no context processor is asked, which might query.
    """
    path = f"django_mirrors/{name}.html"
    values = {
        "mirror": mirror,
        "reason": mirror.reason,
        "retry_after": retry_after,
        "retry_minutes": ceil(retry_after / 60),
    }
    try:
        return loader.render_to_string(path, values)
    except TemplateDoesNotExist:
        # A project may look for templates in its own directories only.
        return _get_engine().get_template(path).render(Context(values))


@cache
def _get_engine() -> Engine:
    return Engine(
        dirs=[str(_TEMPLATES)], libraries={"i18n": "django.templatetags.i18n"}
    )
