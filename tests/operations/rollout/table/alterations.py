"""Fields and models that are removed, altered and renamed."""

from uuid import uuid4

from django.db import migrations, models
from django.db.models import F, Q

from django_mirrors.models import OwnerField
from tests.operations.rollout.table.cases import (
    AUTHOR,
    BOOK,
    BOTH,
    NOWHERE,
    ROWS,
    TRANSACTIONAL,
    add,
    alter,
    case,
    char,
    create,
    foreign,
)
from tests.operations.rollout.table.own import (
    take_number,
)

__all__ = ["ALTERATIONS", "REMOVALS", "RENAMINGS"]

REMOVALS = [
    case(
        "remove_plain",
        migrations.RemoveField("book", "pages"),
        replayed=BOTH,
        rows=(ROWS[0],),
    ),
    case(
        "remove_foreign",
        migrations.RemoveField("book", "author"),
        replayed=("sqlite",),
    ),
    case(
        "remove_indexed",
        migrations.RemoveField("book", "note"),
        before=(AUTHOR, BOOK, add("note", char(null=True, db_index=True))),
    ),
    case(
        "remove_unique",
        migrations.RemoveField("book", "note"),
        before=(AUTHOR, BOOK, add("note", char(null=True, unique=True))),
    ),
    case(
        "remove_many",
        migrations.RemoveField("book", "readers"),
        before=(AUTHOR, BOOK, add("readers", models.ManyToManyField("Author"))),
    ),
    case(
        "remove_computed",
        migrations.RemoveField("book", "note"),
        before=(AUTHOR, BOOK, add("note", models.UUIDField(default=uuid4))),
        rows=ROWS[:1],
        computed=("note",),
    ),
    case(
        "add_beside_an_owner",
        add("note", char(null=True)),
        before=(AUTHOR, BOOK, add("owner", OwnerField())),
        rows=(
            ROWS[0],
            """
            INSERT INTO {app}_book (id, title, author_id, owner)
            VALUES (1, 'Emma', 1, '00000000000000000000000000000001')
            """,
        ),
        replayed=BOTH,
    ),
    case(
        "remove_owner",
        migrations.RemoveField("book", "note"),
        before=(AUTHOR, BOOK, add("note", OwnerField())),
        rows=ROWS[:1],
        computed=("note",),
    ),
    case("remove_model", migrations.DeleteModel("Book"), rows=ROWS[:1]),
]

ALTERATIONS = [
    case("alter_type", alter("pages", models.BigIntegerField(null=True))),
    case("alter_to_text", alter("title", models.TextField())),
    case("alter_length", alter("title", char(200))),
    case("alter_to_not_null", alter("pages", models.IntegerField(default=3))),
    case(
        "alter_to_not_null_once",
        alter("pages", models.IntegerField(default=3), is_kept=False),
    ),
    case(
        "alter_to_not_null_computed",
        alter("pages", models.IntegerField(default=take_number)),
        replayed=NOWHERE,
        computed=("pages",),
    ),
    case("alter_to_null", alter("title", char(50, null=True))),
    case("alter_unique", alter("title", char(50, unique=True))),
    case(
        "alter_not_unique",
        migrations.AlterField("author", "name", char(50)),
        before=(create("Author", ("name", char(50, unique=True))),),
        rows=ROWS[:1],
        replayed=("sqlite",),
    ),
    case("alter_index", alter("title", char(50, db_index=True))),
    case(
        "alter_no_index",
        migrations.AlterField("author", "name", char(50)),
        before=(create("Author", ("name", char(50, db_index=True))),),
        rows=ROWS[:1],
        replayed=("sqlite",),
    ),
    case(
        "alter_foreign",
        [create("Editor", ("name", char())), alter("author", foreign("Editor"))],
        rows=ROWS[:1],
    ),
    case("alter_no_constraint", alter("author", foreign(db_constraint=False))),
    case("alter_column", alter("title", char(50, db_column="headline"))),
    case(
        "alter_key",
        migrations.AlterField("author", "id", models.AutoField(primary_key=True)),
    ),
    case(
        "alter_key_to_char",
        migrations.AlterField("author", "id", char(36, primary_key=True)),
        is_reversible=False,
        modes=TRANSACTIONAL,
    ),
    case("alter_db_default", alter("title", char(50, db_default="it's"))),
    case("alter_comment", alter("title", char(50, db_comment="it's more"))),
    case(
        "alter_options_of_field",
        alter("title", char(50, help_text="Its name", verbose_name="name")),
    ),
    case(
        "alter_many",
        alter("readers", models.ManyToManyField("Author", related_name="read")),
        before=(AUTHOR, BOOK, add("readers", models.ManyToManyField("Author"))),
        rows=ROWS,
    ),
    case(
        "alter_generated",
        add(
            "note",
            models.GeneratedField(
                expression=F("pages") + 1,
                output_field=models.IntegerField(),
                db_persist=True,
            ),
        ),
        migrations.RemoveField("book", "note"),
    ),
]

RENAMINGS = [
    case(
        "rename_field", migrations.RenameField("book", "title", "name"), replayed=None
    ),
    case("rename_foreign", migrations.RenameField("book", "author", "writer")),
    case(
        "rename_with_rules",
        migrations.RenameField("thing", "one", "first"),
        before=(
            create(
                "Thing",
                ("one", char(unique=True)),
                ("two", char()),
                unique_together={("one", "two")},
                indexes=[models.Index(fields=["one"], name="with_rules_one")],
                constraints=[
                    models.CheckConstraint(condition=~Q(one=""), name="with_rules")
                ],
            ),
        ),
    ),
    case(
        "rename_model",
        migrations.RenameModel("Author", "Writer"),
        replayed=NOWHERE,
    ),
    case(
        "rename_model_many",
        migrations.RenameModel("Book", "Volume"),
        before=(AUTHOR, BOOK, add("readers", models.ManyToManyField("Author"))),
        rows=(
            *ROWS,
            "INSERT INTO {app}_book_readers (book_id, author_id) VALUES (1, 2)",
        ),
    ),
    case(
        "rename_twice",
        migrations.RenameModel("Book", "Volume"),
        [migrations.RenameModel("Volume", "Tome"), create("Other", ("text", char()))],
    ),
    case(
        "rename_and_more",
        [
            migrations.RenameModel("Book", "Volume"),
            migrations.AddField("volume", "more", char(default="more")),
        ],
    ),
]
