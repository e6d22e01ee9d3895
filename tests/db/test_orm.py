"""The ORM as every project uses it, in two mirrors that hold equal keys."""

import pickle
from copy import deepcopy

import pytest
from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection, connections
from django.db.models import Count, F, Q, Sum
from django.test.utils import CaptureQueriesContext

from django_mirrors import use_mirror
from tests.bookshop.models import Author, Book, Tag

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["books", "films"])
def mirror(request, fleet):
    """Each mirror in turn is current; the other one holds rows of the same keys."""
    other = "films" if request.param == "books" else "books"
    with use_mirror(other):
        author = Author.objects.create(name="Somebody else")
        book = Book.objects.create(title="Not yours", author=author, stock=99)
        book.tags.add(Tag.objects.create(name="not yours"))
    with use_mirror(request.param):
        yield request.param
    with use_mirror(other):
        assert list(Book.objects.values_list("title", "stock")) == [("Not yours", 99)]
        assert [tag.name for tag in Book.objects.get().tags.all()] == ["not yours"]


@pytest.fixture
def author(mirror):
    """An author with three books in stock, and two tags."""
    author = Author.objects.create(name="Jane Austen")
    Book.objects.bulk_create(
        Book(title=f"Novel {number}", author=author, stock=number)
        for number in range(1, 4)
    )
    return author


def test_many_to_many(author):
    tags = [Tag.objects.create(name=name) for name in ("classic", "romance")]
    book = author.books.first()

    book.tags.set(tags)
    book.tags.remove(tags[0])
    book.tags.create(name="funny")

    assert [tag.name for tag in book.tags.order_by("name")] == ["funny", "romance"]
    assert list(tags[1].books.all()) == [book]


def test_prefetch_and_select_related(author, mirror):
    with CaptureQueriesContext(connections[mirror]) as queries:
        (found,) = Author.objects.prefetch_related("books__tags")
        titles = [book.title for book in found.books.all()]
        names = {book.author.name for book in Book.objects.select_related("author")}

    assert titles == ["Novel 1", "Novel 2", "Novel 3"]
    assert names == {"Jane Austen"}
    assert len(queries) == 4


def test_bulk_operations(author):
    books = list(Book.objects.all())
    for book in books:
        book.stock += 10

    Book.objects.bulk_update(books, ["stock"], batch_size=2)
    Book.objects.filter(stock__gt=12).update(stock=F("stock") + 1)
    Book.objects.bulk_create(
        [Book(pk=books[0].pk, title="Renamed")],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=["title"],
    )

    assert list(Book.objects.values_list("title", "stock")) == [
        ("Renamed", 11), ("Novel 2", 12), ("Novel 3", 14),
    ]  # fmt: skip
    assert set(Book.objects.in_bulk()) == {book.pk for book in books}


def test_aggregates_subqueries_and_unions(author):
    cheap = Book.objects.filter(stock__lt=3)

    assert Book.objects.aggregate(Sum("stock")) == {"stock__sum": 6}
    assert Author.objects.annotate(n=Count("books")).get().n == 3
    assert (
        Author.objects.filter(Q(books__in=cheap) & ~Q(name="")).distinct().count() == 1
    )
    assert cheap.order_by().union(Book.objects.order_by()).count() == 3


def test_deletion_cascades(author):
    deleted, _ = author.delete()

    assert deleted == 4
    assert not Book.objects.exists()


def test_deferred_fields_and_refresh(author):
    book = Book.objects.only("title").first()
    Book.objects.update(stock=7)

    assert book.stock == 7
    book.save(update_fields=["title"])
    book.refresh_from_db()
    assert book.author == author


def test_pickle_and_deepcopy(author):
    books = pickle.loads(pickle.dumps(Book.objects.all()))
    query = deepcopy(Book.objects.filter(stock=2))

    assert len(books) == 3
    books[0].save()
    assert query.get().title == "Novel 2"


def test_content_types_permissions_and_the_admins_log(author):
    user = get_user_model().objects.create_user("jane")
    kind = ContentType.objects.get_for_model(Book)
    user.user_permissions.add(Permission.objects.get(codename="add_book"))
    LogEntry.objects.create(
        user=user,
        content_type=kind,
        object_id="1",
        object_repr="x",
        action_flag=ADDITION,
    )

    assert get_user_model().objects.get(pk=user.pk).has_perm("bookshop.add_book")
    assert LogEntry.objects.get().content_type == kind
    assert kind._state.db == connection.alias


def test_raw_queries(author):
    books = Book.objects.raw(
        "SELECT * FROM bookshop_book WHERE stock > %s ORDER BY id", [1]
    )

    assert [book.title for book in books] == ["Novel 2", "Novel 3"]
    assert {book.author.name for book in books} == {"Jane Austen"}


def test_validation_of_unique_values(mirror):
    Tag.objects.create(name="classic")

    assert Tag(name="not yours").full_clean() is None
    with pytest.raises(Exception, match="already exists"):
        Tag(name="classic").full_clean()
