"""Where a database stands, and who may change it."""

from uuid import uuid4

import pytest
from django.db import DatabaseError, connections

from django_mirrors import mirrors, use_mirror
from django_mirrors.exceptions import OperationFailed, OperationLocked
from django_mirrors.models import Marker
from django_mirrors.operations.locks import Lock, hold_lock
from django_mirrors.operations.rollout.standing import (
    Claim,
    Progress,
    Standing,
    StandsElsewhere,
    read_standing,
)
from tests.operations.rollout.acting import execute, record

pytestmark = pytest.mark.django_db


@pytest.fixture
def lock(two):
    with hold_lock("rollout", operation="Rollout") as held:
        yield held


def read(name):
    with use_mirror(name):
        return read_standing(connections[name])


def build_claim(name, lock, rollout="1"):
    return Claim(mirrors[name], rollout=rollout, lock=lock)


def test_standing_is_read_with_one_query(two, django_assert_num_queries):
    with (
        use_mirror("books"),
        django_assert_num_queries(1, connection=connections["books"]),
    ):
        found = read_standing(connections["books"])

    assert ("sessions", "0001_initial") in found.applied
    assert found.rollout == ""


def test_standing_of_an_empty_database_is_nothing(two):
    execute("books", "DROP TABLE django_migrations", "DROP TABLE django_mirrors_marker")

    assert read("books") == Standing(applied=frozenset())


def test_database_without_a_marker_is_no_mirrors(two):
    execute("books", "DROP TABLE django_mirrors_marker")

    with pytest.raises(DatabaseError):
        read("books")


def test_rollout_that_did_not_finish_is_told(two, lock):
    with use_mirror("books"):
        build_claim("books", lock, "7").take()

    assert read("books").rollout == "7"
    assert read("films").rollout == ""


def test_finished_rollout_leaves_nothing(two, lock):
    claim = build_claim("books", lock)
    with use_mirror("books"):
        claim.take()
        claim.write_progress("shop.0001", Progress(), Progress(operations=2))

        claim.finish()

        assert claim.find_interrupted() == ""
        assert claim.read_progress("shop.0001") == Progress()
    assert read("books").rollout == ""


def test_rollout_does_not_finish_another_one(two, lock):
    with use_mirror("books"):
        build_claim("books", lock, "1").take()

        build_claim("books", lock, "2").finish()

    assert read("books").rollout == "1"


def test_older_fence_is_refused_unless_its_lock_is_held(two, lock):
    with use_mirror("books"):
        Marker.objects.update(fence=lock.fence + 5)

        build_claim("books", lock).take()

        Marker.objects.update(fence=lock.fence + 5)
        with pytest.raises(OperationLocked):
            build_claim("books", Lock(name="rollout", fence=lock.fence - 1)).take()


def test_marker_of_another_mirror_is_not_taken(two, lock):
    with use_mirror("books"):
        Marker.objects.update(uid=uuid4())

        with pytest.raises(OperationFailed, match="is not marked as its own"):
            build_claim("books", lock).take()

    assert read("books").rollout == ""


def test_progress_is_that_of_one_migration(two, lock):
    claim = build_claim("books", lock)
    with use_mirror("books"):
        claim.take()
        claim.write_progress("shop.0001", Progress(), Progress(operations=2))

        assert claim.read_progress("shop.0001") == Progress(operations=2)
        assert claim.read_progress("-shop.0001") == Progress()
        assert claim.find_interrupted() == "shop.0001"


def test_progress_of_somebody_else_is_not_written_over(two, lock):
    claim, one = build_claim("books", lock), Progress(operations=1)
    with use_mirror("books"):
        claim.take()
        claim.write_progress("shop.0001", Progress(), Progress(operations=2))

        with pytest.raises(StandsElsewhere):
            claim.write_progress("shop.0001", one, Progress(operations=2))
        with pytest.raises(StandsElsewhere):
            claim.end_progress("shop.0001", one)

        assert claim.read_progress("shop.0001") == Progress(operations=2)


def test_applied_migrations_that_the_code_has_not_are_seen(two):
    record("books", "gone", "0001_initial")

    assert ("gone", "0001_initial") in read("books").applied
