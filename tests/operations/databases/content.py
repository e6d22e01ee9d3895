"""Tables with every type of field, in a database that no mirror has."""

import uuid
from typing import Any

from django.db import models
from django.test.utils import isolate_apps

from tests.warehouse.values import ROWS, Values, build_json_null

SQL_OF_TRIGGERS = {
    "sqlite": [
        (
            "CREATE TRIGGER count_tags AFTER INSERT ON content_tag BEGIN"
            " UPDATE content_counter SET number = number + 1; END"
        )
    ],
    "postgresql": [
        (
            "CREATE FUNCTION count_tags() RETURNS trigger LANGUAGE plpgsql AS $$"
            " BEGIN UPDATE content_counter SET number = number + 1; RETURN NULL; END $$"
        ),
        (
            "CREATE TRIGGER count_tags AFTER INSERT ON content_tag"
            " FOR EACH ROW EXECUTE FUNCTION count_tags()"
        ),
    ],
    "mysql": [
        (
            "CREATE TRIGGER count_tags AFTER INSERT ON content_tag FOR EACH ROW BEGIN"
            " UPDATE content_counter SET number = number + 1; END"
        )
    ],
}


def build_models() -> list[type[models.Model]]:
    with isolate_apps("tests.bookshop"):

        class Tag(models.Model):
            name = models.CharField(max_length=190, unique=True)

            class Meta:
                app_label = "bookshop"
                db_table = "content_tag"

        class Counter(models.Model):
            number = models.IntegerField(default=0)

            class Meta:
                app_label = "bookshop"
                db_table = "content_counter"

        class Thing(Values):
            parent = models.ForeignKey("self", models.CASCADE, null=True)
            tags = models.ManyToManyField(Tag, db_table="content_thing_tags")

            class Meta:
                app_label = "bookshop"
                db_table = "content_thing"
                indexes = [models.Index(fields=["char", "-date"], name="content_idx")]
                constraints = [
                    models.CheckConstraint(
                        condition=~models.Q(positive=1000), name="content_check"
                    ),
                    models.UniqueConstraint(
                        fields=["slug", "email"], name="content_unique"
                    ),
                ]

        class Named(models.Model):
            uid = models.UUIDField(primary_key=True)
            title = models.CharField("order", max_length=50, db_column="Order by; 'x'")

            class Meta:
                app_label = "bookshop"
                db_table = 'content "named" x'.replace('"', "")

    return [Tag, Counter, Thing, Named]


def fill(connection: Any) -> None:
    """Make the tables, with rows, triggers, and numbers that were used and deleted."""
    tag, counter, thing, named = build_models()
    with connection.schema_editor() as editor:
        for model in (tag, counter, thing, named):
            editor.create_model(model)
    with connection.cursor() as cursor:
        for number in range(1, 8):
            insert(connection, tag, id=number, name=f"tag {number} 🎈")
        insert(connection, counter, id=1, number=0)
        for number, row in enumerate(ROWS, 1):
            insert(connection, thing, id=number, **row)
        insert(connection, thing, id=len(ROWS) + 1, parent=1, json=build_json_null())
        insert(connection, thing.tags.through, id=1, thing=1, tag=2)
        insert(connection, thing.tags.through, id=2, thing=3, tag=7)
        insert(connection, named, uid=uuid.UUID(int=7), title="x;y")
        for sql in SQL_OF_TRIGGERS[connection.vendor]:
            cursor.execute(sql)
        for model in (tag, counter, thing, thing.tags.through):
            move_sequence(connection, cursor, model)
        cursor.execute("DELETE FROM content_tag WHERE id > 40")


def insert(connection: Any, model: Any, **values: Any) -> None:
    fields = {field.name: field for field in model._meta.local_concrete_fields}
    columns = ", ".join(
        connection.ops.quote_name(fields[name].column) for name in values
    )
    marks = ", ".join(["%s"] * len(values))
    table = connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({columns}) VALUES ({marks})",
            [
                fields[name].get_db_prep_save(value, connection)
                for name, value in values.items()
            ],
        )


def move_sequence(connection: Any, cursor: Any, model: Any) -> None:
    """Let the next number be 51, although there is no row 50."""
    table = connection.ops.quote_name(model._meta.db_table)
    if connection.vendor == "postgresql":
        cursor.execute(f"ALTER TABLE {table} ALTER COLUMN id RESTART WITH 51")
    elif connection.vendor == "mysql":
        cursor.execute(f"ALTER TABLE {table} AUTO_INCREMENT = 51")
    else:
        name = model._meta.db_table
        cursor.execute("UPDATE sqlite_sequence SET seq = 50 WHERE name = %s", [name])


def add_tag(connection: Any, name: str = "new") -> int:
    """Add a tag as code would that knows nothing of its number; return that."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO content_tag (name) VALUES (%s)", [name])
        cursor.execute("SELECT id FROM content_tag WHERE name = %s", [name])
        return int(cursor.fetchone()[0])


def describe(connection: Any) -> dict[str, Any]:
    """Return the constraints and indexes of each table by its columns."""
    found: dict[str, Any] = {}
    with connection.cursor() as cursor:
        for table in sorted(connection.introspection.table_names(cursor)):
            items = connection.introspection.get_constraints(cursor, table)
            found[table] = sorted(
                (
                    # SQLite gives some of them numbers for names.
                    tuple(item["columns"] or ()),
                    item["primary_key"], item["unique"], item["index"], item["check"],
                    item["foreign_key"] or (),
                )
                for item in items.values()
            )  # fmt: skip
            fields = connection.introspection.get_table_description(cursor, table)
            found[f"{table}'s columns"] = [
                (field.name, field.null_ok, field.default) for field in fields
            ]
    return found
