"""Which mirror is current: plain, nested, with exceptions, async, and elsewhere."""

import asyncio
import contextvars
import gc
import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from inspect import iscoroutinefunction
from threading import Thread

import pytest
from django.db import connection, transaction

from django_mirrors import (
    bind_mirror,
    cross_mirrors,
    get_current_mirror,
    mirrors,
    use_mirror,
    use_original,
)
from django_mirrors.context import (
    _follow_collection,
    _note_collection,
    find_current_mirror,
    is_crossing,
    leave_mirror_for_garbage,
)
from django_mirrors.exceptions import NoCurrentMirror, UnknownMirror, WrongMirror
from tests.bookshop.models import Book

NOBODY = (
    "No mirror is current, so there is no data to act on. Wrap the code in "
    "'with use_mirror(name):', or carry the mirror over with bind_mirror()."
)


@pytest.fixture(autouse=True)
def two_mirrors(request, settings):
    """Serve `books` and `films`, without databases unless a test has its own fleet."""
    if "fleet" not in request.fixturenames:
        settings.MIRRORS = {
            name: {"HOSTS": [f"{name}.example"], "STATE": "active"}
            for name in ("books", "films")
        }


def find_name():
    mirror = find_current_mirror()
    return None if mirror is None else mirror.name


def run_in_thread(function):
    with ThreadPoolExecutor(max_workers=1) as executor:
        return executor.submit(function).result()


class Stop(BaseException):
    """What is no Exception, as KeyboardInterrupt."""


def test_block_makes_a_mirror_current():
    with use_mirror("books") as mirror:
        inside = get_current_mirror()

    assert mirror is inside is mirrors["books"]
    assert find_name() is None


def test_block_takes_a_mirror_as_a_value():
    with use_mirror(mirrors["films"]):
        assert find_name() == "films"


def test_without_a_mirror_the_question_raises():
    with pytest.raises(NoCurrentMirror) as caught:
        get_current_mirror()

    assert str(caught.value) == NOBODY


def test_unknown_mirror_raises_on_entry_and_changes_nothing():
    with use_mirror("books"):
        with pytest.raises(UnknownMirror) as caught:
            use_mirror("bokos").__enter__()
        assert find_name() == "books"

    assert str(caught.value) == (
        "There is no mirror 'bokos'. See the names with 'manage.py mirror_list'."
    )


def test_blocks_nest():
    with use_mirror("books"):
        with use_mirror("films"):
            with use_mirror("books"):
                names = [find_name()]
            names.append(find_name())
        names.append(find_name())

    assert names == ["books", "films", "books"]


def test_original_is_entered_on_purpose():
    with use_mirror("books"), use_original() as original:
        assert find_current_mirror() is original is mirrors.original


@pytest.mark.parametrize("kind", [ValueError, Stop, KeyboardInterrupt, SystemExit])
def test_exception_leaves_the_mirror(kind):
    with use_mirror("books"):
        with pytest.raises(kind), use_mirror("films"):
            raise kind
        assert find_name() == "books"


def test_one_block_may_be_used_again_and_inside_itself():
    block = use_mirror("books")

    with block, use_mirror("films"), block:
        inside = find_name()
    with block:
        again = find_name()

    assert (inside, again, find_name()) == ("books", "books", None)


def test_blocks_that_interleave_leave_their_own_frame():
    books, films = use_mirror("books"), use_mirror("films")
    books.__enter__()
    films.__enter__()

    books.__exit__(None, None, None)
    between = find_name()
    films.__exit__(None, None, None)

    assert (between, find_name()) == ("films", None)


def test_decorated_function_runs_in_the_mirror():
    @use_mirror("books")
    def ask(number, *, more):
        """Ask."""
        return find_name(), number, more

    assert ask(1, more=2) == ("books", 1, 2)
    assert (ask.__name__, ask.__doc__, find_name()) == ("ask", "Ask.", None)


def test_decorated_function_that_raises_leaves_the_mirror():
    @use_mirror("books")
    def fail():
        raise Stop

    with pytest.raises(Stop):
        fail()

    assert find_name() is None


def test_decorated_coroutine_runs_in_the_mirror():
    @use_mirror("books")
    async def ask():
        await asyncio.sleep(0)
        return find_name()

    async def main():
        return await ask(), find_name()

    assert iscoroutinefunction(ask)
    assert asyncio.run(main()) == ("books", None)


def test_decorated_generator_has_its_mirror_during_its_steps_only():
    @use_mirror("books")
    def generate():
        sent = yield find_name()
        try:
            yield find_name(), sent
        except ValueError:
            yield find_name()
        return find_name()

    with use_mirror("films"):
        steps = generate()
        seen = [next(steps), find_name(), steps.send(1), find_name()]
        seen += [steps.throw(ValueError), find_name()]
        with pytest.raises(StopIteration) as caught:
            next(steps)

    assert seen == ["books", "films", ("books", 1), "films", "books", "films"]
    assert (caught.value.value, find_name()) == ("books", None)


def test_decorated_generator_is_closed_in_its_mirror():
    closed = []

    @use_mirror("books")
    def generate():
        try:
            yield
        finally:
            closed.append(find_name())

    steps = generate()
    next(steps)
    with use_mirror("films"):
        steps.close()
        after = find_name()

    assert (closed, after) == (["books"], "films")


def test_decorated_async_generator_has_its_mirror_during_its_steps_only():
    seen = []

    @use_mirror("books")
    async def generate():
        try:
            sent = yield find_name()
            await asyncio.sleep(0)
            try:
                yield find_name(), sent
            except ValueError:
                yield find_name()
        finally:
            seen.append(("closed", find_name()))

    async def main():
        async with use_mirror("films"):
            steps = generate()
            seen.extend([await anext(steps), find_name()])
            seen.extend([await steps.asend(1), find_name()])
            seen.extend([await steps.athrow(ValueError), find_name()])
            await steps.aclose()
            seen.append(find_name())

    asyncio.run(main())

    assert seen == [
        "books", "films", ("books", 1), "films", "books", "films",
        ("closed", "books"), "films",
    ]  # fmt: skip


def test_generator_with_a_block_inside_may_be_closed_in_another_context():
    def generate():
        with use_mirror("books"):
            yield find_name()

    steps = generate()
    contextvars.copy_context().run(next, steps)
    with use_mirror("films"):
        steps.close()
        after = find_name()

    assert (after, find_name()) == ("films", None)


def test_generator_with_a_block_inside_may_be_collected_in_another_mirror():
    def generate():
        with use_mirror("books"):
            yield find_name()

    def begin():
        steps = generate()
        next(steps)
        return steps

    steps = contextvars.copy_context().run(begin)
    with use_mirror("films"):
        del steps
        gc.collect()
        after = find_name()

    assert (after, find_name()) == ("films", None)


def test_context_that_copied_the_mirror_keeps_it_when_the_generator_ends():
    def generate():
        with use_mirror("books"):
            yield

    def close_elsewhere():
        steps = generate()
        next(steps)
        copy = contextvars.copy_context()
        copy.run(steps.close)
        return copy.run(find_name)

    assert contextvars.copy_context().run(close_elsewhere) == "books"


def test_async_block_makes_a_mirror_current():
    async def main():
        async with use_mirror("books") as mirror:
            await asyncio.sleep(0)
            inside = find_name()
        return mirror.name, inside, find_name()

    assert asyncio.run(main()) == ("books", "books", None)


def test_async_block_that_is_cancelled_leaves_the_mirror():
    async def main():
        async def wait():
            try:
                async with use_mirror("books"):
                    await asyncio.sleep(60)
            finally:
                left.append(find_name())

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return find_name()

    left = []

    assert asyncio.run(main()) is None
    assert left == [None]


def test_tasks_of_two_mirrors_do_not_mix():
    async def ask(name):
        async with use_mirror(name):
            seen = []
            for _ in range(20):
                await asyncio.sleep(0)
                seen.append(find_name())
            return seen

    async def main():
        return await asyncio.gather(ask("books"), ask("films"), ask("books"))

    assert asyncio.run(main()) == [["books"] * 20, ["films"] * 20, ["books"] * 20]


def test_task_inherits_the_mirror_it_was_made_in():
    async def ask():
        await asyncio.sleep(0)
        return find_name()

    async def main():
        async with use_mirror("books"):
            task = asyncio.create_task(ask())
            in_thread = await asyncio.to_thread(find_name)
        return await task, in_thread, find_name()

    assert asyncio.run(main()) == ("books", "books", None)


def test_thread_inherits_no_mirror():
    with use_mirror("books"):
        with pytest.raises(NoCurrentMirror) as caught:
            run_in_thread(get_current_mirror)

    assert str(caught.value) == NOBODY


def test_bound_function_has_its_mirror_in_a_thread():
    with use_mirror("books"):
        books = bind_mirror(find_name)
    with use_mirror("films"):
        films = bind_mirror(find_name)

    assert (run_in_thread(books), run_in_thread(films)) == ("books", "films")
    assert find_name() is None


def test_bound_function_has_its_mirror_in_another_one():
    with use_mirror("books"):
        ask = bind_mirror(find_name)

    with use_mirror("films"):
        assert (ask(), find_name()) == ("books", "films")


def test_bound_function_is_a_target_of_a_thread():
    seen = []
    with use_mirror("books"):
        thread = Thread(target=bind_mirror(lambda: seen.append(find_name())))
        thread.start()
        thread.join()

    assert seen == ["books"]


def test_bound_coroutine_and_generators_keep_their_mirror():
    async def ask():
        return find_name()

    def generate():
        yield find_name()

    async def generate_async():
        yield find_name()

    with use_mirror("books"):
        bound = [bind_mirror(item) for item in (ask, generate, generate_async)]

    async def main():
        return await bound[0](), [*bound[1]()], [item async for item in bound[2]()]

    with use_mirror("films"):
        assert asyncio.run(main()) == ("books", ["books"], ["books"])


def test_nothing_can_be_bound_without_a_mirror():
    with pytest.raises(NoCurrentMirror):
        bind_mirror(find_name)


def test_crossing_keeps_the_current_mirror():
    with use_mirror("books"):
        with cross_mirrors("to count") as mirror:
            inside = find_name(), is_crossing()
        after = find_name(), is_crossing()

    assert mirror is mirrors["books"]
    assert (inside, after) == (("books", True), ("books", False))


def test_crossing_ends_with_an_exception():
    with use_mirror("books"):
        with pytest.raises(Stop), cross_mirrors("to count"):
            raise Stop
        assert not is_crossing()


def test_mirror_entered_while_crossing_is_not_crossing():
    with use_mirror("books"), cross_mirrors("to count"), use_mirror("films"):
        assert (find_name(), is_crossing()) == ("films", False)


def test_crossing_logs_its_reason(caplog):
    with use_mirror("books"), caplog.at_level(logging.WARNING):
        with cross_mirrors("to count rows"):
            pass

    assert caplog.messages == ["Mirrors are crossed from 'books': to count rows"]


@pytest.mark.parametrize("reason", ["", "  ", None])
def test_crossing_without_a_reason_is_refused(reason):
    with pytest.raises(ValueError, match=r"^cross_mirrors\(\) needs a reason\. Say"):
        cross_mirrors(reason)


@pytest.mark.django_db
def test_leaving_inside_an_open_atomic_raises_and_rolls_back(fleet):
    atomic = transaction.atomic()

    with pytest.raises(WrongMirror) as caught:
        with use_mirror("books"):
            atomic.__enter__()
            Book.objects.create(title="Emma")

    assert str(caught.value) == (
        "Mirror 'books' was left inside an atomic block that was opened in it. Its "
        "transaction was rolled back. End the atomic block first."
    )
    with use_mirror("books"):
        assert (Book.objects.count(), connection.in_atomic_block) == (0, False)
    with use_mirror("films"):
        assert Book.objects.count() == 0


@pytest.mark.django_db
def test_leaving_by_an_exception_inside_an_open_atomic_keeps_the_exception(fleet):
    with pytest.raises(Stop):
        with use_mirror("books"):
            transaction.atomic().__enter__()
            Book.objects.create(title="Emma")
            raise Stop

    with use_mirror("books"):
        assert Book.objects.count() == 0


@pytest.mark.django_db
def test_block_inside_an_atomic_of_its_mirror_is_left_quietly(fleet):
    with use_mirror("books"), transaction.atomic():
        with use_mirror("films"), use_mirror("books"):
            Book.objects.create(title="Emma")

    with use_mirror("books"):
        assert Book.objects.count() == 1


def test_a_collection_of_garbage_has_no_mirror():
    with use_mirror("books"):
        _follow_collection("start", {})
        during = find_name()
        _follow_collection("stop", {})
        after = find_name()

    assert (during, after) == (None, "books")


def test_a_collection_of_garbage_outside_of_every_mirror_changes_nothing():
    _follow_collection("start", {})
    during = find_name()
    _follow_collection("stop", {})

    assert (during, find_name()) == (None, None)


@pytest.fixture
def no_collecting():
    gc.disable()
    yield
    gc.enable()


def test_block_that_python_3_11_finds_as_garbage_touches_no_variable(no_collecting):
    block = use_mirror("books")
    block.__enter__()

    _note_collection("start", {})
    block.__exit__(GeneratorExit, GeneratorExit(), None)
    during = find_name()
    _note_collection("stop", {})
    block.__exit__(GeneratorExit, GeneratorExit(), None)

    assert (during, find_name()) == ("books", None)


def test_collection_in_one_thread_lets_others_leave_their_blocks(no_collecting):
    def leave():
        block = use_mirror("books")
        block.__enter__()
        block.__exit__(GeneratorExit, GeneratorExit(), None)
        return find_name()

    _note_collection("start", {})
    with ThreadPoolExecutor(1) as executor:
        left = executor.submit(leave).result()
    _note_collection("stop", {})

    assert left is None


def test_the_garbage_collector_is_followed_once():
    leave_mirror_for_garbage()

    # Python 3.11 collects at moments when no variable may be set.
    own = "_follow_collection" if sys.version_info >= (3, 12) else "_note_collection"
    names = [getattr(item, "__name__", "") for item in gc.callbacks]
    assert names.count(own) == 1
