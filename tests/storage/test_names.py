import pytest
from django.core.exceptions import SuspiciousFileOperation

from django_mirrors.storage.names import check_name, is_too_long


@pytest.mark.parametrize(
    "name",
    ["a.txt", "a/b/c.txt", "a//b.txt", "./a.txt", "..a", "a..", "...", "ש.txt", "a b"],
)
def test_honest_names_pass_unchanged(name):
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "./", "././.", "a/..", "..", "../a", "a/../b"]
)
def test_names_that_are_empty_or_climb_are_refused(name):
    with pytest.raises(SuspiciousFileOperation, match="does not lead to a file below"):
        check_name(name)


@pytest.mark.parametrize("name", ["/", "/etc/passwd", "//host/share", "/a"])
def test_absolute_names_are_refused(name):
    with pytest.raises(SuspiciousFileOperation, match="does not lead to a file below"):
        check_name(name)


@pytest.mark.parametrize(
    "character",
    ["\0", "\n", "\x1b", "\x7f", "\x85", "\\", "\u202e", "\u2066", "\u200f", "\u2028"],
)
def test_control_bidi_and_backslash_characters_are_refused(character):
    with pytest.raises(SuspiciousFileOperation, match="control character or a backsl"):
        check_name(f"a{character}b.txt")


def test_lone_surrogates_are_refused():
    with pytest.raises(SuspiciousFileOperation, match="control character"):
        check_name("a\udcffb")


def test_the_message_says_what_to_do_and_shows_at_most_80_characters():
    with pytest.raises(SuspiciousFileOperation) as caught:
        check_name("../" + "x" * 1000)

    assert str(caught.value) == (
        f"The name '../{'x' * 77}...' does not lead to a file below the storage's "
        "root. Use a relative name without '..'."
    )


def test_lengths_count_bytes_of_each_part_and_of_the_whole():
    assert not is_too_long("é" * 127)
    assert is_too_long("é" * 128)
    assert not is_too_long("/".join(["a" * 250] * 4))
    assert is_too_long("/".join(["a" * 250] * 5))
