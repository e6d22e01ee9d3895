"""Bodies that are read after the view: every step, and every end, in its own mirror."""

import asyncio
import gc
import io
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from random import Random
from wsgiref.util import FileWrapper

import pytest
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.db import connections
from django.http import FileResponse, StreamingHttpResponse
from django.test import AsyncRequestFactory, RequestFactory
from django.urls import path

from django_mirrors import find_current_mirror, get_current_mirror
from django_mirrors.context import find_frame
from django_mirrors.exceptions import NoCurrentMirror
from django_mirrors.middleware import MirrorMiddleware
from django_mirrors.testing import no_mirror
from tests.bookshop.models import Book
from tests.conftest import migrate_template
from tests.isolation.sizes import get_seed, scaled

SEED = get_seed(20261122)
NAMES = [f"stream-{number}" for number in range(8)]

closed: list[tuple[str, str | None]] = []
kept: list[object] = []


def find_name():
    mirror = find_current_mirror()
    return None if mirror is None else mirror.name


# Views, which know nothing of mirrors


def describe(number):
    return f"{number}:{Book.objects.get().title};"


def stream(request):
    def steps():
        try:
            for number in range(int(request.GET.get("n", 3))):
                yield describe(number)
        finally:
            closed.append((request.get_host(), Book.objects.get().title))

    return StreamingHttpResponse(steps())


async def stream_async(request):
    async def steps():
        try:
            for number in range(int(request.GET.get("n", 3))):
                yield await sync_to_async(describe)(number)
        finally:
            closed.append((request.get_host(), find_name()))

    return StreamingHttpResponse(steps())


async def stream_events(request):
    """Server-sent events, made of what another generator yields."""

    async def count():
        try:
            for number in range(int(request.GET.get("n", 3))):
                await asyncio.sleep(0)
                yield number
        finally:
            closed.append((request.get_host(), find_name()))

    async def steps():
        async for number in count():
            yield f"data: {await sync_to_async(describe)(number)}\n\n"

    return StreamingHttpResponse(steps(), content_type="text/event-stream")


def stream_in_a_cycle(request):
    def steps():
        try:
            yield find_name()
            yield str(response)
        finally:
            closed.append((request.get_host(), find_name()))

    response = StreamingHttpResponse(steps())
    return response


class Reading(io.BytesIO):
    """A file whose reading and closing is noted."""

    def read(self, *size):
        part = super().read(*size)
        return part and get_current_mirror().name.encode()

    def close(self):
        closed.append((self.host, find_name()))
        super().close()


def send_file(request):
    body = Reading(b"x")
    body.host = request.get_host()
    return FileResponse(body)


urlpatterns = [
    path("", stream),
    path("async/", stream_async),
    path("events/", stream_events),
    path("cycle/", stream_in_a_cycle),
    path("file/", send_file),
]


@pytest.fixture
def fleet(build_engine, settings, db):
    """Serve eight mirrors, each with a database that holds one book of its name."""
    engine = build_engine("sqlite")
    migrate_template(engine, settings)
    databases = {name: engine.take() for name in NAMES}
    for name, database in databases.items():
        with closing(sqlite3.connect(engine.directory / f"{database}.sqlite3")) as made:
            made.execute(
                "INSERT INTO bookshop_book (title, stock, cover) VALUES (?, 0, '')",
                [name],
            )
            made.commit()
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = ["django_mirrors.middleware.MirrorMiddleware"]
    settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "RECORDS": False}
    settings.MIRRORS = {
        name: {
            "HOSTS": [f"{name}.example"],
            "DATABASE": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(engine.directory / f"{database}.sqlite3"),
                "CONN_MAX_AGE": None,
            },
            "STATE": "active",
        }
        for name, database in databases.items()
    }
    closed.clear()
    kept.clear()
    with no_mirror():
        yield
    for connection in connections.all(initialized_only=True):
        if connection.alias in NAMES:
            connection.close()
            del connections[connection.alias]
    settings.MIRRORS = {}


def ask(name, url="/", **query):
    environ = (
        RequestFactory().get(url, query, headers={"host": f"{name}.example"}).environ
    )
    return WSGIHandler()(environ, lambda *_: None)


def answer(name, view, **query):
    """Return a response that is read by nobody yet, and its mirror's middleware."""
    request = RequestFactory().get("/", query, headers={"host": f"{name}.example"})
    return MirrorMiddleware(view)(request)


async def answer_async(name, view, **query):
    request = AsyncRequestFactory().get("/", query)
    request.META["HTTP_HOST"] = f"{name}.example"
    return await MirrorMiddleware(view)(request)


def count_left():
    """Return how many contexts of this thread are not the test's own."""
    return int(find_frame() is not begun[0])


begun: list[object] = []


@pytest.fixture(autouse=True)
def note_begin(fleet):
    begun[:] = [find_frame()]


# Figures


def test_chunks_of_eight_streams_in_one_thread_are_each_their_own(report_figure):
    total, wrong, left = scaled(90_000), 0, 0
    each = total // len(NAMES)
    streams = {name: iter(ask(name, n=each)) for name in NAMES}
    random = Random(SEED)
    counts = dict.fromkeys(NAMES, 0)

    for _ in range(each * len(NAMES)):
        name = random.choice([item for item in NAMES if counts[item] < each])
        part = next(streams[name]).decode()
        wrong += part != f"{counts[name]}:{name};"
        left += count_left()
        counts[name] += 1

    assert (wrong, left) == (0, 0), f"MIRRORS_SEED={SEED}"
    report_figure("streams, sync", f"{total} chunks: wrong = 0, left over = 0")


def test_chunks_of_eight_streams_in_one_event_loop_are_each_their_own(report_figure):
    each = scaled(10_000) // len(NAMES)
    wrong, left = [], []

    async def read(name):
        response = await answer_async(name, stream_async, n=each)
        number = 0
        async for part in response:
            wrong.extend([part] * (part.decode() != f"{number}:{name};"))
            left.append(count_left())
            number += 1
            await asyncio.sleep(0)
        return number

    async def main():
        return sum(await asyncio.gather(*map(read, NAMES)))

    total = asyncio.run(main())

    assert (total, wrong, sum(left)) == (each * len(NAMES), [], 0)
    report_figure("streams, async", f"{total} chunks: wrong = 0, left over = 0")


def abort(name, random):
    """Read some of a stream, then close it, drop it or never begin."""
    response = ask(name, n=5)
    parts = iter(response)
    for _ in range(random.randrange(4)):
        next(parts)
    if random.random() < 0.7:
        response.close()
    else:
        kept.append(response)
        if random.random() < 0.1:
            kept.clear()


def test_aborted_streams_end_in_their_mirror_and_leave_nothing(report_figure):
    total, left, random = scaled(9_000), 0, Random(SEED)

    for _ in range(total):
        abort(random.choice(NAMES), random)
        left += count_left()
    kept.clear()

    wrong = [item for item in closed if item[0] != f"{item[1]}.example"]
    assert (wrong, left) == ([], 0), f"MIRRORS_SEED={SEED}"
    assert len(closed) > total // 2
    report_figure("streams, sync", f"{total} aborts: wrong = 0, left over = 0")


def receive_until(gone):
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        if messages:
            return messages.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    return receive


async def ask_and_leave(name, url, count):
    """Ask as a client of an ASGI server, and leave after `count` parts."""
    gone, parts = asyncio.Event(), []

    async def send(message):
        if message.get("body"):
            parts.append(message["body"])
        if len(parts) >= count:
            gone.set()
            await asyncio.sleep(0)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": url,
        "query_string": b"n=50",
        "headers": [(b"host", f"{name}.example".encode())],
    }
    await ASGIHandler()(scope, receive_until(gone), send)
    return parts


def test_clients_that_leave_end_async_streams_in_their_mirror(report_figure):
    total, random = scaled(1_000), Random(SEED)
    left, wrong = [], []

    async def leave(name, url, count):
        parts = await ask_and_leave(name, url, count)
        left.append(count_left())
        wrong.extend(part for part in parts if f":{name};".encode() not in part)

    async def main():
        for _ in range(0, total, len(NAMES)):
            await asyncio.gather(
                *(
                    leave(
                        name,
                        random.choice(["/async/", "/events/"]),
                        random.randrange(1, 6),
                    )
                    for name in NAMES
                )
            )
        gc.collect()
        await asyncio.sleep(0.05)

    asyncio.run(main())

    wrong += [item for item in closed if item[0] != f"{item[1]}.example"]
    assert (wrong, sum(left)) == ([], 0), f"MIRRORS_SEED={SEED}"
    assert len(closed) >= total
    report_figure("streams, async", f"{total} aborts: wrong = 0, left over = 0")


# Heads and files


@pytest.mark.parametrize("url", ["/", "/async/", "/events/"])
def test_head_reads_nothing_and_leaves_nothing(url):
    environ = RequestFactory().head(url, headers={"host": "stream-1.example"}).environ

    response = WSGIHandler()(environ, lambda *_: None)
    response.close()

    assert closed == []
    assert count_left() == 0


def test_a_file_is_read_and_closed_in_its_mirror():
    first, second = (answer(name, send_file) for name in NAMES[:2])

    parts = [*zip(first, second, strict=True)]
    second.close()
    first.close()

    assert parts == [(b"stream-0", b"stream-1")]
    assert closed == [
        ("stream-1.example", "stream-1"),
        ("stream-0.example", "stream-0"),
    ]


def test_a_file_is_closed_in_its_mirror_by_a_server_that_keeps_the_file_only():
    environ = (
        RequestFactory().get("/file/", headers={"host": "stream-1.example"}).environ
    )
    environ["wsgi.file_wrapper"] = FileWrapper

    wrapped = WSGIHandler()(environ, lambda *_: None)
    gc.collect()
    wrapped.close()

    assert closed == [("stream-1.example", "stream-1")]
    assert count_left() == 0


# Streams that nobody ends


def test_a_stream_that_is_dropped_in_another_mirror_is_closed_in_its_own():
    response = answer("stream-1", stream)
    next(iter(response))

    def drop(request):
        nonlocal response
        del response
        return StreamingHttpResponse([find_name()])

    answer("stream-2", drop).close()

    assert closed == [("stream-1.example", "stream-1")]
    assert count_left() == 0


def test_a_stream_that_was_never_begun_ends_without_a_step():
    answer("stream-1", stream)
    gc.collect()

    assert closed == []


def test_an_async_stream_that_is_dropped_is_closed_in_its_mirror():
    async def main():
        response = await answer_async("stream-1", stream_async)
        await anext(aiter(response))
        del response
        gc.collect()
        await asyncio.sleep(0.01)

    asyncio.run(main())

    assert closed == [("stream-1.example", "stream-1")]


def test_an_async_stream_in_a_cycle_is_closed_in_its_mirror():
    async def cyclic(request):
        async def steps():
            try:
                yield "begun"
                yield str(response)
            finally:
                closed.append((request.get_host(), find_name()))

        response = StreamingHttpResponse(steps())
        return response

    async def main():
        await anext(aiter(await answer_async("stream-1", cyclic)))
        gc.collect()
        await asyncio.sleep(0.01)

    asyncio.run(main())

    assert closed == [("stream-1.example", "stream-1")]


def test_an_async_stream_that_outlives_its_event_loop_is_closed_in_its_mirror():
    async def main():
        for name in NAMES:
            response = await answer_async(name, stream_async)
            await anext(aiter(response))
            kept.append(response)

    asyncio.run(main())

    assert sorted(closed) == [(f"{name}.example", name) for name in NAMES]


def test_an_async_stream_that_is_cancelled_is_closed_in_its_mirror():
    async def read(name):
        response = await answer_async(name, stream_async, n=1000)
        async for _ in response:
            await asyncio.sleep(0)

    async def main():
        tasks = [asyncio.create_task(read(name)) for name in NAMES]
        await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
        gc.collect()
        await asyncio.sleep(0.01)

    asyncio.run(main())

    assert sorted(closed) == [(f"{name}.example", name) for name in NAMES]


def test_a_generator_inside_a_stream_has_no_mirror_at_the_end_of_the_loop():
    """The loop closes what a stream uses in itself, and does not say for whom."""

    async def main():
        response = await answer_async("stream-1", stream_events)
        await anext(aiter(response))
        kept.append(response)

    asyncio.run(main())

    assert closed == [("stream-1.example", None)]


# What the garbage collector finds


class Forgotten:
    """What writes when it is finalised, and is part of a cycle."""

    def __init__(self):
        self.itself = self

    def __del__(self):
        try:
            Book.objects.create(title="forgotten")
        except NoCurrentMirror:
            kept.append("refused")


# Python 3.11 collects in the middle of what C code does, where no mirror can be left.
if sys.version_info >= (3, 12):

    def test_a_stream_that_is_found_by_the_collector_is_not_closed_in_another_mirror():
        next(iter(answer("stream-1", stream_in_a_cycle)))

        def collect(request):
            gc.collect()
            return StreamingHttpResponse([find_name()])

        response = answer("stream-2", collect)

        assert closed in (
            [("stream-1.example", "stream-1")],
            [("stream-1.example", None)],
        )
        assert [*response] == [b"stream-2"]

    def test_a_finaliser_does_not_write_in_the_mirror_that_is_current():
        def forget(request):
            Forgotten()
            return StreamingHttpResponse([])

        def collect(request):
            gc.collect()
            return StreamingHttpResponse([str(Book.objects.count()), find_name()])

        gc.disable()
        answer("stream-1", forget).close()
        gc.enable()
        response = answer("stream-2", collect)

        assert kept == ["refused"]
        assert [*response] == [b"1", b"stream-2"]


def test_a_stream_that_closes_its_response_itself_does_so_any_number_of_times():
    done = subprocess.run(
        [sys.executable, "-m", "tests.isolation.closing"],
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )

    assert (done.stdout, done.returncode) == ("closed\n", 0)
