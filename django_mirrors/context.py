"""Which mirror is current. The one `ContextVar` of this package lives here."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextvars import Context, ContextVar, Token, copy_context
from functools import wraps
from inspect import isasyncgenfunction, isgeneratorfunction
from threading import current_thread, get_ident
from types import TracebackType
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

from asgiref.sync import iscoroutinefunction

from django_mirrors import _compat
from django_mirrors.exceptions import NoCurrentMirror, WrongMirror
from django_mirrors.mirror import ORIGINAL_NAME, Mirror
from django_mirrors.registry import mirrors
from django_mirrors.steps import run_async_generator, run_generator

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

# Django runs the checks of `runserver` in a thread of this name, beside the main one.
_RUNSERVER_THREAD = "django-main-thread"


class Command(NamedTuple):
    """The mirror of a process that runs a management command, and its thread."""

    mirror: str
    thread: int


_command: Command | None = None


class Frame:
    """One entry of the stack of current mirrors, which is a linked list."""

    __slots__ = (
        "crossing",
        "depth",
        "has_written",
        "mirror",
        "owner",
        "previous",
        "token",
    )

    def __init__(
        self,
        mirror: Mirror | None,
        previous: Frame | None,
        *,
        owner: object = None,  # who entered it, and so may leave it
        crossing: str = "",  # the reason given to `cross_mirrors`
        depth: int | None = None,  # atomic blocks open at entry; None: do not look
    ) -> None:
        self.mirror = mirror
        self.previous = previous
        self.owner = owner
        self.crossing = crossing
        self.depth = depth
        self.has_written = False  # to a database that has a replica
        self.token: Token[Frame | None] | None = None  # knows where it was entered

    def is_of_this_context(self) -> bool:
        """Whether it was entered in the context that runs; may be asked once."""
        try:
            _frame.reset(cast(Token[Frame | None], self.token))
        except (ValueError, RuntimeError):
            return False
        return True


_frame: ContextVar[Frame | None] = ContextVar("django_mirrors", default=None)

_NOBODY = Frame(None, None)
_collecting: Token[Frame | None] | None = None
_collector: int | None = None  # the thread that collects garbage, in Python 3.11

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

    Works as `with`, `async with` and decorator, nests, and may be used again, also at
    the same time elsewhere. A decorated generator has its mirror during each of its
    steps and at no other time. By itself it makes a mirror current, or none, and does
    not look at transactions.
    """

    def __init__(self, mirror: Mirror | None) -> None:
        self._mirror = mirror

    def _build_frame(self, previous: Frame | None) -> Frame:
        return Frame(self._mirror, previous)

    def __enter__(self) -> Any:
        frame = self._build_frame(_frame.get())
        frame.owner = self
        frame.token = _frame.set(frame)
        return frame.mirror

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is GeneratorExit and _collector == get_ident():
            # Garbage. The context may be half changed, and is not touched.
            return
        top = _frame.get()
        frame = _find_frame(top, self)
        if frame is None:
            # A generator is finalised in a context where its block was not entered.
            return
        if not frame.is_of_this_context() and kind is GeneratorExit:
            # The same, and the context has a copy of what is current where it was:
            # that is not for this block to end.
            return
        _frame.set(_without(top, frame))
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
            def generate_async(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
                return run_async_generator(function(*args, **kwargs), self)

            return generate_async
        if isgeneratorfunction(function):

            @wraps(function)
            def generate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
                return run_generator(function(*args, **kwargs), self)

            return generate
        if _is_async(function):

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
        self._given = mirror

    def _build_frame(self, previous: Frame | None) -> Frame:
        given = self._given
        mirror = given if isinstance(given, Mirror) else _get_mirror(given)
        depth = _compat.count_atomic_blocks(mirror.alias)
        return Frame(mirror, previous, depth=depth)


class use_original(use_mirror):  # noqa: N801 - used like a function
    """Make the original current in a block, on purpose. See `use_mirror`."""

    def __init__(self) -> None:
        super().__init__(ORIGINAL_NAME)


class cross_mirrors(_Block):  # noqa: N801 - used like a function
    """Let a block touch the data of other mirrors. The current mirror stays the same.

    The reason is logged, and must not be empty.
    """

    def __init__(self, reason: str) -> None:
        if not str(reason or "").strip():
            raise ValueError("cross_mirrors() needs a reason. Say why, in a few words.")
        self._reason = reason

    def _build_frame(self, previous: Frame | None) -> Frame:
        mirror = find_current_mirror()
        logger.warning("Mirrors are crossed from '%s': %s", mirror, self._reason)
        return Frame(mirror, previous, crossing=self._reason)


def bind_mirror(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function` bound to the current mirror, wherever it will run.

    For threads, executors and callbacks, which do not inherit the mirror. Coroutine
    functions and generators are bound too. Raises `NoCurrentMirror` if there is none.
    """
    return cast(Callable[P, R], _Block(get_current_mirror())(function))


def hold_mirror(mirror: Mirror) -> _Block:
    """Return a block that makes `mirror` current without looking at transactions."""
    return _Block(mirror)


def suspend_mirror() -> _Block:
    """Return a block in which no mirror is current, for tests."""
    return _Block(None)


def build_context(mirror: Mirror) -> Context:
    """Return a copy of this context in which `mirror` is current."""
    context = copy_context()
    context.run(_frame.set, Frame(mirror, _frame.get()))
    return context


def leave_mirror_for_garbage() -> None:
    """Let the garbage collector run what it finds with no mirror current.

    It comes at any moment. A generator or an object that one mirror forgot must not be
    finalised, and so perhaps write, in the mirror that happens to be current. Python
    3.11 collects in the middle of what C code does, such as setting a `ContextVar`,
    where setting one ends the process: there it is only noted who collects.
    """
    follow = _follow_collection if sys.version_info >= (3, 12) else _note_collection
    if follow not in gc.callbacks:
        gc.callbacks.append(follow)


def _follow_collection(phase: str, info: dict[str, int]) -> None:
    # One runs at a time in a process.
    global _collecting  # noqa: PLW0603
    if phase == "start":
        _collecting = None if _frame.get() is None else _frame.set(_NOBODY)
    elif _collecting is not None:
        _frame.reset(_collecting)
        _collecting = None


def _note_collection(phase: str, info: dict[str, int]) -> None:
    global _collector  # noqa: PLW0603
    _collector = get_ident() if phase == "start" else None


def use_command_mirror(name: str) -> None:
    """Make the mirror `name` the one that a management command acts on.

    It counts in the calling thread only, while nothing else is current there.
    """
    global _command  # noqa: PLW0603 - a process runs one command
    _command = Command(name, get_ident())


def find_current_name() -> str | None:
    """Return the name of the current mirror, or None; never ask the registry."""
    frame = _frame.get()
    if frame is not None:
        return None if frame.mirror is None else frame.mirror.name
    return _command.mirror if _command is not None and _is_command() else None


def _find_command_mirror() -> Mirror | None:
    if _command is None or not _is_command():
        return None
    return _get_mirror(_command.mirror)


def _is_command() -> bool:
    if _command is not None and get_ident() == _command.thread:
        return True
    return current_thread().name == _RUNSERVER_THREAD


def _get_mirror(name: str) -> Mirror:
    # The original is known from settings: entering it must not need its database.
    return mirrors.original if name == ORIGINAL_NAME else mirrors[name]


def _find_frame(top: Frame | None, owner: object) -> Frame | None:
    while top is not None and top.owner is not owner:
        top = top.previous
    return top


def _without(top: Frame | None, gone: Frame) -> Frame | None:
    """Return the stack without one frame, which is not the top if blocks interleave."""
    if top is None or top is gone:
        return gone.previous
    frame = Frame(
        top.mirror,
        _without(top.previous, gone),
        owner=top.owner,
        crossing=top.crossing,
        depth=top.depth,
    )
    frame.token = top.token
    return frame


def _end_atomic(frame: Frame) -> bool:
    """Roll back what was begun in the block and is open; return whether it was."""
    mirror = frame.mirror
    if mirror is None or frame.depth is None:
        return False
    if _compat.count_atomic_blocks(mirror.alias) <= frame.depth:
        return False
    _compat.abort_transaction(mirror.alias, depth=frame.depth)
    return True


def _is_async(function: Callable[..., Any]) -> bool:
    return iscoroutinefunction(function) or iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - of an object, not whether
    )
