"""Generators and streams whose steps run in a block or a context of their own."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractContextManager
from contextvars import Context
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
            context.run(close)


async def iter_async_steps(steps: AsyncIterator[T], block: Block) -> AsyncIterator[T]:
    """Yield from `steps`, entering `block` for each step and for their closing."""
    try:
        while True:
            with block:
                try:
                    item = await anext(steps)
                except StopAsyncIteration:
                    return
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
        with block:
            steps.close()


async def run_async_generator(
    steps: AsyncGenerator[Any, Any], block: Block
) -> AsyncGenerator[Any, Any]:
    """See run_generator()."""
    step: Callable[[Any], Any] = steps.asend
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
