"""Every way into the ORM sees and changes the rows of the current mirror alone."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.db import connections, transaction

from django_mirrors import use_mirror
from tests.owned.conftest import ISOLATED, MARKS, SHARED, dump
from tests.owned.operations import ASYNC_READS, READS, WRITES

pytestmark = pytest.mark.django_db(transaction=True)
PAIRS = {"shared": SHARED, "isolated": ISOLATED}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_reading_meets_rows_of_the_current_mirror_alone(market, pair, report_figure):
    crossed = []

    for name, (operate, expect) in READS.items():
        for mirror in pair:
            with use_mirror(mirror), transaction.atomic():
                found = operate()
            if found != expect(MARKS[mirror]):
                crossed.append((name, mirror, found))

    assert crossed == []
    report_figure(
        f"{len(READS)} ways to read in {' and '.join(pair)}, {market.name}",
        "crossed: 0",
    )


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_async_reading_does_too(market, pair, report_figure):
    crossed = []

    async def read(name, mirror):
        operate, expect = ASYNC_READS[name]
        async with use_mirror(mirror):
            found = await operate()
        if found != expect(MARKS[mirror]):
            crossed.append((name, mirror, found))

    async def read_all():
        for name in ASYNC_READS:
            # At the same time, so that one mirror comes between the other's steps.
            await asyncio.gather(*(read(name, mirror) for mirror in pair))
        await sync_to_async(connections.close_all)()

    asyncio.run(read_all())

    assert crossed == []
    report_figure(
        f"{len(ASYNC_READS)} async ways to read in {' and '.join(pair)}, {market.name}",
        "crossed: 0",
    )


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_writing_leaves_the_rows_of_the_other_mirror(market, pair, report_figure):
    before = {mirror: dump(mirror) for mirror in pair}
    crossed, idle = [], []

    for name, operate in WRITES.items():
        for mirror, other in (pair, pair[::-1]):
            with use_mirror(mirror), transaction.atomic():
                operate()
                # In the transaction that is undone below, where both share a database.
                if dump(other) != before[other]:
                    crossed.append((name, mirror))
                if dump(mirror) == before[mirror]:
                    idle.append(name)
                transaction.set_rollback(True)

    assert crossed == []
    assert set(idle) == IDLE
    assert {mirror: dump(mirror) for mirror in pair} == before
    report_figure(
        f"{len(WRITES)} ways to write in {' and '.join(pair)}, {market.name}",
        "crossed: 0",
    )


# These find their row there, or write what it has.
IDLE = {"get_or_create of what is there", "save some fields"}
