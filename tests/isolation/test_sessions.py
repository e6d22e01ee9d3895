"""A session of one mirror is a stranger's at another, in every engine."""

from importlib import import_module
from itertools import product

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.test import Client

from django_mirrors import use_mirror

pytestmark = pytest.mark.django_db

ENGINES = ("db", "cache", "cached_db", "file", "signed_cookies")
# Where the session is replayed: a mirror of its own, or one on the same database.
OTHERS = {"isolated": "books.example", "shared database": "fr.films.example"}
VISITORS = ("cloned user", "user of another password", "anonymous")
HOME = "films.example"
PASSWORD = "a password"


@pytest.fixture
def use_engine(fleet, settings, tmp_path, monkeypatch):
    """Return a function that chooses the engine of sessions."""
    files = import_module("django.contrib.sessions.backends.file").SessionStore
    monkeypatch.setattr(files, "_storage_path", str(tmp_path), raising=False)

    def use_engine(name: str) -> None:
        settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{name}"

    return use_engine


def make_users(*, password: str) -> None:
    """Let `ann` have the key 1 in all mirrors, and the same hash where it is equal."""
    hashes = {text: make_password(text, salt="salt") for text in (PASSWORD, password)}
    for mirror, text in (("films", PASSWORD), ("books", password)):
        with use_mirror(mirror):
            get_user_model().objects.update_or_create(
                pk=1,
                defaults={
                    "username": "ann",
                    "password": hashes[text],
                    "is_staff": True,
                    "is_superuser": True,
                },
            )


def begin(host: str, *, visitor: str) -> Client:
    """Return a browser with a session at `host`."""
    client = Client()
    client.get("/visit/", HTTP_HOST=host)
    if visitor != "anonymous":
        response = client.post(
            "/admin/login/", {"username": "ann", "password": PASSWORD}, HTTP_HOST=host
        )
        assert response.status_code == 302
    return client


def steal(client: Client) -> Client:
    """Return a browser that has the cookie of another one, for every host."""
    thief = Client()
    thief.cookies["sessionid"] = client.cookies["sessionid"].value
    return thief


def is_logged_in(client: Client, host: str) -> bool:
    return client.get("/admin/", HTTP_HOST=host).status_code == 200


def count_visits(client: Client, host: str) -> int:
    return client.get("/visit/", HTTP_HOST=host).json()["visits"]


def replay(place: str, visitor: str) -> tuple[bool, bool]:
    """Return whether a foreign session was accepted, and if it was harmed at home."""
    make_users(password="other" if visitor == VISITORS[1] else PASSWORD)
    owner, other = begin(HOME, visitor=visitor), OTHERS[place]
    accepted = (
        is_logged_in(steal(owner), other) or count_visits(steal(owner), other) > 1
    )
    steal(owner).post("/admin/logout/", HTTP_HOST=other)
    has_visits = count_visits(owner, HOME) == 2
    is_in = is_logged_in(owner, HOME) == (visitor != "anonymous")
    return accepted, not (has_visits and is_in)


def test_no_session_is_accepted_or_harmed_at_another_mirror(use_engine, report_figure):
    outcomes = {}
    for engine, place, visitor in product(ENGINES, OTHERS, VISITORS):
        use_engine(engine)
        outcomes[engine, place, visitor] = replay(place, visitor)

    accepted = [cell for cell, (was, _) in outcomes.items() if was]
    harmed = [cell for cell, (_, was) in outcomes.items() if was]
    assert (len(outcomes), accepted, harmed) == (30, [], [])
    report_figure(
        "sessions replayed",
        f"{len(outcomes)} cells: accepted {len(accepted)}, harmed {len(harmed)}",
    )


@pytest.mark.parametrize("visitor", VISITORS)
@pytest.mark.parametrize("kind", ENGINES)
def test_mirrors_that_share_all_but_sessions_share_no_session(
    use_engine, settings, kind, visitor
):
    use_engine(kind)
    settings.MIRRORS = {
        **settings.MIRRORS,
        "films-fr": {
            "HOSTS": ["fr.films.example"],
            "SHARES": {"DATABASE": "films", "STORAGE": "films", "CACHE": "films"},
            "STATE": "active",
        },
    }

    assert replay("shared database", visitor) == (False, False)


@pytest.mark.parametrize("place", OTHERS)
@pytest.mark.parametrize("kind", ENGINES)
def test_session_of_another_mirror_is_no_fixation(use_engine, kind, place):
    use_engine(kind)
    make_users(password=PASSWORD)
    stolen = steal(begin(HOME, visitor="anonymous"))
    planted = stolen.cookies["sessionid"].value

    stolen.post(
        "/admin/login/",
        {"username": "ann", "password": PASSWORD},
        HTTP_HOST=OTHERS[place],
    )

    assert is_logged_in(stolen, OTHERS[place])
    assert stolen.cookies["sessionid"].value != planted


@pytest.mark.parametrize("kind", ENGINES)
def test_login_changes_the_session_of_the_same_mirror(use_engine, kind):
    use_engine(kind)
    make_users(password=PASSWORD)
    client = begin(HOME, visitor="anonymous")
    before = client.cookies["sessionid"].value

    client.post(
        "/admin/login/", {"username": "ann", "password": PASSWORD}, HTTP_HOST=HOME
    )

    assert client.cookies["sessionid"].value != before
    assert is_logged_in(client, HOME)
    assert not is_logged_in(steal_value(before), HOME)


def steal_value(value: str) -> Client:
    thief = Client()
    thief.cookies["sessionid"] = value
    return thief


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("place", OTHERS)
@pytest.mark.parametrize("kind", ENGINES)
def test_tossed_cookie_beside_the_own_one_gives_nobody_elses_session(
    use_engine, kind, place, is_first
):
    use_engine(kind)
    make_users(password=PASSWORD)
    foreign = begin(HOME, visitor="cloned user").cookies["sessionid"].value
    own = begin(OTHERS[place], visitor="anonymous").cookies["sessionid"].value
    both = [foreign, own] if is_first else [own, foreign]
    header = "; ".join(f"sessionid={value}" for value in both)

    admin = Client().get("/admin/", HTTP_HOST=OTHERS[place], HTTP_COOKIE=header)
    visit = Client().get("/visit/", HTTP_HOST=OTHERS[place], HTTP_COOKIE=header)

    assert admin.status_code == 302
    # Django takes the last one: the own session goes on, a foreign one begins anew.
    assert visit.json() == {"visits": 2 if is_first else 1}
