"""The fleet at one moment, and its index of hosts."""

import pytest

from django_mirrors.conf import build_conf
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.mirror import Mirror
from django_mirrors.registry.snapshot import (
    Draft,
    build_snapshot,
    find_clashes,
    find_doubles,
    find_lost_shares,
)


def build_mirror(name, *hosts, source="settings", **definition):
    definition |= {"HOSTS": list(hosts) or [f"{name}.example"]}
    definition.setdefault("STATE", "active")
    return Mirror.from_mapping(name, definition, source=source)


@pytest.fixture
def build(settings):
    settings.MIRRORS_OPTIONS = {"ORIGINAL": {"HOSTS": ["original.example"]}}

    def build(*mirrors):
        return build_snapshot(mirrors, build_conf()[0])

    return build


def test_mirrors_are_sorted_and_the_original_is_apart(build):
    snapshot = build(build_mirror("films"), build_mirror("books"))

    assert list(snapshot.mirrors) == ["books", "films"]
    assert snapshot.get("original") is snapshot.original
    assert snapshot.get("books") is snapshot.mirrors["books"]
    assert snapshot.get("nobody") is None


def test_exact_hosts_beat_wildcards_which_stand_for_one_label(build):
    snapshot = build(
        build_mirror("books", "*.shop.example"), build_mirror("films", "b.shop.example")
    )

    found = {
        host: getattr(snapshot.find(host), "name", None)
        for host in (
            "b.shop.example",
            "a.shop.example",
            "a.b.shop.example",
            "shop.example",
            "original.example",
            "example",
            "[::1]",
        )
    }

    assert found == {
        "b.shop.example": "films",
        "a.shop.example": "books",
        "a.b.shop.example": None,
        "shop.example": None,
        "original.example": "original",
        "example": None,
        "[::1]": None,
    }


def test_hosts_of_an_archived_mirror_are_free(build):
    snapshot = build(
        build_mirror("books", "shop.example", STATE="archived"),
        build_mirror("films", "shop.example"),
    )

    assert snapshot.find("shop.example").name == "films"
    assert find_clashes(snapshot.mirrors.values()) == []


def test_everything_claimed_twice_is_named_with_both_places(build):
    with pytest.raises(InvalidMirror) as caught:
        build(
            build_mirror("books", "shop.example", "*.shop.example"),
            build_mirror("books", source="/etc/mirrors/books.toml"),
            build_mirror("films", "shop.example", source="records"),
            build_mirror("music", "*.shop.example", "original.example"),
        )

    books, films = "mirror 'books' in MIRRORS['books']", "mirror 'films' in the records"
    music = "mirror 'music' in MIRRORS['music']"
    original = "mirror 'original' in MIRRORS_OPTIONS['ORIGINAL']"
    clash = "Host '{}' is claimed twice: by {} and by {}. Remove it from one of them."
    double = "Mirror 'books' is defined twice: in MIRRORS['books'] and in {}. {}"
    assert caught.value.problems == (
        double.format("/etc/mirrors/books.toml", "Remove one of them."),
        clash.format("shop.example", books, films),
        clash.format("*.shop.example", books, music),
        clash.format("original.example", original, music),
    )


def test_the_finders_say_the_same():
    one, two = build_mirror("books", "a.example"), build_mirror("books", "b.example")
    three = build_mirror("films", "a.example")

    assert len(find_doubles([one, two, three])) == 1
    assert len(find_clashes([one, two, three])) == 1
    assert find_doubles([one, three]) == find_clashes([one, two]) == []


def test_shares_that_lead_nowhere_are_named(build):
    with pytest.raises(InvalidMirror) as caught:
        build(
            build_mirror("books"),
            build_mirror("chain", SHARES={"DATABASE": "fr"}),
            build_mirror("fr", SHARES={"DATABASE": "books", "STORAGE": "original"}),
            build_mirror("lost", SHARES={"CACHE": "nobody"}),
            build_mirror("own", SHARES={"STORAGE": "own"}),
        )

    share = "MIRRORS['{0}']: '{0}' shares {1} of '{2}', which {3}"
    assert caught.value.problems == (
        share.format(
            "chain",
            "DATABASE",
            "fr",
            "shares it from 'books' itself. Name 'books' directly.",
        ),
        share.format(
            "lost", "CACHE", "nobody", "does not exist. Name an existing mirror."
        ),
        share.format("own", "STORAGE", "own", "is itself. Remove the entry."),
    )


def test_an_owner_whose_definition_is_wrong_is_not_lost():
    mirror = build_mirror("fr", SHARES={"DATABASE": "books"})

    assert find_lost_shares({"fr": mirror}, refused=frozenset({"books"})) == []


def test_a_draft_changes_nothing_of_its_base(build):
    base = build(build_mirror("books", "a.example", "*.a.example"), build_mirror("x"))
    draft = Draft(base.original, base)

    draft.take_out("books")
    draft.take_out("books")
    draft.take_out("nobody")
    draft.put(build_mirror("books", "b.example"))
    draft.take_out("x")
    after = draft.freeze()

    assert base.find("a.example") is base.find("b.a.example") is base.mirrors["books"]
    assert "x" in base.mirrors
    assert list(after.mirrors) == ["books"]
    assert after.find("b.example") is after.mirrors["books"]
    assert after.find("a.example") is after.find("b.a.example") is None
    assert after.find("x.example") is None
    assert after.find("original.example") is after.original


def test_a_draft_does_not_take_out_the_host_of_another(build):
    base = build(build_mirror("books", "a.example", STATE="archived"))
    draft = Draft(base.original, base)
    draft.put(build_mirror("films", "a.example"))

    draft.take_out("books")

    assert draft.freeze().find("a.example").name == "films"
