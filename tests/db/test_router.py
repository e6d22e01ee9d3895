"""Models are read from and written to the current mirror's database, or not at all."""

import pytest
from django.contrib.sites.models import Site
from django.db import connection, connections, router, transaction
from django.db.models import Count
from django.test.utils import CaptureQueriesContext

from django_mirrors import use_mirror, use_original
from django_mirrors.exceptions import NoCurrentMirror, WrongMirror
from django_mirrors.models import Marker, MirrorRecord
from django_mirrors.testing import no_mirror
from tests.bookshop.models import Author, Book

pytestmark = pytest.mark.django_db

OPERATIONS = {
    "get": lambda: Book.objects.get(pk=1),
    "list": lambda: list(Book.objects.all()),
    "count": Book.objects.count,
    "exists": Book.objects.exists,
    "aggregate": lambda: Book.objects.aggregate(Count("pk")),
    "values": lambda: list(Book.objects.values()),
    "iterator": lambda: next(Book.objects.iterator()),
    "raw": lambda: list(Book.objects.raw("SELECT * FROM bookshop_book")),
    "create": lambda: Book.objects.create(title="Lost"),
    "save": lambda: Book(title="Lost").save(),
    "get_or_create": lambda: Book.objects.get_or_create(title="Lost"),
    "bulk_create": lambda: Book.objects.bulk_create([Book(title="Lost")]),
    "update": lambda: Book.objects.update(title="Lost"),
    "delete": lambda: Book.objects.all().delete(),
    "in_bulk": lambda: Book.objects.in_bulk([1]),
    "relation": lambda: Book(title="Lost", author=Author(pk=1)),
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_nothing_is_done_without_a_mirror(fleet, operation):
    with no_mirror(), CaptureQueriesContext(connections["original"]) as queries:
        with pytest.raises(NoCurrentMirror):
            operation()

    assert len(queries) == 0


@pytest.mark.parametrize("ask", [router.db_for_read, router.db_for_write])
def test_no_model_is_routed_without_a_mirror(fleet, ask):
    with no_mirror(), pytest.raises(NoCurrentMirror):
        ask(Book)


def test_model_is_routed_to_the_current_mirror(fleet):
    with use_mirror("films"):
        assert router.db_for_read(Book) == router.db_for_write(Book) == "films"
    with use_mirror("films-fr"):
        assert router.db_for_read(Book) == "films"
    with use_original():
        assert router.db_for_read(Book) == "original"


def test_object_says_where_it_came_from(fleet):
    with use_mirror("books"):
        book = Book.objects.create(title="Emma")

        assert book._state.db == Book.objects.get()._state.db == "books"


def test_relation_within_a_mirror_is_allowed(fleet):
    with use_mirror("books"):
        author, book = (
            Author.objects.create(name="Jane"),
            Book.objects.create(title="Emma"),
        )

        assert router.allow_relation(author, book)


def test_records_of_the_fleet_are_the_originals_in_every_mirror(fleet):
    with use_original():
        MirrorRecord.objects.create(
            name="music", definition={"HOSTS": ["music.example"]}
        )

    with use_mirror("books"):
        assert MirrorRecord.objects.get().name == "music"


def test_marker_is_every_mirrors_own(fleet):
    with use_mirror("books"):
        assert router.db_for_read(Marker) == "books"


@pytest.mark.parametrize(
    ("database", "app", "model", "allowed"),
    [
        ("books", "bookshop", "book", True),
        ("books", "django_mirrors", "mirrorrecord", False),
        ("books", "django_mirrors", "marker", True),
        ("books", "django_mirrors", None, False),
        ("books", "sites", "site", False),
        ("original", "django_mirrors", "mirrorrecord", True),
        ("original", "sites", "site", True),
        ("default", "sites", "site", True),
        ("analytics", "bookshop", "book", True),
    ],
)
def test_tables_are_made_where_they_belong(
    fleet, settings, database, app, model, allowed
):
    settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "ORIGINAL_APPS": ["sites"]}

    assert router.allow_migrate(database, app, model_name=model) is allowed


def test_default_means_the_current_mirror_when_tables_are_made(fleet):
    with use_mirror("books"):
        assert not router.allow_migrate(
            "default", "django_mirrors", model_name="mirrorrecord"
        )


@pytest.fixture
def original_sites(fleet, settings):
    """The app `sites` is in the original's database only."""
    settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "ORIGINAL_APPS": ["sites"]}
    with use_original():
        Site.objects.all().delete()
        return Site.objects.create(domain="original.example", name="Original")


def test_app_of_the_original_is_read_in_every_mirror(original_sites):
    with use_mirror("books"):
        assert Site.objects.get() == original_sites
        assert list(Site.objects.iterator(chunk_size=1)) == [original_sites]
        assert Site.objects.filter(domain__contains="original").count() == 1


def test_app_of_the_original_is_written_in_every_mirror(original_sites):
    with use_mirror("books"):
        site = Site.objects.create(domain="shop.example")
        site.name = "Shop"
        site.save()
        with transaction.atomic(using="original"), transaction.atomic(using="original"):
            Site.objects.update_or_create(
                domain="shop.example", defaults={"name": "New"}
            )
        original_sites.delete()

    with use_original():
        assert list(Site.objects.values_list("name", flat=True)) == ["New"]


def test_object_of_the_original_is_used_in_every_mirror(original_sites):
    with use_mirror("books"):
        original_sites.refresh_from_db()
        original_sites.save()
        Site.objects.bulk_update([original_sites], ["name"])


def test_app_of_the_original_does_not_open_the_original_to_other_models(original_sites):
    with use_mirror("books"):
        list(Site.objects.all())
        with pytest.raises(WrongMirror):
            list(Book.objects.using("original"))
        with pytest.raises(WrongMirror):
            connections["original"].cursor()


def test_cursor_of_the_original_stays_closed_in_its_transaction(original_sites):
    with use_mirror("books"), transaction.atomic(using="original"):
        with pytest.raises(WrongMirror):
            connections["original"].cursor()


def test_app_of_the_original_needs_a_mirror(original_sites):
    with no_mirror(), pytest.raises(NoCurrentMirror):
        list(Site.objects.all())


def test_query_on_an_app_of_the_original_belongs_to_no_mirror(original_sites):
    with use_mirror("books"):
        sites = Site.objects.filter(pk__gt=0)

    with use_mirror("films"):
        assert list(sites) == [original_sites]


def test_object_of_a_mirror_is_not_related_to_one_of_the_original(original_sites):
    with use_mirror("books"):
        book = Book.objects.create(title="Emma")

        assert not router.allow_relation(book, original_sites)


def test_features_and_sql_are_known_without_a_mirror(fleet):
    with no_mirror():
        assert connection.vendor == "sqlite"
        assert connection.ops.quote_name("title") == '"title"'
