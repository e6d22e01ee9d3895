"""A form of one mirror is not accepted at another, whoever can set its cookies."""

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest, HttpResponse
from django.middleware import csrf
from django.middleware.csrf import CsrfViewMiddleware, get_token, rotate_token
from django.test import RequestFactory
from django.views.decorators.csrf import csrf_protect

from django_mirrors import use_mirror
from django_mirrors.apps import DjangoMirrorsConfig
from django_mirrors.testing import no_mirror

pytestmark = pytest.mark.django_db

OLD = "abcdefghijklmnopqrstuvwxyz012345"  # of a project without mirrors
MIRRORS = ("books", "films", "films-fr", "original")


def make() -> str:
    """Return a new secret of the current mirror."""
    request = RequestFactory().get("/")
    get_token(request)
    return request.META["CSRF_COOKIE"]


def is_accepted(secret: str, *, token: str = "") -> bool:
    """Whether the current mirror takes a form with the secret's cookie and token."""
    request = RequestFactory().post("/", {"csrfmiddlewaretoken": token or secret})
    request.COOKIES["csrftoken"] = secret
    checker = CsrfViewMiddleware(lambda request: HttpResponse())
    checker.process_request(request)
    return checker.process_view(request, lambda request: HttpResponse(), (), {}) is None


@pytest.mark.parametrize("maker", MIRRORS)
@pytest.mark.parametrize("other", MIRRORS)
def test_secret_is_accepted_where_it_was_made_only(fleet, maker, other):
    with use_mirror(maker):
        secret = make()

    with use_mirror(other):
        assert is_accepted(secret) == (maker == other)


@pytest.mark.parametrize("name", MIRRORS)
def test_masked_token_of_an_own_secret_is_accepted(fleet, name):
    with use_mirror(name):
        request = RequestFactory().get("/")
        token = get_token(request)

        assert token != request.META["CSRF_COOKIE"]
        assert is_accepted(request.META["CSRF_COOKIE"], token=token)


@pytest.mark.parametrize("name", MIRRORS)
def test_masked_cookie_of_old_versions_of_django_is_read(fleet, name):
    with use_mirror(name):
        secret = make()

        assert is_accepted(csrf._mask_cipher_secret(secret), token=secret)


def test_secret_from_before_the_mirrors_is_accepted_by_the_original_only(fleet):
    with use_mirror("original"):
        assert is_accepted(OLD)
    with use_mirror("books"):
        assert not is_accepted(OLD)


@pytest.mark.parametrize("name", MIRRORS)
def test_secret_has_the_form_that_django_checks(fleet, name):
    with use_mirror(name):
        secret = make()

    csrf._check_token_format(secret)
    assert len(secret) == csrf.CSRF_SECRET_LENGTH


def test_no_two_secrets_are_equal(fleet):
    with use_mirror("books"):
        assert len({make() for _ in range(1000)}) == 1000


def test_changed_secret_is_refused(fleet):
    with use_mirror("books"):
        secret = make()
        changed = ("b" if secret[0] == "a" else "a") + secret[1:]

        assert not is_accepted(changed)


def test_rotated_secret_is_bound_too(fleet):
    request = RequestFactory().get("/")
    with use_mirror("films"):
        rotate_token(request)

        assert is_accepted(request.META["CSRF_COOKIE"])
    with use_mirror("books"):
        assert not is_accepted(request.META["CSRF_COOKIE"])


def test_foreign_secret_is_replaced_by_an_own_one(fleet):
    with use_mirror("films"):
        foreign = make()
    request = RequestFactory().get("/")
    request.COOKIES["csrftoken"] = foreign

    with use_mirror("books"):
        CsrfViewMiddleware(lambda request: HttpResponse()).process_request(request)
        get_token(request)

        assert request.META["CSRF_COOKIE"] != foreign
        assert is_accepted(request.META["CSRF_COOKIE"])


def test_malformed_secret_is_replaced_by_an_own_one(fleet):
    request = RequestFactory().get("/")
    request.COOKIES["csrftoken"] = "short"

    with use_mirror("books"):
        CsrfViewMiddleware(lambda request: HttpResponse()).process_request(request)

        assert is_accepted(request.META["CSRF_COOKIE"])


def test_secret_stays_valid_when_its_key_becomes_a_fallback(fleet, settings):
    settings.SECRET_KEY = "first"
    with use_mirror("books"):
        secret = make()

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "second", ["first"]

    with use_mirror("books"):
        assert is_accepted(secret)
    for other in ("films", "original"):
        with use_mirror(other):
            assert not is_accepted(secret)


def test_secret_of_a_dropped_key_is_refused(fleet, settings):
    settings.SECRET_KEY = "first"
    with use_mirror("books"):
        secret = make()

    settings.SECRET_KEY = "second"

    with use_mirror("books"):
        assert not is_accepted(secret)


def test_mirrors_that_share_sessions_share_secrets(fleet, settings):
    settings.MIRRORS = {
        **settings.MIRRORS,
        "films-fr": {
            "HOSTS": ["fr.films.example"],
            "SHARES": {"DATABASE": "films", "SESSIONS": "films"},
            "STATE": "active",
        },
    }
    with use_mirror("films"):
        secret = make()

    with use_mirror("films-fr"):
        assert is_accepted(secret)
        assert is_accepted(make())
    with use_mirror("books"):
        assert not is_accepted(secret)


def test_secret_that_was_made_without_a_mirror_is_accepted_by_none(fleet):
    with no_mirror():
        secret = make()

    for name in MIRRORS:
        with use_mirror(name):
            assert not is_accepted(secret)


def test_secret_of_a_mirror_is_refused_without_one(fleet):
    with use_mirror("books"):
        secret = make()

    with no_mirror():
        assert not is_accepted(secret)


def build_request_with_session(secret: str, token: str) -> HttpRequest:
    request = RequestFactory().post("/", {"csrfmiddlewaretoken": token})
    request.session = SessionStore()
    request.session[csrf.CSRF_SESSION_KEY] = secret
    return request


@csrf_protect
def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse("done")


@pytest.mark.parametrize(("maker", "status"), [("books", 200), ("films", 403)])
def test_secret_in_a_session_is_bound_too(fleet, settings, maker, status):
    settings.CSRF_USE_SESSIONS = True
    with use_mirror(maker):
        secret = make()

    with use_mirror("books"):
        assert view(build_request_with_session(secret, secret)).status_code == status


def test_new_secret_in_a_session_is_accepted_at_the_next_request(fleet, settings):
    settings.CSRF_USE_SESSIONS = True
    with use_mirror("books"):
        secret = make()
        request = build_request_with_session(secret, secret)
        rotate_token(request)
        CsrfViewMiddleware(view).process_response(request, HttpResponse())
        rotated = request.session[csrf.CSRF_SESSION_KEY]

        assert rotated != secret
        assert view(build_request_with_session(rotated, rotated)).status_code == 200


def test_app_that_is_made_ready_twice_binds_once(fleet):
    before = csrf._add_new_csrf_cookie, CsrfViewMiddleware._get_secret

    DjangoMirrorsConfig.create("django_mirrors").ready()

    assert before == (csrf._add_new_csrf_cookie, CsrfViewMiddleware._get_secret)
