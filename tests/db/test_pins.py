"""Objects and lazy queries of one mirror are refused in another."""

import pickle
from contextlib import closing
from copy import copy, deepcopy

import pytest
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.core.files.base import ContentFile
from django.db import connections
from django.db.models import (
    Count,
    Exists,
    F,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Subquery,
    prefetch_related_objects,
)
from django.utils.connection import ConnectionDoesNotExist

from django_mirrors import cross_mirrors, use_mirror, use_original
from django_mirrors.db.pins import pin_queries
from django_mirrors.exceptions import NoCurrentMirror, WrongMirror
from django_mirrors.testing import no_mirror
from tests.bookshop.models import Author, Book, Tag

pytestmark = pytest.mark.django_db


@pytest.fixture
def shelves(fleet):
    """Fill both mirrors: the same keys, other titles."""
    for mirror, title in (("books", "Emma"), ("films", "Alien")):
        with use_mirror(mirror):
            author = Author.objects.create(name=f"Author of {title}")
            book = Book.objects.create(title=title, author=author)
            book.tags.add(Tag.objects.create(name="classic"))
            book.cover.save("cover.txt", ContentFile(title.encode()))
    return fleet


@pytest.fixture
def emma(shelves):
    """A book of the mirror `books`."""
    with use_mirror("books"):
        return Book.objects.get()


def list_titles(mirror):
    with use_mirror(mirror):
        return list(Book.objects.values_list("title", flat=True))


QUERY_SET_USES = {
    "iterate": list,
    "count": lambda books: books.count(),
    "exists": lambda books: books.exists(),
    "contains": bool,
    "get": lambda books: books.get(pk=1),
    "first": lambda books: books.first(),
    "slice": lambda books: books[0],
    "len": len,
    "values": lambda books: list(books.values()),
    "aggregate": lambda books: books.aggregate(Count("pk")),
    "iterator": lambda books: next(books.iterator()),
    "in_bulk": lambda books: books.in_bulk(),
    "explain": lambda books: books.explain(),
    "dates": lambda books: list(books.filter(title="x").order_by("pk").reverse()),
    "update": lambda books: books.update(title="Stolen"),
    "delete": lambda books: books.delete(),
    "create": lambda books: books.create(title="Stolen"),
    "get_or_create": lambda books: books.get_or_create(title="Stolen"),
    "update_or_create": lambda books: books.update_or_create(title="Stolen"),
    "bulk_create": lambda books: books.bulk_create([Book(title="Stolen")]),
    "union": lambda books: list(books.union(books.all())),
    "raw": lambda books: list(books.raw("SELECT * FROM bookshop_book")),
    "pickle": lambda books: list(pickle.loads(pickle.dumps(books.query)) and books),
    "deepcopy": lambda books: list(deepcopy(books)),
    "inside Q": lambda books: list(Book.objects.filter(Q(pk__in=books) | Q(pk=1))),
    "in": lambda books: list(Book.objects.filter(pk__in=books.values("pk"))),
    "exclude in": lambda books: list(Book.objects.exclude(pk__in=books.values("pk"))),
    "relation": lambda books: list(Author.objects.filter(books__in=books)),
    "Subquery": lambda books: list(
        Author.objects.annotate(book=Subquery(books.values("title")[:1]))
    ),
    "Exists": lambda books: list(
        Author.objects.filter(Exists(books.filter(author=OuterRef("pk"))))
    ),
    "union of the other": lambda books: list(Book.objects.union(books)),
    "difference": lambda books: list(Book.objects.order_by().difference(books)),
    "update from": lambda books: Book.objects.update(
        title=Subquery(books.values("title")[:1])
    ),
    "Prefetch": lambda books: list(
        Author.objects.prefetch_related(Prefetch("books", queryset=books))
    ),
}


@pytest.mark.parametrize("use", QUERY_SET_USES.values(), ids=QUERY_SET_USES)
def test_query_set_of_one_mirror_raises_in_another(shelves, use):
    with use_mirror("books"):
        books = Book.objects.order_by("pk").filter(pk__gt=0)

    with use_mirror("films"), pytest.raises(WrongMirror):
        use(books)

    assert list_titles("films") == ["Alien"]
    assert list_titles("books") == ["Emma"]


@pytest.mark.parametrize("use", QUERY_SET_USES.values(), ids=QUERY_SET_USES)
def test_query_set_of_a_mirror_raises_without_one(shelves, use):
    with use_mirror("books"):
        books = Book.objects.order_by("pk").filter(pk__gt=0)

    with no_mirror(), pytest.raises((NoCurrentMirror, WrongMirror)):
        use(books)


OBJECT_USES = {
    "save": lambda book: book.save(),
    "save some fields": lambda book: book.save(update_fields=["title"]),
    "save in default": lambda book: book.save(using="default"),
    "delete": lambda book: book.delete(),
    "delete in default": lambda book: book.delete(using="default"),
    "refresh": lambda book: book.refresh_from_db(),
    "refresh from default": lambda book: book.refresh_from_db(using="default"),
    "related object": lambda book: book.author.name,
    "many to many": lambda book: list(book.tags.all()),
    "many to many add": lambda book: book.tags.add(1),
    "many to many create": lambda book: book.tags.create(name="stolen"),
    "many to many set": lambda book: book.tags.set([]),
    "many to many clear": lambda book: book.tags.clear(),
    "bulk_create": lambda book: Book.objects.bulk_create([book]),
    "bulk_create of an iterator": lambda book: Book.objects.bulk_create(iter([book])),
    "bulk_update": lambda book: Book.objects.bulk_update([book], ["title"]),
    "filter": lambda book: list(Author.objects.filter(books=book)),
    "filter by several": lambda book: list(Author.objects.filter(books__in=[book])),
    "get_or_create": lambda book: Author.objects.get_or_create(books=book),
    "prefetch": lambda book: prefetch_related_objects([book], "tags"),
    "open its file": lambda book: book.cover.open(),
    "read its file": lambda book: book.cover.read(),
    "url of its file": lambda book: book.cover.url,
    "path of its file": lambda book: book.cover.path,
    "size of its file": lambda book: book.cover.size,
    "save its file": lambda book: book.cover.save(
        "x.txt", ContentFile(b"x"), save=False
    ),
    "delete its file": lambda book: book.cover.delete(save=False),
}


@pytest.mark.parametrize("use", OBJECT_USES.values(), ids=OBJECT_USES)
def test_object_of_one_mirror_raises_in_another(shelves, emma, use):
    with use_mirror("films"), pytest.raises(WrongMirror):
        use(emma)

    assert list_titles("films") == ["Alien"]
    assert list_titles("books") == ["Emma"]


def test_copy_of_an_object_with_no_key_raises_in_another_mirror(emma):
    stray = copy(emma)
    stray.pk = None
    stray._state.adding = True

    with use_mirror("films"), pytest.raises(WrongMirror):
        stray.save()


def test_deferred_field_raises_in_another_mirror(shelves):
    with use_mirror("books"):
        book = Book.objects.only("pk").get()

    with use_mirror("films"), pytest.raises(WrongMirror):
        book.title


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_object_is_pickled_with_its_mirror(emma, protocol):
    with use_mirror("books"):
        copied = pickle.loads(pickle.dumps(emma, protocol))

        assert copied == emma
        assert copied._state.db.mirror == "books"
        assert type(copied._state.db) is type(emma._state.db)


def test_pickled_object_raises_in_another_mirror(emma):
    with use_mirror("films"), pytest.raises(WrongMirror):
        pickle.loads(pickle.dumps(emma)).save()


def test_deepcopy_of_an_object_raises_in_another_mirror(emma):
    with use_mirror("films"), pytest.raises(WrongMirror):
        deepcopy(emma).save()


def test_object_read_by_the_name_default_belongs_to_its_mirror(shelves):
    with use_mirror("books"):
        book = Book.objects.using("default").get()
        assert book._state.db == "books"

    with use_mirror("films"), pytest.raises(WrongMirror):
        book.save()


def test_object_saved_by_the_name_default_belongs_to_its_mirror(shelves):
    with use_mirror("books"):
        book = Book(title="Persuasion")
        book.save(using="default")

        assert book._state.db == "books"


def test_object_read_by_the_name_of_a_sharing_mirror_belongs_to_it(shelves):
    with use_mirror("films-fr"):
        film = Book.objects.using("films-fr").get()

        assert film._state.db == "films"
    with use_mirror("films"), pytest.raises(WrongMirror) as caught:
        film.save()
    assert str(caught.value) == (
        "Book of mirror 'films-fr' was used while 'films' is current. "
        "Get it again in 'films', or say why in 'with cross_mirrors(reason):'."
    )


def test_related_object_of_another_mirror_is_not_assigned(shelves, emma):
    with use_mirror("films"):
        with pytest.raises(WrongMirror):
            Author.objects.get().books.add(emma)
        with pytest.raises(WrongMirror):
            emma.author = Author.objects.get()


def test_new_object_does_not_take_a_related_object_of_another_mirror(shelves):
    with use_mirror("books"):
        author = Author.objects.get()

    with use_mirror("films"), pytest.raises(WrongMirror):
        Book(title="Mixed", author=author)


def test_tag_of_another_mirror_is_not_added(shelves):
    with use_mirror("books"):
        tag = Tag.objects.get()

    with use_mirror("films"), pytest.raises(WrongMirror):
        Book.objects.get().tags.add(tag)


def test_update_with_an_object_of_another_mirror_raises(shelves):
    with use_mirror("books"):
        author = Author.objects.get()

    with use_mirror("films"), pytest.raises(WrongMirror):
        Book.objects.update(author=author)


def test_unsaved_object_with_a_related_one_belongs_to_its_mirror(shelves):
    with use_mirror("books"):
        book = Book(title="Persuasion", author=Author.objects.get())

    with use_mirror("films"), pytest.raises(WrongMirror):
        book.save()


def test_unsaved_object_belongs_to_no_mirror(shelves):
    with use_mirror("books"):
        book = Book(title="Persuasion")

    with use_mirror("films"):
        book.save()

    assert list_titles("films") == ["Alien", "Persuasion"]


def test_open_file_of_another_mirror_is_not_opened_again(emma):
    with use_mirror("books"):
        emma.cover.open()

    with closing(emma.cover), use_mirror("films"), pytest.raises(WrongMirror):
        emma.cover.open()


def test_user_of_another_mirror_has_no_permissions(fleet):
    with use_mirror("books"):
        user = get_user_model().objects.create_user("jane")

    with use_mirror("films"), pytest.raises(WrongMirror):
        user.has_perm("bookshop.add_book")


def test_raw_query_set_raises_in_another_mirror(shelves):
    with use_mirror("books"):
        books = Book.objects.raw("SELECT * FROM bookshop_book")

    with use_mirror("films"), pytest.raises(WrongMirror):
        list(books)


def test_query_set_built_without_a_mirror_follows_the_current_one(shelves):
    with no_mirror():
        books = Book.objects.filter(pk__gt=0)

    with use_mirror("books"):
        assert books.all().get().title == "Emma"
    with use_mirror("films"):
        assert books.all().get().title == "Alien"


def test_query_set_built_without_a_mirror_counts_inside_another_query(shelves):
    with no_mirror():
        books = Book.objects.filter(pk__gt=0)

    with use_mirror("films"):
        assert Author.objects.filter(books__in=books).count() == 1


def test_changed_query_set_belongs_to_the_mirror_it_was_changed_in(shelves):
    with no_mirror():
        books = Book.objects.filter(pk__gt=0)
    with use_mirror("books"):
        changed = books.filter(title="Emma")

    with use_mirror("films"), pytest.raises(WrongMirror):
        list(changed)


def test_query_set_with_objects_already_read_is_data(shelves):
    with use_mirror("books"):
        books = Book.objects.all()
        len(books)

    with use_mirror("films"):
        assert [book.title for book in books] == ["Emma"]


def test_query_set_of_another_mirror_is_not_sent_elsewhere_by_using(shelves):
    with use_mirror("books"):
        books = Book.objects.all()

    with use_mirror("films"), pytest.raises(WrongMirror):
        books.using("films")


def test_using_makes_a_query_set_that_was_built_with_no_mirror_the_mirrors(shelves):
    with no_mirror():
        books = Book.objects.all()

    with use_mirror("films"):
        assert books.using("films").get().title == "Alien"


def test_object_is_not_written_elsewhere_by_using(shelves, emma):
    with use_mirror("films"):
        with pytest.raises(WrongMirror):
            emma.save(using="films")
        with pytest.raises(WrongMirror):
            Book.objects.using("films").bulk_create([emma])

        assert Book.objects.count() == 1


def test_using_another_mirror_raises(shelves):
    with use_mirror("films"), pytest.raises(WrongMirror):
        Book.objects.using("books").get()


def test_query_set_using_another_mirror_raises_inside_a_query(shelves):
    with use_mirror("films"), pytest.raises(WrongMirror):
        list(
            Author.objects.annotate(
                title=Subquery(Book.objects.using("books").values("title")[:1])
            )
        )


def test_using_default_inside_another_query_is_the_current_mirror(shelves):
    with use_mirror("books"):
        books = Book.objects.using("default")

        assert Author.objects.filter(books__in=books).count() == 1


def test_using_default_is_pinned(shelves):
    with use_mirror("books"):
        books = Book.objects.using("default")

    with use_mirror("films"), pytest.raises(WrongMirror):
        list(books)


def test_manager_for_default_follows_the_current_mirror(shelves):
    manager = Book.objects.db_manager("default")

    with use_mirror("books"):
        assert manager.get().title == "Emma"
    with use_mirror("films"):
        assert manager.get().title == "Alien"


def test_crossing_lets_a_query_set_reach_its_owner(shelves):
    with use_mirror("books"):
        books = Book.objects.filter(pk__gt=0)

    with use_mirror("films"), cross_mirrors("compare"):
        assert books.get().title == "Emma"
        assert Book.objects.get().title == "Alien"


def test_crossing_lets_an_object_reach_its_owner(shelves, emma):
    with use_mirror("films"), cross_mirrors("correct a title"):
        emma.title = "Emma, a novel"
        emma.save()
        assert emma.author.name == "Author of Emma"
        assert [tag._state.db for tag in emma.tags.all()] == ["books"]

    assert list_titles("books") == ["Emma, a novel"]
    assert list_titles("films") == ["Alien"]


def test_crossing_lets_using_reach_another_mirror(shelves):
    with use_mirror("films"), cross_mirrors("compare"):
        assert Book.objects.using("books").get().title == "Emma"


def test_crossing_does_not_mix_two_mirrors_in_one_query(shelves):
    with use_mirror("books"):
        books = Book.objects.all()

    with use_mirror("films"), cross_mirrors("compare"), pytest.raises(WrongMirror):
        list(Author.objects.filter(Exists(books)))


def test_raw_query_set_reaches_its_owner_while_crossing(shelves):
    with use_mirror("books"):
        books = Book.objects.raw("SELECT * FROM bookshop_book")

    with use_mirror("films"), cross_mirrors("compare"):
        assert [(book.title, book._state.db) for book in books] == [("Emma", "books")]


def test_sharing_mirrors_do_not_share_objects_and_query_sets(shelves):
    with use_mirror("films"):
        films, film = Book.objects.filter(pk__gt=0), Book.objects.get()

    with use_mirror("films-fr"):
        with pytest.raises(WrongMirror):
            film.save()
        with pytest.raises(WrongMirror):
            films.get()
        with pytest.raises(WrongMirror):
            Author.objects.filter(books__in=films).exists()
        assert Book.objects.get() == film


def test_objects_of_sharing_mirrors_are_related_where_mirrors_are_crossed(shelves):
    with use_mirror("films"):
        film = Book.objects.get()

    with use_mirror("films-fr"), cross_mirrors("a test"):
        film.author = Author.objects.create(name="Ridley")
        film.save()
        assert Book.objects.get().author.name == "Ridley"


def test_alias_of_a_connection_leaves_open_who_uses_it(shelves):
    with use_mirror("films-fr"):
        film = Book(title="Aliens")
        film._state.db = connections["default"].alias
        film.save()

        assert film._state.db.mirror == "films-fr"


def test_sharing_mirrors_have_content_types_of_their_own(shelves):
    with use_mirror("films"):
        ContentType.objects.get_for_model(Book)

    with use_mirror("films-fr"):
        found = ContentType.objects.get_for_model(Book)
        assert found.permission_set.count() == 4


def test_content_types_are_kept_by_mirror(shelves, django_assert_num_queries):
    with use_mirror("films"):
        ContentType.objects.clear_cache()
        first = ContentType.objects.get_for_model(Book)

        with django_assert_num_queries(0):
            assert ContentType.objects.get_for_model(Book) is first


def test_object_of_the_original_raises_in_a_mirror(shelves):
    with use_original():
        book = Book.objects.create(title="Demo")

    with use_mirror("books"), pytest.raises(WrongMirror):
        book.save()


def test_object_of_a_mirror_raises_in_the_original(emma):
    with use_original(), pytest.raises(WrongMirror):
        emma.save()


def test_query_that_is_only_shown_needs_no_connection(fleet):
    with no_mirror():
        text = str(Book.objects.filter(stock=F("pk")).query)

    assert text.startswith('SELECT "bookshop_book"')


@pytest.mark.django_db(databases=["default", "analytics"])
def test_projects_own_database_is_used_by_name_in_every_mirror(shelves):
    with use_mirror("books"):
        Book.objects.using("analytics").create(title="Counted")
    with use_mirror("films"):
        book = Book.objects.using("analytics").get()
        book.title = "Counted twice"
        book.save()
    with no_mirror():
        assert Book.objects.using("analytics").get().title == "Counted twice"

    assert list_titles("books") == ["Emma"]
    assert list_titles("films") == ["Alien"]


@pytest.mark.django_db(databases=["default", "analytics"])
def test_lazy_query_may_be_part_of_one_on_the_projects_own_database(shelves):
    with use_mirror("books"):
        Book.objects.using("analytics").create(title="Counted")
        books = Book.objects.filter(title="Counted").values("pk")

        counted = Book.objects.using("analytics").filter(pk__in=books)

        assert [book.title for book in counted] == ["Counted"]


def test_query_on_no_model_does_not_reach_the_original_from_a_mirror(fleet):
    condition = Q(stock__gt=1)
    with use_original():
        assert condition.check({"stock": 2}, using="original")

    with use_mirror("books"), pytest.raises(WrongMirror):
        condition.check({"stock": 2}, using="original")


def test_messages_say_what_and_what_to_do(shelves, emma):
    with use_mirror("books"):
        books = Book.objects.values("pk")

    with use_mirror("films"):
        with pytest.raises(WrongMirror) as of_object:
            emma.save()
        with pytest.raises(WrongMirror) as of_query:
            list(Book.objects.filter(Exists(books)))

    assert str(of_object.value) == (
        "Book of mirror 'books' was used while 'films' is current. "
        "Get it again in 'films', or say why in 'with cross_mirrors(reason):'."
    )
    assert str(of_query.value) == (
        "A query on Book of mirror 'books' was used on the database of mirror 'films'. "
        "Build it again in that mirror."
    )


def test_nothing_is_connected_to_for_a_refused_query(shelves):
    with use_mirror("books"):
        books = Book.objects.all()
    connections["films"].close()

    with use_mirror("films"), pytest.raises(WrongMirror):
        list(books)

    assert connections["films"].connection is None


def test_query_sets_are_wrapped_once():
    before = QuerySet.__init__

    pin_queries()

    assert QuerySet.__init__ is before


def test_alias_that_is_no_mirrors_can_be_corrected(fleet):
    with use_mirror("books"):
        books = Book.objects.using("nonexistent")
        with pytest.raises(ConnectionDoesNotExist):
            list(books)

        assert list(books.using("default")) == []
