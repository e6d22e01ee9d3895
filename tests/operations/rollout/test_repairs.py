"""What was begun and perhaps not ended is made again."""

import pytest
from django.contrib.postgres import operations as postgres
from django.db import connections, migrations, models

from django_mirrors import use_mirror
from django_mirrors.exceptions import OperationFailed
from django_mirrors.models import Marker
from tests.operations.rollout.acting import (
    ask,
    execute,
    go,
    has_column,
    list_recorded,
)
from tests.operations.rollout.releases import use_release
from tests.operations.rollout.table.cases import (
    AUTHOR,
    BOOK,
    add,
    char,
    create,
    foreign,
)
from tests.operations.rollout.trips import use_mirrors

pytestmark = pytest.mark.django_db

FIRST, SECOND = "0001_initial", "0002_change"
INDEX = models.Index(fields=["title"], name="shop_title")


@pytest.fixture
def shop(request, tmp_path, db):
    """Return the release of a fleet of one mirror that has the first migration."""
    with use_mirrors(request.param, tmp_path, ("books",)), use_release(("shop",)) as it:
        it.add("shop", FIRST, AUTHOR, BOOK)
        go("books")
        yield it


POSTGRESQL = pytest.param("postgresql", marks=pytest.mark.postgres)
MARIADB = pytest.param("mysql", marks=pytest.mark.mariadb)


def begin(number):
    """Let the database say that so many operations are done, and the next was begun."""
    with use_mirror("books"):
        Marker.objects.update(
            rollout="1", migration=f"shop.{SECOND}", operations=number, is_begun=True
        )


def list_indexes():
    with use_mirror("books"), connections["books"].cursor() as cursor:
        return sorted(
            name
            for name, item in connections["books"]
            .introspection.get_constraints(cursor, "shop_book")
            .items()
            if item["index"] and name.startswith("shop_title")
        )


@pytest.mark.parametrize("shop", [POSTGRESQL], indirect=True)
def test_index_that_is_invalid_is_made_again(shop):
    shop.add("shop", SECOND, postgres.AddIndexConcurrently("book", INDEX), atomic=False)
    execute(
        "books",
        "CREATE INDEX shop_title ON shop_book (title)",
        "UPDATE pg_index SET indisvalid = false"
        " WHERE indexrelid = 'shop_title'::regclass",
    )
    begin(0)

    go("books")

    sql = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'shop_title'::regclass"
    assert ask("books", sql) == [True]
    assert list_recorded("books", "shop") == [FIRST, SECOND]


@pytest.mark.parametrize("shop", [POSTGRESQL], indirect=True)
def test_index_that_is_gone_already_is_removed(shop):
    shop.add("shop", SECOND, postgres.AddIndexConcurrently("book", INDEX), atomic=False)
    go("books")
    shop.add(
        "shop",
        "0003_again",
        postgres.RemoveIndexConcurrently("book", "shop_title"),
        atomic=False,
    )
    execute("books", "DROP INDEX shop_title")
    with use_mirror("books"):
        Marker.objects.update(rollout="1", migration="shop.0003_again", is_begun=True)

    go("books")

    assert list_recorded("books", "shop") == [FIRST, SECOND, "0003_again"]


@pytest.mark.parametrize("shop", ["sqlite", POSTGRESQL, MARIADB], indirect=True)
def test_sql_that_was_begun_is_left_to_the_operator(shop):
    sql = "UPDATE shop_book SET pages = pages + 1"
    shop.add("shop", SECOND, migrations.RunSQL(sql), atomic=False)
    begin(0)

    with pytest.raises(OperationFailed) as caught:
        go("books")

    assert str(caught.value) == (
        "shop.0002_change was interrupted in 'Raw SQL operation', outside a "
        "transaction: whether that was executed cannot be known. See for yourself, "
        "complete the migration by hand, and go on with 'manage.py migrate --fake'."
    )


@pytest.mark.parametrize("shop", ["sqlite", POSTGRESQL], indirect=True)
def test_code_outside_a_transaction_is_run_again(shop):
    code = migrations.RunPython(lambda apps, editor: ran.append(1))
    ran = []
    shop.add("shop", SECOND, code, atomic=False)
    begin(0)

    go("books")

    assert ran == [1]


@pytest.mark.parametrize("shop", [MARIADB], indirect=True)
def test_statements_that_were_executed_already_are_passed_over(shop):
    shop.add(
        "shop",
        SECOND,
        add("note", char(null=True)),
        create("Sale", ("book", foreign("Book")), ("name", char(db_index=True))),
        migrations.AddIndex("book", INDEX),
    )
    execute("books", "ALTER TABLE shop_book ADD COLUMN note varchar(20) NULL")
    begin(0)

    go("books")

    assert list_recorded("books", "shop") == [FIRST, SECOND]
    assert has_column("books", "shop_book", "note")
    assert list_indexes() == ["shop_title"]


@pytest.mark.parametrize("shop", [MARIADB], indirect=True)
def test_table_that_was_made_without_its_keys_gets_them(shop):
    shop.add("shop", SECOND, create("Sale", ("book", foreign("Book"))))
    execute(
        "books",
        "CREATE TABLE shop_sale (id bigint AUTO_INCREMENT NOT NULL PRIMARY KEY,"
        " book_id bigint NULL)",
    )
    begin(0)

    go("books")

    [sql] = ask(
        "books",
        "SELECT referenced_table_name"
        " FROM information_schema.key_column_usage WHERE table_schema = database()"
        " AND table_name = 'shop_sale' AND column_name = 'book_id'"
        " AND referenced_table_name IS NOT NULL",
    )
    assert sql == "shop_book"


@pytest.mark.parametrize("shop", [MARIADB], indirect=True)
def test_column_that_is_gone_already_is_no_failure(shop):
    shop.add("shop", SECOND, migrations.RemoveField("book", "pages"))
    execute("books", "ALTER TABLE shop_book DROP COLUMN pages")
    begin(0)

    go("books")

    assert list_recorded("books", "shop") == [FIRST, SECOND]


@pytest.mark.parametrize("shop", [MARIADB], indirect=True)
def test_other_errors_of_a_repeated_operation_are_told(shop):
    shop.add(
        "shop",
        SECOND,
        migrations.AddConstraint(
            "book",
            models.UniqueConstraint(fields=["title"], name="shop_unique"),
        ),
    )
    execute("books", "INSERT INTO shop_book (title) VALUES ('Emma'), ('Emma')")
    begin(0)

    with pytest.raises(Exception, match="Duplicate entry"):
        go("books")

    assert list_recorded("books", "shop") == [FIRST]


@pytest.mark.parametrize("shop", [MARIADB], indirect=True)
def test_same_error_of_an_operation_that_was_not_begun_is_told(shop):
    shop.add("shop", SECOND, add("note", char(null=True)))
    execute("books", "ALTER TABLE shop_book ADD COLUMN note varchar(20) NULL")

    with pytest.raises(Exception, match="Duplicate column name"):
        go("books")
