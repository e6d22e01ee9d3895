"""Pytest plugin: tests that use the database begin in the original.

As under `manage.py test`, tests written before the project had mirrors go on working.
Tests without a database begin with no mirror.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps

from django_mirrors import _compat
from django_mirrors.context import use_original

__all__ = ["pytest_collection", "pytest_runtest_protocol"]

_DATABASE_FIXTURES = frozenset(
    {"db", "transactional_db", "django_db_setup", "live_server"}
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Let test classes that say only `default` go on working."""
    if _has_mirrors():
        _compat.follow_default_in_tests()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[Any]:
    """Run one test, in the original if it uses the database."""
    if not _uses_database(item):
        return (yield)
    with use_original():
        return (yield)


def _uses_database(item: pytest.Item) -> bool:
    if not _has_mirrors():
        return False
    if item.get_closest_marker("django_db") is not None:
        return True
    if _DATABASE_FIXTURES & set(getattr(item, "fixturenames", ())):
        return True
    return hasattr(getattr(item, "cls", None), "databases")


def _has_mirrors() -> bool:
    return apps.ready and apps.is_installed("django_mirrors")
