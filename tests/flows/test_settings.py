"""Settings of a mirror, as seen in what Django does with them."""

import django
import pytest
from django.conf import settings as project
from django.contrib.auth import get_backends
from django.contrib.auth.models import User
from django.contrib.auth.tokens import default_token_generator
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.core import mail
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent
from django.http import HttpResponse
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.test import RequestFactory, override_settings

from django_mirrors import use_mirror

PEOPLE = ["ann@x.example"] if django.VERSION >= (6,) else [("Ann", "ann@x.example")]
REMOTE = "django.contrib.auth.backends.RemoteUserBackend"


def find_frame_options():
    ask = XFrameOptionsMiddleware(lambda request: HttpResponse())
    return ask(RequestFactory().get("/"))["X-Frame-Options"]


def is_body_accepted():
    request = RequestFactory().post("/", b"x" * 20, content_type="text/plain")
    try:
        return len(request.body) == 20
    except RequestDataTooBig:
        return False


def count_fields():
    try:
        return len(RequestFactory().post("/", {"a": "1", "b": "2"}).POST)
    except TooManyFieldsSent:
        return 0


def find_recipients():
    mail.outbox.clear()
    mail.mail_admins("subject", "text")
    return [(item.to, item.subject, item.from_email) for item in mail.outbox]


def is_old_token_accepted():
    user = User(pk=1, password="x", username="ann")
    stamp = default_token_generator._num_seconds(default_token_generator._now()) - 100
    token = default_token_generator._make_token_with_timestamp(
        user, stamp, default_token_generator.secret
    )
    return default_token_generator.check_token(user, token)


def find_age():
    return SessionStore().get_expiry_age()


@pytest.mark.parametrize(
    ("values", "look", "inside", "outside"),
    [
        ({"X_FRAME_OPTIONS": "SAMEORIGIN"}, find_frame_options, "SAMEORIGIN", "DENY"),
        ({"DATA_UPLOAD_MAX_MEMORY_SIZE": 10}, is_body_accepted, False, True),
        ({"DATA_UPLOAD_MAX_NUMBER_FIELDS": 1}, count_fields, 0, 2),
        ({"PASSWORD_RESET_TIMEOUT": 60}, is_old_token_accepted, False, True),
        ({"SESSION_COOKIE_AGE": 60}, find_age, 60, 1209600),
        (
            {"SESSION_EXPIRE_AT_BROWSER_CLOSE": True},
            lambda: SessionStore().get_expire_at_browser_close(),
            True,
            False,
        ),
        (
            {"AUTHENTICATION_BACKENDS": [REMOTE]},
            lambda: [type(backend).__name__ for backend in get_backends()],
            ["RemoteUserBackend"],
            ["ModelBackend"],
        ),
        (
            {
                "ADMINS": PEOPLE,
                "EMAIL_SUBJECT_PREFIX": "[Books] ",
                "SERVER_EMAIL": "errors@books.example",
            },
            find_recipients,
            [(["ann@x.example"], "[Books] subject", "errors@books.example")],
            [],
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_setting_counts_in_its_mirror_alone(settings, values, look, inside, outside):
    settings.MIRRORS = {
        "books": {"HOSTS": ["books.example"], "SETTINGS": values},
        "films": {"HOSTS": ["films.example"]},
    }

    seen = []
    for name in ("books", "films", "books"):
        with use_mirror(name):
            seen.append(look())

    assert seen == [inside, outside, inside]


@pytest.mark.needs_django(6, 0)  # SECURE_CSP
def test_policy_of_content_counts_in_its_mirror_alone(settings):
    from django.middleware.csp import ContentSecurityPolicyMiddleware

    settings.MIRRORS = {
        "books": {
            "HOSTS": ["books.example"],
            "SETTINGS": {"SECURE_CSP": {"default-src": ["'self'"]}},
        },
        "films": {"HOSTS": ["films.example"]},
    }
    ask = ContentSecurityPolicyMiddleware(lambda request: HttpResponse())

    with use_mirror("books"):
        books = ask(RequestFactory().get("/"))
    with use_mirror("films"):
        films = ask(RequestFactory().get("/"))

    assert books["Content-Security-Policy"] == "default-src 'self'"
    assert "Content-Security-Policy" not in films


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("X_FRAME_OPTIONS", ("around", "inside", "books")),
        ("SESSION_COOKIE_AGE", (1, 2, 3)),
    ],
)
def test_override_around_a_mirror_and_inside_it_goes_before_its_value(
    settings, name, values
):
    settings.MIRRORS = {
        "books": {"HOSTS": ["books.example"], "SETTINGS": {name: values[2]}},
    }

    with override_settings(**{name: values[0]}), use_mirror("books"):
        around = getattr(project, name)
    with use_mirror("books"):
        with override_settings(**{name: values[1]}):
            inside = getattr(project, name)
        after = getattr(project, name)

    assert (around, inside, after) == values
