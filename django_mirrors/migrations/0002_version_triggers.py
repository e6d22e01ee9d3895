"""Let the original's database count every change of the records."""

from pathlib import Path
from typing import Any

from django.db import migrations

SQL = Path(__file__).parent / "sql"
SEPARATOR = "-- statement\n"


def create_triggers(apps: Any, schema_editor: Any) -> None:
    connection = schema_editor.connection
    path = SQL / f"{connection.vendor}.sql"
    with connection.cursor() as cursor:
        for statement in path.read_text(encoding="utf-8").split(SEPARATOR):
            cursor.execute(statement)


def drop_triggers(apps: Any, schema_editor: Any) -> None:
    vendor = schema_editor.connection.vendor
    table = "django_mirrors_mirrorrecord"
    on_table = f" ON {table}" if vendor == "postgresql" else ""
    with schema_editor.connection.cursor() as cursor:
        for name in ("inserted", "updated", "changed", "deleted"):
            cursor.execute(
                f"DROP TRIGGER IF EXISTS django_mirrors_record_{name}{on_table}"
            )
        if vendor == "postgresql":
            for name in (
                "record_changed()",
                "record_deleted()",
                "count_change(bigint)",
            ):
                cursor.execute(f"DROP FUNCTION IF EXISTS django_mirrors_{name}")


class Migration(migrations.Migration):
    dependencies = [("django_mirrors", "0001_initial")]

    operations = [migrations.RunPython(create_triggers, drop_triggers)]
