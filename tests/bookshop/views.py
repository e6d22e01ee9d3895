"""Views that know nothing of mirrors."""

from collections.abc import AsyncIterator, Iterator

from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse

from tests.bookshop.models import Book


def titles(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"titles": [book.title for book in Book.objects.all()]})


async def titles_async(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"titles": [book.title async for book in Book.objects.all()]})


def add(request: HttpRequest) -> JsonResponse:
    with transaction.atomic():
        book = Book.objects.create(title=request.GET["title"])
        if "fail" in request.GET:
            raise ValueError(book.title)
    return JsonResponse({"pk": book.pk})


def count_raw(request: HttpRequest) -> JsonResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM bookshop_book")
        return JsonResponse({"count": cursor.fetchone()[0]})


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def steps() -> Iterator[str]:
        for number in range(int(request.GET.get("n", 3))):
            yield f"{number}:{','.join(book.title for book in Book.objects.all())};"

    return StreamingHttpResponse(steps())


async def stream_async(request: HttpRequest) -> StreamingHttpResponse:
    async def steps() -> AsyncIterator[str]:
        for number in range(int(request.GET.get("n", 3))):
            names = [book.title async for book in Book.objects.all()]
            yield f"{number}:{','.join(names)};"

    return StreamingHttpResponse(steps())


def visit(request: HttpRequest) -> JsonResponse:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse({"visits": request.session["visits"]})


def where(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.build_absolute_uri())


def buy(request: HttpRequest) -> JsonResponse:
    """Lower the stock under a row lock, and count what was committed."""
    done: list[str] = []
    with transaction.atomic():
        book = Book.objects.select_for_update().get(pk=request.GET["pk"])
        book.stock -= 1
        book.save()
        transaction.on_commit(lambda: done.append(Book.objects.get(pk=book.pk).title))
        before = len(done)
    return JsonResponse({"stock": book.stock, "before": before, "done": done})


def find_or_make(request: HttpRequest) -> JsonResponse:
    book, made = Book.objects.get_or_create(title=request.GET["title"])
    return JsonResponse({"pk": book.pk, "made": made})


def break_off(request: HttpRequest) -> JsonResponse:
    """Write and fail; ATOMIC_REQUESTS alone undoes the write."""
    Book.objects.create(title=request.GET["title"])
    raise ValueError(request.GET["title"])
