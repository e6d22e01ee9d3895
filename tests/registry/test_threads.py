"""The registry in threads, in forked processes and on event loops."""

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread, get_ident

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from django_mirrors import _compat, mirrors, registry
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.middleware import MirrorMiddleware
from django_mirrors.registry.loader import Loader

SECONDS = 5


@pytest.fixture(autouse=True)
def fleet(settings, tmp_path):
    """`books` is declared, and files are followed: nothing asks a database."""
    (tmp_path / "mirrors").mkdir()
    settings.MIRRORS = {"books": {"HOSTS": ["books.example"], "STATE": "active"}}
    settings.MIRRORS_OPTIONS = {
        "ORIGINAL": {"HOSTS": ["original.example"]},
        "RECORDS": False,
        "FILES": tmp_path / "mirrors",
        "SNAPSHOT": None,
        "POLL_SECONDS": 0.02,
    }
    yield settings
    mirrors.forget()


@pytest.fixture
def add(tmp_path):
    """Return a function that declares one more mirror, in a file."""

    def add(name):
        path = tmp_path / "mirrors" / f"{name}.toml"
        path.write_text(f'HOSTS = ["{name}.example"]\n')

    return add


@pytest.fixture
def serving(monkeypatch):
    """Let the registry watch, which it does not in tests."""
    monkeypatch.setattr(_compat, "is_test_environment", lambda: False)


@pytest.fixture
def looks(monkeypatch):
    """The threads that looked for changes."""
    seen = []
    refresh = Loader.refresh

    def note(self):
        seen.append(registry.get_ident())
        time.sleep(0.02)
        return refresh(self)

    monkeypatch.setattr(Loader, "refresh", note)
    return seen


def wait_for(question):
    end = time.monotonic() + SECONDS
    while not question():
        assert time.monotonic() < end
        time.sleep(0.005)


# Threads


def test_a_test_process_is_not_watched():
    mirrors.watch()

    assert not mirrors.is_watching


def test_a_thread_follows_changes(serving, add):
    mirrors.watch()
    assert mirrors.is_watching
    before = mirrors.get_snapshot()

    add("films")
    wait_for(lambda: "films" in mirrors)

    assert mirrors.get_snapshot() is not before
    assert mirrors.get_snapshot() is mirrors.get_snapshot()


def test_one_thread_is_enough(serving, monkeypatch):
    asked, started = [], []
    monkeypatch.setattr(
        registry._compat, "is_test_environment", lambda: bool(asked.append(True))
    )
    start = Thread.start
    monkeypatch.setattr(
        registry.Thread, "start", lambda self: started.append(self.name) or start(self)
    )

    with ThreadPoolExecutor(8) as executor:
        with mirrors._starting:
            calls = [executor.submit(mirrors.watch) for _ in range(8)]
            wait_for(lambda: len(asked) >= 8)  # all found that nobody watches yet
        for call in calls:
            call.result()

    assert started.count("django_mirrors") == 1


def test_what_is_wrong_at_the_start_is_raised_where_it_started(serving, fleet):
    fleet.MIRRORS = {"books": {}}

    with pytest.raises(InvalidMirror, match="has no hosts"):
        mirrors.watch()

    assert not mirrors.is_watching


def test_the_thread_outlives_what_a_source_throws(serving, monkeypatch, caplog):
    mirrors.watch()
    failed = Event()

    def fail(self):
        failed.set()
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(Loader, "refresh", fail)
        assert failed.wait(SECONDS)
    looked = mirrors._looked
    wait_for(lambda: mirrors._looked > looked)

    assert "Looking for changes of the fleet failed." in caplog.text


def test_a_database_that_hangs_does_not_hold_up_the_start(serving, monkeypatch, add):
    monkeypatch.setattr(registry, "_START_SECONDS", 0.05)
    released = Event()
    load = Loader.load

    def hang(self, *, ask=True):
        if ask:
            released.wait(SECONDS)
        return load(self, ask=ask)

    monkeypatch.setattr(Loader, "load", hang)
    began = time.monotonic()
    mirrors.watch()
    first = list(mirrors)
    seconds = time.monotonic() - began
    add("films")
    released.set()
    wait_for(lambda: "films" in mirrors)

    assert first == ["books"]
    assert seconds < SECONDS / 2


def test_what_only_the_database_shows_to_be_wrong_is_raised(serving, monkeypatch):
    load = Loader.load

    def fail(self, *, ask=True):
        if ask:
            raise InvalidMirror("A record is wrong.")
        return load(self, ask=ask)

    monkeypatch.setattr(Loader, "load", fail)

    with pytest.raises(InvalidMirror, match="A record is wrong"):
        mirrors.watch()
    assert not mirrors.is_watching


def test_a_process_that_is_not_watched_looks_once_in_a_while(add, looks):
    assert list(mirrors) == ["books"]
    add("films")
    time.sleep(0.05)

    assert list(mirrors) == ["books", "films"]
    assert looks


def test_threads_that_ask_at_once_look_once(fleet, looks):
    fleet.MIRRORS_OPTIONS = {**fleet.MIRRORS_OPTIONS, "POLL_SECONDS": 60}
    mirrors.get_snapshot()
    mirrors._looked = 0.0

    with ThreadPoolExecutor(8) as executor:
        list(executor.map(lambda _: mirrors.get_snapshot(), range(32)))

    assert len(looks) == 1


def test_a_reload_looks_at_once(add, looks):
    mirrors.get_snapshot()
    add("films")

    mirrors.reload()

    assert "films" in mirrors


def test_the_thread_that_reads_is_known(monkeypatch):
    answers = []
    refresh = Loader.refresh

    def note(self):
        answers.append(mirrors.is_reading)
        with ThreadPoolExecutor(1) as executor:
            answers.append(executor.submit(lambda: mirrors.is_reading).result())
        return refresh(self)

    mirrors.get_snapshot()
    monkeypatch.setattr(Loader, "refresh", note)
    mirrors.reload()

    assert answers == [True, False]
    assert not mirrors.is_reading


# Forks


def fork(function):
    """Run a function in a forked child; return whether it returned."""
    child = os.fork()
    if child == 0:
        try:
            function()
        except BaseException:  # noqa: BLE001 - the parent is told by the exit code
            os._exit(1)
        os._exit(0)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return False


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_follows_changes_itself(serving, add):
    mirrors.watch()

    def live():
        assert not mirrors.is_watching
        assert list(mirrors) == ["books"]
        mirrors.watch()
        assert mirrors.is_watching
        add("films")
        wait_for(lambda: "films" in mirrors)

    assert fork(live)
    assert mirrors.is_watching


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_waits_for_a_look_to_end(monkeypatch):
    inside, ended = Event(), []
    mirrors.get_snapshot()

    def look(self):
        inside.set()
        time.sleep(0.2)
        ended.append(time.monotonic())

    monkeypatch.setattr(Loader, "refresh", look)
    thread = Thread(target=mirrors.reload)
    thread.start()
    inside.wait(SECONDS)

    def check():
        assert ended
        mirrors.reload()

    forked = fork(check)
    thread.join()

    assert forked


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_does_not_wait_for_a_look_that_hangs(monkeypatch):
    monkeypatch.setattr(registry, "_FORK_SECONDS", 0.1)
    inside, released = Event(), Event()
    mirrors.get_snapshot()
    mirrors.reload()

    def hang(self):
        inside.set()
        released.wait(SECONDS)

    with monkeypatch.context() as patch:
        patch.setattr(Loader, "refresh", hang)
        thread = Thread(target=mirrors.reload)
        thread.start()
        inside.wait(SECONDS)
    began = time.monotonic()
    forked = [fork(mirrors.reload) for _ in range(3)]
    seconds = time.monotonic() - began
    released.set()
    thread.join()

    assert forked == [True] * 3
    assert seconds < SECONDS
    assert fork(mirrors.reload)


# Event loops


def test_a_fleet_is_read_for_an_event_loop():
    mirrors.forget()

    async def ask():
        return list(mirrors)

    assert asyncio.run(ask()) == ["books"]


def test_an_event_loop_does_not_wait_for_news(add, looks):
    mirrors.get_snapshot()

    async def ask():
        add("films")
        time.sleep(0.05)
        before = list(mirrors)
        mirrors.reload()
        return before, list(mirrors)

    before, after = asyncio.run(ask())

    assert before == ["books"]
    assert after == ["books", "films"]
    assert registry.get_ident() not in looks


# Hosts of the original


def test_allowed_hosts_of_a_server_are_not_the_originals_if_it_has_hosts(
    serving, settings
):
    settings.ALLOWED_HOSTS = ["testserver", "other.example"]

    assert mirrors.find_for_host("original.example") is mirrors.original
    assert mirrors.find_for_host("testserver") is None
    assert mirrors.find_for_host("other.example") is None


def test_requests_of_a_server_are_answered_from_what_its_thread_knows(serving, looks):
    mirrors.watch()
    middleware = MirrorMiddleware(lambda request: HttpResponse(str(request.mirror)))
    request = RequestFactory().get("/", headers={"host": "books.example"})

    response = middleware(request)

    assert response.content == b"books"
    assert get_ident() not in looks


# A mapping


def test_the_registry_is_a_mapping_of_one_moment():
    assert repr(mirrors) == "<MirrorRegistry of 1 mirror>"
    assert len(mirrors) == 1
    assert dict(mirrors.items()) == {"books": mirrors["books"]}
    assert list(mirrors.values()) == [mirrors["books"]]
    assert mirrors.get("nobody") is None
    assert 7 not in mirrors
