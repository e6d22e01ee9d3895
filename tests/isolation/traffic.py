"""Requests that read and write marked rows and fail in every way, and their history.

The pages know nothing of mirrors. What must be in each database in the end is worked
out from the requests alone, and read without Django.
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from json import loads
from random import Random
from threading import Lock
from typing import Any
from urllib.parse import urlencode

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.db import connections, transaction
from django.http import Http404, JsonResponse, StreamingHttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.test import RequestFactory
from django.urls import path

from django_mirrors.context import find_frame
from tests.bookshop.models import Book

READS, WRITES = ("read", "stream"), ("write", "keep", "undo")
FAULTS = ("before", "after", "inside", "view", "missing", "render", "commit", "abandon")
SYNC_FAULTS = (*FAULTS, "exit", "interrupt", "cancelled")
ASYNC_FAULTS = (*FAULTS, "cancel", "disconnect")
CHUNKS = 3


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: where it goes, what it does, and how it fails."""

    mirror: str
    number: int
    action: str
    fault: str
    is_async: bool  # the view

    @property
    def value(self) -> str:
        return f"{self.mirror}:{self.number}"

    @property
    def target(self) -> str:
        return "/async/" if self.is_async else "/"

    @property
    def query(self) -> dict[str, str]:
        return {"action": self.action, "value": self.value, "fault": self.fault}

    def find_written(self) -> set[str]:
        """Return what is in the database if the request is not cut short."""
        if self.fault == "before" or self.action in (*READS, "undo"):
            return set()
        if self.action == "write":
            return {self.value}
        if self.fault == "inside":
            return set()
        return (
            {self.value} if self.fault == "commit" else {self.value, self.value + "+"}
        )

    def is_cut_short(self) -> bool:
        """Whether it ends at any moment, so that all or nothing may be written."""
        return self.fault in ("cancel", "disconnect")


def choose(random: Random, mirrors: list[str], number: int, faults: Any) -> Ask:
    return Ask(
        mirror=random.choice(mirrors),
        number=number,
        action=random.choice((*READS, *WRITES)),
        fault=random.choice(faults) if random.random() < 0.3 else "",
        is_async=random.random() < 0.3,
    )


@dataclass
class History:
    """What was asked, and all that was seen to be wrong."""

    asked: list[Ask] = field(default_factory=list)
    crossings: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    reads: int = 0
    lock: Lock = field(default_factory=Lock)

    def check_titles(self, ask: Ask, titles: list[str]) -> None:
        self.reads += 1
        foreign = [item for item in titles if not item.startswith(f"{ask.mirror}:")]
        if foreign:
            self.crossings.append(f"{ask} read {foreign}")

    def check_left(self, ask: Ask) -> None:
        frame = find_frame()
        if frame is not None:
            self.left.append(f"{ask} left {frame.mirror}")

    def add(self, ask: Ask) -> None:
        with self.lock:
            self.asked.append(ask)

    def find_wrong(self, mirror: str, found: list[str]) -> list[str]:
        """Return what is in a database and should not be, and what is missing."""
        asked = [item for item in self.asked if item.mirror == mirror]
        may = set().union(*(item.find_written() for item in asked))
        must = may.difference(
            *(item.find_written() for item in asked if item.is_cut_short())
        )
        rows = set(found)
        twice = [] if len(rows) == len(found) else ["a row is there twice"]
        return [*twice, *sorted(rows - may), *sorted(must - rows)]


# Pages

reached: dict[str, int] = {}  # by value, how far its request has come


def reach(request, stage):
    reached[request.GET["value"]] = stage


class Undone(Exception):
    """Rolls a transaction back on purpose."""


def list_titles() -> list[str]:
    return [book.title for book in Book.objects.order_by("-pk")[:5]]


def fail_at_commit() -> None:
    raise ValueError("planted")


def work(action: str, value: str, fault: str) -> None:
    if action == "write":
        Book.objects.create(title=value)
        return
    with suppress(Undone), transaction.atomic():
        Book.objects.create(title=value)
        if fault == "inside":
            raise ValueError("planted")
        if fault == "commit":
            transaction.on_commit(fail_at_commit)
        transaction.on_commit(lambda: Book.objects.create(title=f"{value}+"))
        if action == "undo":
            raise Undone


ERRORS = {
    "view": ValueError,
    "missing": Http404,
    "exit": SystemExit,
    "interrupt": KeyboardInterrupt,
    "cancelled": asyncio.CancelledError,
}


def answer(request, titles):
    fault = request.GET["fault"]
    if fault in ERRORS:
        raise ERRORS[fault]("planted")
    if fault == "render":
        page = engines["django"].from_string("{{ titles }}{{ broken }}")
        return TemplateResponse(request, page, {"titles": titles, "broken": broken})
    return JsonResponse({"mirror": request.mirror.name, "titles": titles})


def broken():
    list_titles()
    raise ValueError("planted")


def page(request):
    reach(request, 1)
    if request.GET["action"] == "stream":
        return StreamingHttpResponse(stream())
    if request.GET["action"] in WRITES:
        work(**request.GET.dict())
    reach(request, 2)
    return answer(request, list_titles())


async def page_async(request):
    reach(request, 1)
    if request.GET["action"] == "stream":
        return StreamingHttpResponse(stream_async())
    if request.GET["action"] in WRITES:
        await sync_to_async(work)(**request.GET.dict())
    reach(request, 2)
    await asyncio.sleep(0)
    return answer(request, await sync_to_async(list_titles)())


def stream():
    for _ in range(CHUNKS):
        yield f"{'|'.join(list_titles())};"


async def stream_async():
    for _ in range(CHUNKS):
        yield f"{'|'.join(await sync_to_async(list_titles)())};"
        await asyncio.sleep(0)


class Faults:
    """A middleware that fails before or after the view."""

    sync_capable = async_capable = True

    def __init__(self, get_response):
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request):
        if self.is_async:
            return self.answer_async(request)
        self.fail("before", request)
        response = self.get_response(request)
        self.fail("after", request)
        return response

    async def answer_async(self, request):
        self.fail("before", request)
        response = await self.get_response(request)
        self.fail("after", request)
        return response

    def fail(self, fault, request):
        if request.GET["fault"] == fault:
            raise ValueError("planted")


urlpatterns = [path("", page), path("async/", page_async)]


# Clients


def ask_wsgi(handler: WSGIHandler, ask: Ask, history: History, random: Random) -> None:
    request = RequestFactory().get(
        ask.target, ask.query, headers={"host": f"{ask.mirror}.example"}
    )
    with suppress(SystemExit, KeyboardInterrupt, asyncio.CancelledError):
        response = handler(request.environ, lambda *_: None)
        with suppress(NotImplementedError):
            read_wsgi(response, ask, history, random)
        history.check_left(ask)
        if random.random() < 0.9:
            response.close()
    history.check_left(ask)
    history.add(ask)


def read_wsgi(response: Any, ask: Ask, history: History, random: Random) -> None:
    parts: Iterator[bytes] = iter(response)
    count = random.randrange(CHUNKS) if ask.fault == "abandon" else CHUNKS + 1
    for _, part in zip(range(count), parts, strict=False):
        history.check_left(ask)
        check_part(part, ask, history)


def check_part(part: bytes, ask: Ask, history: History) -> None:
    text = part.decode()
    if text.startswith("{"):
        said = loads(text)
        history.check_titles(ask, said["titles"])
        if said["mirror"] != ask.mirror:
            history.crossings.append(f"{ask} was answered by {said['mirror']}")
    elif text.endswith(";"):
        history.check_titles(ask, [item for item in text[:-1].split("|") if item])


async def ask_asgi(
    handler: ASGIHandler, ask: Ask, history: History, random: Random
) -> None:
    gone, stage, pause = asyncio.Event(), random.randrange(3), random.random() / 100
    parts: list[bytes] = []

    async def send(message: dict[str, Any]) -> None:
        history.check_left(ask)
        if message.get("body"):
            parts.append(message["body"])
        if ask.fault == "abandon" and len(parts) > 1:
            gone.set()
        await asyncio.sleep(0)

    task = asyncio.create_task(handler(build_scope(ask), receive_until(gone), send))
    if ask.is_cut_short():
        while reached.get(ask.value, 0) < stage and not task.done():
            await asyncio.sleep(0.001)
        await asyncio.sleep(pause)
        task.cancel() if ask.fault == "cancel" else gone.set()
    with suppress(asyncio.CancelledError):
        await task
    for part in parts:
        check_part(part, ask, history)
    history.check_left(ask)
    history.add(ask)


def receive_until(gone: asyncio.Event) -> Callable[[], Awaitable[dict[str, Any]]]:
    """Return what a server gives to an application: a body, and later that all left."""
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    return receive


def build_scope(ask: Ask) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": ask.target,
        "raw_path": ask.target.encode(),
        "query_string": urlencode(ask.query).encode(),
        "headers": [(b"host", f"{ask.mirror}.example".encode())],
    }


def run_wsgi(asks: list[Ask], history: History, seed: str) -> None:
    """Ask one after the other, in one thread of a server."""
    handler, random = WSGIHandler(), Random(seed)
    try:
        for ask in asks:
            ask_wsgi(handler, ask, history, random)
    finally:
        gc.collect()
        connections.close_all()


def run_asgi(asks: list[Ask], history: History, seed: str, *, tasks: int) -> None:
    """Ask in tasks of one event loop, in a thread of its own."""

    async def work(mine: list[Ask], random: Random) -> None:
        for ask in mine:
            await ask_asgi(handler, ask, history, random)

    async def main() -> None:
        await asyncio.gather(
            *(work(asks[n::tasks], Random(f"{seed} {n}")) for n in range(tasks))
        )

    handler = ASGIHandler()
    asyncio.run(main())
