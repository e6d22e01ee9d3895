"""Where the tests serve media."""

from django.urls import path

from django_mirrors.storage.media import serve_media

urlpatterns = [
    path("media/<path:name>", serve_media),
    path("private/<path:name>", serve_media, {"alias": "private", "private": True}),
]
