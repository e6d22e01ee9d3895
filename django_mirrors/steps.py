"""Generators and streams whose steps run in a block or a context of their own."""

import sys
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterator,
)
from contextlib import AbstractContextManager
from contextvars import Context, copy_context
from functools import partial
from typing import Any, TypeVar, cast

__all__ = ["iter_async_steps", "iter_steps", "run_async_generator", "run_generator"]

R = TypeVar("R")
T = TypeVar("T")
Block = AbstractContextManager[Any]


def iter_steps(steps: Iterator[T], context: Context) -> Iterator[T]:
    """Yield from `steps`, which run in `context`, and so does their closing."""
    try:
        while True:
            try:
                item = context.run(next, steps)
            except StopIteration:
                return
            yield item
    finally:
        close = getattr(steps, "close", None)
        if close is not None:
            # A copy, since the garbage collector may come here inside the context.
            context.copy().run(close)


async def iter_async_steps(steps: AsyncIterator[T], block: Block) -> AsyncIterator[T]:
    """Yield from `steps`, entering `block` for each step and for their closing."""
    step: Callable[[], Awaitable[T]] = partial(_begin, steps, block)
    try:
        while True:
            with block:
                try:
                    item = await step()
                except StopAsyncIteration:
                    return
            step = steps.__anext__
            yield item
    finally:
        close = getattr(steps, "aclose", None)
        if close is not None:
            with block:
                await close()


def run_generator(
    steps: Generator[Any, Any, R], block: Block
) -> Generator[Any, Any, R]:
    """Run a generator with `block` entered for each of its steps, and for closing it.

    What is sent and thrown reaches it, and what it returns is returned: see PEP 380.
    """
    step: Callable[[Any], Any] = steps.send
    given: Any = None
    try:
        while True:
            with block:
                try:
                    item = step(given)
                except StopIteration as stop:
                    return cast(R, stop.value)
            try:
                given = yield item
                step = steps.send
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - handed to the generator
                given = error
                step = steps.throw
    finally:
        # A copy, since the garbage collector may come here, in Python 3.11 while the
        # context itself is being changed.
        copy_context().run(_run_in, block, steps.close)


async def run_async_generator(
    steps: AsyncGenerator[Any, Any], block: Block
) -> AsyncGenerator[Any, Any]:
    """See run_generator()."""
    step: Callable[..., Any] = partial(_begin, steps, block)
    given: Any = None
    try:
        while True:
            with block:
                try:
                    item = await step(given)
                except StopAsyncIteration:
                    return
            try:
                given = yield item
                step = steps.asend
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - handed to the generator
                given = error
                step = steps.athrow
    finally:
        with block:
            await steps.aclose()


def _begin(steps: AsyncIterator[T], block: Block, given: None = None) -> Awaitable[T]:
    """Take the first step of an async generator that only its owner shall close.

    An event loop that ends closes all generators it knows at once, outside of every
    block. It knows the owner, and is not told of this one.
    """
    hooks = sys.get_asyncgen_hooks()
    finalize = partial(_finalize, hooks.finalizer, block) if hooks.finalizer else None
    sys.set_asyncgen_hooks(None, finalize)
    try:
        return anext(steps)
    finally:
        sys.set_asyncgen_hooks(*hooks)


def _finalize(
    finalize: Callable[[AsyncGenerator[Any, Any]], Any],
    block: Block,
    steps: AsyncGenerator[Any, Any],
) -> None:
    # The garbage collector found it together with its owner: see run_generator().
    copy_context().run(_run_in, block, partial(finalize, steps))


def _run_in(block: Block, function: Callable[[], object]) -> None:
    with block:
        function()
