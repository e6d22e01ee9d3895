"""Templates of the current mirror's theme, before those of the project."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread

import pytest
from django.template import TemplateDoesNotExist, autoreload, engines
from django.template.loader import get_template, render_to_string

from django_mirrors import use_mirror, use_original
from django_mirrors.templates import MirrorTemplates, ThemeLoader
from django_mirrors.testing import no_mirror

CACHED = "django.template.loaders.cached.Loader"
FILES = "django.template.loaders.filesystem.Loader"
THEMED = "django_mirrors.templates.ThemeLoader"
MIRRORED = "django_mirrors.templates.MirrorTemplates"
STOCK = "django.template.backends.django.DjangoTemplates"

# Each way to let Django ask the themes: the one line, and loaders by name.
WAYS = {
    "backend": (MIRRORED, {}),
    "backend with loaders": (MIRRORED, {"loaders": [FILES]}),
    "backend with cached loaders": (MIRRORED, {"loaders": [(CACHED, [FILES])]}),
    "loader": (STOCK, {"loaders": [THEMED, FILES]}),
    "loader in Django's cache": (STOCK, {"loaders": [(CACHED, [THEMED, FILES])]}),
}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture(params=WAYS)
def themed(request, settings, tmp_path):
    """Give `books` the theme `dark` and `films` the theme `light`; `music` has none."""
    backend, options = WAYS[request.param]
    set_up(settings, tmp_path, backend, options)
    return tmp_path


@pytest.fixture
def dark(settings, tmp_path):
    """As `themed`, by the one line."""
    set_up(settings, tmp_path, MIRRORED, {})
    return tmp_path


def set_up(settings, root, backend, options):
    for theme in ("dark", "light"):
        write(root / f"themes/{theme}/templates/page.html", theme)
        write(root / f"themes/{theme}/templates/shop/part.html", f"{theme} part")
    write(root / "themes/dark/templates/only.html", "only dark")
    write(root / "themes/dark/templates/whole.html", '{% include "shop/part.html" %}')
    write(root / "project/page.html", "plain")
    write(root / "project/shop/part.html", "plain part")
    write(root / "project/shop/base.html", "<{% block body %}plain{% endblock %}>")
    write(root / "project/whole.html", '[{% include "shop/part.html" %}]')
    write(root / "project/leaf.html", '{% extends "shop/base.html" %}')
    write(root / "secret.html", "secret")
    settings.TEMPLATES = [
        {
            "BACKEND": backend,
            "NAME": "django",
            "DIRS": [root / "project"],
            "OPTIONS": options,
        }
    ]
    settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "THEMES": root / "themes"}
    settings.MIRRORS = {
        "books": {"HOSTS": ["books.example"], "THEME": "dark"},
        "films": {"HOSTS": ["films.example"], "THEME": "light"},
        "music": {"HOSTS": ["music.example"]},
        "plays": {"HOSTS": ["plays.example"], "THEME": "dark"},
    }


def render(name, template="page.html"):
    with use_mirror(name):
        return render_to_string(template)


def test_each_mirror_gets_the_template_of_its_theme(themed):
    rendered = [render(name) for name in ("books", "films", "music", "plays", "books")]

    assert rendered == ["dark", "light", "plain", "dark", "dark"]


def test_engine_that_is_asked_for_by_its_name_follows_the_theme(themed):
    with use_mirror("books"):
        rendered = engines["django"].get_template("page.html").render()

    assert rendered == "dark"


def test_template_that_only_one_theme_has_is_missing_at_others(themed):
    assert render("books", "only.html") == "only dark"

    with use_mirror("films"), pytest.raises(TemplateDoesNotExist):
        get_template("only.html")


def test_template_that_was_missing_at_one_mirror_is_found_at_another(themed):
    with use_mirror("films"), pytest.raises(TemplateDoesNotExist):
        get_template("only.html")

    assert render("books", "only.html") == "only dark"


def test_included_template_is_that_of_the_theme(themed):
    parts = [render(name, "whole.html") for name in ("books", "films", "music")]

    assert parts == ["dark part", "[light part]", "[plain part]"]


def test_template_of_a_theme_extends_the_one_it_replaces(themed):
    write(
        themed / "themes/dark/templates/shop/base.html",
        '{% extends "shop/base.html" %}{% block body %}dark{% endblock %}',
    )

    leaves = [render(name, "leaf.html") for name in ("books", "films", "music")]

    assert leaves == ["<dark>", "<plain>", "<plain>"]


def test_templates_are_the_projects_in_the_original_and_without_a_mirror(themed):
    with use_mirror("books"):
        inside = render_to_string("page.html")
        with use_original():
            original = render_to_string("page.html")
    with no_mirror():
        nobody = render_to_string("page.html")

    assert (inside, original, nobody) == ("dark", "plain", "plain")


def test_original_may_have_a_theme_which_no_mirror_gets(settings, dark):
    original = {**settings.MIRRORS_OPTIONS["ORIGINAL"], "THEME": "light"}
    settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "ORIGINAL": original}

    with use_original():
        rendered = render_to_string("page.html")
    with no_mirror():
        nobody = render_to_string("page.html")

    assert (rendered, render("music"), nobody) == ("light", "plain", "plain")


def test_default_theme_is_that_of_mirrors_without_one(settings, dark):
    settings.MIRRORS_OPTIONS = {
        **settings.MIRRORS_OPTIONS,
        "DEFAULTS": {"THEME": "light"},
    }

    assert [render(name) for name in ("books", "music")] == ["dark", "light"]


def test_theme_of_a_block_inside_another_is_its_own(themed):
    with use_mirror("books"):
        seen = [render_to_string("page.html")]
        with use_mirror("films"):
            seen.append(render_to_string("page.html"))
        seen.append(render_to_string("page.html"))

    assert seen == ["dark", "light", "dark"]


def test_tasks_get_the_templates_of_their_own_mirror(themed):
    async def ask(name):
        async with use_mirror(name):
            first = render_to_string("page.html")
            await asyncio.sleep(0)
            return first, render_to_string("whole.html")

    async def main():
        return await asyncio.gather(*map(ask, ("books", "films", "music")))

    assert asyncio.run(main()) == [
        ("dark", "dark part"),
        ("light", "[light part]"),
        ("plain", "[plain part]"),
    ]


def test_threads_that_render_at_once_never_get_the_theme_of_another(dark):
    expected = {"books": "dark", "films": "light", "music": "plain"}

    def ask(number):
        name = list(expected)[number % 3]
        return name, render(name)

    with ThreadPoolExecutor(8) as pool:
        seen = set(pool.map(ask, range(3000)))

    assert seen == set(expected.items())


def test_theme_ends_with_an_exception(themed):
    with pytest.raises(KeyboardInterrupt), use_mirror("books"):
        raise KeyboardInterrupt

    with no_mirror():
        assert render_to_string("page.html") == "plain"


def test_thread_without_a_mirror_gets_the_projects_templates(themed):
    seen = []

    with use_mirror("books"):
        thread = Thread(target=lambda: seen.append(render_to_string("page.html")))
        thread.start()
        thread.join()

    assert seen == ["plain"]


@pytest.mark.parametrize(
    "name",
    [
        "../../../secret.html",
        "../../light/templates/page.html",
        "../../light/templates/only.html",
        "/etc/hostname",
        "a/../../../../secret.html",
        "..\\..\\..\\secret.html",
        "only.html\0",
        "shop",
        "",
    ],
)
def test_name_that_leaves_the_theme_is_not_found(dark, name):
    with use_mirror("books"), pytest.raises((TemplateDoesNotExist, ValueError)):
        ThemeLoader(engines.all()[0].engine).get_template(name)


@pytest.mark.parametrize("theme", ["", "..", "Dark", "dark/../light", ".", "da rk"])
def test_definition_with_a_name_that_is_no_themes_is_refused(theme):
    from django_mirrors.exceptions import InvalidMirror
    from django_mirrors.mirror import Mirror

    with pytest.raises(InvalidMirror, match="which is not the name of a theme"):
        Mirror.from_mapping("books", {"HOSTS": ["books.example"], "THEME": theme})


def test_themes_are_watched_for_changes(dark):
    directories = autoreload.get_template_directories()

    assert {
        dark / "project",
        dark / "themes/dark/templates",
        dark / "themes/light/templates",
    } <= directories


def test_change_of_a_file_empties_the_cache_for_all_themes(dark):
    assert (render("books"), render("films")) == ("dark", "light")
    write(dark / "themes/dark/templates/page.html", "darker")
    kept = render("books")

    autoreload.reset_loaders()

    assert (kept, render("books")) == ("dark", "darker")


def test_template_is_kept_once_for_mirrors_of_one_theme(dark):
    with use_mirror("books"):
        first = get_template("page.html").template
    with use_mirror("plays"):
        second = get_template("page.html").template

    assert first is second


def test_engine_without_loaders_gets_this_one(settings):
    backend = MirrorTemplates(
        {
            "NAME": "x",
            "DIRS": [],
            "APP_DIRS": False,
            "OPTIONS": {"loaders": []},
        }
    )

    assert backend.engine.loaders == [THEMED]


def test_theme_is_nothing_without_a_directory_of_themes(settings, dark):
    settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "THEMES": None}

    assert render("books") == "plain"
    assert not list(ThemeLoader(engines.all()[0].engine).get_dirs())


def test_directory_of_themes_that_is_missing_is_no_error(settings, dark):
    themes = dark / "nowhere"
    settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "THEMES": themes}

    assert render("books") == "plain"
