"""The pages about threats and promises: all are there, and so are the tests named."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.docs.pages import ROOT, Section, find_codes, read_page

THREATS = [f"T{number:02}" for number in range(1, 49)]
PROMISES = [f"P{number}" for number in range(1, 10)]
NOT_THERE = "*Not there yet:*"

_QUOTED = re.compile(r'"([^"]+)"')
_NUMBERED = re.compile(r"(?m)^#+ ([TP]\d+)\. ")


def read_entries(page: Section, kind: str) -> dict[str, Section]:
    """Return the sections of a page whose titles begin with a number of this kind."""
    return {
        section.title.partition(".")[0]: section
        for section in iter_all(page)
        if re.match(rf"{kind}\d+\. ", section.title)
    }


def iter_all(section: Section) -> Iterator[Section]:
    for inner in section.iter_sections():
        yield inner
        yield from iter_all(inner)


def find_numbers(page: Section, kind: str) -> list[str]:
    """Return the numbers of all headings, in order, also those that are there twice."""
    return [number for number in _NUMBERED.findall(page.text) if number[0] == kind]


def find_named_tests(text: str) -> list[str]:
    return [code for code in find_codes(text) if re.match(r"tests/.*::", code)]


def find_tests(path: str) -> set[str]:
    """Return the tests of a file as pages name them, with those inside of classes."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {*iter_tests(tree.body, path)}


def iter_tests(body: list[ast.stmt], place: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from iter_tests(node.body, f"{place}::{node.name}")
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if is_function and node.name.startswith("test_"):
            yield f"{place}::{node.name}"


PAGES = [read_page("explanation/threats.md"), read_page("explanation/isolation.md")]
ENTRIES = read_entries(PAGES[0], "T")
PLEDGES = read_entries(PAGES[1], "P")
NAMED = sorted({name for page in PAGES for name in find_named_tests(page.text)})


def test_every_threat_is_there_once_and_in_order():
    assert find_numbers(PAGES[0], "T") == THREATS
    assert list(ENTRIES) == THREATS


def test_every_promise_is_there_once_and_in_order():
    assert find_numbers(PAGES[1], "P") == PROMISES
    assert list(PLEDGES) == PROMISES


@pytest.mark.parametrize("name", NAMED)
def test_named_test_exists(name):
    path = name.partition("::")[0]

    assert (ROOT / path).is_file(), f"There is no {path}."
    assert name in find_tests(path)


@pytest.mark.parametrize("section", ENTRIES.values(), ids=ENTRIES)
def test_threat_names_its_tests_or_what_is_not_there_yet(section):
    assert find_named_tests(section.text) or NOT_THERE in section.text


@pytest.mark.parametrize("section", ENTRIES.values(), ids=ENTRIES)
def test_threat_says_more_than_its_tests(section):
    text = section.text.partition("- `tests/")[0]

    assert len(text.split()) > 8


@pytest.mark.parametrize("section", ENTRIES.values(), ids=ENTRIES)
def test_what_is_not_there_yet_is_on_the_page_that_lists_it(section):
    planned = [row[0] for row in read_page("explanation/status.md").rows]
    said = " ".join(section.text.partition(NOT_THERE)[2].split()).partition(". ")[0]
    quoted = _QUOTED.findall(said)

    assert bool(quoted) is (NOT_THERE in section.text)
    assert set(quoted) <= set(planned)


@pytest.mark.parametrize("section", PLEDGES.values(), ids=PLEDGES)
def test_promise_names_its_tests_and_its_exceptions(section):
    assert find_named_tests(section.text)
    assert "Exceptions:" in section.text


def test_no_test_is_named_twice_in_one_place():
    doubled = [
        name
        for section in {**ENTRIES, **PLEDGES}.values()
        for names in [find_named_tests(section.text)]
        for name in names
        if names.count(name) > 1
    ]

    assert doubled == []


def test_tests_of_classes_are_found_too():
    tree = ast.parse(
        "def test_a(): pass\n"
        "class TestAll:\n"
        "    async def test_b(self): pass\n"
        "    def helper(self): pass\n"
        "class Helper:\n"
        "    def test_c(self): pass\n"
    )

    assert [*iter_tests(tree.body, "x.py")] == ["x.py::test_a", "x.py::TestAll::test_b"]
