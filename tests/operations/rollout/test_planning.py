"""What a rollout would do, and with which SQL."""

import pytest
from django.db import connections, migrations, models

from django_mirrors import mirrors, use_mirror
from django_mirrors.exceptions import OperationFailed
from django_mirrors.models import Marker, MirrorRecord, OperationRecord
from django_mirrors.operations import add_mirror
from django_mirrors.operations.breaches import Breach
from django_mirrors.operations.rollout import Options, changes, plan_rollout
from tests.operations.rollout.acting import go, list_recorded
from tests.operations.rollout.table.cases import AUTHOR, BOOK, add, char

pytestmark = pytest.mark.django_db

FIRST, SECOND = "0001_initial", "0002_note"


@pytest.fixture
def shop(release):
    release.add("shop", FIRST, AUTHOR, BOOK)
    return release


def plan(**options):
    return plan_rollout(mirrors.select(), Options(**options))


def test_plan_names_what_would_be_applied_and_changes_nothing(shop):
    found = plan()

    assert found.steps == {
        "books": ("apply shop.0001_initial",),
        "films": ("apply shop.0001_initial",),
    }
    assert list_recorded("books", "shop") == []
    assert not OperationRecord.objects.filter(operation="rollout").exists()
    with use_mirror("books"):
        assert Marker.objects.get().rollout == ""


def test_plan_tells_sql_once_for_each_engine(shop):
    found = plan()

    [(title, statements)] = found.sql.items()
    assert title == "apply shop.0001_initial (SQLite)"
    assert [line.partition(" (")[0] for line in statements] == [
        'CREATE TABLE "shop_author"',
        'CREATE TABLE "shop_book"',
        'CREATE INDEX "shop_book_author_id_82b8ab51" ON "shop_book"',
    ]
    assert all(line.endswith(";") for line in statements)


def test_plan_fills_parameters_in(shop):
    shop.add(
        "shop",
        SECOND,
        migrations.RunSQL([("UPDATE shop_book SET title = %s", ["it's 5%"])]),
        migrations.RunSQL("UPDATE shop_book SET title = '5%'"),
    )

    assert plan().sql["apply shop.0002_note (SQLite)"] == (
        "UPDATE shop_book SET title = 'it''s 5%';",
        "UPDATE shop_book SET title = '5%';",
    )


def test_plan_says_what_is_worked_out_in_each_mirror(shop):
    shop.add("shop", SECOND, migrations.RunPython(migrations.RunPython.noop))

    assert plan().sql["apply shop.0002_note (SQLite)"] == (
        "-- Raw Python operation: worked out in each mirror",
    )


def test_plan_shows_what_is_taken_back(shop):
    go("books")

    found = plan(targets=(("shop", None),))

    assert found.steps["books"] == ("take back shop.0001_initial",)
    assert found.steps["films"] == ("nothing, it is in step",)
    assert found.sql["take back shop.0001_initial (SQLite)"] == (
        'DROP TABLE "shop_book";',
        'DROP TABLE "shop_author";',
    )


def test_plan_shows_what_is_only_recorded(shop):
    found = plan(is_fake=True)

    assert found.steps["books"] == ("record shop.0001_initial",)
    assert found.sql["record shop.0001_initial (SQLite)"] == ()


def test_plan_shows_what_was_begun(shop):
    go("books")
    go("films")
    with use_mirror("books"):
        Marker.objects.update(rollout="1")

    found = plan()

    assert found.steps["books"] == ("complete what was begun",)
    assert found.steps["films"] == ("nothing, it is in step",)


def test_plan_shows_the_waves_if_there_are_several(shop):
    assert plan().waves == {}
    assert plan(canary=1).waves == {"books": "canary", "films": "the rest"}
    assert list(plan(canary=1).steps) == ["books", "films"]


def test_plan_shows_mirrors_that_are_not_served(shop):
    MirrorRecord.objects.filter(name="books").update(state="archived")
    MirrorRecord.objects.filter(name="films").update(state="failed")
    mirrors.reload()

    assert plan().steps == {
        "books": ("nothing, it is archived",),
        "films": ("provision",),
    }


def test_plan_shows_mirrors_that_share(shop):
    add_mirror("films-fr", {"SHARES": {"DATABASE": "films", "STORAGE": "films"}})

    assert plan().steps["films-fr"] == ("nothing of its own, it follows films",)


def test_plan_goes_on_after_a_mirror_that_does_not_answer(shop, database_of):
    connections["books"].close()
    database_of("books").write_bytes(b"this is no database " * 100)

    found = plan()

    assert found.steps["books"][0].startswith("fail: DatabaseError: ")
    assert found.steps["films"] == ("apply shop.0001_initial",)


@pytest.mark.parametrize(
    ("reason", "refusals"), [("", 1), ("The shop is closed anyway.", 0)]
)
def test_plan_shows_what_the_gate_refuses(shop, monkeypatch, reason, refusals):
    add_mirror("films-fr", {"SHARES": {"DATABASE": "films", "STORAGE": "films"}})
    breach = Breach(migration="shop.0001_initial", operation="Create", reason="New.")
    monkeypatch.setattr(changes, "find_breaches", lambda *a, **o: (breach,))

    found = plan(allow_breaking=reason).steps["films"]

    refused = [step for step in found if step.startswith("refuse: shop.0001_initial ")]
    assert len(refused) == refusals


def test_plan_refuses_targets_that_are_not_there(shop):
    with pytest.raises(OperationFailed, match="No app 'nowhere' has migrations"):
        plan(targets=(("nowhere", None),))


def test_plan_is_told_to_machines(shop):
    found = plan(canary=1).as_json()

    assert found["plan"][0] == {
        "mirror": "books", "steps": ["apply shop.0001_initial"], "wave": "canary",
    }  # fmt: skip
    assert list(found["sql"]) == ["apply shop.0001_initial (SQLite)"]


def test_sql_of_the_plan_is_what_is_executed(shop):
    shop.add(
        "shop",
        SECOND,
        add("note", char(default="it's 5%")),
        migrations.AddIndex("book", models.Index(fields=["title"], name="by_title")),
    )
    sql = [line for lines in plan().sql.values() for line in lines]

    with use_mirror("films"), connections["films"].cursor() as cursor:
        for line in sql:
            cursor.execute(line)
    go("books")

    assert read_schema("films") == read_schema("books")


def read_schema(name):
    with use_mirror(name), connections[name].cursor() as cursor:
        cursor.execute(
            "SELECT name, sql FROM sqlite_master WHERE tbl_name LIKE 'shop%' ORDER BY 1"
        )
        return cursor.fetchall()
