"""URLs of the bookshop with media, accounts, and pages that show all there is."""

from django.conf import settings
from django.contrib.sites.shortcuts import get_current_site
from django.core.cache import cache
from django.core.files.storage import default_storage
from django.core.mail import send_mail
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from django.views.decorators.cache import cache_page

from django_mirrors.storage.media import serve_media
from tests.bookshop.models import Author, Book, Tag


def show_everything(request: HttpRequest) -> JsonResponse:
    with default_storage.open("covers/same.txt") as file:
        content = file.read().decode()
    return JsonResponse(
        {
            "setting": settings.SHOP_TITLE,
            "cache": cache.get("note"),
            "many": cache.get_many(["note", "other"]),
            "session": request.session.get("note"),
            "site": get_current_site(request).name,
            "file": content,
            "files": default_storage.listdir("covers")[1],
            "user": request.user.first_name if request.user.pk else "",
            "rows": [
                *Author.objects.values_list("pk", "name"),
                *Tag.objects.values_list("pk", "name"),
                *Book.objects.values_list("pk", "title", "author__name"),
            ],
        }
    )


def keep_note(request: HttpRequest) -> HttpResponse:
    request.session["note"] = settings.SHOP_TITLE
    return HttpResponse("kept")


@cache_page(60)
def show_page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{settings.SHOP_TITLE} {Book.objects.get(pk=1).title}")


def write_mail(request: HttpRequest) -> HttpResponse:
    book = Book.objects.get(pk=1)
    send_mail(book.title, request.build_absolute_uri(), None, [request.user.email])
    return HttpResponse("sent")


def fail(request: HttpRequest) -> HttpResponse:
    book, user = Book.objects.get(pk=1), request.user
    raise RuntimeError(f"{book.title} cannot be sold to {user.first_name}.")


urlpatterns = [
    path("everything/", show_everything),
    path("keep-note/", keep_note),
    path("page/", show_page),
    path("mail/", write_mail),
    path("fail/", fail),
    path("media/<path:name>", serve_media),
    path("accounts/", include("django.contrib.auth.urls")),
    path("", include("tests.bookshop.urls")),
]
