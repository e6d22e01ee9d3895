"""Views of the benchmark: nothing, one query, one query in a transaction."""

from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import path


def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


async def plain_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


def query(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()
    return HttpResponse("ok")


def atomic(request: HttpRequest) -> HttpResponse:
    with transaction.atomic():
        pass
    return HttpResponse("ok")


urlpatterns = [
    path("plain/", plain),
    path("plain-async/", plain_async),
    path("query/", query),
    path("atomic/", atomic),
]
