"""Let the garbage collector find generators of a mirror while variables are set.

Run by a test in a process of its own, since what can go wrong here ends the process.
"""

import gc
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from uuid import uuid4

from django.conf import settings

settings.configure()

from django_mirrors.context import (  # noqa: E402
    find_current_name,
    hold_mirror,
    leave_mirror_for_garbage,
)
from django_mirrors.mirror import Mirror, State  # noqa: E402

ROUNDS = 1_500
books = Mirror(
    name="books",
    display_name="books",
    uid=uuid4(),
    state=State.ACTIVE,
    hosts=(),
    source="a test",
)
# So many that setting one takes memory for several pieces of the context.
variables = [ContextVar(f"variable {number}") for number in range(200)]


@hold_mirror(books)
def decorated(cycle: list[object]) -> Iterator[int]:
    yield 1
    yield 2


def plain(cycle: list[object]) -> Iterator[int]:
    with hold_mirror(books):
        yield 1


def forget(make) -> None:
    cycle: list[object] = []
    generator = make(cycle)
    cycle.append(generator)
    next(generator)


def main() -> None:
    leave_mirror_for_garbage()
    gc.set_threshold(7, 2, 2)
    for number in range(ROUNDS):
        forget(decorated)
        for variable in variables:
            variable.set([number])
    assert find_current_name() is None
    for number in range(ROUNDS):
        forget(plain)
        for variable in variables:
            variable.set([number])


if __name__ == "__main__":
    main()
    sys.stdout.write("alive\n")
