"""Parts of files, for requests with a `Range` header."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

from asgiref.sync import sync_to_async

__all__ = ["AsyncPart", "Part", "Span", "find_span"]

_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.IGNORECASE)
_BLOCK_BYTES = 64 * 1024


class Span(NamedTuple):
    """The bytes from `start` up to `end`, which is not included."""

    start: int
    end: int

    @property
    def is_empty(self) -> bool:
        """Whether there are no such bytes, so that the answer is 416."""
        return self.start >= self.end


def find_span(header: str, size: int) -> Span | None:
    """Return the bytes that the header asks for, or None if it does not count.

    Several ranges, other units and nonsense do not count: RFC 9110, 14.2.
    """
    match = _RANGE.fullmatch(header)
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return Span(max(size - int(last), 0), size)
    if last and int(last) < int(first):
        return None
    return Span(int(first), min(int(last) + 1, size) if last else size)


class Part:
    """An open file's bytes from where it stands, `length` of them or all, in blocks."""

    def __init__(self, file: Any, *, length: int | None = None) -> None:
        self._file = file
        self._left = length

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        block = self.read()
        if not block:
            raise StopIteration
        return block

    def read(self) -> bytes:
        """Return the next block, or nothing at the end."""
        wanted = _BLOCK_BYTES if self._left is None else min(_BLOCK_BYTES, self._left)
        block: bytes = self._file.read(wanted) if wanted else b""
        if self._left is not None:
            self._left -= len(block)
        return block

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class AsyncPart:
    """See Part. Reads in a thread, since files cannot be read otherwise."""

    def __init__(self, part: Part) -> None:
        self._read = sync_to_async(part.read, thread_sensitive=False)
        self.close = part.close

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        block = await self._read()
        if not block:
            raise StopAsyncIteration
        return block
