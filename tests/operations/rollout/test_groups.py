"""What is worked out once, and for whom."""

import pytest
from django.db import connections, migrations, models
from django.test import override_settings

from django_mirrors import use_mirror
from django_mirrors.db.router import MirrorRouter
from django_mirrors.operations import add_mirror, change_mirror
from django_mirrors.operations.rollout import groups
from django_mirrors.operations.rollout.groups import Groups, get_groups
from tests.operations.rollout.acting import (
    ask,
    go,
    list_recorded,
    list_tables,
    look,
    record,
)
from tests.operations.rollout.table.cases import AUTHOR, BOOK, add, char, create
from tests.operations.rollout.trips import build_order

pytestmark = pytest.mark.django_db

FIRST, SECOND = "0001_initial", "0002_note"


class OnlyInFilms:
    """A router of a project that has authors in one mirror only."""

    def allow_migrate(self, db, app_label, model_name=None, **hints):
        if app_label == "shop" and model_name == "author":
            return db == "films"
        return None


def test_mirrors_that_stand_alike_have_one_path(release):
    release.add("shop", FIRST, AUTHOR, BOOK)
    order = build_order()

    assert look("books", order) is look("films", order)


def test_mirrors_that_stand_apart_have_paths_of_their_own(release):
    release.add("shop", FIRST, AUTHOR, BOOK)
    release.add("shop", SECOND, add("note", char(null=True)))
    go("films", targets=(("shop", FIRST),))
    order = build_order()

    books, films = look("books", order), look("films", order)
    go("books", order)
    go("films", order)

    assert [len(path.changes) for path in (books, films)] == [2, 1]
    assert list_recorded("books", "shop") == list_recorded("films", "shop")


def test_next_rollout_works_it_out_again(release):
    first = look("books")
    release.add("shop", FIRST, AUTHOR, BOOK)

    assert first.is_empty
    assert not look("books").is_empty


def test_least_recently_used_path_is_forgotten(release, monkeypatch):
    monkeypatch.setattr(groups, "_MAX_GROUPS", 2)
    found = Groups((), is_fake=False)
    with use_mirror("books"):
        connection = connections["books"]
        applied = look("books").applied
        first = found.get(connection, applied)
        for number in range(2):
            record("books", "gone", f"{number}")
            applied = applied | {("gone", f"{number}")}
            found.get(connection, applied)
        for number in range(2):
            record("books", "gone", f"{number}", is_applied=False)
            applied = applied - {("gone", f"{number}")}

        assert found.get(connection, applied) is not first


def test_router_of_the_project_decides_for_each_mirror(release, settings):
    settings.DATABASE_ROUTERS = [OnlyInFilms(), MirrorRouter()]
    plain = create("Book", ("title", char()))
    release.add("shop", FIRST, AUTHOR, plain)
    order = build_order()

    go("books", order)
    go("films", order)

    assert list_tables("books", "shop") == ["shop_book"]
    assert list_tables("films", "shop") == ["shop_author", "shop_book"]


def test_mirror_that_shares_the_original_has_a_path_of_its_own(release, settings):
    options = {**settings.MIRRORS_OPTIONS, "ORIGINAL_APPS": ["stock"]}
    release.add("stock", FIRST, create("Item", ("name", char())))
    with override_settings(MIRRORS_OPTIONS=options):
        add_mirror("music", {"SHARES": {"DATABASE": "original", "STORAGE": "books"}})
        order = build_order()

        of_original = look("music", order)
        go("books", order)

    assert len(of_original.changes[-1].statements) == 1
    assert list_recorded("books", "stock") == [FIRST]
    assert list_tables("books", "stock") == []


def test_moment_without_a_time_zone_is_that_of_the_mirror(release):
    zone = {"SETTINGS": {"TIME_ZONE": "Asia/Tokyo"}}
    change_mirror("books", lambda definition: definition.update(zone))
    release.add("shop", FIRST, AUTHOR, BOOK)
    release.add(
        "shop",
        SECOND,
        migrations.RunSQL("INSERT INTO shop_book (title) VALUES ('Emma')"),
        add("note", models.DateTimeField(default="2026-01-02 12:00")),
    )
    order = build_order()

    with pytest.warns(RuntimeWarning, match="received a naive datetime"):
        go("films", order)
    with pytest.warns(RuntimeWarning, match="received a naive datetime"):
        go("books", order)

    [in_chicago] = ask("films", "SELECT note FROM shop_book")
    [in_tokyo] = ask("books", "SELECT note FROM shop_book")
    assert (in_chicago.hour, in_tokyo.hour) == (18, 3)


def test_groups_are_those_of_one_rollout_at_a_time():
    first = get_groups("one", (), is_fake=False)

    assert get_groups("one", (), is_fake=False) is first
    assert get_groups("one", (), is_fake=True) is not first
    assert get_groups("two", (), is_fake=False) is not first


def test_tables_of_the_original_alone_are_in_no_mirror(release, settings):
    options = {**settings.MIRRORS_OPTIONS, "ORIGINAL_APPS": ["stock"]}
    release.add("stock", FIRST, create("Item", ("name", char())))
    with override_settings(MIRRORS_OPTIONS=options):
        order = build_order()
        go("books", order)
        go("films", order)

    assert list_tables("books", "stock") == list_tables("films", "stock") == []
    assert list_recorded("films", "stock") == [FIRST]
