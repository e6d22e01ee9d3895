"""Each migration once, whole or not at all."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError
from uuid import uuid4

import pytest
from django.db import IntegrityError, connections, migrations, models
from django.utils.translation import gettext_lazy

from django_mirrors import mirrors, use_mirror
from django_mirrors.exceptions import OperationFailed, OperationLocked
from django_mirrors.models import Marker
from django_mirrors.operations.locks import Lock, hold_lock
from django_mirrors.operations.rollout import applying, bringing
from django_mirrors.operations.rollout.applying import apply_path
from django_mirrors.operations.rollout.orders import Order
from django_mirrors.operations.rollout.standing import Claim, StandsElsewhere
from django_mirrors.operations.runner import do_step
from tests.operations.rollout.acting import (
    ask,
    execute,
    go,
    has_column,
    list_recorded,
    list_tables,
    look,
    record,
)
from tests.operations.rollout.table.cases import AUTHOR, BOOK, add, char, create
from tests.operations.rollout.trips import build_order

pytestmark = pytest.mark.django_db

FIRST, SECOND, THIRD = "0001_initial", "0002_note", "0003_more"
NOTHING = migrations.RunPython.noop


def fail(apps, schema_editor):
    raise ValueError("This shop is closed.")


def build_claim(name, order):
    return Claim(mirrors[name], rollout=order.rollout, lock=order.lock)


def test_nothing_is_left_of_a_migration_that_fails(books):
    books.add("shop", FIRST, AUTHOR, BOOK)
    books.add("shop", SECOND, add("note", char(null=True)), migrations.RunPython(fail))
    go("books", targets=(("shop", FIRST),))

    with pytest.raises(ValueError, match="This shop is closed"):
        go("books")

    assert list_recorded("books", "shop") == [FIRST]
    assert not has_column("books", "shop_book", "note")


def test_what_came_before_a_migration_that_fails_stays(books):
    books.add("shop", FIRST, AUTHOR, BOOK)
    books.add("shop", SECOND, add("note", char(null=True)))
    books.add("shop", THIRD, migrations.RunPython(fail))

    with pytest.raises(ValueError, match="closed"):
        go("books")

    assert list_recorded("books", "shop") == [FIRST, SECOND]
    assert has_column("books", "shop_book", "note")


def test_next_rollout_continues_after_a_migration_that_failed(books):
    books.add("shop", FIRST, AUTHOR, BOOK)
    books.add("shop", SECOND, migrations.RunPython(fail))
    with pytest.raises(ValueError, match="closed"):
        go("books")
    books.remove("shop", SECOND)
    books.add("shop", SECOND, add("note", char(null=True)))

    go("books")

    assert list_recorded("books", "shop") == [FIRST, SECOND]
    assert has_column("books", "shop_book", "note")


def test_failure_of_sql_that_is_replayed_leaves_nothing(books):
    books.add("shop", FIRST, AUTHOR, BOOK)
    books.add("shop", SECOND, add("note", char(null=True)), create("More"))
    go("books", targets=(("shop", FIRST),))
    execute("books", "CREATE TABLE shop_more (id integer)")

    with pytest.raises(Exception, match="shop_more"):
        go("books")

    assert list_recorded("books", "shop") == [FIRST]
    assert not has_column("books", "shop_book", "note")


def test_row_that_refers_to_nothing_fails_and_the_next_rollout_continues(books):
    books.add("shop", FIRST, AUTHOR, BOOK)
    wrong = "INSERT INTO shop_book (title, author_id) VALUES ('lost', 99)"
    books.add("shop", SECOND, migrations.RunSQL(wrong))
    with pytest.raises(IntegrityError):
        go("books")
    assert list_recorded("books", "shop") == [FIRST]
    books.remove("shop", SECOND)
    books.add("shop", THIRD, add("note", char(null=True)))

    go("books")

    assert ask("books", "SELECT title FROM shop_book") == []
    assert list_recorded("books", "shop") == [FIRST, THIRD]


def test_error_of_a_step_names_what_went_wrong(release):
    release.add("shop", FIRST, migrations.RunPython(fail))

    result = do_step("rollout", mirrors["books"], step=lambda mirror: go("books"))

    assert result.outcome == "failed"
    assert result.error == "ValueError: This shop is closed. (shop.0001_initial)"


def test_migration_and_its_record_are_one(books, monkeypatch):
    books.add("shop", FIRST, AUTHOR, BOOK)

    def forget(connection, change):
        raise ValueError("The pen is dry.")

    with monkeypatch.context() as patch, pytest.raises(ValueError, match="pen is dry"):
        patch.setattr(applying, "_record", forget)
        go("books")

    assert list_tables("books", "shop") == []


def test_migration_during_which_the_lock_is_lost_leaves_nothing(books):
    def lose(apps, schema_editor):
        order.lock.until = 0

    books.add("shop", FIRST, AUTHOR, BOOK, migrations.RunPython(lose))
    order = build_order()

    with pytest.raises(OperationLocked, match="was taken over"):
        go("books", order)

    assert list_recorded("books", "shop") == []
    assert list_tables("books", "shop") == []


def test_database_that_somebody_else_migrates_meanwhile_is_left_to_them(release):
    release.add("shop", FIRST, AUTHOR, BOOK)
    order = build_order()
    path = look("books", order)
    record("books", "shop", FIRST)

    with use_mirror("books"), pytest.raises(StandsElsewhere):
        apply_path(connections["books"], path, build_claim("books", order))

    assert list_tables("books", "shop") == []


def test_rollout_looks_again_where_somebody_else_was_faster(release, monkeypatch):
    release.add("shop", FIRST, AUTHOR, BOOK)
    release.add("shop", SECOND, add("note", char(null=True)))

    def apply_late(connection, path, claim):
        monkeypatch.undo()
        go("books", targets=(("shop", FIRST),))
        apply_path(connection, path, claim)

    monkeypatch.setattr(bringing, "apply_path", apply_late)
    outcome = go("books")

    assert outcome.detail == f"shop.{SECOND} applied"
    assert list_recorded("books", "shop") == [FIRST, SECOND]


def test_database_that_never_stands_still_is_given_up(release, monkeypatch):
    release.add("shop", FIRST, AUTHOR, BOOK)
    looked = []

    def change(connection, claim, expected):
        looked.append(1)
        raise StandsElsewhere("books")

    monkeypatch.setattr(applying, "_begin", change)

    with pytest.raises(OperationFailed, match="Something else migrates the database"):
        go("books")

    assert len(looked) == 5


def test_database_of_another_mirror_is_refused(release):
    release.add("shop", FIRST, AUTHOR, BOOK)
    with use_mirror("books"):
        Marker.objects.update(uid=uuid4())

    with hold_lock("rollout", operation="Rollout") as lock:
        order = Order(rollout=str(uuid4()), lock=lock)
        with pytest.raises(OperationFailed) as caught:
            go("books", order)

    assert str(caught.value) == (
        "The database of mirror 'books' is not marked as its own, so nothing is done "
        "there. See 'manage.py mirror_check books'."
    )
    assert list_recorded("books", "shop") == []
    assert list_tables("books", "shop") == []


def test_rollout_that_lost_its_lock_does_nothing(release):
    release.add("shop", FIRST, AUTHOR, BOOK)
    lost = Order(rollout=str(uuid4()), lock=Lock(name="rollout", fence=1, until=0))

    with pytest.raises(OperationLocked, match="was taken over"):
        go("books", lost)

    assert list_recorded("books", "shop") == []


def test_older_rollout_is_refused_where_a_newer_one_was(release):
    release.add("shop", FIRST, AUTHOR, BOOK)
    newer = Order(rollout=str(uuid4()), lock=Lock(name="rollout", fence=7))
    go("books", newer)
    release.add("shop", SECOND, add("note", char(null=True)))

    with pytest.raises(OperationLocked, match="was taken over"):
        go("books", build_order())

    assert list_recorded("books", "shop") == [FIRST]


def test_code_finds_the_mirror_and_its_models_of_that_time(release):
    found = []

    def look_around(apps, schema_editor):
        model = apps.get_model("shop", "Book")
        names = [field.name for field in model._meta.fields]
        found.append((schema_editor.connection.alias, names, model.objects.db))

    release.add("shop", FIRST, AUTHOR, BOOK)
    release.add("shop", SECOND, migrations.RunPython(look_around))
    release.add("shop", THIRD, add("note", char(null=True)))
    order = build_order()

    go("books", order)
    go("films", order)

    fields = ["id", "title", "pages", "author"]
    assert found == [("books", fields, "books"), ("films", fields, "films")]


def test_code_runs_untranslated_as_in_the_command(release, settings):
    settings.LANGUAGE_CODE = "de"
    default = models.CharField(max_length=20, default=gettext_lazy("Yes"))
    release.add("shop", FIRST, AUTHOR, BOOK)
    release.add(
        "shop",
        SECOND,
        migrations.RunSQL("INSERT INTO shop_book (title) VALUES ('Emma')"),
        add("note", default),
    )

    go("books")

    assert ask("books", "SELECT note FROM shop_book") == ["Yes"]


def test_models_are_used_by_one_thread_at_a_time(release):
    both, met = Barrier(2), []

    def meet(apps, schema_editor):
        # Who comes alone waits in vain.
        with suppress(BrokenBarrierError):
            both.wait(0.3)
            met.append(schema_editor.connection.alias)
        both.reset()

    release.add("shop", FIRST, AUTHOR, BOOK, migrations.RunPython(meet))
    order = build_order()
    path = look("books", order)

    def apply(name):
        with use_mirror(name):
            connection = connections[name]
            try:
                apply_path(connection, path, build_claim(name, order))
            finally:
                connection.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(apply, ("books", "films")))

    assert met == []
    assert list_recorded("books", "shop") == list_recorded("films", "shop") == [FIRST]


# -- What no single transaction holds --------------------------------------------------


def begin_in_parts(release, *, after=()):
    """Let a migration that is not atomic fail in its second operation."""
    release.add("shop", FIRST, AUTHOR, BOOK)
    operations = (
        add("note", char(null=True)),
        migrations.RunPython(fail, NOTHING),
        add("more", char(null=True)),
    )
    release.add("shop", SECOND, *operations, atomic=False)
    with pytest.raises(ValueError, match="closed"):
        go("books")
    release.remove("shop", SECOND)
    release.add(
        "shop",
        SECOND,
        operations[0],
        migrations.RunPython(NOTHING, NOTHING),
        operations[2],
        atomic=False,
    )


def read_marker(name):
    with use_mirror(name):
        marker = Marker.objects.get()
        return marker.migration, marker.operations, marker.is_begun


def test_place_in_a_migration_that_is_not_atomic_is_written_down(books):
    begin_in_parts(books)

    assert has_column("books", "shop_book", "note")
    assert list_recorded("books", "shop") == [FIRST]
    assert read_marker("books") == (f"shop.{SECOND}", 1, True)


def test_migration_that_is_not_atomic_continues_where_it_was(books):
    begin_in_parts(books)

    go("books")

    assert list_recorded("books", "shop") == [FIRST, SECOND]
    assert has_column("books", "shop_book", "more")
    assert read_marker("books") == ("", 0, False)


def test_migration_that_was_completed_by_hand_is_begun_anew_the_next_time(books):
    begin_in_parts(books)
    execute("books", "ALTER TABLE shop_book ADD COLUMN more varchar(20) NULL")
    record("books", "shop", SECOND)

    go("books")
    go("books", targets=(("shop", FIRST),))
    assert not has_column("books", "shop_book", "note")
    go("books")

    assert has_column("books", "shop_book", "note")
    assert has_column("books", "shop_book", "more")


def test_nothing_else_is_done_while_a_migration_is_half_made(books):
    begin_in_parts(books)

    with pytest.raises(OperationFailed) as caught:
        go("books", targets=(("shop", None),))

    assert str(caught.value) == (
        "shop.0002_note was applied in part, and this rollout would leave it so. "
        "Complete that first, with the rollout that began it or another one to the "
        "same migrations."
    )


def test_migration_that_is_taken_back_in_parts_continues_that_way_only(books):
    books.add("shop", FIRST, AUTHOR, BOOK)
    operations = [
        add("note", char(null=True)),
        migrations.RunPython(NOTHING, fail),
        add("more", char(null=True)),
    ]
    books.add("shop", SECOND, *operations, atomic=False)
    go("books")
    with pytest.raises(ValueError, match="closed"):
        go("books", targets=(("shop", FIRST),))
    assert not has_column("books", "shop_book", "more")

    with pytest.raises(OperationFailed, match="was taken back in part"):
        go("books")
    operations[1] = migrations.RunPython(NOTHING, NOTHING)
    books.remove("shop", SECOND)
    books.add("shop", SECOND, *operations, atomic=False)
    go("books", targets=(("shop", FIRST),))

    assert list_recorded("books", "shop") == [FIRST]
    assert not has_column("books", "shop_book", "note")
