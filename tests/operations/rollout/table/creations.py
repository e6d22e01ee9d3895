"""Models that are made."""

from datetime import timedelta
from uuid import uuid4

from django.db import migrations, models
from django.db.models import F, Q
from django.db.models.functions import Lower, Now

from tests.operations.rollout.table.cases import (
    BOTH,
    NOWHERE,
    POSTGRESQL,
    TRANSACTIONAL,
    case,
    char,
    create,
    foreign,
)
from tests.operations.rollout.table.own import (
    OwnField,
    OwnIndex,
    OwnNumber,
)

__all__ = ["CREATIONS"]

KINDS = (
    ("big", models.BigIntegerField(default=1)),
    ("binary", models.BinaryField(null=True)),
    ("boolean", models.BooleanField(default=True)),
    ("char", models.CharField(max_length=30, default="it's 5%")),
    ("date", models.DateField(auto_now=True)),
    ("datetime", models.DateTimeField(auto_now_add=True)),
    ("decimal", models.DecimalField(max_digits=8, decimal_places=2)),
    ("duration", models.DurationField(default=timedelta(1))),
    ("email", models.EmailField(db_index=True)),
    ("file", models.FileField(upload_to="files")),
    ("path", models.FilePathField()),
    ("number", models.FloatField(null=True, blank=True)),
    ("address", models.GenericIPAddressField(null=True)),
    ("json", models.JSONField(default=dict)),
    ("positive", models.PositiveIntegerField()),
    ("positive_big", models.PositiveBigIntegerField()),
    ("positive_small", models.PositiveSmallIntegerField()),
    ("slug", models.SlugField()),
    ("small", models.SmallIntegerField()),
    ("text", models.TextField(blank=True)),
    ("time", models.TimeField(null=True)),
    ("url", models.URLField(unique=True)),
    ("uuid", models.UUIDField(default=uuid4, unique=True)),
)

CREATIONS = [
    case("create_kinds", create("Thing", *KINDS), replayed=BOTH),
    case(
        "create_relations",
        [
            create(
                "Shop",
                ("owner", models.OneToOneField("Author", models.PROTECT)),
                ("books", models.ManyToManyField("Book", related_name="shops")),
                ("parent", foreign("Shop")),
                ("free", foreign("Book", db_constraint=False, db_index=False)),
            ),
            create("Sale", ("shop", foreign("Shop")), ("book", foreign("Book"))),
            migrations.AddField(
                "shop", "sold", models.ManyToManyField("Book", through="Sale")
            ),
        ],
        replayed=BOTH,
    ),
    case(
        "create_rules",
        create(
            "Rule",
            ("one", char(unique=True)),
            ("two", char(db_index=True)),
            ("three", models.IntegerField()),
            unique_together={("one", "two")},
            indexes=[
                models.Index(fields=["one", "-three"], name="rules_one_three"),
                models.Index(fields=["two"], name="rules_two"),
            ],
            constraints=[
                models.CheckConstraint(condition=Q(three__gt=0), name="rules_above"),
                models.CheckConstraint(
                    condition=~Q(one__contains="%a'b"), name="rules_percent"
                ),
                models.UniqueConstraint(fields=["two", "three"], name="rules_unique"),
            ],
        ),
        replayed=BOTH,
    ),
    case(
        "create_expressions",
        create(
            "Rule",
            ("one", char()),
            ("two", models.IntegerField()),
            indexes=[
                models.Index(Lower("one"), name="expressions_lower"),
                models.Index(
                    fields=["two"], condition=Q(two__gt=5), name="expressions_part"
                ),
            ],
            constraints=[
                models.UniqueConstraint(Lower("one"), name="expressions_unique"),
                models.UniqueConstraint(
                    fields=["two"], condition=Q(one="50%"), name="expressions_some"
                ),
            ],
        ),
        modes=TRANSACTIONAL,
        replayed=BOTH,
    ),
    case(
        "create_db_default",
        create(
            "Fact",
            ("number", models.IntegerField(db_default=5)),
            ("text", char(db_default="it's 5%")),
            ("made", models.DateTimeField(db_default=Now())),
        ),
        replayed=BOTH,
    ),
    case(
        "create_generated",
        create(
            "Area",
            ("side", models.IntegerField()),
            (
                "area",
                models.GeneratedField(
                    expression=F("side") * F("side"),
                    output_field=models.IntegerField(),
                    db_persist=True,
                ),
            ),
        ),
        replayed=BOTH,
    ),
    case(
        "create_comments",
        create(
            "Said",
            ("text", char(db_comment="it's said")),
            db_table_comment="of the table",
        ),
        replayed=BOTH,
    ),
    case(
        "create_options",
        [
            create("Named", ("text", char()), db_table="create_options_other"),
            create(
                "Line",
                ("book", foreign("Book", null=False)),
                order_with_respect_to="book",
            ),
            create("Unmanaged", ("text", char()), managed=False),
            create(
                "Allowed",
                ("text", char()),
                permissions=[("may_sing", "Can sing")],
                default_permissions=("view",),
                verbose_name="allowed one",
            ),
            migrations.CreateModel(
                "Shadow", [], {"proxy": True}, bases=("create_options.book",)
            ),
            migrations.CreateModel(
                "Novel",
                [
                    (
                        "book_ptr",
                        models.OneToOneField(
                            "Book",
                            models.CASCADE,
                            parent_link=True,
                            primary_key=True,
                            auto_created=True,
                        ),
                    ),
                    ("plot", models.TextField()),
                ],
                bases=("create_options.book",),
            ),
        ],
    ),
    case(
        "create_composite",
        create(
            "Pair",
            ("pk", models.CompositePrimaryKey("one", "two")),
            ("one", models.IntegerField()),
            ("two", models.IntegerField()),
        ),
        replayed=BOTH,
    ),
    case(
        "create_collation_sqlite",
        create("Word", ("text", char(db_collation="NOCASE"))),
        modes=("sqlite",),
        replayed=("sqlite",),
    ),
    case(
        "create_collation_postgresql",
        create("Word", ("text", char(db_collation="C")), ("more", char(unique=True))),
        modes=POSTGRESQL,
        replayed=("postgresql",),
    ),
    case(
        "create_collation_mysql",
        create("Word", ("text", char(db_collation="utf8mb4_bin"))),
        modes=("mysql",),
    ),
    case("create_own_field", create("Own", ("number", OwnField())), replayed=NOWHERE),
    case(
        "create_own_index",
        create(
            "Own",
            ("pages", models.IntegerField()),
            ("more", models.IntegerField()),
            indexes=[OwnIndex(fields=["more"], name="own_index")],
        ),
        replayed=NOWHERE,
    ),
    case(
        "create_own_expression",
        create("Own", ("number", models.IntegerField(db_default=OwnNumber()))),
        modes=TRANSACTIONAL,
        replayed=NOWHERE,
        computed=("sql",),
    ),
]
