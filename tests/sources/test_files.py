"""Mirrors declared in a directory of TOML files."""

import pytest

from django_mirrors import mirrors
from django_mirrors.exceptions import InvalidMirror


@pytest.fixture
def directory(settings, tmp_path):
    settings.MIRRORS_OPTIONS = {
        "FILES": tmp_path,
        "SNAPSHOT": None,
        "DEFAULTS": {"HOSTS": ["{name}.example"]},
    }
    write(tmp_path, "books", 'STATE = "active"\n[LABELS]\ntier = "gold"')
    write(tmp_path, "films", 'STATE = "active"')
    return tmp_path


def write(directory, name, text):
    (directory / f"{name}.toml").write_text(text, encoding="utf-8")


def test_file_is_a_mirror(directory):
    assert list(mirrors) == ["books", "films"]
    assert mirrors["books"].labels == {"tier": "gold"}
    assert mirrors["books"].hosts == ("books.example",)
    assert mirrors["books"].source == str(directory / "books.toml")


@pytest.mark.parametrize("name", [".books2.toml", "books2.toml~", "books2.txt"])
def test_file_of_another_name_is_none(directory, name):
    (directory / name).write_text("not even TOML")

    assert list(mirrors) == ["books", "films"]


def test_changed_added_and_removed_files_are_noticed(directory):
    _ = len(mirrors)

    write(directory, "books", 'STATE = "suspended"')
    write(directory, "games", 'STATE = "active"')
    (directory / "films.toml").unlink()
    mirrors.reload()

    assert {name: mirror.state for name, mirror in mirrors.items()} == {
        "books": "suspended",
        "games": "active",
    }


@pytest.mark.parametrize(
    "text",
    [
        "STATE = ",
        'STATE = "on"',
        'HOST = "x"',
        'HOSTS = ["films.example"]',
        "a = " + "[" * 5000,
    ],
)
def test_wrong_file_keeps_the_old_fleet(directory, caplog, text):
    before = dict(mirrors)

    write(directory, "books", text)
    write(directory, "games", 'STATE = "active"')
    mirrors.reload()

    assert dict(mirrors) == before
    assert "A change is refused, what was known is kept" in caplog.text


def test_file_that_is_corrected_is_served(directory):
    _ = len(mirrors)
    write(directory, "books", "STATE = ")
    mirrors.reload()

    write(directory, "books", 'STATE = "suspended"')
    mirrors.reload()

    assert mirrors["books"].state == "suspended"


def test_directory_that_is_gone_keeps_the_old_fleet(directory):
    before = dict(mirrors)

    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
    mirrors.reload()

    assert dict(mirrors) == before


def test_wrong_files_at_the_start_are_told_all_at_once(directory):
    write(directory, "books", "STATE = ")
    write(directory, "films", 'STATE = "on"')

    with pytest.raises(InvalidMirror) as caught:
        mirrors.get_snapshot()

    first, second = caught.value.problems
    assert first.startswith(f"{directory}/books.toml is not valid TOML: ")
    assert second.startswith(f"{directory}/films.toml['STATE'] is 'on', which is not")


def test_directory_that_does_not_exist_is_told(settings, tmp_path):
    settings.MIRRORS_OPTIONS = {"FILES": tmp_path / "none", "SNAPSHOT": None}

    with pytest.raises(InvalidMirror) as caught:
        mirrors.get_snapshot()

    assert str(caught.value) == (
        f"MIRRORS_OPTIONS['FILES']: the directory '{tmp_path}/none' cannot be read "
        "(No such file or directory). Create it, or correct the path."
    )
