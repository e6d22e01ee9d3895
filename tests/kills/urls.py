"""One page, which shows all that a mirror has."""

from hashlib import sha256

from django.http import HttpRequest, JsonResponse
from django.urls import path

from tests.bookshop.models import Book


def show(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"books": list_books()})


def list_books() -> list[list[str]]:
    """Return each book with a digest of its cover."""
    return [[book.title, digest(book.cover)] for book in Book.objects.all()]


def digest(file) -> str:
    with file.open("rb") as opened:
        return sha256(opened.read()).hexdigest()


urlpatterns = [path("", show)]
