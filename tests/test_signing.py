"""What one mirror signed, no other accepts."""

import pickle
from collections.abc import Callable

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.contrib.auth.tokens import default_token_generator
from django.contrib.messages import constants
from django.contrib.messages.storage.base import Message
from django.contrib.messages.storage.cookie import CookieStorage
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from django_mirrors import use_mirror, use_original
from django_mirrors.exceptions import NoCurrentMirror
from django_mirrors.testing import no_mirror

pytestmark = pytest.mark.django_db

AT_IMPORT = signing.Signer(salt="made at import")


def sign_cookie() -> str:
    response = HttpResponse()
    response.set_signed_cookie("name", "value", salt="salt")
    return response.cookies["name"].value


def read_cookie(text: str) -> str:
    request = RequestFactory().get("/")
    request.COOKIES["name"] = text
    return request.get_signed_cookie("name", salt="salt")


def write_message() -> str:
    storage = CookieStorage(HttpRequest())
    return storage._encode([Message(constants.INFO, "text")])


def read_message(text: str) -> str:
    found = CookieStorage(HttpRequest())._decode(text)
    if not found:
        raise signing.BadSignature
    return str(found[0].message)


def build_user():
    # Rows of a cloned database: equal keys and equal password hashes.
    return get_user_model()(pk=1, username="ann", password="hash")


def read_token(text: str) -> str:
    if not default_token_generator.check_token(build_user(), text):
        raise signing.BadSignature
    return "valid"


def read_session_hash(text: str) -> str:
    if build_user().get_session_auth_hash() != text:
        raise signing.BadSignature
    return "valid"


ARTEFACTS: dict[str, tuple[Callable[[], str], Callable[[str], object]]] = {
    "dumps": (lambda: signing.dumps({"a": 1}), signing.loads),
    "signer": (
        lambda: signing.Signer().sign("text"),
        lambda text: signing.Signer().unsign(text),
    ),
    "timestamp": (
        lambda: signing.TimestampSigner().sign("text"),
        lambda text: signing.TimestampSigner().unsign(text, max_age=60),
    ),
    "signer made at import": (
        lambda: AT_IMPORT.sign("text"),
        AT_IMPORT.unsign,
    ),
    "signed cookie": (sign_cookie, read_cookie),
    "message": (write_message, read_message),
    "reset token": (
        lambda: default_token_generator.make_token(build_user()),
        read_token,
    ),
    "session hash": (lambda: build_user().get_session_auth_hash(), read_session_hash),
}


@pytest.mark.parametrize("kind", ARTEFACTS)
def test_only_the_mirror_that_signed_accepts(fleet, kind):
    make, read = ARTEFACTS[kind]
    with use_mirror("films"):
        signed = make()

    with use_mirror("films"):
        assert read(signed)
    for other in ("books", "films-fr", "original"):
        with use_mirror(other), pytest.raises(signing.BadSignature):
            read(signed)
    with no_mirror(), pytest.raises((signing.BadSignature, NoCurrentMirror)):
        read(signed)


@pytest.mark.parametrize("kind", ARTEFACTS)
def test_no_mirror_accepts_what_the_original_signed(fleet, kind):
    make, read = ARTEFACTS[kind]
    with use_original():
        signed = make()

    with use_mirror("books"), pytest.raises(signing.BadSignature):
        read(signed)
    with no_mirror(), pytest.raises((signing.BadSignature, NoCurrentMirror)):
        read(signed)


def test_key_of_the_original_is_the_projects_own(settings, db):
    settings.SECRET_KEY = "the project's own"

    with use_original():
        assert str(django_settings.SECRET_KEY) == "the project's own"


def test_replaced_key_stays_valid_as_fallback(fleet, settings):
    settings.SECRET_KEY = "first"
    with use_mirror("books"):
        signed = signing.dumps("text")

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "second", ["first"]

    with use_mirror("books"):
        assert signing.loads(signed) == "text"
    with use_mirror("films"), pytest.raises(signing.BadSignature):
        signing.loads(signed)


def test_every_way_to_read_the_key_gives_the_mirrors(fleet):
    with use_mirror("books"):
        key = django_settings.SECRET_KEY
        derived = str(key)

        assert derived != "only for tests"
        assert key.encode() == derived.encode()
        assert f"{key}" == f"{key:s}" == derived
        assert "%s" % key == derived  # noqa: UP031 - one of the ways
        assert str(pickle.loads(pickle.dumps(key))) == derived
