"""A form's cookie and token of one mirror do not open another, under its own origin."""

import re

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db

LOGIN = "/admin/login/"
HOSTS = ("books.example", "films.example", "fr.films.example", "original.example")
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')


def open_form(host: str, *, client: Client | None = None) -> tuple[str, str]:
    """Return the cookie and the token that a visitor of `host` gets."""
    client = client or Client()
    page = client.get(LOGIN, HTTP_HOST=host).content.decode()
    [token] = TOKEN.findall(page)
    return client.cookies["csrftoken"].value, token


def send_form(host: str, pair: tuple[str, str], *, in_header: bool) -> int:
    """Return the status with which `host` answers a form that was sent from itself."""
    cookie, token = pair
    client = Client(enforce_csrf_checks=True)
    client.cookies["csrftoken"] = cookie
    fields = {"username": "nobody", "password": "wrong"}
    headers = {"HTTP_ORIGIN": f"http://{host}", "HTTP_HOST": host}
    if in_header:
        headers["HTTP_X_CSRFTOKEN"] = token
    else:
        fields["csrfmiddlewaretoken"] = token
    return client.post(LOGIN, fields, **headers).status_code


@pytest.mark.parametrize("in_header", [True, False])
@pytest.mark.parametrize("home", HOSTS)
def test_pair_of_cookie_and_token_is_accepted_at_home_only(fleet, home, in_header):
    pair = open_form(home)

    answers = {host: send_form(host, pair, in_header=in_header) for host in HOSTS}

    # A wrong password shows the form again.
    assert answers == {host: 200 if host == home else 403 for host in HOSTS}


@pytest.mark.parametrize("home", HOSTS)
def test_cookie_as_its_own_token_is_accepted_at_home_only(fleet, home):
    cookie, _ = open_form(home)

    answers = {
        host: send_form(host, (cookie, cookie), in_header=True) for host in HOSTS
    }

    assert answers == {host: 200 if host == home else 403 for host in HOSTS}


def test_visitor_with_a_tossed_cookie_gets_one_that_works(fleet):
    client = Client()
    client.cookies["csrftoken"], _ = open_form("films.example")
    tossed = client.cookies["csrftoken"].value

    pair = open_form("books.example", client=client)

    assert pair[0] != tossed
    assert send_form("books.example", pair, in_header=False) == 200


@pytest.mark.parametrize("home", HOSTS)
def test_secret_that_sessions_keep_is_accepted_at_home_only(fleet, settings, home):
    settings.CSRF_USE_SESSIONS = True
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    visitor = Client()
    [token] = TOKEN.findall(visitor.get(LOGIN, HTTP_HOST=home).content.decode())

    answers = {}
    for host in HOSTS:
        client = Client(enforce_csrf_checks=True)
        client.cookies["sessionid"] = visitor.cookies["sessionid"].value
        fields = {"username": "nobody", "csrfmiddlewaretoken": token}
        answers[host] = client.post(LOGIN, fields, HTTP_HOST=host).status_code

    assert answers == {host: 200 if host == home else 403 for host in HOSTS}


def test_cookies_of_one_host_are_sent_as_browsers_demand(fleet, settings):
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    settings.SESSION_COOKIE_NAME = "__Host-sessionid"
    settings.CSRF_COOKIE_NAME = "__Host-csrftoken"
    client = Client()
    client.get("/visit/", HTTP_HOST="books.example", secure=True)
    client.get(LOGIN, HTTP_HOST="books.example", secure=True)

    sent = {
        name: (cookie["secure"], cookie["path"], cookie["domain"])
        for name, cookie in client.cookies.items()
    }

    assert sent == {
        "__Host-sessionid": (True, "/", ""),
        "__Host-csrftoken": (True, "/", ""),
    }
