import asyncio
from io import BytesIO

import pytest

from django_mirrors.storage.ranges import AsyncPart, Part, find_span


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-9", (0, 10)),
        ("bytes=0-", (0, 10)),
        ("bytes=4-6", (4, 7)),
        ("bytes=9-", (9, 10)),
        ("bytes=5-999999", (5, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-999", (0, 10)),
        ("Bytes= 1-2 ", (1, 3)),
    ],
)
def test_a_single_range_is_found(header, span):
    assert find_span(header, 10) == span


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_a_range_after_the_end_is_empty(header):
    assert find_span(header, 10).is_empty


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=5-4",
        "bytes=0-1,3-4",
        "bytes=a-b",
        "bytes=\u0661-\u0662",
        "bytes=-1-2",
        "items=0-1",
        "bytes=0-" + "9" * 10_000,
    ],
)
def test_other_headers_do_not_count(header):
    assert find_span(header, 10) is None


def test_nothing_is_a_range_of_an_empty_file():
    assert find_span("bytes=0-0", 0).is_empty


def test_a_part_gives_so_many_bytes_from_where_the_file_stands():
    file = BytesIO(b"0123456789")
    file.seek(2)

    assert b"".join(Part(file, length=5)) == b"23456"


def test_a_part_without_length_gives_all_in_blocks():
    file = BytesIO(b"x" * 200_000)

    blocks = list(Part(file))

    assert [len(block) for block in blocks] == [65536, 65536, 65536, 3392]


def test_closing_a_part_closes_the_file():
    file = BytesIO(b"x")

    Part(file).close()

    assert file.closed


def test_an_async_part_gives_the_same_and_closes_the_file():
    file = BytesIO(b"x" * 100_000)
    part = AsyncPart(Part(file, length=99_999))

    async def collect() -> list[bytes]:
        return [block async for block in part]

    assert len(b"".join(asyncio.run(collect()))) == 99_999
    part.close()
    assert file.closed
