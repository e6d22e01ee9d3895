"""URLs that one mirror alone has."""

from django.urls import path

from tests.isolation.test_process_caches import show_link

urlpatterns = [
    path("link/", show_link),
    path("only-films/", show_link, name="place"),
]
