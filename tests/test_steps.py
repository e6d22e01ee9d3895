"""Generators and streams whose steps run in a block or a context of their own."""

import asyncio
import gc
import subprocess
import sys
from contextlib import contextmanager
from contextvars import ContextVar, copy_context

import pytest

from django_mirrors.steps import (
    iter_async_steps,
    iter_steps,
    run_async_generator,
    run_generator,
)

inside = ContextVar("inside", default=False)


@contextmanager
def block():
    token = inside.set(True)
    try:
        yield
    finally:
        inside.reset(token)


class Block:
    """A block that can be entered again."""

    def __init__(self):
        self.entered = 0
        self._blocks = []

    def __enter__(self):
        self.entered += 1
        self._blocks.append(block())
        return self._blocks[-1].__enter__()

    def __exit__(self, *exception):
        return self._blocks.pop().__exit__(*exception)


def context():
    made = copy_context()
    made.run(inside.set, True)
    return made


def echo(seen):
    """Yield what is sent, note what is thrown, return how often it went."""
    given, count = None, 0
    try:
        while given != "end":
            count += 1
            try:
                given = yield (given, inside.get())
            except ValueError as error:
                given = f"caught {error}"
    finally:
        seen.append(("closed", inside.get()))
    return count


async def echo_async(seen):
    given = None
    try:
        while given != "end":
            try:
                given = yield (given, inside.get())
            except ValueError as error:
                given = f"caught {error}"
    finally:
        seen.append(("closed", inside.get()))


# Generators in a block


def test_what_is_sent_reaches_the_generator():
    seen = []
    steps = run_generator(echo(seen), Block())

    received = [next(steps), steps.send("a"), steps.send("b")]

    assert received == [(None, True), ("a", True), ("b", True)]
    assert not inside.get()


def test_what_is_thrown_reaches_the_generator():
    steps = run_generator(echo([]), Block())
    next(steps)

    assert steps.throw(ValueError("x")) == ("caught x", True)
    assert steps.send("b") == ("b", True)


def test_what_the_generator_returns_is_returned():
    seen = []
    steps = run_generator(echo(seen), Block())
    next(steps)
    steps.send("a")

    with pytest.raises(StopIteration) as caught:
        steps.send("end")

    assert caught.value.value == 2
    assert seen == [("closed", True)]


def test_what_the_generator_raises_is_raised():
    seen = []
    steps = run_generator(echo(seen), Block())
    next(steps)

    with pytest.raises(ZeroDivisionError):
        steps.throw(ZeroDivisionError())

    assert seen == [("closed", True)]
    assert not inside.get()


def test_a_generator_can_be_a_context_manager():
    @contextmanager
    def managed():
        yield from run_generator(echo([]), Block())

    with pytest.raises(RuntimeError, match="didn't stop after throw"), managed():
        raise ValueError("x")
    assert not inside.get()


@pytest.mark.parametrize("started", [True, False])
def test_a_generator_is_closed_in_the_block(started):
    seen = []
    steps = run_generator(echo(seen), Block())
    if started:
        next(steps)

    steps.close()

    assert seen == ([("closed", True)] if started else [])
    assert not inside.get()


def test_an_async_generator_is_sent_and_thrown_to():
    seen = []

    async def ask():
        steps = run_async_generator(echo_async(seen), Block())
        received = [
            await anext(steps),
            await steps.asend("a"),
            await steps.athrow(ValueError("x")),
            await steps.asend("b"),
        ]
        with pytest.raises(StopAsyncIteration):
            await steps.asend("end")
        return received, inside.get()

    received, left = asyncio.run(ask())

    assert [value for value, _ in received] == [None, "a", "caught x", "b"]
    assert all(is_inside for _, is_inside in received)
    assert not left
    assert seen == [("closed", True)]


def test_an_async_generator_raises_what_it_raises():
    async def ask():
        steps = run_async_generator(echo_async([]), Block())
        await anext(steps)
        with pytest.raises(ZeroDivisionError):
            await steps.athrow(ZeroDivisionError())
        return inside.get()

    assert not asyncio.run(ask())


@pytest.mark.parametrize("started", [True, False])
def test_an_async_generator_is_closed_in_the_block(started):
    seen = []

    async def ask():
        steps = run_async_generator(echo_async(seen), Block())
        if started:
            await anext(steps)
        await steps.aclose()
        return inside.get()

    assert not asyncio.run(ask())
    assert seen == ([("closed", True)] if started else [])


# Streams in a context


def test_a_stream_runs_in_its_context():
    seen = []
    steps = iter_steps(echo(seen), context())

    first, second = next(steps), next(steps)
    steps.close()

    assert first == second == (None, True)
    assert seen == [("closed", True)]
    assert not inside.get()


def test_a_stream_keeps_what_it_sets():
    counter = ContextVar("counter", default=0)

    def count():
        for _ in range(3):
            counter.set(counter.get() + 1)
            yield counter.get()

    assert list(iter_steps(count(), context())) == [1, 2, 3]
    assert counter.get() == 0


def test_a_stream_that_cannot_be_closed_is_read():
    assert list(iter_steps(iter([1, 2]), context())) == [1, 2]


def test_an_async_stream_runs_in_its_block():
    seen = []

    async def read():
        entered = Block()
        steps = iter_async_steps(echo_async(seen), entered)
        first = await anext(steps)
        outside = inside.get()
        await steps.aclose()
        return first, outside, inside.get()

    assert asyncio.run(read()) == ((None, True), False, False)
    assert seen == [("closed", True)]


def test_an_async_stream_that_cannot_be_closed_is_read():
    class Numbers:
        def __init__(self):
            self.left = 2

        def __aiter__(self):
            return self

        async def __anext__(self):
            if not self.left:
                raise StopAsyncIteration
            self.left -= 1
            return inside.get()

    async def read():
        return [item async for item in iter_async_steps(Numbers(), Block())]

    assert asyncio.run(read()) == [True, True]


async def echo_in_a_cycle(seen, owner):
    try:
        while True:
            yield owner
    finally:
        seen.append(("closed", inside.get()))


def test_an_async_stream_that_is_collected_with_its_owner_is_closed_in_its_block():
    seen = []

    async def forget():
        owner = {}
        owner["steps"] = iter_async_steps(echo_in_a_cycle(seen, owner), Block())
        await anext(owner["steps"])
        del owner
        gc.collect()
        await asyncio.sleep(0.01)
        return inside.get()

    assert not asyncio.run(forget())
    assert seen == [("closed", True)]


@pytest.mark.parametrize("run", [iter_async_steps, run_async_generator])
def test_an_async_generator_that_outlives_its_event_loop_is_closed_in_its_block(run):
    seen, kept = [], []

    async def begin():
        kept.append(run(echo_async(seen), Block()))
        await anext(kept[0])

    asyncio.run(begin())

    assert seen == [("closed", True)]


def test_an_async_generator_begins_without_an_event_loop():
    steps = iter_async_steps(echo_async([]), Block())

    with pytest.raises(StopIteration) as caught:
        anext(steps).send(None)

    assert caught.value.value == (None, True)
    with pytest.raises(StopIteration):
        steps.aclose().send(None)


def test_garbage_that_is_found_while_a_variable_is_set_does_not_end_the_process():
    done = subprocess.run(
        [sys.executable, "-m", "tests.garbage"],
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )

    assert (done.stdout, done.returncode) == ("alive\n", 0)
