import django.db.models.deletion
import django.db.models.functions.text
from django.db import migrations, models

import django_mirrors.models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Notice",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("text", models.CharField(max_length=50)),
            ],
            options={
                "db_table": "market_note",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Category",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("name", models.CharField(max_length=50, unique=True)),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Product",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("mirror_uid", django_mirrors.models.OwnerField()),
                ("name", models.CharField(max_length=50)),
                ("price", models.IntegerField()),
                (
                    "categories",
                    models.ManyToManyField(
                        blank=True, related_name="products", to="market.category"
                    ),
                ),
            ],
            options={
                "ordering": ("price",),
            },
        ),
        migrations.CreateModel(
            name="Note",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("text", models.CharField(max_length=50)),
                ("whose", django_mirrors.models.OwnerField(db_column="who")),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        models.F("whose"),
                        django.db.models.functions.text.Lower("text"),
                        name="market_note_text",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Perishable",
            fields=[
                (
                    "product_ptr",
                    models.OneToOneField(
                        auto_created=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        parent_link=True,
                        primary_key=True,
                        serialize=False,
                        to="market.product",
                    ),
                ),
                ("days", models.IntegerField()),
            ],
            options={
                "abstract": False,
            },
            bases=("market.product",),
        ),
        migrations.CreateModel(
            name="Rating",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("stars", models.IntegerField()),
                (
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="ratings",
                        to="market.product",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Trader",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("mirror_uid", django_mirrors.models.OwnerField()),
                ("name", models.CharField(max_length=50)),
                ("rank", models.IntegerField(default=0)),
                ("friends", models.ManyToManyField(to="market.trader")),
            ],
        ),
        migrations.AddField(
            model_name="product",
            name="trader",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="products",
                to="market.trader",
            ),
        ),
        migrations.AddConstraint(
            model_name="trader",
            constraint=models.UniqueConstraint(
                fields=("mirror_uid", "name"), name="market_trader_name"
            ),
        ),
        migrations.AlterUniqueTogether(
            name="product",
            unique_together={("mirror_uid", "name")},
        ),
    ]
