"""Which mirror a command line names."""

import pytest
from django.db import connections

from django_mirrors import context
from django_mirrors.context import find_current_name
from django_mirrors.db.command import choose_command_mirror


@pytest.fixture(autouse=True)
def fleet(settings, monkeypatch):
    """Declare `books`, and undo what a command leaves for the life of its process."""
    settings.MIRRORS = {"books": {"HOSTS": ["books.example"]}}
    settings.MIRRORS_OPTIONS = {"RECORDS": False}
    monkeypatch.setattr(context, "_command", None)
    monkeypatch.setattr(connections.settings, "_pinned", {})


@pytest.mark.parametrize("option", [["--database", "books"], ["--database=books"]])
def test_option_names_a_mirror_whose_alias_is_seen(option):
    choose_command_mirror(["manage.py", "migrate", "-v", "2", *option])

    assert find_current_name() == "books"
    assert list(connections.settings) == ["default", "analytics", "books"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["migrate"],
        ["migrate", "--database", "default"],
        ["migrate", "--database", "analytics"],
        ["migrate", "--database", "nobody"],
        ["migrate", "--database"],
        ["shell", "--", "--database", "books"],
        ["mirror_list", "--database", "books"],
    ],
)
def test_command_that_names_no_mirror_acts_in_the_original(arguments):
    choose_command_mirror(["manage.py", *arguments])

    assert find_current_name() == "original"
    assert list(connections.settings) == ["default", "analytics"]


def test_command_of_a_project_with_plain_databases_acts_in_the_original(monkeypatch):
    monkeypatch.setitem(vars(connections), "settings", {"default": {}, "other": {}})

    choose_command_mirror(["manage.py", "migrate", "--database", "other"])

    assert find_current_name() == "original"
