"""What the second release has: trees that bear fruit."""

from django.db import models


class Tree(models.Model):
    """A tree, whose height the second release knows."""

    name = models.CharField(max_length=100)
    height = models.IntegerField(default=3)
    label = models.CharField(max_length=200, default="")

    class Meta:
        indexes = (models.Index(fields=["label"], name="orchard_label"),)

    def __str__(self) -> str:
        return self.name


class Fruit(models.Model):
    """What a tree bears."""

    tree = models.ForeignKey(Tree, on_delete=models.CASCADE)
    name = models.CharField(max_length=50)
    is_ripe = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.name
