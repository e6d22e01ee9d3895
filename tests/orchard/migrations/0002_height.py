from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orchard", "0001_initial")]

    operations = [
        migrations.AddField("tree", "height", models.IntegerField(default=3)),
        migrations.AddField("fruit", "is_ripe", models.BooleanField(default=False)),
    ]
