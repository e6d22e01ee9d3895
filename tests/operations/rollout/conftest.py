"""Mirrors with migrations that tests write themselves."""

import pytest
from django.db import transaction

from django_mirrors.operations import add_mirror
from tests.operations.rollout.releases import use_release
from tests.operations.rollout.trips import Trip, disconnect, make_trip, use_mirrors


@pytest.fixture(scope="session")
def travel(tmp_path_factory, django_db_setup, django_db_blocker):
    """Return a function that gives the trip of an engine, made once."""
    trips: dict[str, Trip] = {}
    begun: set[str] = set()

    def get(mode: str) -> Trip:
        assert mode not in begun or mode in trips, "The trip failed before."
        begun.add(mode)
        if mode not in trips:
            with django_db_blocker.unblock(), transaction.atomic(using="original"):
                trips[mode] = make_trip(mode, tmp_path_factory.mktemp(mode))
                transaction.set_rollback(True, using="original")
        return trips[mode]

    return get


@pytest.fixture
def two(defaults):
    """Two mirrors that are in step."""
    add_mirror("books", {})
    add_mirror("films", {})


@pytest.fixture
def release(two):
    """Return the migrations that the code has in the apps `shop` and `stock`."""
    with use_release(("shop", "stock")) as made:
        yield made
    for name in ("books", "films"):
        disconnect(name)


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
)
def books(request, tmp_path, db):
    """Return the release of a fleet of one mirror, on each engine in turn."""
    with use_mirrors(request.param, tmp_path, ("books",)), use_release(("shop",)) as it:
        yield it
