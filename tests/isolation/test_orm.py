"""Every way into the ORM refuses what came from another mirror, and changes nothing."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.db import DatabaseError, connections, transaction

from django_mirrors import use_mirror
from django_mirrors.exceptions import MirrorError, NoCurrentMirror, WrongMirror
from django_mirrors.testing import no_mirror
from tests.bookshop.models import Author, Book, Tag
from tests.isolation.operations import (
    ASYNC_OPERATIONS,
    CONNECTION_OPERATIONS,
    OPERATIONS,
    list_names,
    take_goods,
)

pytestmark = pytest.mark.django_db(transaction=True)

# The mirror where things are got, and the one where they are used.
PAIRS = {
    "isolated": ("books", "films"),
    "shared-by-owner": ("films", "films-fr"),
    "shared-by-user": ("films-fr", "films"),
    "original": ("books", "original"),
}
OF_OWN_DATABASE = {name: PAIRS[name] for name in ("isolated", "original")}


@pytest.fixture
def shelves(fleet):
    """Fill all databases: the same keys and names, other titles."""
    for mirror in ("books", "films", "original"):
        with use_mirror(mirror):
            author = Author.objects.create(pk=1, name="Author")
            user = User.objects.create(pk=1, username="ann", is_staff=True)
            book = Book.objects.create(
                pk=1, title=f"Only in {mirror}", author=author, owner=user
            )
            book.tags.add(Tag.objects.create(pk=1, name="classic"))
            book.cover.save("cover.txt", ContentFile(mirror.encode()))
    return fleet


def dump() -> dict[str, list[object]]:
    """Return every row of every database, and every file."""
    rows: dict[str, list[object]] = {}
    for mirror in ("books", "films", "original"):
        with use_mirror(mirror):
            connection = connections["default"]
            for table in connection.introspection.table_names():
                with connection.cursor() as cursor:
                    cursor.execute(f'SELECT * FROM "{table}"')
                    rows[f"{mirror}.{table}"] = sorted(map(repr, cursor.fetchall()))
            with Book.objects.get(pk=1).cover as cover:
                rows[f"{mirror} file"] = [cover.name, cover.read()]
    return rows


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_what_came_from_one_mirror_is_refused_in_another(shelves, pair, report_figure):
    source, target = pair
    before = dump()
    crossed = []

    for name, operate in OPERATIONS.items():
        with use_mirror(source):
            goods = take_goods()
        with use_mirror(target):
            try:
                operate(goods)
            except WrongMirror:
                continue
            crossed.append(name)

    assert crossed == []
    assert dump() == before
    report_figure(
        f"{len(OPERATIONS)} operations of {source} in {target}, {shelves.name}",
        "crossed: 0",
    )


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_async_operations_are_refused_too(shelves, pair, report_figure):
    source, target = pair
    before = dump()
    crossed = []

    async def operate_all():
        for name, operate in ASYNC_OPERATIONS.items():
            async with use_mirror(source):
                goods = await sync_to_async(take_goods)()
            async with use_mirror(target):
                try:
                    await operate(goods)
                except WrongMirror:
                    continue
                crossed.append(name)
        await sync_to_async(connections.close_all)()

    asyncio.run(operate_all())

    assert crossed == []
    assert dump() == before
    report_figure(
        f"{len(ASYNC_OPERATIONS)} async operations of {source} in {target}, "
        f"{shelves.name}",
        "crossed: 0",
    )


@pytest.mark.parametrize("pair", OF_OWN_DATABASE.values(), ids=OF_OWN_DATABASE)
@pytest.mark.parametrize(
    "operate", CONNECTION_OPERATIONS.values(), ids=list_names(CONNECTION_OPERATIONS)
)
def test_the_connection_of_another_mirror_is_refused(shelves, pair, operate):
    source, target = pair
    before = dump()
    with use_mirror(source):
        goods = take_goods()

    with use_mirror(target), pytest.raises(WrongMirror):
        operate(goods)

    assert dump() == before


@pytest.mark.parametrize("source", ["books", "films-fr", "original"])
def test_with_no_mirror_everything_is_refused(shelves, source, report_figure):
    operations = {**OPERATIONS, **CONNECTION_OPERATIONS}
    before = dump()
    crossed = []

    for name, operate in operations.items():
        with use_mirror(source):
            goods = take_goods()
        with no_mirror():
            try:
                operate(goods)
            except NoCurrentMirror:
                continue
            crossed.append(name)

    assert crossed == []
    assert dump() == before
    report_figure(
        f"{len(operations)} operations of {source} in no mirror, {shelves.name}",
        "crossed: 0",
    )


def test_the_error_names_both_mirrors_and_the_model(shelves):
    with use_mirror("books"):
        book = Book.objects.get(pk=1)

    with use_mirror("films"), pytest.raises(WrongMirror) as caught:
        book.save()

    assert str(caught.value) == (
        "Book of mirror 'books' was used while 'films' is current. Get it again in "
        "'films', or say why in 'with cross_mirrors(reason):'."
    )


def test_the_operations_work_where_their_objects_came_from(shelves):
    refused = []

    for name, operate in OPERATIONS.items():
        with use_mirror("books"), transaction.atomic():
            goods = take_goods()
            try:
                with transaction.atomic():
                    operate(goods)
            except MirrorError:
                refused.append(name)
            except (DatabaseError, OSError, ValidationError):
                pass  # of the data, which an operation before has changed
            transaction.set_rollback(True)

    assert refused == []
