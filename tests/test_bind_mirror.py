"""Functions of every kind carry their mirror elsewhere."""

import asyncio
from functools import partial

import pytest

from django_mirrors import bind_mirror, find_current_mirror, use_mirror


@pytest.fixture(autouse=True)
def fleet(settings):
    settings.MIRRORS = {"books": {"HOSTS": ["books.example"]}}
    settings.MIRRORS_OPTIONS = {"RECORDS": False}


def find_name(*_):
    mirror = find_current_mirror()
    return None if mirror is None else mirror.name


async def find_name_async(*_):
    await asyncio.sleep(0)
    return find_name()


class Callable:
    def __call__(self):
        return find_name()

    def method(self):
        return find_name()

    async def async_method(self):
        return await find_name_async()


class AsyncCallable:
    async def __call__(self):
        return await find_name_async()


@pytest.mark.parametrize(
    "function",
    [
        find_name,
        lambda *_: find_name(),
        partial(find_name, 1),
        Callable(),
        Callable().method,
    ],
)
def test_callables_are_bound(function):
    with use_mirror("books"):
        bound = bind_mirror(function)

    assert bound() == "books"
    assert find_name() is None


@pytest.mark.parametrize(
    "function",
    [
        find_name_async,
        partial(find_name_async, 1),
        AsyncCallable(),
        Callable().async_method,
    ],
)
def test_coroutines_are_bound(function):
    async def ask():
        with use_mirror("books"):
            bound = bind_mirror(function)
        return await bound(), find_name()

    assert asyncio.run(ask()) == ("books", None)
