"""Log records say which mirror they are about."""

import asyncio
import logging
from threading import Thread
from types import SimpleNamespace

import pytest

from django_mirrors import bind_mirror, use_mirror
from django_mirrors.log import MirrorFilter
from django_mirrors.registry import MirrorRegistry
from django_mirrors.testing import no_mirror


@pytest.fixture(autouse=True)
def fleet_of_two(settings):
    settings.MIRRORS = {
        name: {
            "HOSTS": [f"{name}.example"],
            "DATABASE": f"sqlite:///{name}.sqlite3",
            "STATE": "active",
        }
        for name in ("books", "films")
    }
    settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "RECORDS": False}


class Lines(logging.Handler):
    """Keeps what a project's formatter makes of each record."""

    def __init__(self):
        super().__init__()
        self.lines = []
        self.setFormatter(logging.Formatter("%(mirror)s: %(message)s"))
        self.addFilter(MirrorFilter())

    def emit(self, record):
        self.lines.append(self.format(record))


@pytest.fixture
def lines():
    handler, logger = Lines(), logging.getLogger("tests.log")
    logger.addHandler(handler)
    yield handler.lines
    logger.removeHandler(handler)


def say(text, **extra):
    logging.getLogger("tests.log").warning(text, extra=extra)


def test_record_has_the_name_of_its_mirror(lines):
    with use_mirror("books"):
        say("one")
        with use_mirror("films"):
            say("two")
        say("three")

    assert lines == ["books: one", "films: two", "books: three"]


def test_record_without_a_mirror_has_a_dash(lines):
    with no_mirror():
        say("one")

    assert lines == ["-: one"]


def test_record_after_an_exception_has_the_outer_mirror(lines):
    with use_mirror("books"):
        with pytest.raises(ValueError, match="oops"), use_mirror("films"):
            raise ValueError("oops")
        say("one")

    assert lines == ["books: one"]


def test_tasks_at_the_same_time_have_their_own_mirrors(lines):
    async def speak(name):
        async with use_mirror(name):
            await asyncio.sleep(0)
            say(f"of {name}")

    async def speak_both():
        await asyncio.gather(speak("books"), speak("films"))

    asyncio.run(speak_both())

    assert sorted(lines) == ["books: of books", "films: of films"]


def test_thread_has_a_mirror_if_it_is_bound(lines):
    with use_mirror("films"):
        threads = [
            Thread(target=say, args=["loose"]),
            Thread(target=bind_mirror(say), args=["bound"]),
        ]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

    assert sorted(lines) == ["-: loose", "films: bound"]


def test_record_about_a_request_that_has_ended_has_its_mirror(lines):
    request = SimpleNamespace(mirror=SimpleNamespace(name="films"))

    with no_mirror():
        say("Not Found", request=request)
        say("Bad Request", request=SimpleNamespace())

    assert lines == ["films: Not Found", "-: Bad Request"]


def test_filter_lets_every_record_through():
    assert MirrorFilter().filter(logging.makeLogRecord({})) is True


def test_filter_does_not_ask_the_registry(lines, monkeypatch):
    def refuse(self):
        raise AssertionError("The registry was asked.")

    with use_mirror("books"):
        monkeypatch.setattr(MirrorRegistry, "get_snapshot", refuse)
        say("one")
        monkeypatch.undo()

    assert lines == ["books: one"]
