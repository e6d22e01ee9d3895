"""What is made of declarations and records, and what a change touches."""

import json
from dataclasses import fields
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_mirrors.conf import build_conf
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.mirror import STATES, Mirror
from django_mirrors.registry.fleet import (
    build_fleet,
    build_old,
    change_fleet,
    redeclare,
)
from tests.registry.records import build_record, build_uid, by_name

BOTH = "by mirror 'films' in the records and by mirror 'books' in the records."
NO_UID = (
    "which is not a UUID. Restore it from a backup: keys and paths of the mirror are "
    "made of it."
)


@pytest.fixture
def conf(settings):
    settings.MIRRORS_OPTIONS = {"ORIGINAL": {"HOSTS": ["original.example"]}}
    return build_conf()[0]


def declare(name, *hosts, **definition):
    definition |= {"HOSTS": list(hosts) or [f"{name}.example"]}
    return Mirror.from_mapping(name, definition)


def build(conf, *records, declared=(), find_old=lambda name: None):
    mirrors = {mirror.name: mirror for mirror in declared}
    return build_fleet(conf, mirrors, records, find_old=find_old)


def describe(fleet):
    """Return hosts and state by name."""
    return {
        name: (mirror.hosts, mirror.state)
        for name, mirror in fleet.snapshot.mirrors.items()
    }


def find(fleet, host):
    return getattr(fleet.snapshot.find(host), "name", None)


def assert_whole(fleet):
    """The index holds the hosts of the mirrors, and nothing else."""
    snapshot = fleet.snapshot
    expected = {
        host: mirror
        for mirror in (snapshot.original, *snapshot.mirrors.values())
        if mirror.state != "archived"
        for host in mirror.hosts
    }
    wild = {f"*.{name}": mirror for name, mirror in snapshot.wildcards.items()}
    assert {**snapshot.exact, **wild} == expected
    assert list(snapshot.mirrors) == sorted(snapshot.mirrors)


# All at once


def test_records_and_declarations_make_one_fleet(conf):
    fleet = build(conf, build_record("films"), declared=[declare("books")])

    assert describe(fleet) == {
        "books": (("books.example",), "provisioning"),
        "films": (("films.example",), "active"),
    }
    assert (fleet.refused, fleet.ghosts, fleet.problems) == ({}, frozenset(), ())
    assert_whole(fleet)


def test_the_record_of_a_declared_mirror_gives_state_uid_and_release(conf):
    record = build_record(
        "books",
        declared=True,
        state="maintenance",
        release="r7",
        reason="moving",
        retry_after=9,
    )

    mirror = build(conf, record, declared=[declare("books")]).snapshot.mirrors["books"]

    assert mirror.uid == build_uid("books")
    assert (mirror.state, mirror.release) == ("maintenance", "r7")
    assert (mirror.reason, mirror.retry_after) == ("moving", 9)
    assert mirror.source == "settings"


@pytest.mark.parametrize(
    ("declared", "recorded", "state"),
    [
        ("provisioning", "active", "active"),
        ("active", "provisioning", "provisioning"),
        ("active", "suspended", "suspended"),
        ("suspended", "active", "suspended"),
        ("maintenance", "active", "maintenance"),
        ("maintenance", "suspended", "suspended"),
        ("archived", "active", "archived"),
    ],
)
def test_the_stricter_of_two_states_wins(conf, declared, recorded, state):
    fleet = build(
        conf,
        build_record("books", declared=True, state=recorded),
        declared=[declare("books", STATE=declared)],
    )

    assert fleet.snapshot.mirrors["books"].state == state


def test_the_record_of_a_mirror_no_longer_declared_is_no_mirror(conf):
    fleet = build(conf, build_record("books", declared=True))

    assert describe(fleet) == {}


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (
            build_record("books", definition="{"),
            " holds a definition that is not JSON. Correct it, or delete the record.",
        ),
        (
            build_record("books", definition=None),
            " holds a definition that is not JSON. Correct it, or delete the record.",
        ),
        (
            build_record("books", definition="[" * 100_000),
            " holds a definition that is not JSON. Correct it, or delete the record.",
        ),
        (
            build_record("books", definition="[]"),
            " is not a dictionary. Write {'HOSTS': [...], ...}.",
        ),
        (
            build_record("books", state="on"),
            f" has the state 'on'. Use one of: {', '.join(STATES)}.",
        ),
        (build_record("books", uid="x"), f" has the uid 'x', {NO_UID}"),
        (build_record("books", uid=7), f" has the uid 7, {NO_UID}"),
        (
            build_record("books", HOSTS=[], DATABSE="x"),
            "['HOSTS'] is empty. Add at least one name.",
        ),
    ],
)
def test_a_wrong_record_that_was_never_right_is_an_error(conf, record, problem):
    with pytest.raises(InvalidMirror) as caught:
        build(conf, build_record("films"), record)

    assert caught.value.problems[0] == f"The record of mirror 'books'{problem}"


def test_a_wrong_name_that_was_never_right_is_an_error(conf):
    with pytest.raises(InvalidMirror, match="'Books' is not a mirror's name"):
        build(conf, build_record("Books", "a.example"))


def test_a_uid_may_be_a_value_or_its_text(conf):
    uid = build_uid("books")
    fleets = [build(conf, build_record("books", uid=item)) for item in (uid, str(uid))]

    assert {fleet.snapshot.mirrors["books"].uid for fleet in fleets} == {uid}


def test_a_wrong_record_keeps_its_mirror_as_it_was(conf):
    old = build(conf, build_record("books"), build_record("films")).snapshot.mirrors
    wrong = build_record("books", state="on")

    fleet = build(
        conf, wrong, build_record("films", state="suspended"), find_old=old.get
    )

    assert fleet.snapshot.mirrors["books"] is old["books"]
    assert fleet.snapshot.mirrors["films"].state == "suspended"
    assert fleet.refused == {"books": wrong}
    assert len(fleet.problems) == 1
    assert_whole(fleet)


def test_a_declaration_that_does_not_fit_is_an_error(conf):
    with pytest.raises(InvalidMirror, match="is claimed twice"):
        build(
            conf,
            build_record("films", "a.example"),
            declared=[declare("b", "a.example")],
        )


def test_one_name_in_a_declaration_and_a_record_is_an_error(conf):
    with pytest.raises(InvalidMirror, match="is defined twice: in MIRRORS"):
        build(conf, build_record("books", "a.example"), declared=[declare("books")])


# One change


def change(fleet, *records, names=None):
    changed = change_fleet(fleet, by_name(*records), names)
    assert_whole(changed)
    return changed


@pytest.fixture
def two(conf):
    return build(conf, build_record("books"), build_record("films"))


def test_a_change_touches_what_changed(two):
    fleet = change(two, build_record("books", "new.example", state="suspended"))

    assert describe(fleet) == {
        "books": (("new.example",), "suspended"),
        "films": (("films.example",), "active"),
    }
    assert fleet.snapshot.mirrors["films"] is two.snapshot.mirrors["films"]
    assert fleet.changed == {"books"}
    assert find(two, "books.example") == "books"


def test_a_new_record_is_a_new_mirror(two):
    fleet = change(two, build_record("circus"))

    assert list(fleet.snapshot.mirrors) == ["books", "circus", "films"]
    assert find(fleet, "circus.example") == "circus"


def test_a_deleted_record_is_no_mirror(two):
    fleet = change(two, names=frozenset({"films"}))

    assert list(fleet.snapshot.mirrors) == ["films"]
    assert fleet.changed == {"books"}


def test_a_record_that_changed_and_was_deleted_is_no_mirror(two):
    fleet = change(
        two, build_record("books", "new.example"), names=frozenset({"films"})
    )

    assert list(fleet.snapshot.mirrors) == ["films"]
    assert find(fleet, "new.example") is None


def test_a_renamed_record_is_one_mirror(two):
    fleet = change(two, build_record("novels", "books.example", uid=build_uid("books")))

    assert list(fleet.snapshot.mirrors) == ["films", "novels"]
    assert find(fleet, "books.example") == "novels"
    assert fleet.changed == {"books", "novels"}


def test_hosts_can_be_exchanged(two):
    fleet = change(
        two,
        build_record("books", "films.example"),
        build_record("films", "books.example"),
    )

    assert (find(fleet, "books.example"), find(fleet, "films.example")) == (
        "films",
        "books",
    )
    assert fleet.problems == ()


def test_a_host_of_another_is_refused_until_it_is_free(two):
    refused = change(two, build_record("books", "films.example"))
    later = change(refused, build_record("films", "cinema.example"))

    assert describe(refused) == describe(two)
    assert refused.refused.keys() == {"books"}
    assert list(refused.problems) == [
        f"Host 'films.example' is claimed twice: {BOTH} Remove it from one of them."
    ]
    assert find(later, "films.example") == "books"
    assert (later.refused, later.problems) == ({}, ())


def test_who_has_a_host_keeps_it_from_one_that_claims_it_at_the_same_time(two):
    fleet = change(
        two,
        build_record("books", "films.example"),
        build_record("films", state="suspended"),
    )

    assert fleet.snapshot.mirrors["books"] is two.snapshot.mirrors["books"]
    assert fleet.snapshot.mirrors["films"].state == "suspended"


def test_what_is_refused_does_not_hold_up_the_others(two):
    fleet = change(
        two,
        build_record("books", definition="{"),
        build_record("films", state="suspended"),
    )

    assert fleet.snapshot.mirrors["books"] is two.snapshot.mirrors["books"]
    assert fleet.snapshot.mirrors["films"].state == "suspended"


def test_a_new_mirror_that_does_not_fit_leaves_everything_as_it_was(two):
    with pytest.raises(InvalidMirror, match=r"'films\.example' is claimed twice"):
        change(two, build_record("circus", "films.example"))


def test_a_kept_mirror_that_no_longer_fits_leaves_everything_as_it_was(conf):
    fleet = build(
        conf,
        build_record("a", "a.example"),
        build_record("b", "b.example"),
        build_record("c", "c.example"),
    )

    with pytest.raises(InvalidMirror, match=r"'c\.example' is claimed twice"):
        change(fleet, build_record("a", "b.example"), build_record("b", "c.example"))


def test_a_state_of_a_declared_mirror_changes(conf):
    fleet = build(conf, declared=[declare("books")])

    active = change(fleet, build_record("books", declared=True))
    gone = change(active, names=frozenset())

    assert active.snapshot.mirrors["books"].state == "active"
    assert active.overlays.keys() == {"books"}
    assert gone.snapshot.mirrors["books"].state == "provisioning"
    assert gone.overlays == {}


def test_a_record_with_the_name_of_a_declared_mirror_is_refused(conf):
    fleet = build(conf, declared=[declare("books")])

    after = change(fleet, build_record("books", "other.example"))

    assert after.snapshot.mirrors["books"].source == "settings"
    assert "is defined twice" in after.problems[0]


def test_a_record_can_give_its_mirror_to_a_declaration(conf):
    fleet = build(conf, build_record("books"))

    after = change(fleet, build_record("books", declared=True))

    assert describe(after) == {}


def test_a_mirror_can_begin_to_share(conf):
    fleet = build(conf, build_record("books"), build_record("fr"))

    after = change(fleet, build_record("fr", SHARES={"DATABASE": "books"}))

    assert after.snapshot.mirrors["fr"].alias == "books"


def test_a_share_that_leads_nowhere_is_refused(conf):
    fleet = build(conf, build_record("books"), build_record("fr"))

    after = change(fleet, build_record("fr", SHARES={"DATABASE": "nobody"}))
    later = change(after, build_record("nobody"))

    assert after.snapshot.mirrors["fr"] is fleet.snapshot.mirrors["fr"]
    assert "shares DATABASE of 'nobody', which does not exist" in after.problems[0]
    assert after.refused.keys() == {"fr"}
    assert later.snapshot.mirrors["fr"].alias == "nobody"
    assert later.problems == ()


def test_an_owner_that_is_deleted_stays_while_others_share(conf):
    sharing = build_record("fr", SHARES={"DATABASE": "books"})
    fleet = build(conf, build_record("books"), sharing)

    deleted = change(fleet, names=frozenset({"fr"}))
    later = change(deleted, build_record("fr"))

    assert list(deleted.snapshot.mirrors) == ["books", "fr"]
    assert deleted.ghosts == {"books"}
    assert (
        "'fr' shares DATABASE of 'books', which does not exist" in deleted.problems[0]
    )
    assert list(later.snapshot.mirrors) == ["fr"]
    assert (later.ghosts, later.problems) == (frozenset(), ())


def test_an_owner_can_go_with_those_that_share(conf):
    sharing = build_record("fr", SHARES={"DATABASE": "books"})
    fleet = build(conf, build_record("books"), sharing)

    after = change(fleet, names=frozenset())

    assert describe(after) == {}
    assert after.problems == ()


def test_a_new_mirror_that_shares_nothing_real_leaves_everything_as_it_was(two):
    with pytest.raises(InvalidMirror, match="shares CACHE of 'nobody'"):
        change(two, build_record("fr", SHARES={"CACHE": "nobody"}))


# Other declarations


def test_declarations_change_and_records_stay(two, conf):
    fleet = redeclare(two, conf, {"music": declare("music")})

    assert list(fleet.snapshot.mirrors) == ["books", "films", "music"]
    assert fleet.snapshot.mirrors["books"] is two.snapshot.mirrors["books"]
    assert_whole(fleet)


def test_declarations_are_taken_all_or_not_at_all(conf):
    fleet = build(conf, build_record("films"), declared=[declare("books")])
    changed = {"books": declare("books", "films.example"), "toys": declare("toys")}

    with pytest.raises(InvalidMirror, match="is claimed twice"):
        redeclare(fleet, conf, changed)


def test_the_records_of_declared_mirrors_are_kept(conf):
    fleet = build(
        conf, build_record("books", declared=True), declared=[declare("books")]
    )

    without = redeclare(fleet, conf, {})
    again = redeclare(without, conf, {"books": declare("books", "new.example")})

    assert describe(without) == {}
    assert describe(again) == {"books": (("new.example",), "active")}


def test_refused_records_are_tried_again(two, conf):
    refused = change(two, build_record("books", "music.example", definition="{"))
    fleet = redeclare(refused, conf, {})

    assert describe(fleet) == describe(two)
    assert fleet.refused.keys() == {"books"}


def test_ghosts_go_when_nobody_needs_them(conf):
    sharing = build_record("fr", declared=True)
    shares = declare("fr", SHARES={"DATABASE": "books"})
    fleet = build(conf, build_record("books"), sharing, declared=[shares])
    ghostly = change(fleet, names=frozenset({"fr"}))

    after = redeclare(ghostly, conf, {"fr": declare("fr")})

    assert ghostly.ghosts == {"books"}
    assert list(after.snapshot.mirrors) == ["fr"]


# Old records


def test_an_old_record_is_the_mirror_it_was(conf):
    declared = {"films": declare("films")}

    assert build_old(build_record("books"), {}, conf).name == "books"
    film = build_old(build_record("films", declared=True), declared, conf)
    assert (film.name, film.state) == ("films", "active")
    assert build_old(build_record("films", declared=True), {}, conf) is None
    assert build_old(build_record("books", definition="{"), {}, conf) is None


# Pinned


@pytest.mark.parametrize("is_declared", [True, False])
def test_the_environment_gives_services_of_the_pinned_mirror(
    monkeypatch, settings, is_declared
):
    monkeypatch.setenv("DJANGO_MIRROR", "books")
    monkeypatch.setenv("DATABASE_URL", "postgres://db/pinned")
    monkeypatch.setenv("DEFAULT_STORAGE_DSN", "s3://pinned/")
    monkeypatch.setenv("CACHE_URL", "redis://pinned")
    monkeypatch.setenv("SITE_ID", "7")
    settings.MIRRORS_OPTIONS = {}
    pinned = build_conf()[0]
    definition = {
        "SHARES": {"DATABASE": "films", "STORAGE": "films", "SESSIONS": "films"},
        "SETTINGS": {"TIME_ZONE": "UTC"},
    }
    records = [build_record("films"), build_record("books", **definition)]
    declared = [declare("books", **definition)] if is_declared else []

    fleet = build(pinned, *records[: 1 if is_declared else 2], declared=declared)
    books, films = (fleet.snapshot.mirrors[name] for name in ("books", "films"))
    after = change(fleet, build_record("films", state="suspended"))

    assert (books.database, books.alias) == ("postgres://db/pinned", "books")
    assert books.storages["default"] == "s3://pinned/"
    assert books.cache == "redis://pinned"
    assert books.settings == {"TIME_ZONE": "UTC", "SITE_ID": 7}
    assert books.shares == {"SESSIONS": "films"}
    assert films.database is films.cache is None
    assert after.snapshot.mirrors["books"] is books


@pytest.mark.parametrize(
    ("variable", "changed"),
    [
        ("DATABASE_URL", "database"),
        ("DEFAULT_STORAGE_DSN", "storages"),
        ("CACHE_URL", "cache"),
    ],
)
def test_the_environment_gives_what_it_names_and_no_more(
    monkeypatch, settings, variable, changed
):
    settings.MIRRORS_OPTIONS = {}
    record = build_record("books")
    plain = build(build_conf()[0], record).snapshot.mirrors["books"]
    monkeypatch.setenv("DJANGO_MIRROR", "books")
    monkeypatch.setenv(variable, "s3://given/")

    pinned = build(build_conf()[0], record).snapshot.mirrors["books"]

    differing = {
        field.name
        for field in fields(Mirror)
        if getattr(plain, field.name) != getattr(pinned, field.name)
    }
    assert differing == {changed}


def test_a_site_that_is_no_number_is_an_error(monkeypatch, settings):
    monkeypatch.setenv("DJANGO_MIRROR", "books")
    monkeypatch.setenv("SITE_ID", "seven")
    settings.MIRRORS_OPTIONS = {}

    with pytest.raises(InvalidMirror) as caught:
        build(build_conf()[0], build_record("books"))

    assert str(caught.value) == (
        "The variable SITE_ID is 'seven', which is not a number. Correct or remove it."
    )


def test_a_pin_without_services_changes_nothing(monkeypatch, settings):
    monkeypatch.setenv("DJANGO_MIRROR", "books")
    settings.MIRRORS_OPTIONS = {}

    fleet = build(build_conf()[0], build_record("books", DATABASE="sqlite:///x"))

    assert fleet.snapshot.mirrors["books"].database == "sqlite:///x"


# Any order of changes leads where reading everything leads


NAMES = ("a", "b", "c", "d")
HOSTS = ("a.example", "b.example", "*.example.com", "c.example", "original.example")
CHANGES = st.lists(
    st.one_of(
        st.tuples(
            st.just("write"),
            st.sampled_from(NAMES),
            st.lists(st.sampled_from(HOSTS), min_size=1, max_size=2, unique=True),
            st.sampled_from(("active", "archived", "suspended", "wrong")),
            st.sampled_from((None, *NAMES)),
        ),
        st.tuples(st.just("delete"), st.sampled_from(NAMES)),
        st.tuples(st.just("rename"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    ),
    min_size=1,
    max_size=8,
)


def apply(records, step):
    """Do to a dictionary of records what an operator does; return what changed."""
    kind, name, *rest = step
    if kind == "delete":
        records.pop(name, None)
        return {}
    if kind == "rename":
        if name not in records or rest[0] in records:
            return {}
        record = records.pop(name)._replace(name=rest[0])
    else:
        hosts, state, owner = rest
        shares = {"SHARES": {"STORAGE": owner}} if owner else {}
        uid = records[name].uid if name in records else uuid4()
        record = build_record(name, *hosts, state=state, uid=uid, **shares)
    records[record.name] = record
    return {record.name: record}


@hypothesis_settings(
    max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rounds=st.lists(CHANGES, max_size=6))
def test_changes_lead_where_reading_everything_leads(conf, rounds):
    records = {}
    fleet = build(conf)
    for steps in rounds:
        changed = {}
        for step in steps:
            changed |= apply(records, step)
        changed = {name: item for name, item in changed.items() if name in records}
        try:
            fleet = change_fleet(fleet, changed, frozenset(records))
        except InvalidMirror:
            # Everything is as it was, and is to be read again with the next change.
            assert_whole(fleet)
            records = {
                name: build_record(name, *mirror.hosts, state=mirror.state)
                for name, mirror in fleet.snapshot.mirrors.items()
            }
            fleet = build(conf, *records.values())
            continue
        assert_whole(fleet)
        if not fleet.problems:
            assert describe(fleet) == describe(build(conf, *records.values()))
        for name, mirror in fleet.snapshot.mirrors.items():
            is_kept = name in fleet.refused or name in fleet.ghosts
            written = records.get(name)
            assert is_kept or mirror.state == written.state
            assert (
                is_kept or list(mirror.hosts) == json.loads(written.definition)["HOSTS"]
            )
