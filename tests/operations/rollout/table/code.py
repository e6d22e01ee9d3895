"""SQL, code, and what no single transaction holds."""

from uuid import uuid4

from django.db import migrations, models

from tests.operations.rollout.table.cases import (
    BOTH,
    NOWHERE,
    TRANSACTIONAL,
    add,
    alter,
    case,
    char,
    create,
    foreign,
)
from tests.operations.rollout.table.own import (
    OwnOperation,
    nothing,
    upper,
    write_pages,
)

__all__ = ["CODE"]

CODE = [
    case(
        "separate_state",
        migrations.SeparateDatabaseAndState(
            state_operations=[add("note", char(null=True))],
            database_operations=[
                migrations.RunSQL(
                    "ALTER TABLE separate_state_book ADD COLUMN note varchar(20) NULL",
                    "ALTER TABLE separate_state_book DROP COLUMN note",
                )
            ],
        ),
    ),
    case(
        "separate_both",
        migrations.SeparateDatabaseAndState(
            state_operations=[add("note", char(null=True))],
            database_operations=[add("note", char(null=True, db_index=True))],
        ),
        replayed=BOTH,
        is_reversible=False,
    ),
    case(
        "separate_computed",
        migrations.SeparateDatabaseAndState(
            state_operations=[add("note", models.UUIDField(default=uuid4))],
            database_operations=[add("note", models.UUIDField(default=uuid4))],
        ),
        replayed=NOWHERE,
        computed=("note",),
    ),
    case(
        "separate_code",
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(upper("separate_code"), nothing)]
        ),
        replayed=NOWHERE,
    ),
    case(
        "sql_percent",
        migrations.RunSQL(
            "UPDATE sql_percent_book SET title = 'a%s 100%' WHERE title LIKE '100%'",
            migrations.RunSQL.noop,
        ),
        replayed=BOTH,
    ),
    case(
        "sql_parameters",
        migrations.RunSQL(
            [
                ("UPDATE sql_parameters_book SET pages = %s WHERE id = %s", [99, 1]),
                ("UPDATE sql_parameters_book SET title = %s", ["it's 5% %s"]),
                "UPDATE sql_parameters_author SET name = '5%'",
            ],
            [("UPDATE sql_parameters_book SET pages = %s", [None])],
        ),
        replayed=BOTH,
    ),
    case(
        "sql_several",
        migrations.RunSQL(
            "UPDATE sql_several_book SET pages = 1; -- a remark; with a semicolon\n"
            "UPDATE sql_several_book SET title = 'a;b' WHERE id = 1;",
            "UPDATE sql_several_book SET pages = 2;",
        ),
        replayed=BOTH,
    ),
    case(
        "sql_state",
        migrations.RunSQL(
            "ALTER TABLE sql_state_book ADD COLUMN note varchar(20) NULL",
            "ALTER TABLE sql_state_book DROP COLUMN note",
            state_operations=[add("note", char(null=True))],
        ),
        alter("note", char(null=True, db_index=True)),
    ),
    case("sql_own", OwnOperation("SELECT 1"), replayed=NOWHERE, computed=("pages",)),
    case(
        "code",
        migrations.RunPython(upper("code"), nothing),
        replayed=NOWHERE,
    ),
    case(
        "code_between",
        add("length", models.IntegerField(default=0)),
        migrations.RunPython(write_pages("code_between"), nothing),
        migrations.RenameField("book", "length", "size"),
        migrations.RunPython(upper("code_between"), nothing),
        alter("size", models.BigIntegerField(default=5)),
        modes=TRANSACTIONAL,
    ),
    case(
        "code_in_the_middle",
        [
            add("length", models.IntegerField(null=True)),
            migrations.RunPython(write_pages("code_in_the_middle"), nothing),
            add("more", char(default="")),
        ],
        modes=("sqlite", "mysql"),
        replayed=NOWHERE,
    ),
    case(
        "several_parts",
        [
            create("Shop", ("name", char(db_index=True)), ("book", foreign("Book"))),
            migrations.AddField("shop", "size", models.IntegerField(default=1)),
            migrations.RemoveField("shop", "name"),
        ],
        replayed=None,
    ),
    case(
        "renamed_parts",
        [
            create("Shop", ("name", char(db_index=True)), ("book", foreign("Book"))),
            migrations.RenameField("shop", "book", "volume"),
            migrations.RenameModel("Shop", "Store"),
            migrations.AlterModelTable("store", "renamed_parts_other"),
        ],
        # In parts, keys are made before the renaming, and keep their first names.
        modes=TRANSACTIONAL,
    ),
    case(
        "not_atomic",
        [
            add("note", char(null=True)),
            migrations.RunSQL(
                "UPDATE not_atomic_book SET note = '5%'", migrations.RunSQL.noop
            ),
            migrations.RunPython(upper("not_atomic"), nothing),
            create("Shop", ("name", char(db_index=True)), ("book", foreign("Book"))),
            add("other", char(default="it's", unique=False)),
        ],
        is_atomic=False,
        replayed=NOWHERE,
    ),
    case(
        "own_transaction",
        migrations.RunPython(upper("own_transaction"), nothing, atomic=True),
        is_atomic=False,
        replayed=NOWHERE,
    ),
]
