"""Static files of the current mirror's theme, before those of the project."""

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from django.contrib.staticfiles import utils
from django.contrib.staticfiles.finders import BaseFinder
from django.core.checks import CheckMessage
from django.core.files.storage import FileSystemStorage, storages
from django.utils.functional import LazyObject

from django_mirrors.themes import (
    STATIC,
    find_current_theme,
    find_in_theme,
    iter_themes,
)

__all__ = ["ThemeFinder", "ThemeStaticStorage"]

_PREFIX = "themes"
_PLAIN = "django.contrib.staticfiles.storage.StaticFilesStorage"


class ThemeFinder(BaseFinder):
    """Finds the static files of all themes, as `themes/<theme>/<name>`."""

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        """Return nothing: the checks of mirrors look at the themes."""
        return []

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        """Return where the static file `path` is, or a list of such places."""
        prefix, _, rest = path.replace("\\", "/").partition("/")
        theme, _, name = rest.partition("/")
        found = find_in_theme(theme, STATIC, name) if prefix == _PREFIX else None
        if found is None or not found.is_file():
            return []
        return [str(found)] if find_all or kwargs.get("all") else str(found)

    def list(
        self, ignore_patterns: Iterable[str] | None
    ) -> Iterator[tuple[str, FileSystemStorage]]:
        """Yield the name of each file of a theme, and the storage that has it."""
        for theme, directory in iter_themes(STATIC):
            storage = FileSystemStorage(location=directory)
            storage.prefix = f"{_PREFIX}/{theme}"  # type: ignore[attr-defined]
            for name in utils.get_files(storage, list(ignore_patterns or ())):
                yield name, storage


class ThemeStaticStorage(LazyObject):  # type: ignore[type-arg]
    """Stands for another storage of static files, but for the URLs it gives.

    A file that the current mirror's theme has is that of the theme. `BACKEND` names
    the other storage, which gets all further options. Nothing is kept by name, so
    nothing can be another mirror's.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        backend = options.pop("BACKEND", _PLAIN)
        self._wrapped = storages.create_storage(
            {"BACKEND": backend, "OPTIONS": options}
        )

    def url(self, name: str, *args: Any, **kwargs: Any) -> str:
        """Return the URL of the static file `name`."""
        url: str = self._wrapped.url(_find_themed(name) or name, *args, **kwargs)
        return url


def _find_themed(name: str) -> str | None:
    """Return the name of what the current mirror has in place of `name`, or None."""
    theme = find_current_theme()
    if theme is None:
        return None
    path = find_in_theme(theme, STATIC, urlsplit(name).path)
    return f"{_PREFIX}/{theme}/{name}" if path is not None and path.is_file() else None
