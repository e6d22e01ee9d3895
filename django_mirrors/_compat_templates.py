"""Templates of Django 5.2 to 6.1: their cache and how an engine is told its loaders."""

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

from django.template import Engine
from django.template.loaders import cached
from django.utils._os import safe_join

__all__ = ["add_loader", "join_safely", "keep_templates_apart"]

_CACHED = "django.template.loaders.cached.Loader"


def join_safely(directory: Path, name: str) -> str:
    """Return the path of `name` in `directory`.

    Raises `SuspiciousFileOperation` if it is elsewhere.
    """
    return safe_join(directory, name)


def keep_templates_apart(find_theme: Callable[[], str | None]) -> None:
    """Let Django's cache of templates keep one set for each theme.

    Its loader keeps compiled templates, and the names of those that are missing, by
    the name of the template alone.
    """
    build_key = cached.Loader.cache_key
    if hasattr(build_key, "__wrapped__"):
        return

    @wraps(build_key)
    def build_themed_key(self: cached.Loader, *args: Any, **kwargs: Any) -> Any:
        key, theme = build_key(self, *args, **kwargs), find_theme()
        # A text and a pair are never equal.
        return key if theme is None else (theme, key)

    cached.Loader.cache_key = build_themed_key  # type: ignore[method-assign]


def add_loader(engine: Engine, path: str) -> None:
    """Let `engine` ask the loader `path` before its others.

    If these are in a cache, so is this one. Loaders are made at their first use.
    """
    engine.loaders = _add(engine.loaders, path)


def _add(loaders: Sequence[Any], path: str) -> list[Any]:
    first, *others = loaders or [None]
    if isinstance(first, list | tuple) and first[0] == _CACHED:
        return [(_CACHED, [path, *first[1]]), *others]
    return [path, *loaders]
