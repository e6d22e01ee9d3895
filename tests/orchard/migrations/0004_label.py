from django.db import migrations, models


class Migration(migrations.Migration):
    """No transaction holds it."""

    atomic = False
    dependencies = [("orchard", "0003_grow")]

    operations = [
        migrations.AddField(
            "tree", "label", models.CharField(default="", max_length=100)
        ),
        migrations.AddIndex(
            "tree", models.Index(fields=["label"], name="orchard_label")
        ),
        migrations.AlterField(
            "tree", "label", models.CharField(default="", max_length=200)
        ),
    ]
