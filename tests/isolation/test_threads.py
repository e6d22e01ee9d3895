"""Where a mirror goes and where it does not: errors, threads, tasks, callbacks."""

import asyncio
import contextvars
import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, Thread

import pytest
from asgiref.sync import (
    async_to_sync,
    iscoroutinefunction,
    markcoroutinefunction,
    sync_to_async,
)
from django.contrib.auth.models import User
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import connection, connections, transaction
from django.db.models.signals import post_save
from django.http import HttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.test import Client, RequestFactory, TestCase
from django.urls import path
from django.utils.functional import SimpleLazyObject

from django_mirrors import bind_mirror, find_current_mirror, use_mirror
from django_mirrors.context import find_frame
from django_mirrors.exceptions import NoCurrentMirror, WrongMirror
from django_mirrors.testing import no_mirror
from tests.bookshop.models import Book

pytestmark = [
    pytest.mark.django_db(transaction=True),
    # Django leaves to the garbage collector what a task has that is cancelled.
    pytest.mark.filterwarnings("ignore:<psycopg.Connection:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Unclosed file <tempfile:ResourceWarning"),
]

NAMES = ("books", "films")
ERRORS = {
    error.__name__: error
    for error in (
        ValueError,
        SystemExit,
        KeyboardInterrupt,
        asyncio.CancelledError,
        GeneratorExit,
    )
}
SYNC_STAGES = (
    "started", "request", "view", "page", "template", "render", "exception",
    "commit", "response", "closer", "finished",
)  # fmt: skip
ASYNC_STAGES = ("request", "view", "page", "render", "commit", "response", "closer")

planted: dict[str, type[BaseException]] = {}
seen: list[tuple[str, str | None]] = []


def find_name():
    mirror = find_current_mirror()
    return None if mirror is None else mirror.name


def fail_at(stage):
    """Note the mirror of a stage, and fail there if this was planted."""
    seen.append((stage, find_name()))
    if stage in planted:
        raise planted[stage]("planted")


class Stages:
    """A middleware with all hooks, each of which may fail."""

    sync_capable = async_capable = True

    def __init__(self, get_response):
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request):
        if self.is_async:
            return self.answer_async(request)
        fail_at("request")
        response = self.get_response(request)
        fail_at("response")
        return response

    async def answer_async(self, request):
        fail_at("request")
        response = await self.get_response(request)
        fail_at("response")
        return response

    def process_view(self, request, view, args, kwargs):
        fail_at("view")

    def process_template_response(self, request, response):
        fail_at("template")
        return response

    def process_exception(self, request, exception):
        fail_at("exception")


def build_page(request):
    fail_at("page")
    with transaction.atomic():
        Book.objects.create(title=request.get_host())
        transaction.on_commit(lambda: fail_at("commit"))
    page = engines["django"].from_string("{% if fail_at %}{% endif %}")
    response = TemplateResponse(request, page, {"fail_at": lambda: fail_at("render")})
    response._resource_closers.append(lambda: fail_at("closer"))
    return response


def show(request):
    if "exception" in planted:
        raise ZeroDivisionError
    return build_page(request)


async def show_async(request):
    await asyncio.sleep(0)
    return await sync_to_async(show)(request)


def show_user(request):
    looks[0](request)
    users.append(request.user)
    return HttpResponse("ok")


users: list[object] = []
looks: list[object] = []
urlpatterns = [
    path("", show),
    path("async/", show_async),
    path("user/", show_user),
]


@pytest.fixture(autouse=True)
def pages(fleet, settings):
    settings.ROOT_URLCONF = __name__
    planted.clear()
    seen.clear()
    users.clear()
    with no_mirror():
        yield


@pytest.fixture
def stages(settings):
    settings.MIDDLEWARE = [
        "django_mirrors.middleware.MirrorMiddleware",
        f"{__name__}.Stages",
    ]


@pytest.fixture
def collected():
    """Collect what cancelled tasks have left while its warnings are ignored."""
    yield
    gc.collect()


@pytest.fixture
def signals():
    """Fail when a request starts or has finished, too."""

    def note_start(**_):
        fail_at("started")

    def note_finish(**_):
        fail_at("finished")

    request_started.connect(note_start)
    request_finished.connect(note_finish)
    yield
    request_started.disconnect(note_start)
    request_finished.disconnect(note_finish)


def in_thread(function, *args):
    """Run in a thread that has no context of this one, as that of a server."""
    with ThreadPoolExecutor(1) as pool:
        try:
            return pool.submit(function, *args).result()
        finally:
            pool.submit(connections.close_all).result()


def serve(host):
    """Serve one request as a server does, and return what is left in the thread."""
    request = RequestFactory().get("/", headers={"host": f"{host}.example"})
    with suppress(*ERRORS.values()):
        response = WSGIHandler()(request.environ, lambda *_: None)
        with suppress(*ERRORS.values()):
            b"".join(response)
        response.close()
    return find_frame()


def serve_twice():
    """Fail in one mirror, then serve another one, in the same thread."""
    left = [serve("books")]
    planted.clear()
    seen.clear()
    left.append(serve("films"))
    return left


# Errors at every stage


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("stage", SYNC_STAGES)
def test_no_error_leaves_a_mirror_in_its_thread(stages, signals, stage, error):
    planted[stage] = error

    left = in_thread(serve_twice)

    assert left == [None, None]
    outside = [("started", None)]
    assert [item for item in seen if item[1] != "films"] == outside


@pytest.mark.parametrize(
    "error",
    [ValueError, asyncio.CancelledError, GeneratorExit],
    ids=lambda error: error.__name__,
)
@pytest.mark.parametrize("stage", ASYNC_STAGES)
def test_no_error_leaves_a_mirror_in_its_task(stages, collected, stage, error):
    planted[stage] = error

    async def ask(name):
        with suppress(BaseException):
            await ASGIHandler()(build_scope(name, "/async/"), build_receive(), send)
        return find_frame()

    async def main():
        # A GeneratorExit ends all that a task is in: one for each request.
        left = [await asyncio.create_task(ask("books"))]
        planted.clear()
        seen.clear()
        return [*left, await ask("films"), find_frame()]

    async def send(message):
        seen.append(("sent", "films" if find_name() is None else find_name()))

    assert in_thread(asyncio.run, main()) == [None, None, None]
    assert {name for _, name in seen} == {"films"}


def build_scope(name, url):
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": url,
        "query_string": b"",
        "headers": [(b"host", f"{name}.example".encode())],
    }


def build_receive():
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        if not messages:
            await asyncio.Event().wait()
        return messages.pop()

    return receive


@pytest.mark.parametrize("ticks", range(0, 40, 4))
def test_a_request_that_is_cancelled_leaves_nothing(stages, collected, ticks):
    async def main():
        task = asyncio.create_task(
            ASGIHandler()(build_scope("books", "/async/"), build_receive(), send)
        )
        for _ in range(ticks):
            await asyncio.sleep(0.0002)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return find_frame()

    async def send(message):
        pass

    assert in_thread(asyncio.run, main()) is None
    assert {name for _, name in seen} <= {"books"}
    with use_mirror("films"):
        assert not Book.objects.exists()


# Threads and executors


def count():
    return Book.objects.count()


@pytest.fixture
def one_book():
    """Let `books` have one book, and `films` none."""
    with use_mirror("books"):
        Book.objects.create(title="Emma")


def test_a_query_in_a_pool_raises(one_book):
    with use_mirror("books"), pytest.raises(NoCurrentMirror):
        in_thread(count)


@pytest.mark.parametrize(
    "operation",
    [
        count,
        lambda: Book.objects.create(title="Lost"),
        lambda: connection.cursor().execute("SELECT 1"),
        lambda: transaction.atomic().__enter__(),
        lambda: transaction.on_commit(print),
    ],
)
def test_nothing_in_a_thread_falls_back_to_another_database(operation):
    with use_mirror("books"), pytest.raises(NoCurrentMirror):
        in_thread(operation)


def test_threads_of_a_pool_have_the_mirror_of_what_is_bound_and_keep_none(one_book):
    with ThreadPoolExecutor(1) as pool:
        for expected, name in zip([1, 0] * 5, NAMES * 5, strict=True):
            with use_mirror(name):
                task = pool.submit(bind_mirror(count))
            assert task.result() == expected
            assert pool.submit(find_frame).result() is None
            with pytest.raises(NoCurrentMirror):
                pool.submit(count).result()
        pool.submit(connections.close_all).result()


def test_bound_functions_that_raise_leave_nothing_in_the_pool():
    def fail():
        raise SystemExit

    with ThreadPoolExecutor(1) as pool:
        with use_mirror("books"):
            task = pool.submit(bind_mirror(fail))
        with pytest.raises(SystemExit):
            task.result()
        assert pool.submit(find_frame).result() is None


def test_threads_of_two_mirrors_at_once_do_not_mix(one_book):
    barrier, counts = Barrier(2), {}

    def work(name):
        with use_mirror(name):
            barrier.wait()
            counts[name] = count()
            barrier.wait()
            counts[name] += count()
        connections.close_all()

    threads = [Thread(target=work, args=[name]) for name in NAMES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counts == {"books": 2, "films": 0}


def test_a_copied_context_has_its_mirror_in_a_thread(one_book):
    with use_mirror("books"):
        context = contextvars.copy_context()

    assert in_thread(context.run, count) == 1
    assert find_name() is None


# Tasks


def test_an_executor_of_the_event_loop_has_no_mirror(one_book):
    async def main():
        async with use_mirror("books"):
            loop = asyncio.get_running_loop()
            with pytest.raises(NoCurrentMirror):
                await loop.run_in_executor(None, count)
            bound = await loop.run_in_executor(None, bind_mirror(count_and_close))
        return bound, find_name()

    assert asyncio.run(main()) == (1, None)


def count_and_close():
    try:
        return count()
    finally:
        connections.close_all()


def test_to_thread_and_sync_to_async_go_along(one_book):
    async def main(name):
        async with use_mirror(name):
            return (
                await asyncio.to_thread(count_and_close),
                await sync_to_async(count)(),
                await sync_to_async(count_and_close, thread_sensitive=False)(),
            )

    assert asyncio.run(main("books")) == (1, 1, 1)
    assert asyncio.run(main("films")) == (0, 0, 0)


def test_async_to_sync_goes_along_and_comes_back(one_book):
    async def ask():
        await asyncio.sleep(0)
        return await sync_to_async(count)()

    with use_mirror("books"):
        first = async_to_sync(ask)(), find_name()
    with use_mirror("films"):
        second = async_to_sync(ask)(), find_name()

    assert (first, second, find_name()) == ((1, "books"), (0, "films"), None)


def test_a_block_inside_a_coroutine_does_not_come_out_of_async_to_sync():
    async def enter():
        async with use_mirror("films"):
            await asyncio.sleep(0)
        return find_name()

    with use_mirror("books"):
        assert async_to_sync(enter)() == "books"
        assert find_name() == "books"


def test_a_task_group_keeps_the_mirrors_of_its_tasks(one_book):
    async def ask():
        await asyncio.sleep(0)
        return await sync_to_async(count)(), find_name()

    async def main():
        async with asyncio.TaskGroup() as group:
            tasks = []
            for name in NAMES:
                with use_mirror(name):
                    tasks.append(group.create_task(ask()))
        return [task.result() for task in tasks]

    assert asyncio.run(main()) == [(1, "books"), (0, "films")]


def test_a_task_that_outlives_its_request_stays_in_its_mirror(one_book, settings):
    later = []

    async def wait_and_count():
        await asyncio.sleep(0.02)
        later.append((await sync_to_async(count)(), find_name()))

    async def begin(request):
        tasks.append(asyncio.create_task(wait_and_count()))
        return HttpResponse("ok")

    async def main():
        for name in NAMES:
            await ASGIHandler()(build_scope(name, "/begin/"), build_receive(), send)
        await asyncio.gather(*tasks)

    async def send(message):
        pass

    tasks = []
    settings.ROOT_URLCONF = (path("begin/", begin),)
    asyncio.run(main())

    assert sorted(later) == [(0, "films"), (1, "books")]


def test_a_callback_of_the_event_loop_has_the_mirror_it_was_made_in():
    async def main():
        loop, names = asyncio.get_running_loop(), []
        for name in NAMES:
            with use_mirror(name):
                loop.call_soon(lambda: names.append(find_name()))
        await asyncio.sleep(0.01)
        return names

    assert asyncio.run(main()) == [*NAMES]


# Signals and lazy objects


@pytest.fixture
def saved():
    """The mirrors in which receivers of `post_save` ran, and what they could count."""
    notes = []

    def note(instance, **_):
        notes.append((find_name(), count(), instance._state.db))

    post_save.connect(note, sender=Book)
    yield notes
    post_save.disconnect(note, sender=Book)


def test_receivers_run_in_the_mirror_that_saves(saved):
    for name in NAMES:
        with use_mirror(name):
            Book.objects.create(title="Emma")

    assert saved == [("books", 1, "books"), ("films", 1, "films")]


def test_receivers_of_an_async_save_run_in_the_mirror_that_saves(saved):
    async def main():
        async with use_mirror("films"):
            await Book.objects.acreate(title="Alien")

    asyncio.run(main())

    assert saved == [("films", 1, "films")]


def test_a_receiver_cannot_save_what_another_mirror_sent():
    errors = []

    def copy(instance, **_):
        if instance._state.db == "books":
            with use_mirror("films"), pytest.raises(WrongMirror) as caught:
                instance.save()
            errors.append(caught.type)

    post_save.connect(copy, sender=Book)
    try:
        with use_mirror("books"):
            Book.objects.create(title="Emma")
    finally:
        post_save.disconnect(copy, sender=Book)

    assert errors == [WrongMirror]
    with use_mirror("films"):
        assert count() == 0


@pytest.fixture
def members():
    """Let each mirror have a user of the same key and name."""
    for name in NAMES:
        with use_mirror(name):
            User.objects.create_user("jane", f"jane@{name}.example", "secret", pk=7)


def keep_lazy_user(look=id):
    """Log in at `books` and return the request's user; `look` is given the request."""
    client = Client(headers={"host": "books.example"})
    with use_mirror("books"):
        client.force_login(User.objects.get())
    looks[:] = [look]
    client.get("/user/")
    return users[0]


def is_somebody(user):
    try:
        return user.is_authenticated
    except WrongMirror:
        return False


def test_a_lazy_user_is_nobody_in_another_mirror(members):
    user = keep_lazy_user()

    with use_mirror("films"):
        assert not is_somebody(user)


def test_a_lazy_user_of_a_session_that_was_read_is_nobody_in_another_mirror(members):
    user = keep_lazy_user(look=lambda request: dict(request.session.items()))

    with use_mirror("films"):
        assert not is_somebody(user)


def test_a_user_that_was_looked_at_writes_in_its_own_mirror_only(members):
    user = keep_lazy_user(look=lambda request: request.user.email)

    with use_mirror("films"), pytest.raises(WrongMirror):
        user.save()
    with use_mirror("films"), pytest.raises(WrongMirror):
        user.has_perm("bookshop.add_book")
    with use_mirror("films"), pytest.raises(WrongMirror):
        user.groups.count()
    with use_mirror("books"):
        user.save()


def test_a_lazy_user_is_not_evaluated_without_a_mirror(members):
    user = keep_lazy_user()

    with pytest.raises(NoCurrentMirror):
        user.email
    with pytest.raises(NoCurrentMirror):
        in_thread(lambda: user.email)


def test_a_lazy_object_of_a_query_set_is_not_evaluated_in_another_mirror(one_book):
    with use_mirror("books"):
        books = Book.objects.all()
    lazy = SimpleLazyObject(books.get)

    with use_mirror("films"), pytest.raises(WrongMirror):
        lazy.title
    with use_mirror("books"):
        assert lazy.title == "Emma"


# After the commit


def note_and_write(calls):
    Book.objects.create(title="written after the commit")
    calls.append((find_name(), connection.alias))


@pytest.mark.parametrize("robust", [True, False])
def test_callbacks_run_in_their_mirror_wherever_the_transaction_ends(robust):
    calls, block = [], transaction.atomic(using="books")
    with use_mirror("books"):
        block.__enter__()
        transaction.on_commit(lambda: note_and_write(calls), robust=robust)
        with use_mirror("films"):
            block.__exit__(None, None, None)

    assert calls == [("books", "books")]
    with use_mirror("films"):
        assert count() == 0


@pytest.mark.parametrize("robust", [True, False])
def test_callbacks_of_a_nested_block_run_after_the_outer_one(robust):
    calls = []
    with use_mirror("books"), transaction.atomic():
        with transaction.atomic():
            transaction.on_commit(lambda: note_and_write(calls), robust=robust)
        with use_mirror("films"), transaction.atomic():
            transaction.on_commit(lambda: note_and_write(calls), robust=robust)
        during = [*calls]

    assert during == [("films", "films")]
    assert calls == [("films", "films"), ("books", "books")]


@pytest.mark.parametrize("robust", [True, False])
def test_callbacks_of_a_savepoint_that_is_rolled_back_do_not_run(robust):
    calls = []
    with use_mirror("books"), transaction.atomic():
        with suppress(ZeroDivisionError), transaction.atomic():
            transaction.on_commit(lambda: note_and_write(calls), robust=robust)
            1 / 0
        transaction.on_commit(lambda: calls.append("kept"), robust=robust)

    assert calls == ["kept"]


def test_a_broken_callback_does_not_take_the_next_ones_elsewhere(caplog):
    calls = []
    with use_mirror("books"), transaction.atomic():
        transaction.on_commit(lambda: 1 / 0, robust=True)
        transaction.on_commit(lambda: note_and_write(calls))

    assert calls == [("books", "books")]
    assert find_name() is None


class CapturingCase(TestCase):
    """Django's own way to run callbacks in a test that never commits."""

    databases = {"default"}


def test_captured_callbacks_run_in_the_mirror_they_were_registered_in():
    calls = []
    with use_mirror("books"), transaction.atomic():
        with CapturingCase.captureOnCommitCallbacks(execute=True) as callbacks:
            transaction.on_commit(lambda: calls.append(find_name()))
        with CapturingCase.captureOnCommitCallbacks() as kept:
            transaction.on_commit(lambda: calls.append(find_name()))
    calls.clear()
    with use_mirror("films"):
        callbacks[0]()
        kept[0]()

    assert calls == ["books", "books"]


def test_a_callback_registered_in_a_task_runs_in_its_mirror():
    calls = []

    def write():
        with transaction.atomic():
            transaction.on_commit(lambda: note_and_write(calls))

    async def main():
        for name in NAMES:
            async with use_mirror(name):
                await sync_to_async(write)()

    asyncio.run(main())

    assert calls == [(name, name) for name in NAMES]


def test_the_interpreter_has_no_threads_that_inherit_a_context():
    """Python 3.14 can let threads inherit it, by a flag that is off by default."""
    assert not getattr(sys.flags, "thread_inherit_context", 0)
