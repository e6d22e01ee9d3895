"""Whether the theme of a mirror is there, and Django looks into it."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error

from django_mirrors.checks.findings import Findings
from django_mirrors.checks.messages import build_errors, build_warnings
from django_mirrors.checks.wiring import is_subclass
from django_mirrors.conf import find_setting
from django_mirrors.registry.snapshot import describe_place
from django_mirrors.staticfiles import ThemeFinder, ThemeStaticStorage
from django_mirrors.templates import MirrorTemplates, ThemeLoader
from django_mirrors.themes import STATIC, TEMPLATES

__all__ = ["check_themes"]


def check_themes(findings: Findings) -> list[CheckMessage]:
    """Return what keeps the themes of mirrors from being seen."""
    themes = {mirror.theme for mirror in findings.all if mirror.theme is not None}
    root = findings.conf.themes
    if root is None:
        return build_errors(_find_without_themes(findings), 51)
    parts = {
        part
        for theme in themes
        for part in (TEMPLATES, STATIC)
        if (root / theme / part).is_dir()
    }
    return [
        *build_errors(_find_missing(findings), 52),
        *build_warnings(_find_unnamed(), 56),
        *(_check_templates() if TEMPLATES in parts else ()),
        *(_check_static() if STATIC in parts else ()),
    ]


def _find_without_themes(findings: Findings) -> Iterable[str]:
    return (
        f"{describe_place(mirror)}: mirror '{mirror}' has a 'THEME', and there is no "
        "directory of themes. Name it in MIRRORS_OPTIONS['THEMES']."
        for mirror in findings.all
        if mirror.theme is not None
    )


def _find_missing(findings: Findings) -> Iterable[str]:
    root = findings.conf.themes
    return (
        f"{describe_place(mirror)}: the theme '{mirror.theme}' of mirror '{mirror}' is "
        f"not in '{root}'. Make the directory, or correct 'THEME'."
        for mirror in findings.all
        if mirror.theme is not None
        and root is not None
        and not (root / mirror.theme).is_dir()
    )


def _find_unnamed() -> Iterable[str]:
    # Django names an engine by the module of its backend, unless it is told.
    return (
        "TEMPLATES: the engine of MirrorTemplates has no 'NAME', so code that asks for "
        "the engine 'django' does not find it. Write 'NAME': 'django' beside 'BACKEND'."
        for config in find_setting("TEMPLATES", ())
        if is_subclass(config.get("BACKEND", ""), MirrorTemplates)
        and "NAME" not in config
    )


def _check_templates() -> list[CheckMessage]:
    if any(_has_theme_loader(config) for config in find_setting("TEMPLATES", ())):
        return []
    return [
        Error(
            "TEMPLATES has no MirrorTemplates, so no template of a theme is found.",
            hint="Write 'django_mirrors.templates.MirrorTemplates' as 'BACKEND' in "
            "place of Django's.",
            id="mirrors.E053",
        )
    ]


def _has_theme_loader(config: Mapping[str, Any]) -> bool:
    if is_subclass(config.get("BACKEND", ""), MirrorTemplates):
        return True
    loaders = config.get("OPTIONS", {}).get("loaders") or ()
    return any(is_subclass(path, ThemeLoader) for path in _iter_paths(loaders))


def _iter_paths(loaders: Iterable[Any]) -> Iterable[str]:
    for loader in loaders:
        if isinstance(loader, str):
            yield loader
        else:
            yield from _iter_paths(loader)


def _check_static() -> list[CheckMessage]:
    if not apps.is_installed("django.contrib.staticfiles"):
        return []
    messages: list[CheckMessage] = []
    finders = find_setting("STATICFILES_FINDERS", ())
    if not any(is_subclass(path, ThemeFinder) for path in finders):
        messages.append(
            Error(
                "STATICFILES_FINDERS has no ThemeFinder, so no static file of a theme "
                "is collected or served.",
                hint="Add 'django_mirrors.staticfiles.ThemeFinder'.",
                id="mirrors.E054",
            )
        )
    path = find_setting("STORAGES", {}).get("staticfiles", {}).get("BACKEND", "")
    if not is_subclass(path, ThemeStaticStorage):
        messages.append(
            Error(
                "STORAGES['staticfiles'] is not ThemeStaticStorage, so the static "
                "files of a theme are not linked to.",
                hint="Write 'django_mirrors.staticfiles.ThemeStaticStorage' as its "
                "'BACKEND', and what is there now as 'BACKEND' in its 'OPTIONS'.",
                id="mirrors.E055",
            )
        )
    return messages
