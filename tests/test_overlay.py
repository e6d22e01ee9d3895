"""Settings that have a value of their own in each mirror."""

import asyncio

import pytest
from django.conf import settings as project
from django.test import override_settings

from django_mirrors import use_mirror
from django_mirrors.overlay import find_site_owner


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
