"""Fields that are added."""

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import uuid4

from django.contrib.postgres import fields as postgres
from django.db import models
from django.db.models import F, Value
from django.db.models.functions import Pi
from django.utils import timezone
from django.utils.translation import gettext_lazy

from django_mirrors.models import OwnerField
from tests.operations.rollout.table.cases import (
    BOTH,
    NOWHERE,
    POSTGRESQL,
    ROWS,
    TRANSACTIONAL,
    add,
    case,
    char,
    foreign,
)
from tests.operations.rollout.table.own import (
    OwnField,
    OwnNumber,
    take_number,
)

__all__ = ["ADDITIONS"]

ADDITIONS = [
    case("add_null", add("note", char(null=True)), replayed=BOTH),
    case("add_text_default", add("note", char(default="it's 50% %s")), replayed=BOTH),
    case(
        "add_default_once",
        add("note", models.IntegerField(default=7), is_kept=False),
        replayed=BOTH,
    ),
    case(
        "add_blank",
        add("note", models.TextField(blank=True, default="")),
        replayed=BOTH,
    ),
    case("add_blank_no_default", add("note", char(blank=True)), replayed=BOTH),
    case("add_boolean", add("note", models.BooleanField(default=False)), replayed=BOTH),
    case(
        "add_decimal",
        add(
            "note",
            models.DecimalField(max_digits=6, decimal_places=2, default=Decimal("1.5")),
        ),
        replayed=BOTH,
    ),
    case(
        "add_moment",
        add("note", models.DateTimeField(default=datetime(2026, 1, 2, tzinfo=UTC))),
        replayed=BOTH,
    ),
    case("add_date", add("note", models.DateField(default=date(2026, 1, 2)))),
    case("add_json", add("note", models.JSONField(default=dict)), replayed=BOTH),
    case(
        "add_array",
        add("note", postgres.ArrayField(char(), default=list)),
        modes=POSTGRESQL,
        replayed=("postgresql",),
    ),
    case("add_binary", add("note", models.BinaryField(default=b"a%b\x00"))),
    case("add_unique", add("note", char(null=True, unique=True)), replayed=BOTH),
    case("add_index", add("note", char(null=True, db_index=True)), replayed=BOTH),
    case("add_column", add("note", char(null=True, db_column="other")), replayed=BOTH),
    case("add_foreign", add("editor", foreign(related_name="+")), replayed=BOTH),
    case(
        "add_foreign_default",
        add("editor", foreign(null=False, default=1, related_name="+")),
    ),
    case(
        "add_one_to_one",
        add(
            "editor",
            models.OneToOneField("Author", models.CASCADE, null=True, related_name="+"),
        ),
        replayed=BOTH,
    ),
    case("add_many", add("readers", models.ManyToManyField("Author")), replayed=BOTH),
    case(
        "add_uuid",
        add("note", models.UUIDField(default=uuid4)),
        replayed=NOWHERE,
        computed=("note",),
    ),
    case(
        "add_uuid_once",
        add("note", models.UUIDField(default=uuid4), is_kept=False),
        replayed=NOWHERE,
        computed=("note",),
    ),
    case(
        "add_now",
        add("note", models.DateTimeField(default=timezone.now)),
        replayed=NOWHERE,
        computed=("note",),
    ),
    case(
        "add_auto_now_add",
        add("note", models.DateTimeField(auto_now_add=True)),
        rows=(ROWS[0],),
        replayed=NOWHERE,
    ),
    case(
        "add_auto_now",
        add("note", models.DateTimeField(auto_now=True)),
        replayed=NOWHERE,
        computed=("note",),
    ),
    case(
        "add_number",
        add("note", models.IntegerField(default=take_number)),
        replayed=NOWHERE,
        computed=("note",),
    ),
    case(
        "add_own_field",
        add("note", OwnField(default=1)),
        replayed=NOWHERE,
        computed=("note",),
    ),
    case(
        "add_owner",
        add("note", OwnerField()),
        replayed=NOWHERE,
        computed=("note",),
    ),
    case("add_lazy", add("note", char(default=gettext_lazy("Yes"))), replayed=NOWHERE),
    case("add_db_default", add("note", char(db_default="it's 5%")), replayed=BOTH),
    case("add_db_default_value", add("note", models.IntegerField(db_default=Value(3)))),
    case("add_db_default_pi", add("note", models.FloatField(db_default=Pi()))),
    case(
        "add_db_default_own",
        add("note", models.IntegerField(db_default=OwnNumber())),
        modes=TRANSACTIONAL,
        replayed=NOWHERE,
        computed=("note", "sql"),
    ),
    case(
        "add_generated",
        add(
            "note",
            models.GeneratedField(
                expression=F("pages") + 1,
                output_field=models.IntegerField(),
                db_persist=True,
            ),
        ),
        replayed=BOTH,
    ),
    case("add_comment", add("note", char(null=True, db_comment="more")), replayed=BOTH),
    case("add_two", [add("one", char(null=True)), add("two", char(default="2"))]),
]
