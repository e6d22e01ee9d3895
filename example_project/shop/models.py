"""What the shop sells, to whom, and what was ordered."""

from __future__ import annotations

import secrets
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

# Without the letters and digits that are mistaken for each other.
_REFERENCE_LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"


class Translated(models.Model):
    """Something with texts in further languages, kept in `texts`."""

    class Meta:
        abstract = True

    def translate(self, field: str) -> str:
        """Return `field` in the active language, or as it was first written."""
        language = (get_language() or "").partition("-")[0]
        for text in self.texts.all():
            if text.language == language and getattr(text, field):
                return getattr(text, field)
        return getattr(self, field)


class Category(Translated):
    name = models.CharField(_("name"), max_length=60)
    slug = models.SlugField(_("slug"), unique=True)
    position = models.PositiveSmallIntegerField(_("position"), default=0)

    class Meta:
        ordering = ["position", "name"]
        verbose_name = _("category")
        verbose_name_plural = _("categories")

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("shop:category", args=[self.slug])

    @property
    def title(self) -> str:
        return self.translate("name")


class CategoryText(models.Model):
    category = models.ForeignKey(Category, models.CASCADE, related_name="texts")
    language = models.CharField(_("language"), max_length=8)
    name = models.CharField(_("name"), max_length=60)

    class Meta:
        verbose_name = _("translation")
        verbose_name_plural = _("translations")
        constraints = [
            models.UniqueConstraint(
                fields=["category", "language"], name="one_category_text_per_language"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.language})"


class ProductQuerySet(models.QuerySet["Product"]):
    def with_texts(self) -> ProductQuerySet:
        return self.select_related("category").prefetch_related("texts")

    def search(self, words: str) -> ProductQuerySet:
        """Return the products that have every one of `words`."""
        found = self
        for word in words.split():
            found = found.filter(
                models.Q(name__icontains=word)
                | models.Q(byline__icontains=word)
                | models.Q(texts__name__icontains=word)
            )
        return found.distinct()


class Product(Translated):
    category = models.ForeignKey(
        Category, models.PROTECT, related_name="products", verbose_name=_("category")
    )
    name = models.CharField(_("name"), max_length=120)
    slug = models.SlugField(_("slug"), max_length=140, unique=True)
    byline = models.CharField(_("by"), max_length=120, blank=True)
    kind = models.CharField(_("kind"), max_length=120, blank=True)
    description = models.TextField(_("description"), blank=True)
    price = models.DecimalField(_("price"), max_digits=8, decimal_places=2)
    stock = models.PositiveIntegerField(_("stock"), default=0)
    featured = models.BooleanField(_("featured"), default=False)
    image = models.ImageField(_("image"), upload_to="products/", blank=True)
    added = models.DateTimeField(_("added"), default=timezone.now)

    objects = ProductQuerySet.as_manager()

    class Meta:
        ordering = ["-added", "name"]
        verbose_name = _("product")
        verbose_name_plural = _("products")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("shop:product", args=[self.slug])

    @property
    def title(self) -> str:
        return self.translate("name")

    @property
    def text(self) -> str:
        return self.translate("description")

    @property
    def kind_text(self) -> str:
        return self.translate("kind")

    @property
    def is_scarce(self) -> bool:
        return 0 < self.stock <= 3


class ProductText(models.Model):
    product = models.ForeignKey(Product, models.CASCADE, related_name="texts")
    language = models.CharField(_("language"), max_length=8)
    name = models.CharField(_("name"), max_length=120, blank=True)
    kind = models.CharField(_("kind"), max_length=120, blank=True)
    description = models.TextField(_("description"), blank=True)

    class Meta:
        verbose_name = _("translation")
        verbose_name_plural = _("translations")
        constraints = [
            models.UniqueConstraint(
                fields=["product", "language"], name="one_product_text_per_language"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name or self.product.name} ({self.language})"


class PageQuerySet(models.QuerySet["Page"]):
    def in_language(self) -> PageQuerySet:
        return self.filter(language=(get_language() or "en").partition("-")[0])


class Page(models.Model):
    title = models.CharField(_("title"), max_length=80)
    slug = models.SlugField(_("slug"))
    language = models.CharField(_("language"), max_length=8, default="en")
    body = models.TextField(_("text"))
    position = models.PositiveSmallIntegerField(_("position"), default=0)

    objects = PageQuerySet.as_manager()

    class Meta:
        ordering = ["language", "position", "title"]
        verbose_name = _("page")
        verbose_name_plural = _("pages")
        constraints = [
            models.UniqueConstraint(
                fields=["slug", "language"], name="one_page_per_language"
            )
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("shop:page", args=[self.slug])


class Customer(models.Model):
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, verbose_name=_("user")
    )
    name = models.CharField(_("name"), max_length=80)
    address = models.CharField(_("street and number"), max_length=120, blank=True)
    postcode = models.CharField(_("postcode"), max_length=12, blank=True)
    city = models.CharField(_("city"), max_length=60, blank=True)

    class Meta:
        ordering = ["name"]
        verbose_name = _("customer")
        verbose_name_plural = _("customers")

    def __str__(self) -> str:
        return self.name


class Order(models.Model):
    class Status(models.TextChoices):
        PLACED = "placed", _("Placed")
        PACKED = "packed", _("Packed")
        SENT = "sent", _("Sent")
        CANCELLED = "cancelled", _("Cancelled")

    reference = models.CharField(_("order number"), max_length=12, unique=True)
    customer = models.ForeignKey(
        Customer,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="orders",
        verbose_name=_("customer"),
    )
    status = models.CharField(
        _("status"), max_length=10, choices=Status, default=Status.PLACED
    )
    name = models.CharField(_("name"), max_length=80)
    email = models.EmailField(_("e-mail address"))
    address = models.CharField(_("street and number"), max_length=120)
    postcode = models.CharField(_("postcode"), max_length=12)
    city = models.CharField(_("city"), max_length=60)
    total = models.DecimalField(_("total"), max_digits=9, decimal_places=2)
    placed = models.DateTimeField(_("placed"), default=timezone.now)

    class Meta:
        ordering = ["-placed"]
        verbose_name = _("order")
        verbose_name_plural = _("orders")

    def __str__(self) -> str:
        return self.reference

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self.reference:
            self.reference = "".join(
                secrets.choice(_REFERENCE_LETTERS) for _ in range(8)
            )
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        return reverse("shop:order", args=[self.reference])


class OrderLine(models.Model):
    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    product = models.ForeignKey(
        Product,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("product"),
    )
    name = models.CharField(_("name"), max_length=120)
    price = models.DecimalField(_("price"), max_digits=8, decimal_places=2)
    quantity = models.PositiveIntegerField(_("quantity"))

    class Meta:
        verbose_name = _("order line")
        verbose_name_plural = _("order lines")

    def __str__(self) -> str:
        return f"{self.quantity} × {self.name}"

    @property
    def total(self) -> Decimal:
        return self.price * self.quantity
