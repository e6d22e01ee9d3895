"""The current mirror of a test."""

from collections.abc import Iterator
from contextlib import contextmanager

from django_mirrors.context import suspend_mirror

__all__ = ["no_mirror"]


@contextmanager
def no_mirror() -> Iterator[None]:
    """Leave every mirror for a block, as in a thread that inherits nothing."""
    with suspend_mirror():
        yield
