"""What code can do with objects and queries of one mirror, sync and async."""

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import (
    AnonymousUser,
    Permission,
    User,
    update_last_login,
)
from django.core.files.base import ContentFile
from django.db import connections, models, transaction
from django.db.models import (
    Count,
    Exists,
    OuterRef,
    Prefetch,
    Q,
    Subquery,
    aprefetch_related_objects,
    prefetch_related_objects,
)

from tests.bookshop.models import Author, Book, Tag

__all__ = [
    "ASYNC_OPERATIONS",
    "CONNECTION_OPERATIONS",
    "OPERATIONS",
    "Goods",
    "list_names",
    "take_goods",
]


@dataclass(frozen=True)
class Goods:
    """What was got in one mirror, and is used in another one."""

    alias: str
    books: "models.QuerySet[Book]"  # not read yet
    raw: Any
    book: Book
    copy: Book  # of it, to be a new row
    bare: Book  # with a deferred title
    author: Author
    tag: Tag
    user: User
    permission: Permission


def take_goods() -> Goods:
    """Return goods of the current mirror."""
    copy = Book.objects.get(pk=1)
    copy.pk = None
    return Goods(
        alias=copy._state.db,
        books=Book.objects.order_by("pk").filter(pk__gt=0),
        raw=Book.objects.raw("SELECT * FROM bookshop_book"),
        book=Book.objects.get(pk=1),
        copy=copy,
        bare=Book.objects.defer("title").get(pk=1),
        author=Author.objects.get(pk=1),
        tag=Tag.objects.get(pk=1),
        user=User.objects.get(pk=1),
        permission=Permission.objects.order_by("pk")[0],
    )


def set_author(goods: Goods) -> None:
    """Assign an author of another mirror to a book of this one, and save it."""
    book = Book.objects.get(pk=1)
    book.author = goods.author
    book.save()


def change_author(goods: Goods) -> None:
    """Reach the other mirror's author through its book."""
    goods.book.author.books.update(title="Stolen")


def write_in_atomic(goods: Goods) -> None:
    """Save inside a transaction of this mirror."""
    with transaction.atomic():
        goods.book.save()


def read_file(goods: Goods) -> None:
    """Read the file of an object."""
    with goods.book.cover as cover:
        cover.read()


OPERATIONS: dict[str, Callable[[Goods], object]] = {
    # Lazy queries.
    "iterate": lambda a: list(a.books),
    "count": lambda a: a.books.count(),
    "exists": lambda a: a.books.exists(),
    "get": lambda a: a.books.get(pk=1),
    "first": lambda a: a.books.first(),
    "earliest": lambda a: a.books.earliest("pk"),
    "slice": lambda a: a.books[0],
    "values": lambda a: list(a.books.values_list("title")),
    "aggregate": lambda a: a.books.aggregate(Count("pk")),
    "iterator": lambda a: list(a.books.iterator()),
    "in_bulk": lambda a: a.books.in_bulk([1]),
    "contains": lambda a: a.books.contains(Book.objects.get(pk=1)),
    "raw": lambda a: list(a.raw),
    "update": lambda a: a.books.update(title="Stolen"),
    "delete": lambda a: a.books.delete(),
    "create": lambda a: a.books.create(title="Stolen"),
    "get_or_create": lambda a: a.books.get_or_create(title="Stolen"),
    "update_or_create": lambda a: a.books.update_or_create(
        pk=1, defaults={"title": "Stolen"}
    ),
    "using": lambda a: list(a.books.using("default")),
    "select_for_update": lambda a: list(a.books.select_for_update()),
    # Lazy queries inside others.
    "in a filter": lambda a: list(Book.objects.filter(pk__in=a.books)),
    "in a Q": lambda a: list(Book.objects.filter(~Q(pk__in=a.books.values("pk")))),
    "in a relation": lambda a: list(Author.objects.filter(books__in=a.books)),
    "Subquery": lambda a: list(
        Author.objects.annotate(title=Subquery(a.books.values("title")[:1]))
    ),
    "Exists": lambda a: list(
        Author.objects.filter(Exists(a.books.filter(author=OuterRef("pk"))))
    ),
    "update from Subquery": lambda a: Book.objects.update(
        title=Subquery(a.books.values("title")[:1])
    ),
    "union": lambda a: list(Book.objects.order_by().union(a.books)),
    "intersection": lambda a: list(Book.objects.order_by().intersection(a.books)),
    "difference": lambda a: list(Book.objects.order_by().difference(a.books)),
    "Prefetch": lambda a: list(
        Author.objects.prefetch_related(Prefetch("books", queryset=a.books))
    ),
    # Objects.
    "save": lambda a: a.book.save(),
    "save fields": lambda a: a.book.save(update_fields=["title"]),
    "save a copy": lambda a: a.copy.save(),
    "save by force": lambda a: a.book.save(force_insert=True),
    "save using": lambda a: a.book.save(using="default"),
    "save_base": lambda a: a.book.save_base(),
    "save in atomic": write_in_atomic,
    "delete an object": lambda a: a.book.delete(),
    "refresh": lambda a: a.book.refresh_from_db(),
    "deferred field": lambda a: a.bare.title,
    "validate": lambda a: a.tag.validate_unique(),
    "validate constraints": lambda a: a.tag.validate_constraints(),
    "bulk_create": lambda a: Book.objects.bulk_create([a.copy]),
    "bulk_create ignoring": lambda a: Tag.objects.bulk_create(
        [a.tag], ignore_conflicts=True
    ),
    "bulk_update": lambda a: Book.objects.bulk_update([a.book], ["title"]),
    "object in a filter": lambda a: list(Book.objects.filter(author=a.author)),
    "objects in a filter": lambda a: list(Book.objects.filter(author__in=[a.author])),
    "object as a value": lambda a: Book.objects.update(author=a.author),
    "object in create": lambda a: Book.objects.create(title="x", author=a.author),
    # Relations.
    "follow a key": lambda a: a.book.author,
    "assign a key": set_author,
    "write along a key": change_author,
    "related": lambda a: list(a.author.books.all()),
    "related create": lambda a: a.author.books.create(title="Stolen"),
    "related add": lambda a: a.author.books.add(Book.objects.get(pk=1)),
    "related add of another": lambda a: Author.objects.get(pk=1).books.add(a.book),
    "related remove": lambda a: a.author.books.remove(a.book),
    "related clear": lambda a: a.author.books.clear(),
    "many": lambda a: list(a.book.tags.all()),
    "many create": lambda a: a.book.tags.create(name="stolen"),
    "many add": lambda a: a.book.tags.add(Tag.objects.get(pk=1)),
    "many add of another": lambda a: Book.objects.get(pk=1).tags.add(a.tag),
    "many set": lambda a: a.book.tags.set([]),
    "many clear": lambda a: a.book.tags.clear(),
    "prefetch": lambda a: prefetch_related_objects([a.author], "books"),
    # Files and permissions.
    "read a file": read_file,
    "url of a file": lambda a: a.book.cover.url,
    "save a file": lambda a: a.book.cover.save("x.txt", ContentFile(b"x")),
    "delete a file": lambda a: a.book.cover.delete(),
    "has_perm": lambda a: a.user.has_perm("bookshop.add_book"),
    "get_all_permissions": lambda a: a.user.get_all_permissions(),
    "give a permission": lambda a: a.user.user_permissions.set([a.permission]),
    "give another's permission": lambda a: User.objects.get(pk=1).user_permissions.add(
        a.permission
    ),
    "log in": lambda a: update_last_login(AnonymousUser, a.user),
}
# These reach for the other mirror's connection, which mirrors that share one have both.
CONNECTION_OPERATIONS: dict[str, Callable[[Goods], object]] = {
    "using the alias": lambda a: list(Book.objects.using(a.alias)),
    "save using the alias": lambda a: Book(title="x").save(using=a.alias),
    "cursor": lambda a: connections[a.alias].cursor(),
    "execute": lambda a: connections[a.alias].cursor().execute("SELECT 1"),
    "atomic": lambda a: transaction.atomic(using=a.alias).__enter__(),
    "callproc": lambda a: connections[a.alias].cursor().callproc("now"),
    "raw using": lambda a: list(Book.objects.using(a.alias).raw("SELECT 1 AS id")),
    "db_manager": lambda a: Book.objects.db_manager(a.alias).create(title="x"),
}


async def read(rows: AsyncIterable[Any]) -> list[Any]:
    """Return all rows."""
    return [row async for row in rows]


ASYNC_OPERATIONS: dict[str, Callable[[Goods], Awaitable[object]]] = {
    "iterate": lambda a: read(a.books),
    "count": lambda a: a.books.acount(),
    "exists": lambda a: a.books.aexists(),
    "get": lambda a: a.books.aget(pk=1),
    "first": lambda a: a.books.afirst(),
    "latest": lambda a: a.books.alatest("pk"),
    "aggregate": lambda a: a.books.aaggregate(Count("pk")),
    "iterator": lambda a: read(a.books.aiterator()),
    "in_bulk": lambda a: a.books.ain_bulk([1]),
    "explain": lambda a: a.books.aexplain(),
    "contains": lambda a: a.books.acontains(Book(pk=1)),
    "raw": lambda a: read(a.raw),
    "update": lambda a: a.books.aupdate(title="Stolen"),
    "delete": lambda a: a.books.adelete(),
    "create": lambda a: a.books.acreate(title="Stolen"),
    "get_or_create": lambda a: a.books.aget_or_create(title="Stolen"),
    "update_or_create": lambda a: a.books.aupdate_or_create(title="Stolen"),
    "bulk_create": lambda a: Book.objects.abulk_create([a.copy]),
    "bulk_update": lambda a: Book.objects.abulk_update([a.book], ["title"]),
    "in a filter": lambda a: read(Book.objects.filter(pk__in=a.books)),
    "Subquery": lambda a: read(
        Author.objects.annotate(title=Subquery(a.books.values("title")[:1]))
    ),
    "Exists": lambda a: Author.objects.filter(Exists(a.books)).aexists(),
    "union": lambda a: read(Book.objects.order_by().union(a.books)),
    "Prefetch": lambda a: read(
        Author.objects.prefetch_related(Prefetch("books", queryset=a.books))
    ),
    "save": lambda a: a.book.asave(),
    "save a copy": lambda a: a.copy.asave(),
    "save using": lambda a: a.book.asave(using="default"),
    "delete an object": lambda a: a.book.adelete(),
    "refresh": lambda a: a.book.arefresh_from_db(),
    "object in a filter": lambda a: read(Book.objects.filter(author=a.author)),
    "object as a value": lambda a: Book.objects.aupdate(author=a.author),
    "object in create": lambda a: Book.objects.acreate(title="x", author=a.author),
    "related": lambda a: read(a.author.books.all()),
    "related create": lambda a: a.author.books.acreate(title="Stolen"),
    "related add": lambda a: a.author.books.aadd(a.book),
    "related clear": lambda a: a.author.books.aclear(),
    "many": lambda a: read(a.book.tags.all()),
    "many create": lambda a: a.book.tags.acreate(name="stolen"),
    "many set": lambda a: a.book.tags.aset([]),
    "prefetch": lambda a: aprefetch_related_objects([a.author], "books"),
    "has_perm": lambda a: a.user.ahas_perm("bookshop.add_book"),
}


def list_names(operations: Iterable[str]) -> list[str]:
    """Return the names of operations, for the ids of tests."""
    return [name.replace(" ", "-") for name in operations]
