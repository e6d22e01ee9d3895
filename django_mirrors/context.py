"""Which mirror is current. The one `ContextVar` of this package lives here."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from threading import current_thread, get_ident
from types import TracebackType
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

from django_mirrors import _compat
from django_mirrors.exceptions import NoCurrentMirror, WrongMirror
from django_mirrors.mirror import ORIGINAL_NAME, Mirror
from django_mirrors.registry import mirrors

__all__ = [
    "bind_mirror",
    "cross_mirrors",
    "find_current_mirror",
    "get_current_mirror",
    "use_mirror",
    "use_original",
]

logger = logging.getLogger("django_mirrors.context")

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

# Django runs the checks of `runserver` in a thread of this name, beside the main one.
_RUNSERVER_THREAD = "django-main-thread"


class Command(NamedTuple):
    """The mirror of a process that runs a management command, and its thread."""

    mirror: str
    thread: int


_command: Command | None = None


class Frame(NamedTuple):
    """One entry of the stack of current mirrors, which is a linked list of values."""

    mirror: Mirror | None
    crossing: str  # the reason given to `cross_mirrors`, or ""
    owner: object  # who entered it, and so may leave it
    depth: int | None  # atomic blocks open at entry; None leaves them unchecked
    previous: Frame | None


_frame: ContextVar[Frame | None] = ContextVar("django_mirrors", default=None)


# For those who ask at each query: the innermost block, or None. Immutable, so what was
# allowed in a frame is allowed in it again.
find_frame: Callable[[], Frame | None] = _frame.get


def get_current_mirror() -> Mirror:
    """Return the current mirror. Raises `NoCurrentMirror` if there is none."""
    mirror = find_current_mirror()
    if mirror is None:
        raise NoCurrentMirror(
            "No mirror is current, so there is no data to act on. Wrap the code in "
            "'with use_mirror(name):', or carry the mirror over with bind_mirror()."
        )
    return mirror


def find_current_mirror() -> Mirror | None:
    """Return the current mirror, or None."""
    frame = _frame.get()
    if frame is not None:
        return frame.mirror
    return _find_command_mirror()


def is_crossing() -> bool:
    """Whether the code runs inside `cross_mirrors`."""
    frame = _frame.get()
    return frame is not None and bool(frame.crossing)


def is_entered(alias: str) -> bool:
    """Whether the code runs inside a block of a mirror whose database is `alias`."""
    frame = _frame.get()
    while frame is not None:
        if frame.mirror is not None and frame.mirror.alias == alias:
            return True
        frame = frame.previous
    return False


class _Block:
    """What `use_mirror`, `use_original` and `cross_mirrors` have in common.

    Works as `with`, `async with` and decorator, nests, and may be used again. A
    decorated generator has its mirror during each of its steps and at no other time.
    """

    def _build_frame(self, previous: Frame | None) -> Frame:
        raise NotImplementedError

    def __enter__(self) -> Any:
        frame = self._build_frame(_frame.get())
        _frame.set(frame)
        return frame.mirror

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        frame = _frame.get()
        # An abandoned generator may be finalised in another context, where this
        # block was never entered: there is nothing to restore there.
        if frame is None or frame.owner is not self:
            return
        _frame.set(frame.previous)
        if _end_atomic(frame) and kind is None:
            raise WrongMirror(
                f"Mirror '{frame.mirror}' was left inside an atomic block that was "
                "opened in it. Its transaction was rolled back. End the atomic block "
                "first."
            )

    async def __aenter__(self) -> Any:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if isasyncgenfunction(function):

            @wraps(function)
            def generate_async(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
                return iter_async_steps(function(*args, **kwargs), self)

            return generate_async
        if isgeneratorfunction(function):

            @wraps(function)
            def generate(*args: Any, **kwargs: Any) -> Iterator[Any]:
                return iter_steps(function(*args, **kwargs), self)

            return generate
        if iscoroutinefunction(function):

            @wraps(function)
            async def run_async(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await function(*args, **kwargs)

            return run_async

        @wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return run


class use_mirror(_Block):  # noqa: N801 - used like a function
    """Make a mirror, given by name or as a value, current in a block.

    Works as `with`, `async with` and decorator. Raises `UnknownMirror` on entry, and
    `WrongMirror` when the block ends inside an `atomic()` that was opened in it.
    """

    def __init__(self, mirror: str | Mirror) -> None:
        self._mirror = mirror

    def _build_frame(self, previous: Frame | None) -> Frame:
        given = self._mirror
        mirror = given if isinstance(given, Mirror) else _get_mirror(given)
        return Frame(mirror, "", self, _compat.count_atomic_blocks(mirror.alias), previous)


class use_original(use_mirror):  # noqa: N801 - used like a function
    """Make the original current in a block, on purpose. See `use_mirror`."""

    def __init__(self) -> None:
        super().__init__(ORIGINAL_NAME)


class cross_mirrors(_Block):  # noqa: N801 - used like a function
    """Let a block touch the data of other mirrors. The current mirror stays the same.

    The reason is logged, and must not be empty.
    """

    def __init__(self, reason: str) -> None:
        if not isinstance(reason, str) or not reason.strip():
            raise ValueError("cross_mirrors() needs a reason. Say why, in a few words.")
        self._reason = reason

    def _build_frame(self, previous: Frame | None) -> Frame:
        mirror = find_current_mirror()
        logger.warning("Mirrors are crossed from '%s': %s", mirror, self._reason)
        return Frame(mirror, self._reason, self, None, previous)


class _Bound(_Block):
    """The frame of another place, entered again here."""

    def __init__(self, mirror: Mirror | None) -> None:
        self._mirror = mirror

    def _build_frame(self, previous: Frame | None) -> Frame:
        return Frame(self._mirror, "", self, None, previous)


def bind_mirror(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function` bound to the current mirror, wherever it will run.

    For threads, executors and callbacks, which do not inherit the mirror. Coroutine
    functions and generators are bound too. Raises `NoCurrentMirror` if there is none.
    """
    return cast(Callable[P, R], _Bound(get_current_mirror())(function))


def hold_mirror(mirror: Mirror) -> _Block:
    """Return a block that makes `mirror` current without looking at transactions."""
    return _Bound(mirror)


def suspend_mirror() -> _Block:
    """Return a block in which no mirror is current, for tests."""
    return _Bound(None)


def iter_steps(steps: Iterator[T], block: _Block) -> Iterator[T]:
    """Yield from `steps`, entering `block` for each step and for closing only."""
    received = None
    try:
        while True:
            with block:
                try:
                    item = next(steps) if received is None else steps.send(received)  # type: ignore[attr-defined]
                except StopIteration:
                    return
            received = yield item
    finally:
        close = getattr(steps, "close", None)
        if close is not None:
            with block:
                close()


async def iter_async_steps(steps: AsyncIterator[T], block: _Block) -> AsyncIterator[T]:
    """See iter_steps()."""
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


def use_command_mirror(name: str) -> None:
    """Make the mirror `name` the one that a management command acts on.

    It counts in the calling thread only, while nothing else is current there.
    """
    global _command
    _command = Command(name, get_ident())


def _find_command_mirror() -> Mirror | None:
    if _command is None:
        return None
    if get_ident() == _command.thread or current_thread().name == _RUNSERVER_THREAD:
        return _get_mirror(_command.mirror)
    return None


def _get_mirror(name: str) -> Mirror:
    # The original is known from settings: entering it must not need its database.
    return mirrors.original if name == ORIGINAL_NAME else mirrors[name]


def _end_atomic(frame: Frame) -> bool:
    """Roll back what was begun in the block and is open; return whether there was any."""
    mirror = frame.mirror
    if mirror is None or frame.depth is None:
        return False
    if _compat.count_atomic_blocks(mirror.alias) <= frame.depth:
        return False
    _compat.abort_transaction(mirror.alias, depth=frame.depth)
    return True
