from django.contrib import admin
from django.urls import path

from tests.bookshop import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("titles/", views.titles, name="titles"),
    path("titles-async/", views.titles_async),
    path("add/", views.add),
    path("count/", views.count_raw),
    path("stream/", views.stream),
    path("stream-async/", views.stream_async),
    path("buy/", views.buy),
    path("find-or-make/", views.find_or_make),
    path("break-off/", views.break_off),
    path("visit/", views.visit),
    path("where/", views.where, name="where"),
]
