"""An app whose rows belong to one mirror each, for databases that mirrors share."""

from django.db import models
from django.db.models.functions import Lower

from django_mirrors.models import MirrorOwned, OwnerField


class NamedManager(models.Manager):
    def get_by_natural_key(self, name):
        return self.get(name=name)


class Named(models.Model):
    """A base of somebody's that knows nothing of mirrors."""

    name = models.CharField(max_length=50)

    objects = NamedManager()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.name

    def natural_key(self):
        return (self.name,)


class Category(Named):
    """Common to all mirrors."""

    name = models.CharField(max_length=50, unique=True)


class Trader(Named, MirrorOwned):
    rank = models.IntegerField(default=0)
    friends = models.ManyToManyField("self")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=("mirror_uid", "name"), name="market_trader_name"
            )
        ]


class CheapManager(models.Manager):
    """Leaves things out, and would leave nothing else out."""

    def get_queryset(self):
        return super().get_queryset().filter(price__lt=20)


class Product(Named, MirrorOwned):
    price = models.IntegerField()
    trader = models.ForeignKey(
        Trader, models.CASCADE, null=True, blank=True, related_name="products"
    )
    categories = models.ManyToManyField(Category, related_name="products", blank=True)

    objects = NamedManager()
    cheap = CheapManager()

    class Meta:
        ordering = ("price",)
        unique_together = (("mirror_uid", "name"),)


class Perishable(Product):
    """Has a table of its own, and its owner in another one."""

    days = models.IntegerField()


class Rating(models.Model):
    """Of no mirror, and yet of a product."""

    product = models.ForeignKey(Product, models.CASCADE, related_name="ratings")
    stars = models.IntegerField()


class Note(models.Model):
    """Has a field, in place of the base."""

    text = models.CharField(max_length=50)
    whose = OwnerField(db_column="who")

    class Meta:
        constraints = [
            models.UniqueConstraint("whose", Lower("text"), name="market_note_text")
        ]


class Notice(models.Model):
    """The same table, seen by a model that knows nothing of owners."""

    text = models.CharField(max_length=50)

    class Meta:
        managed = False
        db_table = "market_note"
