"""Definitions: what each key accepts, and what is said about what it does not."""

# ruff: noqa: E501 - rows of the tables, with whole sentences

import copy
import pickle
from dataclasses import asdict
from uuid import UUID

import pytest

from django_mirrors.definition import DEFINITION_KEYS
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.mirror import (
    Mirror,
    Schema,
    build_uid,
    check_defaults,
    check_name,
    fill_defaults,
)

ACME = {"HOSTS": ["acme.example"], "STATE": "active"}
POSTGRES = "postgres://app@db.example/shop"
SECRET = "hunter2"  # what no text may show


def build(**definition):
    return Mirror.from_mapping("acme", {**ACME, **definition})


def find_problems(definition, name="acme"):
    with pytest.raises(InvalidMirror) as caught:
        Mirror.from_mapping(name, {"HOSTS": ["acme.example"], **definition})
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


@pytest.mark.parametrize(
    ("key", "value", "attribute", "expected"),
    [
        ("NAME", "Acme Ltd.", "display_name", "Acme Ltd."),
        ("HOSTS", ["Acme.Example.", "*.acme.example"], "hosts", ("acme.example", "*.acme.example")),
        ("HOSTS", ("bücher.example",), "hosts", ("xn--bcher-kva.example",)),
        ("DATABASE", "sqlite:///a.sqlite3", "database", "sqlite:///a.sqlite3"),
        ("DATABASE", {"ENGINE": "x.y", "NAME": "z"}, "database", {"ENGINE": "x.y", "NAME": "z"}),
        ("STORAGE", "file:///m/", "storages", {"default": "file:///m/"}),
        ("STORAGE", {"BACKEND": "a.B"}, "storages", {"default": {"BACKEND": "a.B"}}),
        ("STORAGES", {"default": "file:///m/", "x": {"BACKEND": "a.B"}}, "storages", {"default": "file:///m/", "x": {"BACKEND": "a.B"}}),
        ("CACHE", "redis://h/1", "cache", "redis://h/1"),
        ("CACHE", {"BACKEND": "a.B"}, "cache", {"BACKEND": "a.B"}),
        ("MAIL", "smtp://mail.example", "mail", "smtp://mail.example"),
        ("MAIL", {"BACKEND": "a.B", "HOST": "h"}, "mail", {"BACKEND": "a.B", "HOST": "h"}),
        ("SHARES", {"DATABASE": "films", "SESSIONS": "original"}, "shares", {"DATABASE": "films", "SESSIONS": "original"}),
        ("SETTINGS", {"TIME_ZONE": "Europe/Zurich", "OWN": 1}, "settings", {"TIME_ZONE": "Europe/Zurich", "OWN": 1}),
        ("URLCONF", "project.acme.urls", "urlconf", "project.acme.urls"),
        ("THEME", "dark-2", "theme", "dark-2"),
        ("LABELS", {"tier": "gold", "k8s.io/part-of": ""}, "labels", {"tier": "gold", "k8s.io/part-of": ""}),
        ("RESOURCES", {"CPU": "500m", "REPLICAS": 2}, "resources", {"CPU": "500m", "REPLICAS": 2}),
        ("BILLING", {"PLAN": "pro"}, "billing", {"PLAN": "pro"}),
        ("STATE", "suspended", "state", "suspended"),
        ("REDIRECT_ALIASES", True, "redirect_aliases", True),
        ("TRUSTED_ORIGINS", ["https://app.example", "http://app.example:8000"], "trusted_origins", ("https://app.example", "http://app.example:8000")),
    ],
)  # fmt: skip
def test_key_becomes_an_attribute(key, value, attribute, expected):
    mirror = build(**{key: value})

    assert getattr(mirror, attribute) == expected


def test_definition_needs_hosts_only():
    mirror = Mirror.from_mapping("acme", {"HOSTS": ["acme.example"]})

    assert mirror == Mirror(
        name="acme",
        display_name="acme",
        uid=build_uid("acme"),
        state="provisioning",
        hosts=("acme.example",),
        source="settings",
    )


def test_definition_without_hosts_is_refused():
    with pytest.raises(InvalidMirror) as caught:
        Mirror.from_mapping("acme", {})

    assert caught.value.problems == (
        "MIRRORS['acme'] has no hosts. Add at least one name to 'HOSTS'.",
    )


@pytest.mark.parametrize(
    ("definition", "problem"),
    [
        ({"NAME": ""}, "MIRRORS['acme']['NAME'] is not a text. Write a string of one line."),
        ({"NAME": "a\nb"}, "MIRRORS['acme']['NAME'] is not a text. Write a string of one line."),
        ({"HOSTS": "acme.example"}, "MIRRORS['acme']['HOSTS'] is not a list. Write ['shop.example']."),
        ({"HOSTS": []}, "MIRRORS['acme']['HOSTS'] is empty. Add at least one name."),
        ({"HOSTS": ["a.example", "A.example."]}, "MIRRORS['acme']['HOSTS'] has the host 'a.example' twice. Remove one."),
        ({"HOSTS": ["a.example:80"]}, "MIRRORS['acme']['HOSTS']: Host 'a.example:80' has a port. Leave the port out."),
        ({"DATABASE": "acme"}, "MIRRORS['acme']['DATABASE'] is neither a URL nor a dictionary. Write 'scheme://...'."),
        ({"DATABASE": {"NAME": "x"}}, "MIRRORS['acme']['DATABASE'] has no 'ENGINE'. Add it, as in DATABASES."),
        ({"DATABASE": {"ENGINE": "x", "ATOMIC_REQUESTS": True}}, "MIRRORS['acme']['DATABASE'] has 'ATOMIC_REQUESTS'. Set it in DATABASES['default'] only: it then holds for the current mirror of each request."),
        ({"STORAGE": 5}, "MIRRORS['acme']['STORAGE'] is neither a URL nor a dictionary. Write 'scheme://...'."),
        ({"STORAGE": {"OPTIONS": {}}}, "MIRRORS['acme']['STORAGE'] has no 'BACKEND'. Add its dotted path."),
        ({"STORAGES": "file:///"}, "MIRRORS['acme']['STORAGES'] is not a dictionary of aliases. Write {'default': '...'}."),
        ({"STORAGES": {"x": 5}}, "MIRRORS['acme']['STORAGES']['x'] is neither a URL nor a dictionary. Write 'scheme://...'."),
        ({"STORAGE": "file:///a/", "STORAGES": {"x": "file:///b/"}}, "MIRRORS['acme'] has 'STORAGE' and 'STORAGES'. Use one of them."),
        ({"CACHE": ""}, "MIRRORS['acme']['CACHE'] is neither a URL nor a dictionary. Write 'scheme://...'."),
        ({"SHARES": ["DATABASE"]}, "MIRRORS['acme']['SHARES'] is not a dictionary. Write {'KEY': value}."),
        ({"SHARES": {"DATABSE": "films"}}, "MIRRORS['acme']['SHARES'] has the unknown service 'DATABSE'. Did you mean 'DATABASE'?"),
        ({"SHARES": {"DATABASE": "default"}}, "MIRRORS['acme']['SHARES']['DATABASE']: The name 'default' is reserved. Choose another one."),
        ({"SHARES": {"STORAGE": "films"}, "STORAGES": {"x": "file:///"}}, "MIRRORS['acme'] has 'STORAGES' and shares the STORAGE of 'films'. Remove one of the two."),
        ({"SHARES": {"DATABASE": "films"}, "DATABASE": "sqlite://:memory:"}, "MIRRORS['acme'] has 'DATABASE' and shares the DATABASE of 'films'. Remove one of the two."),
        ({"SHARES": {"DATABASE": "films"}, "DATABASE": POSTGRES, "SCHEMA": "acme"}, (
            "MIRRORS['acme'] has 'DATABASE' and shares the DATABASE of 'films'. Remove one of the two.",
            "MIRRORS['acme'] has 'SCHEMA' and shares the DATABASE of 'films'. Remove one of the two.",
        )),
        ({"SCHEMA": "acme"}, "MIRRORS['acme'] has 'SCHEMA' and no 'DATABASE'. Add the URL of the database that holds the schema."),
        ({"SCHEMA": "acme", "DATABASE": "sqlite:///acme"}, "MIRRORS['acme'] has 'SCHEMA', and its 'DATABASE' is not of PostgreSQL. Write 'postgres://...', or remove 'SCHEMA'."),
        ({"SCHEMA": "acme", "DATABASE": {"ENGINE": "django.db.backends.mysql"}}, "MIRRORS['acme'] has 'SCHEMA', and its 'DATABASE' is not of PostgreSQL. Write 'postgres://...', or remove 'SCHEMA'."),
        ({"SCHEMA": "public", "DATABASE": POSTGRES}, "MIRRORS['acme']['SCHEMA'] is 'public', which is not a mirror's own. Choose another name."),
        ({"SCHEMA": "Pg_acme", "DATABASE": POSTGRES}, "MIRRORS['acme']['SCHEMA'] is 'Pg_acme', which is not a mirror's own. Choose another name."),
        ({"SCHEMA": "information_schema", "DATABASE": POSTGRES}, "MIRRORS['acme']['SCHEMA'] is 'information_schema', which is not a mirror's own. Choose another name."),
        ({"SCHEMA": "", "DATABASE": POSTGRES}, "MIRRORS['acme']['SCHEMA'] is '', which is not the name of a schema. Write a text of 1 to 63 bytes."),
        ({"SCHEMA": "ä" * 32, "DATABASE": POSTGRES}, f"MIRRORS['acme']['SCHEMA'] is '{'ä' * 32}', which is not the name of a schema. Write a text of 1 to 63 bytes."),
        ({"SCHEMA": "a\0b", "DATABASE": POSTGRES}, "MIRRORS['acme']['SCHEMA'] is 'a\\x00b', which is not the name of a schema. Write a text of 1 to 63 bytes."),
        ({"SCHEMA": {}, "DATABASE": POSTGRES}, "MIRRORS['acme']['SCHEMA'] is None, which is not the name of a schema. Write a text of 1 to 63 bytes."),
        ({"SCHEMA": {"NAME": "acme", "ROLE": "none"}, "DATABASE": POSTGRES}, "MIRRORS['acme']['SCHEMA'] has the 'ROLE' 'none', which is not the name of a role. Write a text of 1 to 63 bytes, or leave it out."),
        ({"SCHEMA": {"NAME": "acme", "USER": "x"}, "DATABASE": POSTGRES}, "MIRRORS['acme']['SCHEMA'] has the unknown key 'USER'. Use one of: NAME, ROLE."),
        ({"SETTINGS": {"debug": True}}, "MIRRORS['acme']['SETTINGS']: 'debug' is not a setting. Use upper case."),
        ({"SETTINGS": {"DATABASES": {}}}, "MIRRORS['acme']['SETTINGS']: the setting 'DATABASES' cannot vary by mirror, since each mirror has a database of its own. Write 'DATABASE'."),
        ({"SETTINGS": {"INSTALLED_APPS": []}}, "MIRRORS['acme']['SETTINGS']: the setting 'INSTALLED_APPS' cannot vary by mirror, since all mirrors have the same apps and models. Choose by 'URLCONF', or by a setting of your own."),
        ({"SETTINGS": {5: 1}}, "MIRRORS['acme']['SETTINGS'] has the key 5. Write keys as strings."),
        ({"URLCONF": "a/b"}, "MIRRORS['acme']['URLCONF'] is 'a/b', which is not a dotted path. Write 'project.urls'."),
        ({"THEME": "dark/../light"}, "MIRRORS['acme']['THEME'] is 'dark/../light', which is not the name of a theme. Use 1 to 64 lower-case letters, digits, '_' and '-', beginning with a letter or a digit."),
        ({"THEME": 5}, "MIRRORS['acme']['THEME'] is 5, which is not the name of a theme. Use 1 to 64 lower-case letters, digits, '_' and '-', beginning with a letter or a digit."),
        ({"LABELS": {"tier": 1}}, "MIRRORS['acme']['LABELS']['tier'] is not a text. Write a string."),
        ({"LABELS": {"1": "a"}}, "MIRRORS['acme']['LABELS']: '1' is not a label's key. Begin with a letter, then letters, digits and '_./-', at most 63."),
        ({"RESOURCES": []}, "MIRRORS['acme']['RESOURCES'] is not a dictionary. Write {'KEY': value}."),
        ({"BILLING": 5}, "MIRRORS['acme']['BILLING'] is not a dictionary. Write {'KEY': value}."),
        ({"BILLING": {"LIMITS": [1, {"SEATS": float("nan")}]}}, "MIRRORS['acme']['BILLING'] holds a number that is not finite. Write another one, or a text."),
        ({"RESOURCES": {"CPU": float("-inf")}}, "MIRRORS['acme']['RESOURCES'] holds a number that is not finite. Write another one, or a text."),
        ({"SETTINGS": {"PRICE": float("inf")}}, "MIRRORS['acme']['SETTINGS'] holds a number that is not finite. Write another one, or a text."),
        ({"STATE": "on"}, "MIRRORS['acme']['STATE'] is 'on', which is not a state. Use one of: provisioning, active, maintenance, suspended, archived, failed."),
        ({"STATE": []}, "MIRRORS['acme']['STATE'] is [], which is not a state. Use one of: provisioning, active, maintenance, suspended, archived, failed."),
        ({"REDIRECT_ALIASES": 1}, "MIRRORS['acme']['REDIRECT_ALIASES'] is neither True nor False. Write one of them."),
        ({"TRUSTED_ORIGINS": "https://a.example"}, "MIRRORS['acme']['TRUSTED_ORIGINS'] is not a list. Write ['https://app.example']."),
        ({"TRUSTED_ORIGINS": ["a.example"]}, "MIRRORS['acme']['TRUSTED_ORIGINS']: 'a.example' is not an origin. Write 'https://app.example'."),
        ({"TRUSTED_ORIGINS": [5]}, "MIRRORS['acme']['TRUSTED_ORIGINS']: 5 is not an origin. Write 'https://app.example'."),
        ({"TRUSTED_ORIGINS": ["https://a.example/"]}, "MIRRORS['acme']['TRUSTED_ORIGINS']: 'https://a.example/' is not an origin. Write 'https://app.example'."),
    ],
)  # fmt: skip
def test_wrong_value_is_told_with_its_place_and_remedy(definition, problem):
    problems = problem if isinstance(problem, tuple) else (problem,)
    assert find_problems(definition) == problems


@pytest.mark.parametrize(
    "database",
    [POSTGRES, "${SCHEME}://db/shop", "file:/run/url", {"ENGINE": "django.contrib.gis.db.backends.postgis"}],
)  # fmt: skip
@pytest.mark.parametrize(
    ("given", "schema"),
    [
        ("acme", Schema(name="acme")),
        ({"NAME": "Ä b"}, Schema(name="Ä b")),
        ({"NAME": "x" * 63, "ROLE": "app"}, Schema(name="x" * 63, role="app")),
    ],
)
def test_schema_is_a_name_and_perhaps_a_role(database, given, schema):
    definition = {"HOSTS": ["acme.example"], "DATABASE": database, "SCHEMA": given}

    assert Mirror.from_mapping("acme", definition).schema == schema


def test_schema_of_the_defaults_goes_with_their_database():
    defaults = {"DATABASE": POSTGRES, "SCHEMA": "{name}"}
    uid = build_uid("acme")

    assert fill_defaults("acme", {}, defaults, uid=uid) == {
        "DATABASE": POSTGRES,
        "SCHEMA": "acme",
    }
    for own in ({"DATABASE": "sqlite:///own"}, {"SHARES": {"DATABASE": "films"}}):
        assert fill_defaults("acme", own, defaults, uid=uid) == own


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("HOST", "Did you mean 'HOSTS'?"),
        ("hosts", "Did you mean 'HOSTS'?"),
        ("DATABSE", "Did you mean 'DATABASE'?"),
        ("QQQ", f"Use one of: {', '.join(DEFINITION_KEYS)}."),
        (5, f"Use one of: {', '.join(DEFINITION_KEYS)}."),
    ],
)
def test_unknown_key_is_refused_with_a_suggestion(key, hint):
    assert find_problems({key: "x"}) == (
        f"MIRRORS['acme'] has the unknown key {key!r}. {hint}",
    )


def test_all_problems_are_told_at_once():
    problems = find_problems(
        {"HOSTS": ["a b", "c_d"], "STATE": "on", "COLOUR": 1}, name="Acme!"
    )

    assert len(problems) == 5


@pytest.mark.parametrize("definition", [None, [], "x", 5])
def test_definition_that_is_no_dictionary_is_refused(definition):
    with pytest.raises(InvalidMirror, match="is not a dictionary"):
        Mirror.from_mapping("acme", definition)


@pytest.mark.parametrize("name", ["a", "acme", "acme-ch", "a1", "a" * 48, "a--b-"])
def test_name_is_accepted(name):
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "1a", "-a", "Acme", "a_b", "a.b", "a" * 49, "a\n", "ä", "a b", None, 5, ["a"]],
)
def test_name_of_other_characters_is_refused(name):
    with pytest.raises(InvalidMirror) as caught:
        check_name(name, "MIRRORS")

    assert caught.value.problems == (
        f"MIRRORS: {name!r} is not a mirror's name. Use 1 to 48 lower-case letters, digits and hyphens, beginning with a letter.",
    )


@pytest.mark.parametrize("name", ["default", "original"])
def test_reserved_name_is_refused(name):
    assert find_problems({}, name=name)[0].endswith(
        f"The name '{name}' is reserved. Choose another one."
    )


def test_defaults_fill_in_name_and_uid_wherever_text_is():
    uid = UUID(int=7)
    defaults = {
        "HOSTS": ["{name}.example"],
        "DATABASE": {"ENGINE": "x", "NAME": "{uid}", "OPTIONS": {"a": ("{name}", 1)}},
        "STORAGE": "file:///srv/${ROOT}/{name}/{uid}/",
    }

    filled = fill_defaults("acme", {}, defaults, uid=uid)

    assert filled == {
        "HOSTS": ["acme.example"],
        "DATABASE": {"ENGINE": "x", "NAME": str(uid), "OPTIONS": {"a": ["acme", 1]}},
        "STORAGE": f"file:///srv/${{ROOT}}/acme/{uid}/",
    }


@pytest.mark.parametrize("key", ["LABELS", "SETTINGS", "RESOURCES", "BILLING"])
def test_defaults_are_merged_key_by_key(key):
    defaults = {key: {"A": "default", "B": "default"}}

    filled = fill_defaults("acme", {key: {"B": "own"}}, defaults, uid=UUID(int=7))

    assert filled == {key: {"A": "default", "B": "own"}}


@pytest.mark.parametrize(
    ("definition", "defaults", "expected"),
    [
        ({"HOSTS": ["a.example"]}, {"HOSTS": ["b.example"]}, {"HOSTS": ["a.example"]}),
        ({"STORAGES": {"x": "y:"}}, {"STORAGE": "z:"}, {"STORAGES": {"x": "y:"}}),
        ({"STORAGE": "y:"}, {"STORAGES": {"x": "z:"}}, {"STORAGE": "y:"}),
        (
            {"SHARES": {"DATABASE": "films", "STORAGE": "films"}},
            {"DATABASE": "x:", "STORAGE": "y:", "CACHE": "z:"},
            {"SHARES": {"DATABASE": "films", "STORAGE": "films"}, "CACHE": "z:"},
        ),
        (
            {"DATABASE": "x:"},
            {"SHARES": {"DATABASE": "films", "CACHE": "films"}},
            {"DATABASE": "x:", "SHARES": {"CACHE": "films"}},
        ),
    ],
)
def test_what_a_definition_says_or_shares_is_not_defaulted(
    definition, defaults, expected
):
    assert fill_defaults("acme", definition, defaults, uid=UUID(int=7)) == expected


def test_unknown_placeholder_in_the_defaults_is_told():
    with pytest.raises(InvalidMirror) as caught:
        check_defaults({"DATABASE": "postgres://${PW}@h/{nmae}"}, "DEFAULTS")

    assert caught.value.problems == (
        "DEFAULTS has the unknown placeholder '{nmae}'. Use {name} or {uid}.",
    )


def test_shares_name_the_owner_of_each_service():
    mirror = build(SHARES={"DATABASE": "films"})

    assert (mirror.alias, mirror.find_owner("DATABASE")) == ("films", "films")
    assert mirror.find_owner("STORAGE") == "acme"
    assert build().alias == "acme"


@pytest.mark.parametrize(
    ("hosts", "primary"),
    [
        (["acme.example", "www.acme.example"], "acme.example"),
        (["*.acme.example", "acme.example"], "acme.example"),
        (["*.acme.example"], ""),
    ],
)
def test_primary_host_is_the_first_that_is_no_wildcard(hosts, primary):
    assert build(HOSTS=hosts).primary_host == primary


def test_no_text_of_a_mirror_shows_a_secret():
    mirror = build(
        DATABASE=f"postgres://u:{SECRET}@h/d",
        STORAGE=f"s3://k:{SECRET}@bucket/",
        CACHE=f"redis://:{SECRET}@h/1",
        SETTINGS={"API_KEY": SECRET},
        BILLING={"ACCOUNT": SECRET},
    )

    texts = [repr(mirror), str(mirror), f"{mirror}", repr([mirror])]

    assert texts[:2] == ["<Mirror acme (active)>", "acme"]
    assert not any(SECRET in text for text in texts)


@pytest.mark.parametrize("write", [pickle.dumps, copy.deepcopy, asdict, vars])
def test_mirror_does_not_go_into_pickles(write):
    # What is put into a queue or a cache would keep its secrets there.
    with pytest.raises(TypeError):
        write(build(DATABASE=f"postgres://u:{SECRET}@h/d"))


@pytest.mark.parametrize(
    "definition",
    [
        {"DATABASE": {"NAME": "d", "PASSWORD": SECRET}},
        {"DATABASE": SECRET},
        {"STORAGE": {"OPTIONS": {"secret_key": SECRET}}},
        {"CACHE": SECRET},
        {"SETTINGS": {"SECRET_KEY": SECRET}},
        {"DATABASE": f"postgres://u:{SECRET}@h/d", "SHARES": {"DATABASE": "films"}},
        {"DATABSE": f"postgres://u:{SECRET}@h/d"},
    ],
)
def test_no_message_about_a_definition_shows_a_secret(definition):
    assert SECRET not in "\n".join(find_problems(definition))


def test_mirror_cannot_be_changed():
    mirror = build(LABELS={"tier": "gold"}, SHARES={"CACHE": "films"})

    with pytest.raises(AttributeError):
        mirror.name = "other"
    with pytest.raises(TypeError):
        mirror.labels["tier"] = "silver"
    with pytest.raises(TypeError):
        mirror.shares["CACHE"] = "acme"


def test_mirrors_are_members_of_sets_though_their_definitions_hold_dictionaries():
    gold = build(LABELS={"tier": "gold"}, SETTINGS={"SHOP_COLOURS": ["red"]})
    same = build(LABELS={"tier": "gold"}, SETTINGS={"SHOP_COLOURS": ["red"]})
    other = build(LABELS={"tier": "silver"})

    assert {gold, same} == {gold}
    assert {gold, other} == {other, gold} != {gold}


def test_definition_that_changes_later_does_not_change_the_mirror():
    labels = {"tier": "gold"}
    mirror = build(LABELS=labels)

    labels["tier"] = "silver"

    assert mirror.labels == {"tier": "gold"}


def test_uid_follows_from_the_name():
    assert build_uid("acme") == build().uid != build_uid("films")


def test_schema_shows_as_its_name():
    assert str(Schema(name="acme", role="app")) == "acme"
