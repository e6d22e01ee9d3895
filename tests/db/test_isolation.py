"""Two mirrors, one process: what is done in one is not seen in the other."""

import pytest
from django.db import connection, transaction

from django_mirrors import use_mirror
from django_mirrors.exceptions import WrongMirror
from tests.bookshop.models import Book

pytestmark = pytest.mark.django_db


def test_rows_of_one_mirror_are_not_seen_in_another(fleet):
    with use_mirror("books"):
        Book.objects.create(title="Emma")

    with use_mirror("films"):
        assert not Book.objects.exists()
    with use_mirror("books"):
        assert Book.objects.get().title == "Emma"


def test_atomic_without_using_rolls_back_the_current_mirror(fleet):
    with use_mirror("books"):
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            Book.objects.create(title="Emma")
            1 / 0

        assert not Book.objects.exists()


def test_connection_is_the_current_mirrors(fleet):
    with use_mirror("films"):
        assert connection.alias == "films"


def test_saving_an_object_of_another_mirror_raises(fleet):
    with use_mirror("books"):
        book = Book.objects.create(title="Emma")

    with (
        use_mirror("films"),
        pytest.raises(WrongMirror, match="Book of mirror 'books'"),
    ):
        book.save()
