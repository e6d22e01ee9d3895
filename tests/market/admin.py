from django.contrib import admin

from tests.market.models import Category, Product, Rating, Trader


class ProductInline(admin.TabularInline):
    model = Product
    extra = 2
    fields = ("name", "price")


@admin.register(Trader)
class TraderAdmin(admin.ModelAdmin):
    inlines = (ProductInline,)


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ("name", "price", "trader")
    list_filter = ("trader", "categories")
    search_fields = ("name",)


admin.site.register([Category, Rating])
