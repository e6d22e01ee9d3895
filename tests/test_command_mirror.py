"""The mirror of a process that runs a management command."""

import logging
from concurrent.futures import ThreadPoolExecutor
from threading import Thread, current_thread

import pytest
from django.conf import settings as django_settings

from django_mirrors import context, find_current_mirror, mirrors, use_mirror
from django_mirrors.context import (
    find_current_name,
    is_entered,
    suspend_mirror,
    use_command_mirror,
)
from django_mirrors.exceptions import UnknownMirror
from django_mirrors.log import MirrorFilter
from django_mirrors.registry.loader import Loader


@pytest.fixture(autouse=True)
def fleet(settings, monkeypatch):
    """Let this thread run a command in `books`."""
    settings.MIRRORS = {
        "books": {
            "HOSTS": ["books.example"],
            "SETTINGS": {"TIME_ZONE": "Asia/Tokyo", "SHOP": "Books"},
        },
        "films": {"HOSTS": ["films.example"], "SHARES": {"DATABASE": "books"}},
    }
    settings.MIRRORS_OPTIONS = {"RECORDS": False}
    monkeypatch.setattr(context, "_command", None)
    use_command_mirror("books")
    return settings


def ask_thread(question, *, name=None):
    answers = []
    thread = Thread(target=lambda: answers.append(question()), name=name)
    thread.start()
    thread.join()
    return answers[0]


def test_a_command_has_its_mirror_in_its_thread():
    assert find_current_mirror() is mirrors["books"]
    assert find_current_name() == "books"


def test_other_threads_have_no_mirror():
    assert ask_thread(find_current_mirror) is None
    assert ask_thread(find_current_name) is None
    with ThreadPoolExecutor(1) as executor:
        assert executor.submit(find_current_mirror).result() is None


def test_the_checks_of_runserver_have_the_mirror_of_the_command():
    name = "django-main-thread"

    assert ask_thread(find_current_mirror, name=name) is mirrors["books"]
    assert ask_thread(find_current_name, name=name) == "books"
    assert current_thread().name != name


def test_a_block_counts_more_than_the_command():
    with use_mirror("films"):
        assert find_current_name() == "films"
        assert is_entered("books")
    with suspend_mirror():
        assert find_current_mirror() is find_current_name() is None
        assert not is_entered("books")

    assert find_current_name() == "books"


def test_a_block_of_another_mirror_is_found_from_inside():
    with use_mirror("films"), suspend_mirror(), use_mirror("original"):
        assert is_entered("books")
        assert is_entered("original")
        assert not is_entered("films")


def test_a_command_may_act_in_the_original():
    use_command_mirror("original")

    assert find_current_mirror() is mirrors.original


def test_a_command_in_a_mirror_that_does_not_exist_has_none():
    use_command_mirror("nobody")

    with pytest.raises(UnknownMirror):
        find_current_mirror()
    assert find_current_name() == "nobody"


def test_settings_are_those_of_the_commands_mirror():
    assert django_settings.SHOP == "Books"
    assert django_settings.TIME_ZONE == "Asia/Tokyo"


def test_settings_of_a_mirror_that_does_not_exist_are_the_projects():
    use_command_mirror("nobody")

    assert django_settings.TIME_ZONE == "America/Chicago"


def test_settings_are_the_projects_while_the_fleet_is_read(monkeypatch):
    seen = []
    load = Loader.load

    def note(self, **options):
        seen.append(django_settings.TIME_ZONE)
        return load(self, **options)

    monkeypatch.setattr(Loader, "load", note)
    mirrors.forget()

    assert django_settings.SHOP == "Books"
    assert seen == ["America/Chicago"]


def test_a_log_record_does_not_ask_the_registry(monkeypatch):
    def fail(self):
        raise AssertionError("The registry was asked.")

    mirrors.forget()
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "x", (), None)
    with monkeypatch.context() as patch:
        patch.setattr(Loader, "load", fail)

        assert MirrorFilter().filter(record)

    assert record.mirror == "books"
