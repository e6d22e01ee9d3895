"""`mirror_databases()` keeps the project's databases, and adds one for each mirror."""

from copy import deepcopy

import pytest
from django.conf import settings as django_settings
from django.db import connections
from django.db.utils import ConnectionHandler

from django_mirrors import mirrors
from django_mirrors.db import mirror_databases
from django_mirrors.db.connections import MirrorConnectionHandler
from django_mirrors.db.settings import forget_changed_databases
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


def make_radio(database):
    return {"radio": {"HOSTS": ["radio.example"], "DATABASE": database}}


@pytest.mark.django_db
def test_definition_that_changed_is_used_before_anybody_was_told(settings, monkeypatch):
    settings.MIRRORS = make_radio("sqlite:///old")
    databases = connections.settings
    assert databases["radio"]["NAME"].endswith("/old")
    monkeypatch.setattr(databases, "forget_changed", lambda names: None)
    generation = databases.generation

    settings.MIRRORS = make_radio("sqlite:///new")

    assert databases["radio"]["NAME"].endswith("/new")
    assert databases.generation > generation


@pytest.mark.django_db
def test_what_a_definition_refers_to_is_read_again(settings, monkeypatch):
    monkeypatch.setenv("RADIO", "old")
    settings.MIRRORS = make_radio("sqlite:///${RADIO}")
    databases = connections.settings
    kept = databases["radio"]

    monkeypatch.setenv("RADIO", "new")

    assert databases.read_again("radio")
    assert databases["radio"] is kept
    assert kept["NAME"].endswith("/new")
    assert not databases.read_again("radio")


@pytest.mark.django_db
@pytest.mark.parametrize("alias", ["original", "films", "gone"])
def test_nothing_is_read_again_that_was_not_read(fleet, alias):
    assert not connections.settings.read_again(alias)


def test_change_of_the_fleet_harms_no_project_with_plain_databases(monkeypatch):
    plain = {"default": {"ENGINE": SQLITE}}
    monkeypatch.setitem(vars(connections), "settings", plain)

    forget_changed_databases(mirrors=["books"])

    assert plain == {"default": {"ENGINE": SQLITE}}


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


def build_options(settings, query):
    url = f"postgres://app@db.example/music{query}"
    settings.MIRRORS = {"music": {"HOSTS": ["music.example"], "DATABASE": url}}
    return connections.settings["music"]["OPTIONS"]


def test_server_that_is_gone_is_given_up(db, settings):
    options = build_options(settings, "")

    assert options["tcp_user_timeout"] == 10_000
    assert options["keepalives_idle"] == 5


def test_definition_says_otherwise_when_a_server_is_given_up(db, settings):
    options = build_options(settings, "?tcp_user_timeout=60000")

    assert options["tcp_user_timeout"] == 60_000


@pytest.mark.parametrize(
    ("pool", "timeout"), [(True, 2), ({"max_size": 3}, 2), ({"timeout": 9}, 9)]
)
def test_nobody_waits_long_for_the_pool_of_django(db, settings, pool, timeout):
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "music",
        "OPTIONS": {"pool": pool},
    }
    settings.MIRRORS = {"music": {"HOSTS": ["music.example"], "DATABASE": database}}

    assert connections.settings["music"]["OPTIONS"]["pool"]["timeout"] == timeout


def test_schema_in_what_turns_out_to_be_no_postgresql_is_refused(settings, tmp_path):
    (tmp_path / "secret").write_text("sqlite:///books.sqlite3")
    settings.MIRRORS = {
        "books": {
            "HOSTS": ["books.example"],
            "DATABASE": f"file:{tmp_path}/secret",
            "SCHEMA": "books",
        }
    }

    with pytest.raises(InvalidMirror, match="is not of PostgreSQL"):
        connections.settings.build_config(mirrors["books"])
