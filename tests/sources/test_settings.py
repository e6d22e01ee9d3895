"""Mirrors declared in the setting MIRRORS."""

import pytest

from django_mirrors import mirrors
from django_mirrors.exceptions import InvalidMirror


def test_declared_mirror_is_completed_by_the_defaults(settings):
    settings.MIRRORS_OPTIONS = {
        "DEFAULTS": {"HOSTS": ["{name}.example"], "STORAGE": "file:///srv/{name}/"},
        "SNAPSHOT": None,
    }
    settings.MIRRORS = {"books": {}, "films": {"HOSTS": ["other.example"]}}

    assert mirrors["books"].hosts == ("books.example",)
    assert mirrors["films"].hosts == ("other.example",)
    assert mirrors["films"].storages == {"default": "file:///srv/films/"}


def test_problems_of_all_mirrors_are_told_at_once(settings):
    settings.MIRRORS = {
        "books": {"HOSTS": []},
        "Films": {"HOSTS": ["films.example"]},
        "games": [],
    }

    with pytest.raises(InvalidMirror) as caught:
        mirrors.get_snapshot()

    assert [problem.split(" ")[0] for problem in caught.value.problems] == [
        "MIRRORS['books']['HOSTS']",
        "MIRRORS['Films']:",
        "MIRRORS['games']",
    ]


@pytest.mark.parametrize("name", ["\udcff", "a\ud800", None, 5])
def test_name_that_is_no_text_is_a_problem_and_no_crash(settings, name):
    settings.MIRRORS = {name: {"HOSTS": ["books.example"]}}

    with pytest.raises(InvalidMirror, match="is not a mirror's name"):
        mirrors.get_snapshot()
