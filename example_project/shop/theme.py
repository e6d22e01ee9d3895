"""The look of the shop: CSS variables from `settings.SHOP_THEME`."""

from __future__ import annotations

from collections.abc import Mapping

from django.conf import settings

DEFAULT_THEME: Mapping[str, str] = {
    "scheme": "light",
    "ground": "#f6f7fb",
    "surface": "#ffffff",
    "ink": "#171a2b",
    "muted": "#656b85",
    "line": "#e1e4ef",
    "accent": "#4453d6",
    "accent-ink": "#ffffff",
    "tint": "#e9ecfb",
    "hero": "#20265c",
    "hero-ink": "#ffffff",
    "hero-accent": "#9aa6ff",
    "radius": "12px",
    "body-font": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
    "head-font": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
    "head-weight": "700",
    "head-case": "none",
    "head-spacing": "-0.02em",
    "brand-spacing": "-0.02em",
    "shape": "grid",
}


def get_theme() -> dict[str, str]:
    """Return the current theme, complete."""
    return {**DEFAULT_THEME, **settings.SHOP_THEME}


def build_css(theme: Mapping[str, str]) -> str:
    """Return the theme as CSS variables. Values cannot leave their declaration."""
    lines = [
        f"  --shop-{name}: {_clean(value)};"
        for name, value in theme.items()
        if name.replace("-", "").isalnum() and name not in {"scheme", "shape"}
    ]
    scheme = "dark" if theme["scheme"] == "dark" else "light"
    return "\n".join([":root {", f"  color-scheme: {scheme};", *lines, "}", ""])


def _clean(value: str) -> str:
    return "".join(c for c in str(value) if c not in "{};<>\\\n")
