"""Static files of the current mirror's theme, before those of the project."""

import asyncio
import re
from contextlib import closing
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.files.storage import FileSystemStorage
from django.core.management import call_command
from django.forms import Media
from django.template import engines
from django.templatetags.static import static
from django.test import RequestFactory

from django_mirrors import use_mirror, use_original
from django_mirrors.staticfiles import ThemeFinder
from django_mirrors.testing import no_mirror

PLAIN = "django.contrib.staticfiles.storage.StaticFilesStorage"
MANIFEST = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
HASH = re.compile(r"\.[0-9a-f]{12}\.")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def files(settings, tmp_path):
    """Give `books` the theme `dark` and `films` the theme `light`; `music` has none."""
    for theme in ("dark", "light"):
        root = tmp_path / "themes" / theme / "static"
        write(root / "shop.css", f"a {{ background: url(img/{theme}.png) }}")
        write(root / f"img/{theme}.png", theme)
        write(root / "back.css", "a { background: url(../../all.png) }")
    write(tmp_path / "themes/dark/static/only.js", "dark")
    write(tmp_path / "themes/Not A Theme/static/x.css", "none")
    write(tmp_path / "themes/bare/templates/x.html", "no static files")
    write(tmp_path / "project/shop.css", "a { background: url(all.png) }")
    write(tmp_path / "project/all.png", "all")
    write(tmp_path / "secret.css", "secret")
    settings.STATICFILES_DIRS = [tmp_path / "project"]
    settings.STATICFILES_FINDERS = [
        "django.contrib.staticfiles.finders.FileSystemFinder",
        "django_mirrors.staticfiles.ThemeFinder",
    ]
    settings.STATIC_ROOT = tmp_path / "collected"
    settings.MIRRORS_OPTIONS = {
        **settings.MIRRORS_OPTIONS,
        "THEMES": tmp_path / "themes",
    }
    settings.MIRRORS = {
        "books": {"HOSTS": ["books.example"], "THEME": "dark"},
        "films": {"HOSTS": ["films.example"], "THEME": "light"},
        "music": {"HOSTS": ["music.example"]},
    }
    finders.get_finder.cache_clear()
    yield tmp_path
    finders.get_finder.cache_clear()


def store(settings, backend: str, **options):
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {
            "BACKEND": "django_mirrors.staticfiles.ThemeStaticStorage",
            "OPTIONS": {"BACKEND": backend, **options},
        },
    }


@pytest.fixture
def plain(files, settings):
    store(settings, PLAIN)
    return files


@pytest.fixture
def collected(files, settings):
    """Collect once for all mirrors, with names that hold a hash."""
    store(settings, MANIFEST)
    call_command("collectstatic", interactive=False, verbosity=0)
    # As another process would, read what was collected.
    store(settings, MANIFEST)
    return files / "collected"


def link(name, path="shop.css"):
    with use_mirror(name):
        return static(path)


def test_each_mirror_links_to_the_file_of_its_theme(plain):
    links = [link(name) for name in ("books", "films", "music", "books")]

    assert links == [
        "/static/themes/dark/shop.css",
        "/static/themes/light/shop.css",
        "/static/shop.css",
        "/static/themes/dark/shop.css",
    ]


def test_tasks_link_to_the_files_of_their_own_mirror(plain):
    async def ask(name):
        async with use_mirror(name):
            await asyncio.sleep(0)
            return static("shop.css")

    async def main():
        return await asyncio.gather(*map(ask, ("books", "films", "music")))

    assert asyncio.run(main()) == [
        "/static/themes/dark/shop.css",
        "/static/themes/light/shop.css",
        "/static/shop.css",
    ]


def test_link_of_a_block_inside_another_is_its_own(plain):
    with use_mirror("books"):
        with pytest.raises(KeyError), use_mirror("films"):
            raise KeyError
        after = static("shop.css")

    assert after == "/static/themes/dark/shop.css"


def test_file_that_the_theme_has_not_is_the_projects(plain):
    links = [link(name, "all.png") for name in ("books", "films")]

    assert links == ["/static/all.png"] * 2


def test_file_that_one_theme_has_is_not_linked_to_by_others(plain):
    links = [link(name, "only.js") for name in ("books", "films")]

    assert links == ["/static/themes/dark/only.js", "/static/only.js"]


def test_links_are_the_projects_in_the_original_and_without_a_mirror(plain):
    with use_mirror("books"), use_original():
        original = static("shop.css")
    with no_mirror():
        nobody = static("shop.css")

    assert original == nobody == "/static/shop.css"


def test_fragment_stays_at_the_link(collected):
    found = link("books", "img/dark.png#icon")

    assert HASH.sub(".", found) == "/static/themes/dark/img/dark.png#icon"


@pytest.mark.parametrize(
    "path",
    [
        "../light/static/shop.css",
        "../../light/static/shop.css",
        "../../../secret.css",
        "/etc/hostname",
        "img",
        "",
        "shop.css\0",
    ],
)
def test_name_that_leaves_the_theme_is_not_linked_to_in_it(plain, path):
    assert "themes/dark" not in link("books", path)


def test_tag_and_media_of_forms_follow_the_theme(plain):
    template = engines["django"].from_string('{% load static %}{% static "shop.css" %}')
    media = Media(css={"all": ["shop.css"]}, js=["only.js"])

    with use_mirror("books"):
        books = [template.render({}), str(media)]
    with use_mirror("films"):
        films = [template.render({}), str(media)]

    assert books[0] == "/static/themes/dark/shop.css"
    assert "/static/themes/dark/shop.css" in books[1]
    assert films[0] == "/static/themes/light/shop.css"
    assert "dark" not in films[1]


def test_collected_names_hold_the_hash_of_the_themes_file(collected):
    links = [link(name) for name in ("books", "films", "music", "books")]

    plain_names = [HASH.sub(".", name) for name in links]
    assert plain_names == [
        "/static/themes/dark/shop.css",
        "/static/themes/light/shop.css",
        "/static/shop.css",
        "/static/themes/dark/shop.css",
    ]
    assert len(set(links)) == 3
    assert all((collected / name.removeprefix("/static/")).is_file() for name in links)


def test_links_inside_collected_files_lead_to_files_of_the_same_theme(collected):
    texts = {
        name: (collected / link(name).removeprefix("/static/")).read_text()
        for name in ("books", "films", "music")
    }

    found = {name: HASH.sub(".", text) for name, text in texts.items()}
    assert found == {
        "books": 'a { background: url("img/dark.png") }',
        "films": 'a { background: url("img/light.png") }',
        "music": 'a { background: url("all.png") }',
    }
    assert all(HASH.search(text) for text in texts.values())


def test_collected_file_of_a_theme_leads_to_a_file_of_the_project(collected):
    name = link("books", "back.css").removeprefix("/static/")

    text = (collected / name).read_text()

    assert HASH.sub(".", text) == 'a { background: url("../../all.png") }'


def test_collecting_in_a_mirror_makes_the_same_files(files, settings):
    store(settings, MANIFEST)
    call_command("collectstatic", interactive=False, verbosity=0)
    before = {path.name for path in (files / "collected").rglob("*")}

    with use_mirror("books"):
        call_command("collectstatic", interactive=False, verbosity=0, clear=True)

    assert {path.name for path in (files / "collected").rglob("*")} == before


def test_file_of_a_theme_that_was_not_collected_is_an_error(collected, files):
    write(files / "themes/dark/static/new.css", "")

    with pytest.raises(ValueError, match=r"themes/dark/new\.css"):
        link("books", "new.css")


def test_finder_lists_the_files_of_all_themes_by_prefix(files):
    listed = {
        f"{storage.prefix}/{name}" for name, storage in ThemeFinder().list(["*.png"])
    }

    assert listed == {
        "themes/dark/back.css",
        "themes/dark/only.js",
        "themes/dark/shop.css",
        "themes/light/back.css",
        "themes/light/shop.css",
    }


def test_finder_finds_a_file_by_its_prefix_in_every_mirror(files):
    with use_mirror("films"):
        found = finders.find("themes/dark/shop.css")
        everything = finders.find("themes/dark/shop.css", find_all=True)

    assert found == str(files / "themes/dark/static/shop.css")
    assert everything == [found]


@pytest.mark.parametrize(
    "path",
    [
        "themes/dark/../light/shop.css",
        "themes/dark/../../../secret.css",
        "themes/../secret.css",
        "themes/Not A Theme/x.css",
        "themes/dark",
        "themes/",
        "themes/dark/nothing.css",
        "other/dark/shop.css",
    ],
)
def test_finder_finds_nothing_beside_the_themes(files, path):
    assert ThemeFinder().find(path) == []


def test_finder_has_nothing_to_check(files):
    assert ThemeFinder().check() == []


def test_development_server_sends_the_file_of_a_theme(files, settings):
    from django.contrib.staticfiles.views import serve

    request = RequestFactory().get("/static/themes/light/shop.css")
    with closing(serve(request, "themes/light/shop.css", insecure=True)) as response:
        text = b"".join(response)

    assert b"light.png" in text


def test_finder_without_themes_finds_nothing(files, settings):
    settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "THEMES": None}

    assert list(ThemeFinder().list(None)) == []
    assert ThemeFinder().find("themes/dark/shop.css") == []


def test_storage_passes_for_the_one_it_stands_for(collected):
    assert isinstance(staticfiles_storage, FileSystemStorage)
    assert staticfiles_storage.exists("shop.css")
    assert staticfiles_storage.manifest_name == "staticfiles.json"
    assert "themes/dark/shop.css" in staticfiles_storage.hashed_files


def test_storage_takes_the_options_of_the_one_it_stands_for(files, settings):
    store(settings, PLAIN, base_url="https://cdn.example/")

    links = [link(name) for name in ("books", "music")]

    assert links == [
        "https://cdn.example/themes/dark/shop.css",
        "https://cdn.example/shop.css",
    ]


def test_storage_is_djangos_own_unless_it_is_told(files, settings):
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django_mirrors.staticfiles.ThemeStaticStorage"},
    }

    assert link("books") == "/static/themes/dark/shop.css"
