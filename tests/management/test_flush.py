"""Django's command `flush`, where mirrors share a database and where they do not."""

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from django_mirrors import use_mirror
from tests.bookshop.models import Book

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def filled(fleet):
    for name in ("books", "films"):
        with use_mirror(name):
            Book.objects.create(title=name)


def list_titles(name):
    with use_mirror(name):
        return [*Book.objects.values_list("title", flat=True)]


@pytest.mark.parametrize("name", ["films", "films-fr"])
def test_tables_that_mirrors_share_are_not_emptied(filled, name):
    with use_mirror(name), pytest.raises(CommandError, match="'films', 'films-fr'"):
        call_command("flush", interactive=False, verbosity=0)

    assert list_titles("films") == ["films"]


def test_tables_of_one_mirror_are_emptied(filled):
    with use_mirror("books"):
        call_command("flush", interactive=False, verbosity=0)

    assert list_titles("books") == []
    assert list_titles("films") == ["films"]
