"""An app whose models have a field of every type, for what copies rows."""

import datetime
from typing import Any

from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models

from tests.warehouse.values import FULL, ROWS, Values, build_json_null


class Shelf(models.Model):
    """Has no number of its own, and refers to itself."""

    code = models.CharField(max_length=20, primary_key=True)
    above = models.ForeignKey("self", models.CASCADE, null=True)


class Slot(models.Model):
    """Is known by two columns together, and is in an order of its own."""

    pk = models.CompositePrimaryKey("shelf_id", "number")
    shelf = models.ForeignKey(Shelf, models.CASCADE)
    number = models.IntegerField()


class Tag(models.Model):
    """Is counted by the smallest numbers, and has a default of the engine."""

    id = models.SmallAutoField(primary_key=True)
    name = models.CharField(max_length=20, unique=True, db_default="'new'")


class Note(models.Model):
    """Is about a row of any model, and is counted by usual numbers."""

    id = models.AutoField(primary_key=True)
    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.CharField(max_length=40)
    subject = GenericForeignKey()
    text = models.TextField()


class Base(models.Model):
    changed = models.DateTimeField(auto_now=True)


class Item(Base, Values):
    """Inherits from a model with a table, and counts its rows there."""

    shelf = models.ForeignKey(Shelf, models.CASCADE, null=True)
    near = models.ManyToManyField("self")
    tags = models.ManyToManyField(Tag, through="Tagging")
    notes = GenericRelation(Note)


class Tagging(models.Model):
    """Says more of a relation than that it is there; counts by the largest numbers."""

    id = models.BigAutoField(primary_key=True)
    item = models.ForeignKey(Item, models.CASCADE)
    tag = models.ForeignKey(Tag, models.CASCADE)
    since = models.DateField(null=True)

    class Meta:
        order_with_respect_to = "item"


class Detail(models.Model):
    """Belongs to one item, whose number it has."""

    item = models.OneToOneField(Item, models.CASCADE, primary_key=True)
    text = models.TextField()


EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def fill(*more: dict[str, Any]) -> None:
    """Make rows of every kind, and more rows, in the current mirror."""
    below = Shelf.objects.create(code="a", above=Shelf.objects.create(code="b 'c'"))
    full, *others = (Item.objects.create(**row) for row in (*ROWS, *more))
    Item.objects.filter(pk=full.pk).update(shelf=below)
    full.near.add(*others[:2])
    Item.objects.create(json=build_json_null())
    Base.objects.filter(pk=full.pk).update(changed=EPOCH)
    for number in (1, 2):
        Slot.objects.create(shelf=below, number=number)
        tag = Tag.objects.create(name=f"tag {number} 🎈")
        Tagging.objects.create(item=full, tag=tag, since=EPOCH.date())
    Tag.objects.create()
    full.set_tagging_order([*full.get_tagging_order()][::-1])
    full.notes.create(text="of an item")
    Note.objects.create(subject=below, text="of a shelf")
    Detail.objects.create(item=full, text="more")
    for model in COUNTED:
        use_numbers(model)


# What gets its numbers from the engine.
COUNTED = (Tag, Note, Base, Tagging)


def use_numbers(model: type[models.Model]) -> None:
    """Make rows and delete them again, so that there are numbers of no row."""
    for _ in range(3):
        add(model)
    last = model.objects.order_by("-pk")[:3]
    model.objects.filter(pk__in=[row.pk for row in last]).delete()


def add(model: type[models.Model]) -> models.Model:
    """Add a row that gets the next number."""
    shelf, item = Shelf.objects.get(code="a"), Item.objects.get(slug=FULL["slug"])
    count = model.objects.count()
    values = {
        Tag: {"name": f"added {count}"},
        Note: {"subject": shelf, "text": "added"},
        Tagging: {"item": item, "tag": Tag.objects.earliest("pk")},
        Base: {},
    }
    return model.objects.create(**values[model])
