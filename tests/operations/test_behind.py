"""What visitors get of a mirror that lacks migrations of the running code."""

import logging

import pytest
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from django_mirrors import behind, mirrors, use_mirror, use_original
from django_mirrors.models import MigrationState, MirrorRecord
from django_mirrors.operations import add_mirror, get_status, roll_out
from django_mirrors.operations.ledger import write_state
from django_mirrors.operations.release import read_applied
from django_mirrors.sources.records import RecordsUnavailable
from tests.operations.test_rollout import take_back

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh():
    behind._verdicts.clear()
    yield
    behind._verdicts.clear()


@pytest.fixture
def two(defaults):
    add_mirror("books", {})
    add_mirror("films", {})


@pytest.fixture
def choose(settings):
    """Return a function that sets the policy."""

    def choose(policy):
        settings.MIRRORS_OPTIONS = {
            **settings.MIRRORS_OPTIONS,
            "BEHIND": policy,
            "POLL_SECONDS": 60,  # whoever brings it in step knows at once
        }

    return choose


def visit(name):
    return Client(headers={"host": f"{name}.example"}).get("/titles/")


def write_down(name, change):
    """Let the ledger say that a mirror has other migrations."""
    with use_mirror(name):
        applied = read_applied(mirrors[name])
    with use_original():
        digest = write_state(frozenset(change(applied)))
        MirrorRecord.objects.filter(name=name).update(migrations=digest)


def lack_one(applied):
    return applied - {("sessions", "0001_initial")}


def have_one_more(applied):
    return applied | {("sessions", "0002_of_a_later_release")}


def test_mirror_that_is_behind_is_held_until_the_rollout_has_come_to_it(two, choose):
    take_back("books")
    write_down("books", lack_one)
    choose("hold")
    held = visit("books")

    roll_out(mirrors.select())

    assert held.status_code == 503
    assert int(held["Retry-After"]) > 0
    assert "We are working on this site" in held.content.decode()
    assert visit("books").status_code == 200
    assert get_status(mirrors["books"]).behind == ()


def test_mirror_that_is_in_step_is_served_beside_one_that_is_held(two, choose):
    write_down("books", lack_one)
    choose("hold")

    assert visit("films").status_code == 200
    assert visit("books").status_code == 503


def test_mirror_that_is_behind_can_be_refused_like_an_unknown_host(two, choose):
    write_down("books", lack_one)
    choose("refuse")

    refused, unknown = visit("books"), visit("nobody")

    assert (refused.status_code, refused.content) == (404, unknown.content)
    assert visit("films").status_code == 200


def test_mirror_that_is_behind_is_served_by_default(two):
    write_down("books", lack_one)

    assert visit("books").status_code == 200


def test_mirror_that_is_ahead_is_served(two, choose):
    write_down("books", have_one_more)
    choose("hold")

    assert visit("books").status_code == 200


def test_mirror_of_which_nothing_is_written_down_is_served(two, choose):
    with use_original():
        MirrorRecord.objects.update(migrations="")
        MigrationState.objects.all().delete()
    choose("hold")

    assert visit("books").status_code == 200


def test_squashed_migration_counts_by_what_it_replaces(two, choose, monkeypatch):
    known = (("shop.0001_squashed", ("shop.0001_initial", "shop.0002_price")),)
    monkeypatch.setattr(behind, "_list_migrations", lambda: known)

    assert behind._is_lacking(frozenset({"shop.0001_initial"}))
    assert not behind._is_lacking(frozenset(known[0][1]))
    assert not behind._is_lacking(frozenset({"shop.0001_squashed"}))


def test_nothing_is_asked_of_the_original_for_a_request(two, choose):
    write_down("books", lack_one)
    choose("hold")
    client = Client(headers={"host": "books.example"})
    client.get("/titles/")

    with CaptureQueriesContext(connections["original"]) as queries:
        answer = client.get("/titles/")

    assert answer.status_code == 503
    assert not queries.captured_queries


def test_new_mirror_has_the_migrations_of_the_code(two, choose):
    choose("hold")

    assert mirrors["books"].migrations
    assert mirrors["books"].migrations == mirrors["films"].migrations
    assert visit("books").status_code == 200


def test_original_that_is_down_leaves_what_is_known(two, choose, monkeypatch, caplog):
    write_down("books", lack_one)
    choose("hold")
    assert visit("books").status_code == 503

    def fail():
        raise RecordsUnavailable("gone")

    monkeypatch.setattr(behind, "read_migration_states", fail)
    with caplog.at_level(logging.WARNING, "django_mirrors.behind"):
        answer = visit("books")

    assert answer.status_code == 503
    assert "Which mirrors are behind is not known: gone" in caplog.text
