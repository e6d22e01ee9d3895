"""`mirror_databases()` keeps the project's databases, and adds one for each mirror."""

from copy import deepcopy

import pytest
from django.conf import settings as django_settings
from django.db import connections
from django.db.utils import ConnectionHandler

from django_mirrors.db import mirror_databases
from django_mirrors.db.connections import MirrorConnectionHandler
from django_mirrors.exceptions import InvalidMirror

SQLITE = "django.db.backends.sqlite3"


def test_databases_need_a_default():
    with pytest.raises(InvalidMirror) as caught:
        mirror_databases({"analytics": {"ENGINE": SQLITE}})

    assert str(caught.value) == (
        "mirror_databases() got no 'default'. Add the original's database to it."
    )


def test_alias_original_is_taken():
    with pytest.raises(InvalidMirror, match="got the alias 'original'"):
        mirror_databases(
            {"default": {"ENGINE": SQLITE}, "original": {"ENGINE": SQLITE}}
        )


def test_given_dictionary_is_not_changed():
    given = {"default": {"ENGINE": SQLITE, "NAME": "x"}}

    mirror_databases(given)

    assert given == {"default": {"ENGINE": SQLITE, "NAME": "x"}}


def test_sqlite_gets_what_several_processes_need():
    options = mirror_databases({"default": {"ENGINE": SQLITE}})["default"]["OPTIONS"]

    assert "journal_mode=WAL" in options["init_command"]
    assert options["transaction_mode"] == "IMMEDIATE"


def test_options_of_the_project_win():
    config = {"ENGINE": SQLITE, "OPTIONS": {"transaction_mode": "DEFERRED"}}

    databases = mirror_databases({"default": config})

    assert databases["default"]["OPTIONS"]["transaction_mode"] == "DEFERRED"


def test_plain_dictionary_in_place_of_it_says_so():
    handler = MirrorConnectionHandler({"default": {"ENGINE": SQLITE}})

    with pytest.raises(InvalidMirror, match="DATABASES is not what mirror_databases"):
        handler.settings


def test_django_keeps_the_very_object():
    assert connections.settings is django_settings.DATABASES
    assert not isinstance(ConnectionHandler({}), MirrorConnectionHandler)


@pytest.mark.django_db
def test_alias_has_one_dictionary(fleet):
    databases = connections.settings

    assert databases["books"] is databases["books"]
    assert databases["films-fr"] is databases["films"]
    assert databases["original"] is databases["default"]


@pytest.mark.django_db
def test_iterating_shows_no_mirror(fleet):
    databases = connections.settings

    assert list(databases) == ["default", "analytics"]
    assert [alias for alias, _ in databases.items()] == ["default", "analytics"]
    assert len(databases.values()) == 2
    assert {"books", "original", "films-fr"} <= {
        alias
        for alias in ("books", "original", "films-fr", "music")
        if alias in databases
    }
    assert "music" not in databases


@pytest.mark.django_db
def test_unknown_alias_is_a_key_error(fleet):
    with pytest.raises(KeyError):
        connections.settings["music"]


@pytest.mark.django_db
def test_mirror_takes_over_what_the_original_says(fleet, settings, monkeypatch):
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 60)
    settings.MIRRORS = {
        "music": {"HOSTS": ["music.example"], "DATABASE": "postgres://app@db/music"},
        "radio": {
            "HOSTS": ["radio.example"],
            "DATABASE": {"ENGINE": SQLITE, "NAME": "radio", "CONN_MAX_AGE": 5},
        },
    }
    databases = connections.settings

    assert databases["music"]["CONN_MAX_AGE"] == 60
    assert databases["music"]["OPTIONS"]["connect_timeout"] == 2
    assert databases["music"]["ATOMIC_REQUESTS"] is False
    assert databases["radio"]["CONN_MAX_AGE"] == 5


@pytest.mark.django_db
def test_databases_can_be_copied(fleet, settings):
    settings.MIRRORS = {
        "radio": {
            "HOSTS": ["radio.example"],
            "DATABASE": {"ENGINE": SQLITE, "NAME": "r"},
        }
    }
    assert connections.settings["radio"]["NAME"].endswith("/r")

    copied = deepcopy(connections.settings)

    assert copied["default"] == connections.settings["default"]
    assert dict(connections.settings).keys() == {"default", "analytics"}
