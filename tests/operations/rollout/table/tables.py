"""What belongs to a table as a whole."""

from django.db import migrations, models
from django.db.models import Q

from tests.operations.rollout.table.cases import (
    BOTH,
    NOWHERE,
    POSTGRESQL,
    TRANSACTIONAL,
    case,
)
from tests.operations.rollout.table.own import (
    OwnCheck,
    OwnIndex,
    OwnNumber,
)

__all__ = ["TABLES"]

TABLES = [
    case(
        "unique_together",
        migrations.AlterUniqueTogether("book", {("title", "pages")}),
        migrations.AlterUniqueTogether("book", {("title", "author")}),
        migrations.AlterUniqueTogether("book", set()),
    ),
    case(
        "constraint_check",
        migrations.AddConstraint(
            "book",
            models.CheckConstraint(
                condition=~Q(title__startswith="50%x"), name="check_title"
            ),
        ),
        migrations.RemoveConstraint("book", "check_title"),
    ),
    case(
        "constraint_unique",
        migrations.AddConstraint(
            "book", models.UniqueConstraint(fields=["title"], name="unique_title")
        ),
        replayed=BOTH,
    ),
    case(
        "constraint_own",
        migrations.AddConstraint(
            "book", OwnCheck(condition=Q(pages__lt=999), name="own_check")
        ),
        replayed=NOWHERE,
    ),
    case(
        "constraint_own_expression",
        migrations.AddConstraint(
            "book",
            models.CheckConstraint(
                condition=Q(pages__gt=-OwnNumber()) | Q(pages=None), name="own_number"
            ),
        ),
        modes=TRANSACTIONAL,
        replayed=NOWHERE,
        computed=("sql",),
    ),
    case(
        "constraint_deferred",
        migrations.AddConstraint(
            "book",
            models.UniqueConstraint(
                fields=["title"], name="defer", deferrable=models.Deferrable.DEFERRED
            ),
        ),
        modes=POSTGRESQL,
        replayed=("postgresql",),
    ),
    case(
        "index",
        migrations.AddIndex("book", models.Index(fields=["title"], name="i_title")),
        migrations.RenameIndex("book", "i_name", old_name="i_title"),
        migrations.RemoveIndex("book", "i_name"),
    ),
    case(
        "index_alone",
        migrations.AddIndex("book", models.Index(fields=["title"], name="a_title")),
        replayed=BOTH,
    ),
    case(
        "index_own",
        migrations.AddIndex("book", OwnIndex(fields=["title"], name="own")),
        replayed=NOWHERE,
    ),
    case("table_name", migrations.AlterModelTable("book", "table_name_other")),
    case("table_comment", migrations.AlterModelTableComment("book", "it's one")),
    case(
        "order",
        migrations.AlterOrderWithRespectTo("book", "author"),
        replayed=BOTH,
    ),
    case(
        "order_twice",
        migrations.AlterOrderWithRespectTo("book", "author"),
        migrations.AlterOrderWithRespectTo("book", None),
    ),
    case(
        "options",
        migrations.AlterModelOptions(
            "book",
            {"permissions": [("may_read", "Can read")], "verbose_name": "big book"},
        ),
        replayed=BOTH,
    ),
    case(
        "managers",
        migrations.AlterModelManagers("book", [("objects", models.Manager())]),
    ),
]
if hasattr(migrations, "AlterConstraint"):
    TABLES.append(
        case(
            "constraint_alter",
            migrations.AddConstraint(
                "book",
                models.CheckConstraint(condition=Q(pages__lt=999), name="alter_check"),
            ),
            migrations.AlterConstraint(
                "book",
                "alter_check",
                models.CheckConstraint(
                    condition=Q(pages__lt=999),
                    name="alter_check",
                    violation_error_message="Too long",
                ),
            ),
        )
    )
