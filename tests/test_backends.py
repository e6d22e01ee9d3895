from concurrent.futures import ThreadPoolExecutor
from time import sleep
from types import MappingProxyType

import pytest

from django_mirrors import backends
from django_mirrors.backends import Backends


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """The time, which stands still until a test moves it."""
    now = [100.0]
    monkeypatch.setattr(backends, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def built() -> list[dict]:
    return []


@pytest.fixture
def secrets() -> dict[str, str]:
    return {"a": "secret"}


@pytest.fixture
def kept(clock, built, secrets) -> Backends[object]:
    def read(definition, place):
        return {"definition": dict(definition), "secret": secrets.get("a"), "at": place}

    def build(config, place):
        built.append(config)
        return object()

    return Backends(read=read, build=build, size=2)


def test_a_backend_is_built_once_for_a_key(kept, built):
    first = kept.get("a", {"x": 1}, place="here")

    assert kept.get("a", {"x": 1}, place="here") is first
    assert kept.get("b", {"x": 1}, place="here") is not first
    assert len(built) == 2


def test_another_definition_makes_another_backend_at_once(kept):
    first = kept.get("a", {"x": 1}, place="here")

    assert kept.get("a", {"x": 2}, place="here") is not first


def test_an_equal_definition_of_a_new_mirror_keeps_the_backend(kept):
    first = kept.get("a", MappingProxyType({"x": 1}), place="here")

    assert kept.get("a", MappingProxyType({"x": 1}), place="here") is first


def test_a_changed_secret_counts_after_a_second(kept, clock, secrets):
    first = kept.get("a", {"x": 1}, place="here")
    secrets["a"] = "changed"

    clock[0] += 0.9
    assert kept.get("a", {"x": 1}, place="here") is first
    clock[0] += 0.2
    assert kept.get("a", {"x": 1}, place="here") is not first


def test_reading_a_definition_again_keeps_the_backend_if_nothing_changed(
    kept, clock, built
):
    first = kept.get("a", {"x": 1}, place="here")

    clock[0] += 5

    assert kept.get("a", {"x": 1}, place="here") is first
    assert len(built) == 1


def test_the_backend_not_used_for_longest_goes_first(kept):
    first, second = (kept.get(key, {"x": 1}, place="here") for key in "ab")
    kept.get("a", {"x": 1}, place="here")
    kept.get("c", {"x": 1}, place="here")

    assert kept.get("a", {"x": 1}, place="here") is first
    assert kept.get("b", {"x": 1}, place="here") is not second


def test_what_is_forgotten_is_built_again(kept):
    first = kept.get("a", {"x": 1}, place="here")

    kept.forget()

    assert kept.get("a", {"x": 1}, place="here") is not first


def test_a_failure_is_not_remembered(kept, monkeypatch):
    monkeypatch.setattr(kept, "_build", lambda config, place: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        kept.get("a", {"x": 1}, place="here")
    monkeypatch.setattr(kept, "_build", lambda config, place: "built")

    assert kept.get("a", {"x": 1}, place="here") == "built"


def test_threads_get_the_same_backend(kept, built, monkeypatch):
    def build(config, place):
        sleep(0.01)
        built.append(config)
        return object()

    monkeypatch.setattr(kept, "_build", build)
    with ThreadPoolExecutor(16) as executor:
        found = set(
            executor.map(lambda _: kept.get("a", {"x": 1}, place="here"), range(500))
        )

    assert len(found) == len(built) == 1
