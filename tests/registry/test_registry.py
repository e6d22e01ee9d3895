"""The fleet: names and hosts claimed twice, selections, and records."""

# ruff: noqa: ISC004 - sentences of one problem each

from uuid import uuid4

import pytest
from django.db import connections
from django.test import Client

from django_mirrors import mirrors
from django_mirrors.exceptions import (
    InvalidHost,
    InvalidMirror,
    UnknownHost,
    UnknownMirror,
)
from django_mirrors.models import MirrorRecord

FLEET = {
    "books": {
        "HOSTS": ["books.example", "*.books.example"],
        "STATE": "active",
        "LABELS": {"tier": "gold", "region": "eu"},
    },
    "films": {
        "HOSTS": ["films.example"],
        "STATE": "suspended",
        "LABELS": {"tier": "gold"},
    },
    "games": {"HOSTS": ["games.example"]},
}  # fmt: skip


@pytest.fixture
def declared(settings):
    settings.MIRRORS = FLEET


def find_problems():
    with pytest.raises(InvalidMirror) as caught:
        mirrors.get_snapshot()
    return caught.value.problems


def list_names(chosen):
    return [mirror.name for mirror in chosen]


def add_record(name, **values):
    definition = {"HOSTS": [f"{name}.example"]}
    return MirrorRecord.objects.create(
        name=name, **{"state": "active", "definition": definition, **values}
    )


def test_host_claimed_twice_names_both_places(settings):
    settings.MIRRORS = {
        "books": {"HOSTS": ["shop.example"]},
        "films": {"HOSTS": ["Shop.Example."]},
    }

    assert find_problems() == (
        "Host 'shop.example' is claimed twice: by mirror 'books' in MIRRORS['books'] "
        "and by mirror 'films' in MIRRORS['films']. Remove it from one of them.",
    )


def test_host_of_the_original_cannot_be_claimed(settings):
    settings.MIRRORS = {"books": {"HOSTS": ["original.example"]}}

    assert find_problems() == (
        "Host 'original.example' is claimed twice: by mirror 'original' in "
        "MIRRORS_OPTIONS['ORIGINAL'] and by mirror 'books' in MIRRORS['books']. "
        "Remove it from one of them.",
    )


def test_host_of_an_archived_mirror_is_free(settings):
    settings.MIRRORS = {
        "books": {"HOSTS": ["shop.example"], "STATE": "archived"},
        "films": {"HOSTS": ["shop.example"]},
    }

    assert mirrors.for_host("shop.example").name == "films"


def test_name_claimed_twice_names_both_places(settings, tmp_path):
    (tmp_path / "books.toml").write_text('HOSTS = ["other.example"]')
    settings.MIRRORS = {"books": {"HOSTS": ["books.example"]}}
    settings.MIRRORS_OPTIONS = {"FILES": tmp_path, "SNAPSHOT": None}

    assert find_problems() == (
        f"Mirror 'books' is defined twice: in MIRRORS['books'] and in "
        f"{tmp_path}/books.toml. Remove one of them.",
    )


@pytest.mark.parametrize(
    ("owner", "reason"),
    [
        ("nobody", "which does not exist. Name an existing mirror."),
        ("films", "which is itself. Remove the entry."),
        (
            "games",
            "which shares it from 'books' itself. Name 'books' directly.",
        ),
    ],
)
def test_share_that_leads_nowhere_is_told(settings, owner, reason):
    settings.MIRRORS = {
        "books": {"HOSTS": ["books.example"]},
        "films": {"HOSTS": ["films.example"], "SHARES": {"DATABASE": owner}},
        "games": {"HOSTS": ["games.example"], "SHARES": {"DATABASE": "books"}},
    }

    assert find_problems() == (
        f"MIRRORS['films']: 'films' shares DATABASE of '{owner}', {reason}",
    )


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("books.example", "books"),
        ("BOOKS.example.:8000", "books"),
        ("any.books.example", "books"),
        ("films.example", "films"),
        ("games.example", "games"),
        ("original.example", "original"),
    ],
)
def test_host_is_answered_by_its_mirror(declared, host, name):
    assert mirrors.for_host(host).name == name


@pytest.mark.parametrize("host", ["a.any.books.example", "example", "xfilms.example"])
def test_host_of_nobody_raises(declared, host):
    with pytest.raises(UnknownHost) as caught:
        mirrors.for_host(host)

    assert str(caught.value) == f"No mirror answers on '{host}'."


def test_text_that_is_no_host_raises(declared):
    with pytest.raises(InvalidHost):
        mirrors.for_host("a b")


def test_fleet_is_a_mapping_without_the_original(declared):
    assert list(mirrors) == ["books", "films", "games"]
    assert list(mirrors.items()) == [(item.name, item) for item in mirrors.values()]
    assert (len(mirrors), repr(mirrors)) == (3, "<MirrorRegistry of 3 mirrors>")
    assert "books" in mirrors
    assert "nobody" not in mirrors
    assert 5 not in mirrors
    assert mirrors["original"] is mirrors.original


@pytest.mark.parametrize(
    ("names", "criteria", "chosen"),
    [
        ((), {}, ["books", "films", "games"]),
        (("games", "books"), {}, ["books", "games"]),
        (("original",), {}, ["original"]),
        ((), {"labels": {"tier": "gold"}}, ["books", "films"]),
        ((), {"labels": {"tier": "gold", "region": "eu"}}, ["books"]),
        ((), {"labels": {"tier": "silver"}}, []),
        ((), {"states": ["active", "suspended"]}, ["books", "films"]),
        ((), {"exclude": ["books"]}, ["films", "games"]),
        (("books", "films"), {"states": ["active"], "exclude": ["games"]}, ["books"]),
    ],
)
def test_selection_has_all_that_was_asked(declared, names, criteria, chosen):
    assert list_names(mirrors.select(*names, **criteria)) == chosen


@pytest.mark.parametrize(
    ("names", "exclude"), [(("bokos",), []), ((), ["bokos"]), (("books",), ["bokos"])]
)
def test_selection_of_a_name_that_does_not_exist_raises(declared, names, exclude):
    with pytest.raises(UnknownMirror):
        mirrors.select(*names, exclude=exclude)


@pytest.mark.django_db
def test_record_is_served_after_a_look(declared):
    add_record("music")

    mirrors.reload()

    assert mirrors.for_host("music.example").name == "music"
    assert (mirrors["music"].source, mirrors["books"].source) == ("records", "settings")


@pytest.mark.django_db
def test_change_by_the_orm_is_noticed(declared):
    record = add_record("music")
    mirrors.reload()

    record.state = "suspended"
    record.reason = "moving"
    record.save()
    mirrors.reload()

    assert (mirrors["music"].state, mirrors["music"].reason) == ("suspended", "moving")


@pytest.mark.django_db
def test_change_by_raw_sql_is_noticed(declared):
    add_record("music")
    mirrors.reload()

    with connections["original"].cursor() as cursor:
        cursor.execute(
            "UPDATE django_mirrors_mirrorrecord SET state = 'suspended' "
            "WHERE name = 'music'"
        )
    mirrors.reload()

    assert mirrors["music"].state == "suspended"
    assert mirrors["books"].state == "active"


@pytest.mark.django_db
def test_deletion_by_raw_sql_is_noticed(declared):
    add_record("music")
    add_record("plays")
    mirrors.reload()

    with connections["original"].cursor() as cursor:
        cursor.execute("DELETE FROM django_mirrors_mirrorrecord WHERE name = 'music'")
    mirrors.reload()

    assert list(mirrors) == ["books", "films", "games", "plays"]


@pytest.mark.django_db
def test_record_of_a_declared_mirror_holds_its_state_and_uid(declared):
    uid = uuid4()
    add_record("games", declared=True, definition={}, uid=uid)

    mirrors.reload()

    assert (mirrors["games"].state, mirrors["games"].uid) == ("active", uid)
    assert mirrors["games"].hosts == ("games.example",)


@pytest.mark.django_db
def test_declared_state_that_is_stricter_wins(declared):
    add_record("films", declared=True, definition={}, state="active")

    mirrors.reload()

    assert mirrors["films"].state == "suspended"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "values",
    [
        {"state": "on"},
        {"definition": {"HOSTS": ["a b"]}},
        {"definition": {"HOSTS": ["books.example"]}},
        {"definition": []},
    ],
)
def test_record_that_is_wrong_keeps_its_mirror_as_it_was(declared, caplog, values):
    record = add_record("music")
    add_record("plays")
    mirrors.reload()

    MirrorRecord.objects.filter(pk=record.pk).update(**values)
    MirrorRecord.objects.filter(name="plays").update(state="suspended")
    mirrors.reload()

    assert mirrors.for_host("music.example").state == "active"
    assert mirrors["plays"].state == "suspended"
    assert "A change is refused, what was known is kept" in caplog.text


@pytest.mark.django_db
def test_requests_ask_the_registry_without_a_query(
    settings, declared, django_assert_num_queries
):
    settings.ROOT_URLCONF = "tests.test_middleware"
    settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "POLL_SECONDS": 3600}
    add_record("music")
    mirrors.reload()
    client = Client()

    with django_assert_num_queries(0, connection=connections["original"]):
        for host in ("books.example", "music.example", "nobody.example"):
            client.get("/", headers={"host": host})
