"""Themes: directories with templates and static files, of which a mirror has one."""

from collections.abc import Iterator
from pathlib import Path

from django.core.exceptions import SuspiciousFileOperation

from django_mirrors._compat_templates import join_safely
from django_mirrors.conf import get_conf
from django_mirrors.context import find_current_mirror
from django_mirrors.definition import THEME_NAME
from django_mirrors.exceptions import InvalidMirror, UnknownMirror

__all__ = ["STATIC", "TEMPLATES", "find_current_theme", "find_in_theme", "iter_themes"]

TEMPLATES, STATIC = "templates", "static"


def find_current_theme() -> str | None:
    """Return the theme of the current mirror, or None: then the project's files count.

    They are nobody's in particular, so they count without a mirror too.
    """
    try:
        mirror = find_current_mirror()
    except (InvalidMirror, UnknownMirror):
        # That of a command. The system checks say what is wrong.
        return None
    return None if mirror is None else mirror.theme


def find_in_theme(theme: str, part: str, name: str) -> Path | None:
    """Return where the file `name` of a part of a theme would be.

    None if there are no themes, or if the name leads out of the theme.
    """
    root = get_conf().themes
    if root is None or not THEME_NAME.fullmatch(theme):
        return None
    try:
        return Path(join_safely(root / theme / part, name))
    except (SuspiciousFileOperation, ValueError):
        return None


def iter_themes(part: str) -> Iterator[tuple[str, Path]]:
    """Yield the name of each theme that has this part, and the directory, sorted."""
    root = get_conf().themes
    if root is None or not root.is_dir():
        return
    for path in sorted(root.iterdir()):
        if THEME_NAME.fullmatch(path.name) and (path / part).is_dir():
            yield path.name, path / part
