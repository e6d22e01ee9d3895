"""Views of the benchmark: nothing, one query, one query in a transaction."""

from django.db import connection, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import path


def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


async def plain_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


def find_alias(request: HttpRequest) -> str:
    """Return the alias that bare Django has for the host: h0 has d0."""
    return "d" + request.META["HTTP_HOST"].partition(".")[0][1:]


def query(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()
    return HttpResponse("ok")


def atomic(request: HttpRequest) -> HttpResponse:
    with transaction.atomic():
        pass
    return HttpResponse("ok")


def query_bare(request: HttpRequest) -> HttpResponse:
    with connections[find_alias(request)].cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()
    return HttpResponse("ok")


def atomic_bare(request: HttpRequest) -> HttpResponse:
    with transaction.atomic(using=find_alias(request)):
        pass
    return HttpResponse("ok")


urlpatterns = [
    path("plain/", plain),
    path("plain-async/", plain_async),
    path("query/", query),
    path("atomic/", atomic),
    path("query-bare/", query_bare),
    path("atomic-bare/", atomic_bare),
]
