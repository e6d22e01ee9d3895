"""What the page of the promises excepts is so: where a promise ends, and no sooner.

A test that fails here tells that a promise has become wider: change the page.
"""

from collections.abc import Callable

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core import signing
from django.test import Client
from django.views.debug import ExceptionReporter

from django_mirrors import mirrors, use_mirror
from tests.isolation.artefacts import KINDS

pytestmark = pytest.mark.django_db
SQLITE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
COPIES: dict[str, Callable[[str], object]] = {
    "+": lambda key: key + "x",
    "slice": lambda key: key[:9],
    "join": lambda key: "".join([key]),
    "bytes": lambda key: bytes(key, "utf-8"),
}


@SQLITE
def test_what_was_loaded_of_an_object_can_be_read_in_another_mirror(fleet):
    with use_mirror("films"):
        user = get_user_model().objects.create_superuser("ann", "ann@x.example", "x")

    with use_mirror("books"):
        assert user.is_superuser
        assert user.username == "ann"


@SQLITE
def test_debug_page_shows_the_settings_of_the_project_with_all_mirrors(fleet, settings):
    settings.DEBUG = True

    assert "fr.films.example" in report(text="a note")


def report(**variables: str) -> str:
    """Return the page about an error in a frame that has variables."""
    text, password = variables.get("text"), variables.get("password")
    try:
        raise RuntimeError(len(text or password or ""))
    except RuntimeError as error:
        reporter = ExceptionReporter(None, type(error), error, error.__traceback__)
        return reporter.get_traceback_html()


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
@SQLITE
def test_characters_of_the_key_that_are_copied_are_the_projects(fleet, copy):
    copied = []
    for name in ("books", "films"):
        with use_mirror(name):
            copied.append(copy(django_settings.SECRET_KEY))

    assert copied[0] == copied[1]


@SQLITE
def test_original_accepts_csrf_secrets_of_mirrors_once_their_key_is_dropped(
    fleet, settings
):
    settings.SECRET_KEY = "first"
    with use_mirror("books"):
        secret = KINDS["CSRF secret"].make()
    settings.SECRET_KEY = "second"

    with use_mirror("films"):
        assert not KINDS["CSRF secret"].believe(secret)
    with use_mirror("original"):
        assert KINDS["CSRF secret"].believe(secret)


def test_mirror_that_is_declared_again_accepts_what_its_predecessor_signed(settings):
    declared = {"books": {"HOSTS": ["books.example"], "STATE": "active"}}
    settings.MIRRORS = declared
    with use_mirror("books"):
        signed = signing.dumps("value")
    settings.MIRRORS = {}
    assert "books" not in mirrors

    settings.MIRRORS = declared

    with use_mirror("books"):
        assert signing.loads(signed) == "value"


def test_variable_is_hidden_by_its_name_and_not_by_what_it_holds():
    assert "hunter2" in report(text="hunter2")
    assert "hunter2" not in report(password="hunter2")


def test_attributes_of_a_mirror_hold_its_definition(settings):
    url = "postgres://app:hunter2@db.example/books"
    settings.MIRRORS = {"books": {"HOSTS": ["books.example"], "DATABASE": url}}

    assert mirrors["books"].database == url


@SQLITE
def test_port_of_a_clients_choice_is_a_page_of_its_own_in_the_cache(fleet, settings):
    settings.ROOT_URLCONF = "tests.isolation.cached_urls"

    shown = {
        Client().get("/page/", headers={"host": f"books.example{port}"}).text
        for port in ("", ":81", ":82")
    }

    assert len(shown) == 3
