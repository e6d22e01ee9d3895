"""What a project signs: each kind with how it is made, and how it is believed.

Run as a script with the settings of a project without mirrors, it prints one of each.
"""

import hmac
import json
import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.tokens import default_token_generator
from django.contrib.messages import constants
from django.contrib.messages.storage.base import Message
from django.contrib.messages.storage.cookie import CookieStorage
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.backends.signed_cookies import (
    SessionStore as SignedCookieStore,
)
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware, get_token
from django.test import RequestFactory
from django.utils.crypto import constant_time_compare, salted_hmac

AT_IMPORT = signing.Signer(salt="made at import")
VALUE = {"cart": "Emma"}


class Kind(NamedTuple):
    """One kind of artefact."""

    make: Callable[[], str]
    believe: Callable[[str], bool]  # whether the current mirror accepts it


def build_user() -> Any:
    # The row of a cloned database: equal in every mirror.
    return get_user_model()(pk=1, username="ann", password="hash")


def iter_keys() -> list[str]:
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]


def unsigned(read: Callable[[str], object]) -> Callable[[str], bool]:
    def believe(text: str) -> bool:
        try:
            return bool(read(text))
        except signing.BadSignature:
            return False

    return believe


def write_cookie() -> str:
    response = HttpResponse()
    response.set_signed_cookie("name", "value", salt="salt")
    return response.cookies["name"].value


def read_cookie(text: str) -> str:
    request = RequestFactory().get("/")
    request.COOKIES["name"] = text
    return request.get_signed_cookie("name", salt="salt")


def write_message() -> str:
    return CookieStorage(HttpRequest())._encode([Message(constants.INFO, "text")])


def write_session() -> str:
    session = SignedCookieStore()
    session.update(VALUE)
    session.save()
    return session.session_key


def is_session_hash(text: str) -> bool:
    user = build_user()
    known = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return any(constant_time_compare(text, item) for item in known)


def build_link(key: str) -> str:
    made = salted_hmac(
        "verify e-mail", "ann@example.com", secret=key, algorithm="sha256"
    )
    return f"/verify/ann@example.com/{made.hexdigest()}/"


def build_jwt(key: str) -> str:
    header, claims = (
        urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "HS256", "typ": "JWT"}, {"sub": "1"})
    )
    made = hmac.new(key.encode(), f"{header}.{claims}".encode(), sha256).digest()
    assert urlsafe_b64decode(f"{claims}==")
    return f"{header}.{claims}.{urlsafe_b64encode(made).decode().rstrip('=')}"


def write_media_url() -> str:
    from django_mirrors.storage.signatures import sign_media_url

    return sign_media_url("private/letter.txt", expires_in=60)


def is_media_url(text: str) -> bool:
    from django_mirrors.storage.signatures import is_signed

    query = parse_qs(urlsplit(text).query)
    return is_signed(
        "private/letter.txt",
        alias="default",
        expires=query["expires"][0],
        signature=query["signature"][0],
    )


def write_csrf() -> str:
    request = RequestFactory().get("/")
    get_token(request)
    return request.META["CSRF_COOKIE"]


def is_csrf(text: str) -> bool:
    request = RequestFactory().post("/", {"csrfmiddlewaretoken": text})
    request.COOKIES["csrftoken"] = text
    checker = CsrfViewMiddleware(lambda request: HttpResponse())
    checker.process_request(request)
    return checker.process_view(request, lambda request: HttpResponse(), (), {}) is None


OWN = "URL of a private file"  # the one kind that is not Django's
KINDS = {
    "signing.dumps": Kind(
        lambda: signing.dumps(VALUE, compress=True), unsigned(signing.loads)
    ),
    "Signer": Kind(
        lambda: signing.Signer().sign("text"),
        unsigned(lambda text: signing.Signer().unsign(text)),
    ),
    "Signer made at import": Kind(
        lambda: AT_IMPORT.sign("text"), unsigned(AT_IMPORT.unsign)
    ),
    "TimestampSigner": Kind(
        lambda: signing.TimestampSigner().sign("text"),
        unsigned(lambda text: signing.TimestampSigner().unsign(text, max_age=600)),
    ),
    "sign_object": Kind(
        lambda: signing.Signer().sign_object(VALUE),
        unsigned(lambda text: signing.Signer().unsign_object(text)),
    ),
    "signed cookie": Kind(write_cookie, unsigned(read_cookie)),
    "cookie of messages": Kind(
        write_message, lambda text: bool(CookieStorage(HttpRequest())._decode(text))
    ),
    "password reset token": Kind(
        lambda: default_token_generator.make_token(build_user()),
        lambda text: default_token_generator.check_token(build_user(), text),
    ),
    "session auth hash": Kind(
        lambda: build_user().get_session_auth_hash(), is_session_hash
    ),
    "session in a cookie": Kind(
        write_session, lambda text: dict(SignedCookieStore(text).items()) == VALUE
    ),
    "data of a session": Kind(
        lambda: SessionStore().encode(VALUE),
        lambda text: SessionStore().decode(text) == VALUE,
    ),
    "link of a salted HMAC": Kind(
        lambda: build_link(settings.SECRET_KEY),
        lambda text: text in [build_link(key) for key in iter_keys()],
    ),
    "JWT": Kind(
        lambda: build_jwt(settings.SECRET_KEY),
        lambda text: text in [build_jwt(key) for key in iter_keys()],
    ),
    "CSRF secret": Kind(write_csrf, is_csrf),
    OWN: Kind(write_media_url, is_media_url),
}


if __name__ == "__main__":
    import django

    django.setup()
    made = {name: kind.make() for name, kind in KINDS.items() if name != OWN}
    json.dump(made, sys.stdout)
