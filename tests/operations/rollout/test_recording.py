"""A replayed mirror equals a migrated one, migration by migration."""

import re

import pytest

from tests.operations.databases.conftest import MARKS, MODES
from tests.operations.rollout.table import list_cases
from tests.operations.rollout.table.cases import ROWS
from tests.operations.rollout.trips import NAMES, STAGES

pytestmark = pytest.mark.django_db

CASES = [
    pytest.param(mode, case, id=f"{mode}-{case.label}", marks=MARKS.get(mode, ()))
    for mode in MODES
    for case in list_cases(mode)
]


def clean(content, computed):
    """Return what must be the same in all mirrors."""
    schema = content.schema
    if "sql" in computed:
        schema = [re.sub(r"\d+", "*", text) for text in schema]
    rows = {
        table: [
            {key: value for key, value in row.items() if key not in computed}
            for row in rows
        ]
        for table, rows in content.rows.items()
    }
    return (
        schema,
        rows,
        content.content_types,
        content.permissions,
        content.recorded,
    )


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(("mode", "case"), CASES)
def test_replayed_mirror_equals_a_migrated_one(travel, mode, case, stage):
    trip = travel(mode)

    plain, first, second = (
        clean(trip.get(stage, name, case.label), case.computed) for name in NAMES
    )

    assert first == plain
    assert second == plain


def list_expected(is_wanted):
    return [
        pytest.param(mode, case, id=f"{mode}-{case.label}", marks=MARKS.get(mode, ()))
        for mode in ("sqlite", "postgresql")
        for case in list_cases(mode)
        if is_wanted(mode, case)
    ]


@pytest.mark.parametrize(
    ("mode", "case"), list_expected(lambda mode, case: case.replayed is not None)
)
def test_what_is_the_same_everywhere_and_nothing_else_is_worked_out_once(
    travel, mode, case
):
    assert set(travel(mode).replayed["after", case.label]) == {mode in case.replayed}


@pytest.mark.parametrize(
    ("mode", "case"),
    list_expected(lambda mode, case: {*case.computed} - {"sql"} and case.rows == ROWS),
)
def test_computed_value_is_another_one_in_each_mirror(travel, mode, case):
    trip = travel(mode)

    found = {
        tuple(
            str(row.get(column))
            for row in trip.get("after", name, case.label).rows[f"{case.label}_book"]
            for column in case.computed
        )
        for name in NAMES
    }

    assert len(found) == 3


@pytest.mark.mariadb
def test_nothing_is_replayed_without_a_transaction_to_hold_it(travel):
    assert not any(map(any, travel("mysql").replayed.values()))
