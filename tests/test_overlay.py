"""Settings that have a value of their own in each mirror."""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from django.conf import settings as project
from django.test import override_settings

from django_mirrors import (
    _compat_settings,
    _compat_sites,
    mail,
    overlay,
    themes,
    use_mirror,
    use_original,
)
from django_mirrors.exceptions import InvalidMirror, UnknownMirror
from django_mirrors.overlay import find_site_host, find_site_owner
from django_mirrors.registry import MirrorRegistry
from django_mirrors.signing import MirrorKey


@pytest.fixture(autouse=True)
def two_mirrors(settings):
    settings.MIRRORS = {
        "books": {
            "HOSTS": ["books.example"],
            "SETTINGS": {"DEFAULT_FROM_EMAIL": "b@x.example", "SHOP_COLOUR": "red"},
        },
        "films": {"HOSTS": ["films.example"]},
    }


def find_colour():
    return getattr(project, "SHOP_COLOUR", None)


def test_setting_has_the_value_of_the_current_mirror():
    with use_mirror("books"):
        assert (find_colour(), project.DEFAULT_FROM_EMAIL) == ("red", "b@x.example")


def test_setting_that_a_mirror_does_not_name_is_the_projects():
    with use_mirror("books"):
        inside = project.ROOT_URLCONF, project.USE_TZ

    assert inside == (project.ROOT_URLCONF, project.USE_TZ)


def test_value_of_one_mirror_is_not_kept_for_another():
    with use_mirror("books"):
        seen = [find_colour()]
        with use_mirror("films"):
            seen.append(find_colour())
        seen.append(find_colour())

    assert [*seen, find_colour()] == ["red", None, "red", None]


def test_value_of_the_project_is_not_kept_for_a_mirror():
    with use_mirror("films"):
        first = project.DEFAULT_FROM_EMAIL

    with use_mirror("books"):
        assert project.DEFAULT_FROM_EMAIL == "b@x.example"
    assert first == project.DEFAULT_FROM_EMAIL == "webmaster@localhost"


def test_values_that_were_asked_for_before_the_apps_were_ready_are_not_kept(
    monkeypatch,
):
    monkeypatch.setitem(project.__dict__, "SHOP_COLOUR", "green")
    monkeypatch.setitem(project.__dict__, "SECRET_KEY", "the project's own")

    _compat_settings.overlay_settings(
        overlay.find_overlaid, mail.find_mail_setting, MirrorKey
    )

    with use_mirror("books"):
        assert find_colour() == "red"
        assert isinstance(project.SECRET_KEY, MirrorKey)


def test_value_ends_with_an_exception():
    with pytest.raises(KeyboardInterrupt), use_mirror("books"):
        raise KeyboardInterrupt

    assert find_colour() is None


def test_override_in_a_test_wins_over_the_mirror():
    with use_mirror("books"), override_settings(SHOP_COLOUR="blue"):
        assert find_colour() == "blue"


def test_tasks_see_the_settings_of_their_own_mirror():
    async def ask(name):
        async with use_mirror(name):
            await asyncio.sleep(0)
            return find_colour()

    async def main():
        return await asyncio.gather(ask("books"), ask("films"))

    assert asyncio.run(main()) == ["red", None]


def test_site_belongs_to_the_mirror_and_its_primary_host():
    with use_mirror("books") as books:
        inside = find_site_owner()

    assert (inside, find_site_owner()) == ((books.uid, "books.example"), None)


@pytest.mark.parametrize("error", [InvalidMirror("wrong"), UnknownMirror("gone")])
@pytest.mark.parametrize(
    ("module", "find", "expected"),
    [
        (overlay, lambda: overlay.find_overlaid("SITE_ID"), _compat_settings.MISSING),
        (
            mail,
            lambda: mail.find_mail_setting("EMAIL_BACKEND"),
            _compat_settings.MISSING,
        ),
        (themes, themes.find_current_theme, None),
    ],
)
def test_command_whose_mirror_cannot_be_told_has_the_projects_own(
    monkeypatch, module, find, expected, error
):
    def fail():
        raise error

    monkeypatch.setattr(module, "find_current_mirror", fail)

    assert find() is expected


@pytest.mark.parametrize("find", [overlay.find_overlaid, mail.find_mail_setting])
def test_settings_are_the_projects_while_the_fleet_is_read(monkeypatch, find):
    monkeypatch.setattr(MirrorRegistry, "is_reading", True)

    with use_mirror("books"):
        assert find("DEFAULT_FROM_EMAIL") is _compat_settings.MISSING


def test_links_to_the_original_are_the_projects_affair():
    with use_mirror("books"):
        inside = find_site_host()
        with use_original():
            original = find_site_host()

    assert (inside, original, find_site_host()) == ("books.example", "", "")


@pytest.mark.parametrize(
    ("authority", "host", "expected"),
    [
        ("a.example:8000", "b.example", "b.example:8000"),
        ("a.example", "b.example", "b.example"),
        ("a.example:8000", "", "a.example:8000"),
    ],
)
def test_port_stays_when_the_host_of_a_link_is_replaced(authority, host, expected):
    assert _compat_sites.replace_host(authority, host) == expected


@pytest.fixture
def hasty():
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_that_ask_at_once_never_get_the_value_of_another(hasty):
    def ask(name):
        with use_mirror(name):
            return {project.DEFAULT_FROM_EMAIL for _ in range(5_000)}

    with ThreadPoolExecutor(4) as pool:
        films, books, *_ = pool.map(ask, ("films", "books", "films", "books"))

    assert (films, books) == ({"webmaster@localhost"}, {"b@x.example"})


@pytest.fixture
def watch():
    """Return a function that looks up a setting, and yields what was kept meanwhile.

    What is kept for a moment only is found by another thread in that moment.
    """

    def look_up(name):
        project.__dict__.pop(name, None)
        kept = []

        def look(frame, event, argument):
            values = object.__getattribute__(project, "__dict__")
            if event == "return" and name in values:
                kept.append(values[name])

        sys.setprofile(look)
        try:
            getattr(project, name)
        finally:
            sys.setprofile(None)
        return kept

    return look_up


@pytest.mark.parametrize("name", ["DEFAULT_FROM_EMAIL", "ADMINS"])
def test_value_of_the_project_is_not_kept_for_a_moment(watch, name):
    with use_mirror("films"):
        assert watch(name) == []


@pytest.mark.parametrize("name", sorted(_compat_settings.MAIL_SETTINGS))
@pytest.mark.filterwarnings("ignore:The EMAIL")
def test_mail_of_the_project_is_not_kept_for_a_moment(watch, name):
    with use_mirror("films"), suppress(AttributeError):  # of the other Django
        assert watch(name) == []


def test_key_that_others_are_derived_from_is_not_kept_for_a_moment(watch):
    with use_mirror("films"):
        kept = watch("SECRET_KEY")

    assert {type(key) for key in kept} == {MirrorKey}


def test_old_keys_that_others_are_derived_from_are_not_kept_for_a_moment(
    watch, settings
):
    settings.SECRET_KEY_FALLBACKS = ["old", "older"]

    with use_mirror("films"):
        kept = watch("SECRET_KEY_FALLBACKS")

    assert {type(key) for keys in kept for key in keys} == {MirrorKey}
