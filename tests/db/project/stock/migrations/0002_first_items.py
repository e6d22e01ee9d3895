"""Writes in all the ways of a project that has one database: no `using` anywhere."""

from django.db import connection, migrations, transaction


def add_items(apps, schema_editor):
    Item = apps.get_model("stock", "Item")
    Item.objects.create(name="from the ORM")
    with transaction.atomic():
        Item(name="in a transaction").save()
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO stock_item (name) VALUES ('by a cursor')")


def remove_items(apps, schema_editor):
    apps.get_model("stock", "Item").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("stock", "0001_initial")]
    operations = [
        migrations.RunPython(add_items, remove_items),
        migrations.RunSQL(
            "INSERT INTO stock_item (name) VALUES ('by SQL')", migrations.RunSQL.noop
        ),
    ]
