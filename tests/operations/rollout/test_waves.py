"""In which order mirrors come."""

import pytest

from django_mirrors import Mirror
from django_mirrors.exceptions import OperationFailed
from django_mirrors.operations.rollout.waves import Wave, build_waves, parse_waves


def make(name, **definition):
    hosts = {"HOSTS": [f"{name}.example"], "DATABASE": f"sqlite:///{name}.sqlite3"}
    if "SHARES" in definition:
        del hosts["DATABASE"]
    return Mirror.from_mapping(name, {**hosts, **definition})


TEN = [make(f"m{number}") for number in range(10)]


def show(waves):
    return [(wave.title, len(wave.mirrors)) for wave in waves]


@pytest.mark.parametrize(
    ("text", "waves"),
    [
        ("5%,25%,100%", ("5%", "25%", "100%")),
        ("tier=free, 50%", ("tier=free", "50%")),
        ("tier=", ("tier=",)),
    ],
)
def test_waves_are_percentages_and_labels(text, waves):
    assert parse_waves(text) == waves


@pytest.mark.parametrize(
    "text", ["", "5", "x%", "-5%", "5%,", "=free", "1e1%", "\uff15%"]
)
def test_anything_else_is_no_wave(text):
    with pytest.raises(OperationFailed, match="is no wave"):
        parse_waves(text)


@pytest.mark.parametrize("text", ["25%,5%", "5%,5%", "0%", "101%", "50%,tier=a,20%"])
def test_percentages_grow(text):
    with pytest.raises(OperationFailed, match="does not follow"):
        parse_waves(text)


def test_without_waves_all_come_together_by_name():
    assert build_waves(TEN[::-1]) == (
        Wave(title="all", mirrors=tuple(f"m{number}" for number in range(10))),
    )


def test_no_mirrors_are_no_waves():
    assert build_waves([]) == ()


def test_percentages_include_what_came_before_and_are_rounded_up():
    assert show(build_waves(TEN, waves=("15%", "50%"))) == [
        ("15%", 2),
        ("50%", 3),
        ("the rest", 5),
    ]


def test_canaries_come_first_and_count_in_percentages():
    waves = build_waves(TEN, canary=2, waves=("30%", "100%"))

    assert show(waves) == [("canary", 2), ("30%", 1), ("100%", 7)]


def test_wave_that_would_be_empty_is_left_out():
    waves = build_waves(TEN, canary=5, waves=("tier=gold", "50%", "100%"))

    assert show(waves) == [("canary", 5), ("100%", 5)]


def test_more_canaries_than_mirrors_are_all():
    assert show(build_waves(TEN, canary=99)) == [("canary", 10)]


def test_label_takes_the_mirrors_that_have_it():
    mirrors = [
        make("a", LABELS={"tier": "gold"}),
        make("b", LABELS={"tier": "free"}),
        make("c"),
        make("d", LABELS={"tier": "free"}),
    ]

    assert build_waves(mirrors, waves=("tier=free", "100%")) == (
        Wave(title="tier=free", mirrors=("b", "d")),
        Wave(title="100%", mirrors=("a", "c")),
    )


def test_mirror_comes_in_the_wave_of_its_owner_after_it():
    mirrors = [
        make("a", SHARES={"DATABASE": "z", "STORAGE": "z"}),
        make("b", SHARES={"DATABASE": "c", "STORAGE": "c"}),
        make("c"),
        make("z"),
    ]

    assert build_waves(mirrors, waves=("50%",)) == (
        Wave(title="50%", mirrors=("c", "b")),
        Wave(title="the rest", mirrors=("z", "a")),
    )


def test_mirror_whose_owner_is_left_out_has_a_place_of_its_own():
    mirrors = [make("a", SHARES={"DATABASE": "z", "STORAGE": "z"}), make("b")]

    assert build_waves(mirrors) == (Wave(title="all", mirrors=("a", "b")),)


def test_each_mirror_is_in_one_wave():
    waves = build_waves(TEN, canary=1, waves=("35%", "35%", "90%"))

    names = [name for wave in waves for name in wave.mirrors]
    assert sorted(names) == sorted(set(names)) == [mirror.name for mirror in TEN]
