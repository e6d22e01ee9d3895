from django.db import migrations
from django.db.models import F


def grow(apps, schema_editor):
    """Add to what is there: run twice it would be seen."""
    tree = apps.get_model("orchard", "Tree")
    tree.objects.update(height=F("height") + 1)
    tree.objects.create(name=f"planted in {schema_editor.connection.alias}")


def shrink(apps, schema_editor):
    tree = apps.get_model("orchard", "Tree")
    tree.objects.filter(name__startswith="planted in ").delete()
    tree.objects.update(height=F("height") - 1)


class Migration(migrations.Migration):
    dependencies = [("orchard", "0002_height")]

    operations = [migrations.RunPython(grow, shrink)]
