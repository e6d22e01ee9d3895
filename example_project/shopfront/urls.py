"""The addresses of the shop, its media and its back office."""

from django.contrib import admin
from django.urls import include, path

from django_mirrors.storage.media import serve_media

urlpatterns = [
    path("admin/", admin.site.urls),
    path("media/<path:name>", serve_media, name="media"),
    path("", include("shop.urls")),
]
