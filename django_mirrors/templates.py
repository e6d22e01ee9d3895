"""Templates of the current mirror's theme, before those of the project."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.template import Origin
from django.template.backends.django import DjangoTemplates
from django.template.loaders.filesystem import Loader

from django_mirrors import _compat_templates
from django_mirrors.themes import (
    TEMPLATES,
    find_current_theme,
    find_in_theme,
    iter_themes,
)

__all__ = ["MirrorTemplates", "ThemeLoader"]


class MirrorTemplates(DjangoTemplates):
    """Django's templates, with those of the current mirror's theme before them."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(dict(params))
        path = f"{ThemeLoader.__module__}.{ThemeLoader.__name__}"
        _compat_templates.add_loader(self.engine, path)


class ThemeLoader(Loader):
    """Finds templates in `templates/` of the current mirror's theme.

    It finds none without a mirror, or if the mirror has no theme: the loaders after it
    are asked.
    """

    def get_dirs(self) -> Iterator[str]:  # type: ignore[override]
        """Yield the directories of all themes, for Django to look for changes in."""
        return (str(directory) for _, directory in iter_themes(TEMPLATES))

    def get_template_sources(self, template_name: str) -> Iterator[Origin]:
        """Yield where the template is, if the theme has it."""
        theme = find_current_theme()
        path = None if theme is None else find_in_theme(theme, TEMPLATES, template_name)
        if path is not None and path.is_file():
            yield Origin(name=str(path), template_name=template_name, loader=self)
