"""Definitions under fire: a file is taken as it is, or refused with its name."""

import os
import random
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from django_mirrors import Mirror, mirrors
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.mirror import build_uid
from tests.isolation.sizes import get_seed, scaled

RIGHT = """\
HOSTS = ["{name}.example", "www.{name}.example", "*.{name}.example"]
DATABASE = "postgres://app:secret@db.example/{name}"
STORAGE = "file:///srv/media/{name}/"
CACHE = "redis://cache.example/0"
STATE = "active"
URLCONF = "tests.bookshop.urls"
REDIRECT_ALIASES = true
TRUSTED_ORIGINS = ["https://partner.example"]

[LABELS]
tier = "gold"

[SETTINGS]
TIME_ZONE = "Europe/Zurich"
LANGUAGE_CODE = "de"

[RESOURCES]
CPU = "500m"
REPLICAS = 2

[BILLING]
PLAN = "pro"
"""
NAMES = ("books", "films")
PIECES = (
    "", "\n", "=", '"', "'", "[", "]", "[[", "{", "}", ",", ".", "#", "\\", "\\u0000",
    "\x00", "\ufeff", "\u202e", "\U0001f600", "true", "1e400", "nan", "-1",
    "0x", "9" * 400, "2026-01-01", "[]", "{}", '""',
    '"films.example"', '"original.example"', '["*"]', '"${NOSUCH}"', '"file:/none"',
    '"{name}"', '"{nosuch}"', "HOSTS", "[SHARES]\nDATABASE = 'films'\n",
    "[SHARES]\nDATABASE = 'books'\n", "[SETTINGS]\n", 'SECRET_KEY = "x"\n', "[a]\n",
    "NAME = 5\n", "[" * 200, "'''", "a.b.c = 1\n",
)  # fmt: skip


def mutate(chance: random.Random, text: str) -> bytes:
    """Return a definition with a few mistakes, that may not even be text."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        place = chance.randrange(len(text) + 1)
        lines = text.splitlines(keepends=True)
        kind = chance.randrange(6)
        if kind == 0:
            text = text[:place] + chance.choice(PIECES) + text[place:]
        elif kind == 1:
            text = text[:place] + text[place + chance.choice((1, 1, 5, 40)) :]
        elif kind == 2:
            text = text[:place] + chr(chance.randrange(0x250)) + text[place + 1 :]
        elif kind == 3 and lines:
            del lines[chance.randrange(len(lines))]
            text = "".join(lines)
        elif kind == 4 and lines:
            line = chance.randrange(len(lines))
            lines[line] = f"{lines[line].partition('=')[0]}= {chance.choice(PIECES)}\n"
            text = "".join(lines)
        else:
            text = "".join(chance.sample(lines, len(lines)))
    data = text.encode()
    if chance.random() < 0.05:
        place = chance.randrange(len(data) + 1)
        data = data[:place] + bytes([chance.randrange(0x80, 0x100)]) + data[place:]
    return data


def write(path: Path, data: bytes, number: int) -> None:
    """Write a file as of a time of its own: clocks of file systems tick slowly."""
    path.write_bytes(data)
    os.utime(path, ns=(number, number))


def find_wrong(path: Path, before: dict[str, Mirror], told: str) -> str | None:
    """Return what is wrong with how a changed file was taken, or None."""
    after = dict(mirrors)
    if "secret" in told or "Traceback" in told:
        return "a password or a traceback is told"
    if "A change is refused" in told:
        is_named = all(str(path) in line for line in told.splitlines())
        return None if after == before and is_named else "refused in part"
    if {*after} != {*before} or after["films"] != before["films"]:
        return "another mirror is changed by it"
    written = tomllib.loads(path.read_text(encoding="utf-8"))
    expected = Mirror.from_mapping(
        "books", written, uid=build_uid("books"), source=str(path), place=str(path)
    )
    return None if after["books"] == expected else "taken in part"


@pytest.fixture
def directory(settings, tmp_path):
    settings.MIRRORS_OPTIONS = {
        "FILES": tmp_path,
        "RECORDS": False,
        "SNAPSHOT": None,
        "ORIGINAL": {"HOSTS": ["original.example"]},
    }
    for name in NAMES:
        (tmp_path / f"{name}.toml").write_text(RIGHT.replace("{name}", name))
    return tmp_path


def test_changed_files_are_taken_whole_or_refused_whole(
    directory, caplog, report_figure
):
    count, seed = scaled(10_000), get_seed(41)
    chance, path = random.Random(seed), directory / "books.toml"
    right, before = path.read_text(), dict(mirrors)
    verdicts: Counter[bool] = Counter()
    wrong: list[tuple[str, bytes]] = []

    for number in range(1, count + 1):
        data = mutate(chance, right)
        caplog.clear()
        write(path, data, number)
        try:
            mirrors.reload()
            found = find_wrong(path, before, caplog.text)
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            found = f"crash: {type(error).__name__}: {error}"
        verdicts["A change is refused" in caplog.text] += 1
        wrong += [] if found is None else [(found, data)]
        write(path, right.encode(), -number)
        mirrors.reload()
        assert dict(mirrors) == before

    report_figure(
        "mutated definitions",
        f"{count:,} (refused {verdicts[True]:,}, taken {verdicts[False]:,}); "
        f"wrong {len(wrong)}",
    )
    assert wrong[:3] == [], f"MIRRORS_SEED={seed}"
    assert min(verdicts.values()) > count / 20


def make_wrong(path: Path, seed: int) -> tuple[str, ...]:
    """Mutate a file until a process does not start with it; return what it says."""
    chance, right = random.Random(seed), path.read_text()
    for _ in range(50):
        path.write_bytes(mutate(chance, right))
        mirrors.forget()
        try:
            mirrors.get_snapshot()
        except InvalidMirror as error:
            return error.problems
    raise AssertionError("Fifty mutated files were all right.")


@pytest.mark.parametrize("seed", range(20))
def test_a_process_does_not_start_with_a_file_that_is_wrong(directory, seed):
    problems = make_wrong(directory / "books.toml", get_seed(seed))

    assert all(str(directory / "books.toml") in problem for problem in problems)
    assert "secret" not in str(problems)
