"""Names of mirrors under fire: each is refused, or safe wherever it is used."""

import random
import re
from pathlib import Path
from uuid import UUID

import pytest
from django.core.cache import caches
from django.db import connections

from django_mirrors import Mirror, use_mirror
from django_mirrors.definition import check_name
from django_mirrors.dsn import build_database, build_storage
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.mirror import build_uid, fill_defaults
from django_mirrors.sessions import build_session_key
from django_mirrors.signing import MirrorKey
from tests.isolation.sizes import get_seed, scaled

DEFAULTS = {
    "HOSTS": ["{name}.example.com"],
    "DATABASE": "postgres://app@db.example/{name}",
    "STORAGES": {
        "default": "file:///srv/media/{name}/",
        "bucket": "s3://media/{name}/",
        "by-uid": "file:///srv/media/{uid}/",
    },
}
DIRECTORY = Path("/srv/project")
# PostgreSQL cuts a longer identifier off, in silence; MySQL refuses above 64.
MAX_IDENTIFIER = 63
# What tests of Django put before the name of a database.
TEST_PREFIX = "test_"
SAFE = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
KINDS = ("alias", "database", "file", "directory", "prefix", "by-uid", "host")

HOSTILE = (
    "", " ", "-", "--", "a-", "-a", "a" * 48, "a" * 49, "a" * 63, "a" * 64,
    "a" * 10_000, "1a", "1", "A", "Acme", "aCME", "acme\n", "acme\r", "\nacme",
    "acme\x00", "ac\x00me", "acme ", " acme", "ac me", "acme\t", "acme\x0b", "acme\x85",
    "acme\u2028", "acme.", "a.b", "..", ".", "../victim", "a/b", "a\\b", "/etc", "a//b",
    "acme/", "~", "a_b", "pg_x", "pg_catalog", "information_schema", "default",
    "original", "x','victim", 'x","victim', "x;DROP", "x';--", 'x"--', "x`y", "x$y",
    "$x", "${X}", "{name}", "{uid}", "a{name}", "%s", "%(x)s", "a%00", "a%2fb", "a:b",
    "a@b", "a?b", "a#b", "a&b", "a=b", "a+b", "a,b", "a*b", "a|b", "a<b", "a>b", "a(b",
    "a[b", "a!b", "a'b", 'a"b', "b\xfccher", "\u0430cme", "\u212aelvin", "\u017fhop",
    "\uff41cme", "a\u0301", "\xe9", "a\u200b", "a\u202eb", "acme\U0001f600", "\u0661",
    "a\u0661", "xn--", "xn--a", "--help", "xn--bcher-kva", "a--b", "con", "nul", "com1",
    "lpt1", "aux", "prn", "www", "admin", "static", "media", "postgres", "template0",
    "template1", "public", "mysql", "sys", "test", "acme", "acme2", "acme-2", "acme-",
    "none", "null", "true",
)  # fmt: skip
PIECES = (
    "acme", "a", "b", "-", "--", "_", ".", "..", "/", "\\", "'", '"', "`", ";", " ",
    "\n", "\x00", "\t", "%", "{name}", "{uid}", "${HOME}", "xn--", "test_", "pg_", "2",
    "0", "A", "\xfc", "\u0430", "\u212a", "\uff0e", "\u202e", "x" * 24, "x" * 48, ":",
    "@", "?", "#", "default", "original", "con", "sqlite", "z", "q-9",
)  # fmt: skip


def generate_name(chance: random.Random) -> str:
    kind = chance.random()
    if kind < 0.35:
        alphabet = "abcxyz0129-"
        length = chance.choice((1, 2, 3, 8, 47, 48, 49, 63, 64))
        return "".join(chance.choices(alphabet, k=chance.randint(1, length)))
    if kind < 0.75:
        return "".join(chance.choices(PIECES, k=chance.randint(0, 5)))
    if kind < 0.9:
        name, at = chance.choice(HOSTILE), chance.random()
        place = int(len(name) * at)
        return name[:place] + chr(chance.randrange(0x300)) + name[place + 1 :]
    codes = (chance.randrange(0x110000) for _ in range(chance.choice((1, 4, 40, 400))))
    return "".join(map(chr, codes))


def derive(name: str) -> dict[str, str] | None:
    """Return all that is made of a name, by kind; None if the name is refused."""
    try:
        uid = build_uid(check_name(name))
        definition = fill_defaults(name, {}, DEFAULTS, uid=uid)
        mirror = Mirror.from_mapping(name, definition, uid=uid)
        place = f"Mirror {name!r}"
        database = build_database(mirror.database, directory=DIRECTORY, place=place)
        own_file = build_database(
            f"sqlite:///mirrors/{name}.sqlite3", directory=DIRECTORY, place=place
        )
        stored = {
            alias: build_storage(dsn, place=place)["OPTIONS"]["location"]
            for alias, dsn in mirror.storages.items()
        }
    except InvalidMirror:
        return None
    return {
        "alias": mirror.alias,
        "database": database["NAME"],
        "file": str(own_file["NAME"]),
        "directory": stored["default"],
        "prefix": stored["bucket"],
        "by-uid": stored["by-uid"],
        "host": mirror.primary_host,
    }


def find_unsafe(name: str, derived: dict[str, str]) -> list[str]:
    """Return the kinds of what was derived that could mean something else."""
    expected = {
        "alias": name,
        "database": name,
        "file": f"{DIRECTORY}/mirrors/{name}.sqlite3",
        "directory": f"/srv/media/{name}/",
        "prefix": f"{name}/",
        "by-uid": f"/srv/media/{build_uid(name)}/",
        "host": f"{name}.example.com",
    }
    unsafe = [kind for kind in KINDS if derived[kind] != expected[kind]]
    if not SAFE.issuperset(name) or not name[0].isalpha():
        unsafe.append("characters")
    if len(f"{TEST_PREFIX}{name}".encode()) > MAX_IDENTIFIER:
        unsafe.append("length")
    return unsafe


def test_every_name_is_refused_or_safe_and_none_collide(report_figure):
    count, seed = scaled(100_000), get_seed(33)
    chance = random.Random(seed)
    generated = (generate_name(chance) for _ in range(count - len(HOSTILE)))
    names = {*HOSTILE, *generated}
    owners: dict[tuple[str, str], str] = {}
    unsafe: list[tuple[str, str]] = []
    collisions: list[tuple[str, str]] = []
    crashes: list[tuple[str, str]] = []

    for name in sorted(names):
        try:
            derived = derive(name)
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            crashes.append((type(error).__name__, name))
            continue
        if derived is None:
            continue
        unsafe += [(kind, name) for kind in find_unsafe(name, derived)]
        for kind, text in derived.items():
            # As a file system that ignores case sees it.
            other = owners.setdefault((kind, text.casefold()), name)
            if other != name:
                collisions.append((other, name))

    accepted = sum(kind == "alias" for kind, _ in owners)
    report_figure(
        "names of mirrors",
        f"{count:,} (different {len(names):,}, accepted {accepted:,}); "
        f"unsafe {len(unsafe)}, colliding {len(collisions)}, crash {len(crashes)}",
    )
    assert (unsafe[:9], collisions[:9], crashes[:9]) == ([], [], []), f"seed {seed}"
    assert accepted > count / 50


@pytest.mark.parametrize(
    ("is_allowed", "names"),
    [
        (True, ["a", "acme", "acme2", "acme-2", "a--b", "a" * 48, "con", "postgres"]),
        (False, ["", "1a", "-a", "A", "a_b", "a.b", "a/b", "a" * 49, "\u0430", "a\n"]),
        (False, ["default", "original", "acme\x00", "x','victim", "../victim", "a "]),
    ],
)
def test_the_grammar_of_a_name_is_what_is_written(is_allowed, names):
    fitting = [name for name in names if re.fullmatch(r"[a-z][a-z0-9-]{0,47}", name)]
    reserved = {"default", "original"}

    accepted = []
    for name in names:
        try:
            accepted.append(check_name(name))
        except InvalidMirror:
            continue

    assert accepted == [name for name in fitting if name not in reserved]
    assert bool(accepted) is is_allowed


@pytest.mark.parametrize("value", [None, 5, b"acme", ("acme",), True, 1.5])
def test_a_name_that_is_no_text_is_refused(value):
    with pytest.raises(InvalidMirror):
        check_name(value)


def test_identifiers_that_must_not_be_reused_are_made_of_the_uid():
    one, two = (
        Mirror.from_mapping("acme", {"HOSTS": ["acme.example"]}, uid=UUID(int=number))
        for number in (1, 2)
    )

    made = [derive_by_uid(mirror) for mirror in (one, two)]

    assert not set(made[0]) & set(made[1])


def derive_by_uid(mirror: Mirror) -> tuple[str, ...]:
    with use_mirror(mirror):
        place = caches["default"]._find_place()
        return build_session_key("x" * 32), str(MirrorKey("secret")), place.tag


@pytest.mark.parametrize(
    "alias", ["../victim", "x','victim", "acme\n", "ACME", "a_b", ""]
)
def test_an_alias_that_is_no_name_of_a_mirror_is_unknown(settings, alias):
    settings.MIRRORS = {"acme": {"HOSTS": ["acme.example"], "STATE": "active"}}

    assert alias not in connections
