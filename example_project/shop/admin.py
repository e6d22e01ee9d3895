"""The shop's back office."""

from __future__ import annotations

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from shop.models import (
    Category,
    CategoryText,
    Customer,
    Order,
    OrderLine,
    Page,
    Product,
    ProductText,
)


class CategoryTextInline(admin.TabularInline):
    model = CategoryText
    extra = 0


@admin.register(Category)
class CategoryAdmin(admin.ModelAdmin):
    list_display = ["name", "slug", "position"]
    list_editable = ["position"]
    prepopulated_fields = {"slug": ["name"]}
    inlines = [CategoryTextInline]


class ProductTextInline(admin.StackedInline):
    model = ProductText
    extra = 0


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ["thumbnail", "name", "category", "price", "stock", "featured"]
    list_display_links = ["thumbnail", "name"]
    list_editable = ["stock", "featured"]
    list_filter = ["category", "featured"]
    list_select_related = ["category"]
    search_fields = ["name", "byline"]
    prepopulated_fields = {"slug": ["name"]}
    readonly_fields = ["picture"]
    inlines = [ProductTextInline]
    fieldsets = [
        (None, {"fields": ["category", "name", "slug", "byline", "kind"]}),
        (_("Picture"), {"fields": ["picture", "image"]}),
        (_("Sale"), {"fields": ["price", "stock", "featured", "added"]}),
        (_("Text"), {"fields": ["description"]}),
    ]

    @admin.display(description="")
    def thumbnail(self, product: Product) -> SafeString | str:
        return self._draw(product, 56)

    @admin.display(description=_("current picture"))
    def picture(self, product: Product) -> SafeString | str:
        return self._draw(product, 220)

    def _draw(self, product: Product, height: int) -> SafeString | str:
        if not product.image:
            return "–"
        return format_html(
            '<img src="{}" alt="" style="height:{}px;border-radius:3px">',
            product.image.url,
            height,
        )


@admin.register(Page)
class PageAdmin(admin.ModelAdmin):
    list_display = ["title", "slug", "language", "position"]
    list_filter = ["language"]
    prepopulated_fields = {"slug": ["title"]}


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):
    list_display = ["name", "user", "city"]
    list_select_related = ["user"]
    search_fields = ["name", "user__email"]


class OrderLineInline(admin.TabularInline):
    model = OrderLine
    extra = 0
    autocomplete_fields = ["product"]


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ["reference", "placed", "name", "city", "total", "status"]
    list_filter = ["status", "placed"]
    list_editable = ["status"]
    date_hierarchy = "placed"
    search_fields = ["reference", "name", "email"]
    readonly_fields = ["reference", "placed"]
    inlines = [OrderLineInline]
