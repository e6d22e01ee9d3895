"""A session belongs to the mirror that began it, whatever the engine."""

from datetime import timedelta
from importlib import import_module

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.utils import timezone

from django_mirrors import _compat_sessions, use_mirror, use_original
from django_mirrors.exceptions import NoCurrentMirror
from django_mirrors.testing import no_mirror

pytestmark = pytest.mark.django_db

ENGINES = ("db", "cached_db", "cache", "file", "signed_cookies")


@pytest.fixture(params=ENGINES)
def store(request, fleet, settings, tmp_path):
    """Return the class of an engine."""
    settings.SESSION_FILE_PATH = str(tmp_path)
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"
    import_module(
        "django.contrib.sessions.backends.file"
    ).SessionStore._storage_path = str(tmp_path)
    return import_module(settings.SESSION_ENGINE).SessionStore


def begin(store) -> str:
    session = store()
    session["cart"] = "Emma"
    session.save()
    return session.session_key


def test_session_is_found_where_it_was_begun(store):
    with use_mirror("films"):
        key = begin(store)

        assert store(key)["cart"] == "Emma"


@pytest.mark.parametrize("other", ["books", "films-fr", "original"])
def test_session_is_not_accepted_elsewhere(store, other):
    with use_mirror("films"):
        key = begin(store)

    with use_mirror(other):
        session = store(key)
        assert "cart" not in session
        session["cart"] = "Another"
        session.save()
        assert session.session_key != key

    with use_mirror("films"):
        assert store(key)["cart"] == "Emma"


@pytest.mark.parametrize("other", ["books", "films-fr", "original"])
def test_flush_elsewhere_leaves_the_session_alone(store, other):
    with use_mirror("films"):
        key = begin(store)

    with use_mirror(other):
        store(key).flush()

    with use_mirror("films"):
        assert store(key)["cart"] == "Emma"


async def abegin(store) -> str:
    session = store()
    await session.aset("cart", "Emma")
    await session.asave()
    return session.session_key


def test_session_that_was_begun_async_is_bound_too(store):
    with use_mirror("films"):
        key = async_to_sync(abegin)(store)

        assert store(key)["cart"] == "Emma"
    for other in ("books", "films-fr", "original"):
        with use_mirror(other):
            assert "cart" not in store(key)


@pytest.fixture
def twins(monkeypatch):
    """Let the first two keys that are tried be equal."""
    made = iter(["a" * 32, "a" * 32, "b" * 32])
    monkeypatch.setattr(
        _compat_sessions, "get_random_string", lambda length, characters: next(made)
    )


@pytest.mark.parametrize("begin_session", [begin, async_to_sync(abegin)])
def test_key_that_is_taken_is_not_given_again(fleet, twins, begin_session):
    store = import_module("django.contrib.sessions.backends.db").SessionStore
    with use_mirror("films"):
        keys = [begin_session(store), begin_session(store)]

    assert [key[:32] for key in keys] == ["a" * 32, "b" * 32]


def test_engine_with_keys_of_its_own_is_left_alone(fleet):
    class OwnKeys(import_module("django.contrib.sessions.backends.db").SessionStore):
        def _get_new_session_key(self):
            return "key-of-its-own"

    with use_mirror("films"):
        key = begin(OwnKeys)

        assert OwnKeys(key)["cart"] == "Emma"


def test_shared_sessions_are_accepted_by_both(store, settings):
    settings.MIRRORS = {
        **settings.MIRRORS,
        "films-fr": {
            "HOSTS": ["fr.films.example"],
            "SHARES": {"DATABASE": "films", "SESSIONS": "films", "CACHE": "films"},
            "STATE": "active",
        },
    }
    with use_mirror("films"):
        key = begin(store)

    with use_mirror("films-fr"):
        assert store(key)["cart"] == "Emma"


def test_session_from_before_the_mirrors_is_accepted_by_the_original(fleet):
    store = import_module("django.contrib.sessions.backends.db").SessionStore
    key = "abcdefghijklmnopqrstuvwxyz012345"
    with use_original():
        Session.objects.create(
            session_key=key,
            session_data=store().encode({"cart": "Emma"}),
            expire_date=timezone.now() + timedelta(days=1),
        )

        assert store(key)["cart"] == "Emma"
    with use_mirror("books"):
        assert store(key).session_key is None


def test_session_of_no_mirror_is_not_adopted_by_the_first_that_is_asked(fleet):
    store = import_module("django.contrib.sessions.backends.db").SessionStore
    key = "abcdefghijklmnopqrstuvwxyz543210"
    with use_mirror("films"):
        Session.objects.create(
            session_key=key,
            session_data=store().encode({"cart": "Alien"}),
            expire_date=timezone.now() + timedelta(days=1),
        )

        assert "cart" not in store(key)
        assert "cart" not in store(key)
    with use_mirror("books"):
        assert "cart" not in store(key)


def test_login_is_shared_with_the_sessions(fleet, settings):
    settings.MIRRORS = {
        **settings.MIRRORS,
        "films-fr": {
            "HOSTS": ["fr.films.example"],
            "SHARES": {"DATABASE": "films", "SESSIONS": "films"},
            "STATE": "active",
        },
    }
    user = get_user_model()(pk=1, username="ann", password="hash")
    with use_mirror("films"):
        expected = user.get_session_auth_hash()

    with use_mirror("films-fr"):
        assert user.get_session_auth_hash() == expected
    with use_mirror("books"):
        assert user.get_session_auth_hash() != expected


def test_without_a_mirror_there_is_no_session(store):
    with no_mirror(), pytest.raises(NoCurrentMirror):
        begin(store)
