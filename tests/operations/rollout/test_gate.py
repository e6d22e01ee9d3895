"""Mirrors are kept from migrations that break the release before."""

import pytest

from django_mirrors import mirrors
from django_mirrors.exceptions import OperationFailed
from django_mirrors.operations import add_mirror
from django_mirrors.operations.breaches import Breach
from django_mirrors.operations.rollout import changes
from django_mirrors.operations.rollout import gate as gates
from django_mirrors.operations.rollout.gate import ALWAYS, NEVER, SHARED, check_gate
from tests.operations.rollout.acting import go, list_recorded, list_tables, look
from tests.operations.rollout.table.cases import AUTHOR, BOOK

pytestmark = pytest.mark.django_db

FIRST = "0001_initial"
BREACH = Breach(
    migration=f"shop.{FIRST}", operation="Create model Book", reason="It is new."
)


@pytest.fixture
def breaches(release, monkeypatch):
    """Return what is found to break the release before, to be changed."""
    release.add("shop", FIRST, AUTHOR, BOOK)
    add_mirror("films-fr", {"SHARES": {"DATABASE": "films", "STORAGE": "films"}})
    found = [BREACH]
    monkeypatch.setattr(
        changes, "find_breaches", lambda *arguments, **options: tuple(found)
    )
    return found


def test_shared_database_is_kept_from_them(breaches):
    with pytest.raises(OperationFailed) as caught:
        go("films")

    assert str(caught.value) == (
        "shop.0001_initial would break the release before it: Create model Book. It is "
        "new. To do it all the same give --allow-breaking 'REASON'."
    )
    assert list_recorded("films", "shop") == []
    assert list_tables("films", "shop") == []


def test_database_of_one_mirror_is_not(breaches):
    go("books", gate=SHARED)

    assert list_recorded("books", "shop") == [FIRST]


def test_every_database_is_if_the_project_wants_that(breaches):
    with pytest.raises(OperationFailed, match="would break the release before it"):
        go("books", gate=ALWAYS)


def test_no_database_is_if_the_gate_is_open(breaches):
    go("films", gate=NEVER)

    assert list_recorded("films", "shop") == [FIRST]


def test_fleet_is_not_looked_through_for_each_mirror(breaches, monkeypatch):
    breaches.clear()
    monkeypatch.setattr(gates, "_is_shared", lambda mirror: pytest.fail("It was."))

    go("films", gate=SHARED)

    assert list_recorded("films", "shop") == [FIRST]


def test_nothing_is_refused_where_nothing_breaks(breaches):
    breaches.clear()

    go("films", gate=ALWAYS)

    assert list_recorded("films", "shop") == [FIRST]


def test_further_breaches_are_counted(breaches):
    breaches.extend([BREACH, BREACH])

    with pytest.raises(OperationFailed, match=r"It is new\. \(2 more: see --plan\) To"):
        check_gate(mirrors["films"], look("films"), SHARED)
