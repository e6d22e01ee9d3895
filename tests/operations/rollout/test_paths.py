"""From what is applied to what shall be."""

import pytest
from django.core.management import call_command
from django.db import connections, migrations

from django_mirrors import use_mirror
from django_mirrors.exceptions import OperationFailed
from django_mirrors.operations.rollout.changes import reach
from django_mirrors.operations.rollout.paths import build_path, check_targets
from django_mirrors.operations.rollout.standing import StandsElsewhere
from tests.operations.rollout.acting import (
    go,
    has_column,
    list_recorded,
    list_tables,
    look,
    record,
)
from tests.operations.rollout.table.cases import AUTHOR, BOOK, add, char, create

pytestmark = pytest.mark.django_db

FIRST, SECOND, THIRD = "0001_initial", "0002_note", "0003_more"
SQUASHED = "0001_squashed_0003_more"


@pytest.fixture
def shop(release):
    """Three migrations of one app."""
    release.add("shop", FIRST, AUTHOR, BOOK)
    release.add("shop", SECOND, add("note", char(null=True)))
    release.add("shop", THIRD, add("more", char(default="more")))
    return release


def squash(release):
    release.add(
        "shop",
        SQUASHED,
        AUTHOR,
        BOOK,
        add("note", char(null=True)),
        add("more", char(default="more")),
        dependencies=[],
        replaces=[("shop", name) for name in (FIRST, SECOND, THIRD)],
    )


def migrate(name, *arguments):
    with use_mirror(name):
        call_command("migrate", *arguments, database=name, verbosity=0)


def list_names(path):
    return [change.name for change in path.changes]


def test_newest_migrations_are_wanted_unless_others_are_named(shop):
    go("books")

    assert list_recorded("books", "shop") == [FIRST, SECOND, THIRD]
    assert has_column("books", "shop_book", "more")


def test_target_is_reached_and_not_passed(shop):
    go("books", targets=(("shop", SECOND),))

    assert list_recorded("books", "shop") == [FIRST, SECOND]
    assert not has_column("books", "shop_book", "more")


def test_target_may_be_the_beginning_of_a_name(shop):
    path = look("books", targets=(("shop", "0002"),))

    assert list_names(path) == [f"shop.{FIRST}", f"shop.{SECOND}"]


def test_older_target_takes_migrations_back(shop):
    go("books")

    go("books", targets=(("shop", FIRST),))

    assert list_recorded("books", "shop") == [FIRST]
    assert not has_column("books", "shop_book", "note")


def test_zero_takes_all_of_an_app_back(shop):
    go("books")

    go("books", targets=(("shop", None),))

    assert list_recorded("books", "shop") == []
    assert list_tables("books", "shop") == []


def test_what_is_taken_back_can_be_applied_again(shop):
    go("books")
    go("books", targets=(("shop", None),))

    go("books")

    assert list_recorded("books", "shop") == [FIRST, SECOND, THIRD]
    assert has_column("books", "shop_book", "more")


def test_what_depends_on_it_is_taken_back_with_it(shop):
    shop.add("stock", FIRST, create("Item"), dependencies=[("shop", SECOND)])
    go("books")

    go("books", targets=(("shop", FIRST),))

    assert list_recorded("books", "stock") == []
    assert list_tables("books", "stock") == []


def test_other_apps_stay_as_they_are_when_one_is_taken_back(shop):
    shop.add("stock", FIRST, create("Item", ("name", char())))
    go("books")

    path = look("books", targets=(("shop", None),))
    go("books", targets=(("shop", None),))

    assert list_tables("books", "stock") == ["stock_item"]
    assert ("stock", "item") in path.after.models
    assert ("shop", "book") not in path.after.models


def test_targets_in_two_directions_are_refused(shop):
    shop.add("stock", FIRST, create("Item"))
    go("books", targets=(("shop", THIRD),))

    with pytest.raises(OperationFailed, match="Roll out to one after the other"):
        look("books", targets=(("shop", FIRST), ("stock", FIRST)))


def test_fake_records_and_does_nothing_else(shop):
    go("books", is_fake=True)

    assert list_recorded("books", "shop") == [FIRST, SECOND, THIRD]
    assert list_tables("books", "shop") == []


def test_fake_backwards_forgets_and_does_nothing_else(shop):
    go("books")

    go("books", is_fake=True, targets=(("shop", None),))

    assert list_recorded("books", "shop") == []
    assert list_tables("books", "shop") == ["shop_author", "shop_book"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (("nowhere", "0001"), "No app 'nowhere' has migrations"),
        (("shop", "0009"), "No migration of 'shop' has a name that begins with '0009'"),
        (("shop", "000"), "Not only one of 'shop' has a name that begins with '000'"),
    ],
)
def test_target_that_is_not_there_is_named(shop, target, message):
    with pytest.raises(OperationFailed, match=message):
        check_targets([target])


def test_two_last_migrations_of_an_app_are_a_conflict(shop):
    shop.add("shop", "0003_other", dependencies=[("shop", SECOND)])

    with pytest.raises(OperationFailed) as caught:
        look("books")

    assert str(caught.value) == (
        "The migrations conflict: 0003_more, 0003_other in shop. Run 'manage.py "
        "makemigrations --merge'."
    )


def test_history_that_contradicts_itself_is_refused(shop):
    record("books", "shop", SECOND)

    with pytest.raises(OperationFailed, match="Mend the table 'django_migrations'"):
        look("books")


def test_what_cannot_be_taken_back_is_named_before_anything_is_done(shop):
    shop.add("shop", "0004_sql", migrations.RunSQL("SELECT 1"))
    go("books")

    with pytest.raises(OperationFailed, match=r"shop\.0004_sql cannot be taken back"):
        go("books", targets=(("shop", None),))

    assert list_recorded("books", "shop") == [FIRST, SECOND, THIRD, "0004_sql"]


def test_squashed_migration_is_applied_in_place_of_others(shop):
    squash(shop)
    migrate("films")

    go("books")

    assert list_recorded("books", "shop") == list_recorded("films", "shop")
    assert list_recorded("books", "shop") == [FIRST, SQUASHED, SECOND, THIRD]
    assert has_column("books", "shop_book", "more")


def test_squashed_migration_is_recorded_where_the_others_are_applied(shop):
    go("books")
    squash(shop)

    outcome = go("books")

    assert outcome.detail == "completed"
    assert list_recorded("books", "shop") == [FIRST, SQUASHED, SECOND, THIRD]
    assert look("books").is_empty


def test_squashed_migration_and_a_newer_one_come_together(shop):
    go("books")
    migrate("films")
    squash(shop)
    shop.add("shop", "0004_last", add("last", char(null=True)))
    migrate("films")

    go("books")

    assert list_recorded("books", "shop") == list_recorded("films", "shop")
    assert has_column("books", "shop_book", "last")


def test_squashed_migration_of_which_a_part_is_applied_is_completed(shop):
    go("books", targets=(("shop", SECOND),))
    migrate("films", "shop", SECOND)
    squash(shop)
    migrate("films")

    order_of_parts = list_names(look("books"))
    go("books")

    assert order_of_parts == [f"shop.{THIRD}"]
    assert list_recorded("books", "shop") == list_recorded("films", "shop")
    assert look("books").is_empty


def test_squashed_migration_that_is_applied_in_part_can_be_the_target(shop):
    go("books", targets=(("shop", SECOND),))
    squash(shop)

    go("books", targets=(("shop", SQUASHED),))

    assert list_recorded("books", "shop") == [FIRST, SQUASHED, SECOND, THIRD]


def test_squashed_migration_is_taken_back_with_what_it_replaces(shop):
    squash(shop)
    go("books")
    migrate("films")
    migrate("films", "shop", "zero")

    go("books", targets=(("shop", None),))

    assert list_recorded("books", "shop") == list_recorded("films", "shop") == []
    assert list_tables("books", "shop") == []


@pytest.mark.needs_django(6, 0)
def test_squashed_migration_of_squashed_ones_records_all_of_them(shop):
    squash(shop)
    shop.add("shop", "0004_last", add("last", char(null=True)))
    shop.add(
        "shop",
        "0001_again",
        AUTHOR,
        BOOK,
        dependencies=[],
        replaces=[("shop", SQUASHED), ("shop", "0004_last")],
    )
    migrate("films")

    go("books")

    assert list_recorded("books", "shop") == list_recorded("films", "shop")


def test_order_is_that_of_django_whatever_the_targets(shop):
    shop.add("stock", FIRST, create("Item"), dependencies=[("shop", FIRST)])

    path = look("books", targets=(("stock", FIRST), ("shop", THIRD)))

    assert list_names(path) == [
        f"shop.{FIRST}", f"shop.{SECOND}", f"shop.{THIRD}", f"stock.{FIRST}",
    ]  # fmt: skip


def test_states_are_kept_only_where_they_are_needed(shop):
    shop.add("shop", "0004_code", migrations.RunPython(migrations.RunPython.noop))

    path = look("books")

    assert [bool(change.moves) for change in path.changes] == [False] * 3 + [True]


def test_reached_is_what_is_recorded_afterwards(shop):
    squash(shop)

    path = look("books")
    go("books")

    assert {name for app, name in path.reached if app == "shop"} == {
        *list_recorded("books", "shop")
    }
    assert path.reached == look("books").applied


def test_path_of_a_database_that_changes_meanwhile_is_not_built(shop):
    path = look("books")
    record("books", "shop", FIRST)

    with use_mirror("books"), pytest.raises(StandsElsewhere):
        build_path(connections["books"], path.applied, (), is_fake=False)


def test_reach_takes_away_what_is_taken_back(shop):
    go("books")

    path = look("books", targets=(("shop", SECOND),))

    assert reach(path.applied, path.changes) == path.applied - {("shop", THIRD)}
