"""Moves of a mirror: nothing is lost, whatever fails, and the old place is left."""

import itertools
import threading
from contextlib import suppress
from time import sleep

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import Storage
from django.db import connection, connections, transaction
from django.test import Client

from django_mirrors import mirrors, use_mirror, use_original
from django_mirrors.exceptions import (
    InvalidMirror,
    MirrorExists,
    MirrorUnavailable,
    OperationFailed,
    OperationLocked,
)
from django_mirrors.models import Marker, MirrorRecord, OperationRecord
from django_mirrors.operations import (
    add_mirror,
    cancel_move,
    change_mirror,
    move_mirror,
    plan_move,
    retire_mirror,
)
from django_mirrors.operations import move as move_module
from django_mirrors.operations.databases import get_database_backend
from tests.bookshop.models import Book
from tests.market.models import Perishable, Product
from tests.operations.places import MARKS, MODES, PARAMETERS
from tests.owned.conftest import fill
from tests.warehouse.values import FULL

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def books(defaults):
    add_mirror("books", {})
    with use_mirror("books"):
        Book(title="Emma").cover.save("emma.txt", ContentFile(b"a cover"))
    return mirrors["books"]


@pytest.fixture
def elsewhere(defaults):
    """Return a place for a database, and one for files."""
    return {
        "database": f"sqlite:///{defaults}/databases/moved.sqlite3",
        "storage": f"file://{defaults}/moved/",
    }


def get_config(mirror):
    return connections.settings.build_config(mirror)


def fingerprint(mirror):
    config = get_config(mirror)
    found = get_database_backend(config).fingerprint(config)
    # Of the old database the marker is taken.
    return {key: item for key, item in found.items() if "marker" not in key}


def pair(source, target):
    marks = [MARKS[mode] for mode in {source, target} & {*MARKS}]
    return pytest.param(source, target, marks=marks, id=f"{source}-{target}")


@pytest.mark.parametrize(
    ("source", "target"), [pair(*both) for both in itertools.product(MODES, MODES)]
)
def test_every_value_arrives_from_each_kind_of_database_in_each(
    source, target, places, warehouse
):
    definition, _ = places.find(source, "old")
    _, place = places.find(target, "new")
    add_mirror("books", definition)
    with use_mirror("books"):
        warehouse.fill()
    before, old = fingerprint(mirrors["books"]), mirrors["books"]

    report = move_mirror("books", **place)

    assert fingerprint(mirrors["books"]) == before == fingerprint(old)
    assert mirrors["books"].database == place["database"]
    assert " rows" in report.results[0].detail
    with use_mirror("books"):
        item = warehouse.Item.objects.get(slug="a-slug")
        assert {key: _read(item, key) for key in FULL} == FULL
        assert (item.loud, item.doubled) == ("A-SLUG", 2)
        assert item.near.count() == 2
        numbers = {*warehouse.Base.objects.values_list("pk", flat=True)}
        # The number of what was deleted is not used again.
        assert warehouse.Base.objects.create().pk > max(numbers) + 1
        assert [item.uid for item in Marker.objects.all()] == [old.uid]


@pytest.mark.postgres
def test_types_of_extensions_are_read_as_before_after_a_move(places, crates):
    definition, _ = places.find("postgres", "old")
    _, place = places.find("postgres", "new")
    add_mirror("books", definition)
    with use_mirror("books"):
        crates.fill()
        before = crates.Crate.objects.first().pairs

    move_mirror("books", **place)

    with use_mirror("books"):
        assert crates.Crate.objects.first().pairs == before == crates.FULL["pairs"]


@pytest.mark.postgres
@pytest.mark.parametrize("modes", [("postgres", "sqlite"), ("sqlite", "postgres")])
def test_models_that_one_engine_has_no_tables_for_are_told(places, crates, modes):
    definition, _ = places.find(modes[0], "old")
    add_mirror("books", definition)

    with pytest.raises(OperationFailed, match=r"no tables for \w+\.Crate\. Choose a"):
        move_mirror("books", **places.find(modes[1], "new")[1])

    with use_mirror("books"):
        assert not Book.objects.exists()


def _read(item, name):
    value = getattr(item, name)
    if name in {"file", "image"}:
        return value.name
    return bytes(value) if isinstance(value, memoryview) else value


def test_rows_and_files_are_moved_together(books, elsewhere):
    report = move_mirror("books", **elsewhere)

    moved = mirrors["books"]
    assert moved.database == elsewhere["database"]
    assert moved.storages["default"] == elsewhere["storage"]
    assert moved.uid == books.uid
    assert not moved.is_read_only
    with use_mirror("books"):
        book = Book.objects.get()
        assert book.cover.read() == b"a cover"
        book.cover.close()
        Book.objects.create(title="Persuasion")
    assert "1 file" in report.results[0].detail


def test_what_is_left_is_no_mirrors(books, elsewhere, database_of):
    move_mirror("books", **elsewhere)

    with pytest.raises(MirrorExists, match="is there already"):
        move_mirror("books", database=books.database)
    with pytest.raises(MirrorExists, match="holds files already"):
        move_mirror("books", storage=books.storages["default"])
    with pytest.raises(OperationFailed, match="not marked"):
        change_mirror("books", lambda item: item.update(DATABASE=books.database))
    assert database_of("books").exists()


def test_who_writes_late_into_what_was_left_gets_an_error(books, elsewhere):
    late = connections.settings.build_config(books)

    move_mirror("books", **elsewhere)

    with connections.settings.lend("books", late), use_mirror("books"):
        with pytest.raises(Exception, match="the database was moved"):
            Book.objects.create(title="lost")


@pytest.fixture(params=PARAMETERS)
def place(request, places):
    """Add a mirror on each kind of server, and return another place there for it."""
    definition, _ = places.find(request.param, "old")
    _, place = places.find(request.param, "new")
    add_mirror("books", definition)
    with use_mirror("books"):
        Book(title="Emma").cover.save("emma.txt", ContentFile(b"a cover"))
    return place


def test_visitors_read_all_the_time_and_write_before_and_after(place):
    client = Client(headers={"host": "books.example"})
    seen = []

    def look(step, number, total):
        if step == "lead the mirror to the new place":
            with use_mirror("books"):
                seen.append(Book.objects.count())
                with pytest.raises(MirrorUnavailable, match="read-only"):
                    Book.objects.create(title="refused")
                with transaction.atomic():
                    seen.append(Book.objects.count())
                with pytest.raises(MirrorUnavailable, match="read-only"):
                    insert_many("refused")
                storage = Book.objects.get().cover.storage
                with pytest.raises(MirrorUnavailable, match="read-only"):
                    storage.delete("covers/emma.txt")
                with pytest.raises(MirrorUnavailable, match="read-only"):
                    storage.open("covers/emma.txt", "ab")
            seen.append(client.post("/admin/login/", {}))
            seen.append(client.get("/titles/"))

    move_mirror("books", **place, on_step=look)

    assert seen[:2] == [1, 1]
    assert seen[2].status_code == 503
    assert seen[2]["Retry-After"] == "5"
    assert seen[3].status_code == 200
    with use_mirror("books"):
        Book.objects.create(title="taken")
        assert Book.objects.filter(title="refused").count() == 0


def insert_many(title):
    with connection.cursor() as cursor:
        cursor.executemany("UPDATE bookshop_book SET title = %s", [(title,)])


def test_nothing_that_was_confirmed_is_lost(place):
    taken, ended = [], threading.Event()

    def write():
        with use_original(), connections["original"].cursor() as cursor:
            # Threads share this database in memory, and its locks.
            cursor.execute("PRAGMA read_uncommitted = ON")
        for number in itertools.count():
            if ended.is_set():
                break
            with use_mirror("books"), suppress(MirrorUnavailable):
                taken.append(Book.objects.create(title=f"{number}").title)
        connections.close_all()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        move_mirror("books", **place)
    finally:
        ended.set()
        for thread in threads:
            thread.join()

    with use_mirror("books"):
        titles = Book.objects.exclude(title="Emma").values_list("title", flat=True)
        assert sorted(titles) == sorted(taken)
    assert taken


def write_slowly(*, begun, ending, errors):
    """Begin a transaction that writes; write again at its end."""
    try:
        with use_mirror("books"), transaction.atomic():
            Book.objects.count()
            if "at once" in errors:
                Book.objects.create(title="slow")
            begun.set()
            ending.wait(2)
            Book.objects.create(title="late")
    except Exception as error:  # noqa: BLE001 - each engine has errors of its own
        errors.append(error)
    finally:
        connections.close_all()


def test_transaction_that_has_written_is_waited_for(place):
    begun, ending, errors = threading.Event(), threading.Event(), ["at once"]
    thread = threading.Thread(
        target=write_slowly,
        kwargs={"begun": begun, "ending": ending, "errors": errors},
    )
    thread.start()
    begun.wait(10)
    threading.Timer(0.5, ending.set).start()

    move_mirror("books", **place)

    thread.join()
    assert errors == ["at once"]
    with use_mirror("books"):
        assert {*Book.objects.values_list("title", flat=True)} == {
            "Emma",
            "slow",
            "late",
        }


def test_transaction_that_writes_too_late_is_told(place):
    begun, ending, errors = threading.Event(), threading.Event(), []
    thread = threading.Thread(
        target=write_slowly,
        kwargs={"begun": begun, "ending": ending, "errors": errors},
    )
    thread.start()
    begun.wait(10)

    def go_on(step, number, total):
        if step == "lead the mirror to the new place":
            ending.set()
            sleep(0.3)

    move_mirror("books", **place, on_step=go_on)

    thread.join()
    with use_mirror("books"):
        is_there = Book.objects.filter(title="late").exists()
    assert is_there or errors


@pytest.mark.parametrize(
    "name", ["_fill_draft", "_compare_files", "record_change", "_wait_for_all"]
)
def test_mirror_stays_where_it_is_if_a_step_fails(
    name, books, elsewhere, monkeypatch, defaults
):
    def fail(*args):
        raise OperationFailed("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(move_module, name, fail)
        with pytest.raises(OperationFailed, match="disk is full"):
            move_mirror("books", **elsewhere)

    assert mirrors["books"] == books
    assert not (defaults / "databases" / "moved.sqlite3").exists()
    assert _list_drafts(defaults) == []
    with use_mirror("books"):
        Book.objects.create(title="Persuasion")
    move_mirror("books", **elsewhere)
    with use_mirror("books"):
        assert Book.objects.count() == 2


def test_file_that_cannot_be_copied_is_told(books, elsewhere, monkeypatch):
    def refuse(self, name, content, max_length=None):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Storage, "save", refuse)

    with pytest.raises(OperationFailed, match=r"emma.txt' cannot be copied: No space"):
        move_mirror("books", **elsewhere)

    assert mirrors["books"] == books


def test_move_that_is_taken_back_leaves_no_directory(
    books, elsewhere, monkeypatch, defaults
):
    monkeypatch.setattr(move_module, "_compare_files", _fail)
    with pytest.raises(OperationFailed):
        move_mirror("books", **elsewhere)
    assert (defaults / "moved").exists()

    cancel_move("books")

    assert not (defaults / "moved").exists()


def _fail(work):
    raise OperationFailed("The disk is full.")


def _list_drafts(defaults):
    return [*(defaults / "databases" / ".templates").glob("move_*")]


def test_copy_that_differs_is_not_used(books, elsewhere, monkeypatch):
    fill = move_module._fill_draft

    def spoil(work, source, draft):
        fill(work, source, draft)
        with connections.settings.lend("books", draft), use_mirror("books"):
            Book.objects.create(title="one too many")

    monkeypatch.setattr(move_module, "_fill_draft", spoil)

    with pytest.raises(OperationFailed, match=r"differs from it in .*bookshop_book"):
        move_mirror("books", database=elsewhere["database"])

    assert mirrors["books"] == books


def test_move_that_was_begun_can_be_taken_back(books, elsewhere, monkeypatch, defaults):
    def fail(*args):
        raise OperationFailed("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(move_module, "_compare_files", fail)
        with pytest.raises(OperationFailed):
            move_mirror("books", **elsewhere)
    with pytest.raises(OperationFailed, match="--cancel"):
        move_mirror("books", storage=f"file://{defaults}/third/")

    cancel_move("books")

    assert [*(defaults / "moved").rglob("*.txt")] == []
    assert mirrors["books"] == books
    move_mirror("books", storage=f"file://{defaults}/third/")
    with pytest.raises(OperationFailed, match="No move"):
        cancel_move("books")


def test_database_that_is_there_is_not_touched(books, elsewhere, defaults):
    path = defaults / "databases" / "moved.sqlite3"
    path.write_bytes(b"")

    with pytest.raises(MirrorExists, match="is there already"):
        move_mirror("books", **elsewhere)

    assert path.exists()
    assert not OperationRecord.objects.filter(operation="move").exists()


def test_mirror_is_not_changed_while_it_is_moved(books, elsewhere):
    def change(step, number, total):
        if step == "lead the mirror to the new place":
            with pytest.raises(OperationFailed, match="being moved"):
                change_mirror("books", lambda item: item.update(NAME="Other"))
            with pytest.raises(OperationLocked, match="is under way"):
                retire_mirror("books")

    move_mirror("books", **elsewhere, on_step=change)


def test_passwords_are_forgotten_when_the_move_has_ended(books, elsewhere):
    move_mirror("books", storage=elsewhere["storage"])

    with use_original():
        record = OperationRecord.objects.get(operation="move")
    assert record.finished is not None
    assert record.plan["change"]["STORAGE"] == elsewhere["storage"]


def test_sharer_follows_its_owner(books, elsewhere):
    add_mirror("twin", {"SHARES": {"DATABASE": "books", "STORAGE": "books"}})

    move_mirror("books", **elsewhere)

    with use_mirror("twin"):
        assert Book.objects.count() == 1
        Book.objects.create(title="Persuasion")
    with use_mirror("books"):
        assert Book.objects.count() == 2
    with pytest.raises(OperationFailed, match="Move 'books'"):
        move_mirror("twin", database=elsewhere["database"])


@pytest.mark.parametrize(
    "mode", [pytest.param(mode, marks=mark) for mode, mark in MARKS.items()]
)
def test_rows_of_sharers_are_moved_to_another_engine_as_they_are(books, places, mode):
    add_mirror("films", {"SHARES": {"DATABASE": "books"}})
    for mark, name in enumerate(("books", "films"), 1):
        with use_mirror(name):
            fill(mark)

    move_mirror("books", **places.find(mode, "moved")[1])

    for mark, name in enumerate(("books", "films"), 1):
        with use_mirror(name):
            assert [row.price % 10 for row in Product.objects.all()] == [mark] * 4
            assert {row.mirror_uid for row in Product.objects.all()} == {
                mirrors[name].uid
            }
            assert Perishable.objects.get().days == mark


def test_what_cannot_be_moved_is_refused(books, elsewhere, settings):
    with pytest.raises(OperationFailed, match="Nothing of mirror"):
        plan_move("books")
    with pytest.raises(InvalidMirror, match="original"):
        plan_move("original", **elsewhere)
    MirrorRecord.objects.filter(name="books").update(state="archived")
    with pytest.raises(OperationFailed, match="is archived"):
        plan_move("books", **elsewhere)


def test_plan_says_what_would_be_done_and_changes_nothing(books, elsewhere):
    plan = plan_move("books", **elsewhere)

    assert plan.steps["books"] == (
        "copy the files",
        "make the mirror read-only",
        "copy the database and compare it",
        "copy the files that are new",
        "lead the mirror to the new place",
        "end read-only",
    )
    assert mirrors["books"] == books
