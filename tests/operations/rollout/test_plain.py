"""Which operations are the same in all databases, and which nobody can know."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.db import migrations, models
from django.db.models import F, Q, Value
from django.db.models.functions import Lower, Now
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy

from django_mirrors.models import OwnerField
from tests.operations.rollout.acting import look
from tests.operations.rollout.table.cases import AUTHOR, BOOK, add, alter, char, create
from tests.operations.rollout.table.own import (
    OwnCheck,
    OwnField,
    OwnIndex,
    OwnNumber,
    OwnOperation,
    nothing,
    take_number,
)

pytestmark = pytest.mark.django_db

FIRST, SECOND = "0001_initial", "0002_change"


def separate(*operations):
    return migrations.SeparateDatabaseAndState(database_operations=list(operations))


def check(condition):
    return migrations.AddConstraint(
        "book", models.CheckConstraint(condition=condition, name="own_check")
    )


PLAIN = {
    "null": add("note", char(null=True)),
    "constant": add("note", char(default="it's 5%")),
    "constant class": add("note", models.JSONField(default=dict)),
    "moment": add(
        "note", models.DateTimeField(default=datetime(2026, 1, 2, tzinfo=UTC))
    ),
    "unused callable": create("Thing", ("note", models.UUIDField(default=uuid4))),
    "database default": add("note", models.DateTimeField(null=True, db_default=Now())),
    "model": create("Thing", ("note", char())),
    "owner of a model": create("Thing", ("owner", OwnerField())),
    "index": migrations.AddIndex("book", models.Index(Lower("title"), name="by_title")),
    "check": check(Q(pages__lt=F("id") + Value(5)) | ~Q(title="it's")),
    "message": migrations.AddConstraint(
        "book",
        models.UniqueConstraint(
            fields=["title"],
            name="unique_title",
            violation_error_message=gettext_lazy("Not again."),
        ),
    ),
    "removal": migrations.RemoveField("book", "pages"),
    "sql": migrations.RunSQL([("SELECT %s", [1]), "SELECT 2"]),
    "separate": separate(add("note", char(null=True))),
}
OWN = {
    "computed": add("note", models.IntegerField(default=take_number)),
    "random": add("note", models.UUIDField(default=uuid4)),
    "owner": add("note", OwnerField()),
    "separate owner": separate(add("note", OwnerField())),
    "clock": add("note", models.DateTimeField(default=timezone.now)),
    "auto_now": add("note", models.DateTimeField(auto_now=True)),
    "auto_now_add": add("note", models.DateField(auto_now_add=True)),
    "translated": add("note", char(default=gettext_lazy("Yes"))),
    "lazy": add("note", char(default=SimpleLazyObject(lambda: str(take_number())))),
    "altered": alter("pages", models.IntegerField(default=take_number)),
    "field": add("note", OwnField(null=True)),
    "field of a model": create("Thing", ("note", OwnField())),
    "database default": add("note", models.IntegerField(db_default=OwnNumber())),
    "inner default": add(
        "note", models.FloatField(db_default=OwnNumber() + Value(1.5))
    ),
    "index": migrations.AddIndex("book", OwnIndex(fields=["title"], name="own")),
    "index of a model": create(
        "Thing", ("pages", char()), indexes=[OwnIndex(fields=["pages"], name="own")]
    ),
    "constraint": migrations.AddConstraint(
        "book", OwnCheck(condition=Q(pages__lt=9), name="own_check")
    ),
    "expression": check(Q(pages__lt=OwnNumber())),
    "expression within": check(~(Q(title="x") & Q(pages__lt=-OwnNumber()))),
    "operation": OwnOperation("SELECT 1"),
    "code": migrations.RunPython(nothing),
    "separate code": separate(migrations.RunPython(nothing)),
    "separate operation": separate(OwnOperation("SELECT 1")),
    "separate default": separate(add("note", models.UUIDField(default=uuid4))),
}


def find_statements(release, *operations):
    release.add("shop", FIRST, AUTHOR, BOOK)
    release.add("shop", SECOND, *operations)
    found = {change.name: change for change in look("books").changes}
    return found[f"shop.{SECOND}"].statements


@pytest.mark.parametrize("operation", PLAIN.values(), ids=PLAIN)
def test_what_follows_from_the_models_is_plain(release, operation):
    assert find_statements(release, operation)


@pytest.mark.parametrize("operation", OWN.values(), ids=OWN)
def test_what_may_depend_on_the_mirror_is_not(release, operation):
    assert find_statements(release, operation) is None


def test_one_operation_that_is_not_plain_is_enough(release):
    operations = [PLAIN["null"], OWN["code"], PLAIN["index"]]

    assert find_statements(release, *operations) is None


def test_table_with_a_field_of_the_project_is_made_in_each_mirror(release):
    release.add("shop", FIRST, AUTHOR, BOOK, create("Thing", ("own", OwnField())))
    more = migrations.AddField("thing", "note", char(null=True))
    release.add("shop", SECOND, more)

    assert look("books").changes[-1].statements is None


def test_field_of_the_project_in_another_table_is_no_hindrance(release):
    release.add("stock", FIRST, create("Thing", ("own", OwnField())))

    assert find_statements(release, PLAIN["null"])


@pytest.mark.postgres
@pytest.mark.parametrize("books", ["postgresql"], indirect=True)
def test_what_a_database_is_asked_for_first_is_worked_out_in_each(books):
    books.add("shop", FIRST, AUTHOR, BOOK)
    books.add("shop", SECOND, migrations.RemoveField("book", "author"))

    assert look("books").changes[-1].statements is None
