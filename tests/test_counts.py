"""Numbers of things in messages."""

import re
from pathlib import Path

import pytest

import django_mirrors
from django_mirrors.counts import write_count

NOUNS = (
    "connection", "database", "file", "host", "migration", "mirror", "problem", "row",
    "second", "table",
)  # fmt: skip


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 mirrors"),
        (1, "1 mirror"),
        (1.0, "1 mirror"),
        (0.5, "0.5 mirrors"),
        (2, "2 mirrors"),
        (12_345, "12,345 mirrors"),
    ],
)
def test_one_thing_is_not_told_as_several(number, text):
    assert write_count(number, "mirror") == text


def test_no_message_puts_a_number_before_several_things():
    written = re.compile(rf"\{{[^}}]*\}} (?:{'|'.join(NOUNS)})s\b")
    package = Path(django_mirrors.__file__).parent

    found = [
        f"{path.relative_to(package)}: {match[0]}"
        for path in sorted(package.rglob("*.py"))
        for match in written.finditer(path.read_text())
    ]

    assert found == []
