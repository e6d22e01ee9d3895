"""What an error page shows of the fleet's settings."""

import html
from pathlib import Path
from time import monotonic

import pytest
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

from django_mirrors.apps import DjangoMirrorsConfig
from django_mirrors.dsn import build_database
from django_mirrors.exceptions import InvalidMirror


def test_error_report_hides_the_passwords_of_mirrors(settings):
    settings.MIRRORS = {
        "books": {
            "HOSTS": ["books.example"],
            "DATABASE": "postgres://app:hunter2@db/books",
            "STORAGE": "s3://key:hunter2@bucket/books/",
        }
    }

    shown = SafeExceptionReporterFilter().get_safe_settings()["MIRRORS"]

    assert "hunter2" not in repr(shown)
    assert shown["books"]["HOSTS"] == ["books.example"]


def test_variable_in_the_defaults_is_left_for_the_environment(settings):
    from django_mirrors.mirror import build_uid, fill_defaults

    filled = fill_defaults(
        "books",
        {},
        {"DATABASE": "postgres://${name}:${PASSWORD}@db/{name}"},
        uid=build_uid("books"),
    )

    assert filled["DATABASE"] == "postgres://${name}:${PASSWORD}@db/books"


def fail_with(**variables):
    """Return what the page of an error shows of its frames, as text."""
    try:
        raise ValueError(*variables)
    except ValueError as error:
        frames = ExceptionReporter(
            None, type(error), error, error.__traceback__
        ).get_traceback_frames()
    return html.unescape(str(dict(frames[-1]["vars"])["variables"]))


@pytest.mark.parametrize(
    "value",
    [
        "postgres://app:hunter2@db/books",
        "postgres://app:hun/ter2@db/books",
        "postgres://app:hun@ter2@db/books",
        "host=db password=hunter2 user=app",
        "app:hunter2@db",
        {"PASSWORD": "hunter2"},
        {"OPTIONS": {"secret_key": "hunter2", "access_key": "hunter2"}},
        [{"password": "hunter2"}],
        ("redis://:hunter2@cache/0",),
        {"password": b"hunter2"},
        {"password": "hun'ter2"},
    ],
)
def test_variables_of_a_frame_are_shown_without_secrets(value):
    shown = fail_with(value=value)

    assert "hun" not in shown
    assert "ter2" not in shown


@pytest.mark.parametrize("piece", ["A", ":", "a:", "://", "PASS", "x@", "'"])
def test_long_variable_takes_no_long_time_and_keeps_its_length(piece):
    began = monotonic()
    shown = fail_with(value=piece * (1_000_000 // len(piece)))

    assert monotonic() - began < 5
    assert len(shown) >= 1_000_000  # Django says how much it cuts


def test_variable_that_holds_itself_is_shown():
    value: list[object] = ["Emma"]
    value.append(value)

    assert "Emma" in fail_with(value=value)


def test_variable_with_the_name_of_a_secret_is_hidden():
    try:
        password = "hunter2"
        raise ValueError
    except ValueError as error:
        frames = ExceptionReporter(
            None, type(error), error, error.__traceback__
        ).get_traceback_frames()

    assert password not in str(dict(frames[-1]["vars"])["password"])


def test_other_variables_of_a_frame_are_shown_as_django_does():
    assert fail_with(title="books", count=3) == "{'count': 3, 'title': 'books'}"


def test_frames_of_drivers_show_no_variables():
    try:
        build_database("nosuch://hunter2", directory=Path(), place="DATABASE")
    except InvalidMirror as error:
        frames = ExceptionReporter(
            None, type(error), error, error.__traceback__
        ).get_traceback_frames()

    assert {str(text) for _, text in frames[-1]["vars"]} == {"*" * 20}


def test_app_that_is_made_ready_twice_redacts_once():
    before = SafeExceptionReporterFilter.cleanse_setting

    DjangoMirrorsConfig.create("django_mirrors").ready()

    assert SafeExceptionReporterFilter.cleanse_setting is before
