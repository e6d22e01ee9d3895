"""Each planted leak finds its place; `run` plants them, which takes long."""

from collections import Counter

import pytest

from tests.leaks.run import ROOT, find_leaks

LEAKS = list(find_leaks((), ""))


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: f"{leak.file}: {leak.name}")
def test_text_occurs_once_and_is_changed(leak):
    text = (ROOT / "django_mirrors" / leak.file).read_text()

    assert text.count(leak.old) == 1
    assert leak.old != leak.new


@pytest.mark.parametrize("path", sorted({leak.tests.split()[0] for leak in LEAKS}))
def test_tests_are_there(path):
    file, _, name = path.partition("::")

    assert (ROOT / file).exists()
    assert name.partition("[")[0] in (ROOT / file).read_text()


def test_no_leak_is_planted_twice():
    planted = Counter((leak.file, leak.old, leak.new, leak.tests) for leak in LEAKS)

    assert [leak for leak, times in planted.items() if times > 1] == []
