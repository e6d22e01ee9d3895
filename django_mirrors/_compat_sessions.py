"""Where Django's sessions make, check and sign their keys and data."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from django.contrib.sessions.backends.base import VALID_KEY_CHARS, SessionBase
from django.contrib.sessions.backends.signed_cookies import (
    SessionStore as SignedCookieStore,
)
from django.utils.crypto import get_random_string

from django_mirrors._compat import run_in

_RANDOM = 32

_build: Callable[[str], str] = str
_accept: Callable[[str], bool] = bool
_validate: Callable[[SessionBase, str | None], Any] = SessionBase._validate_session_key  # type: ignore[attr-defined]


def bind_session_keys(
    build: Callable[[str], str], accept: Callable[[str], bool]
) -> None:
    """Let every session engine make its keys by `build` and ask `accept` for others.

    SessionBase has no documented place for this. Engines that make keys in a way of
    their own are left alone, and so is signed_cookies, whose key is the signed session.
    """
    global _build, _accept
    _build, _accept = build, accept
    SessionBase._get_new_session_key = _get_new_session_key  # type: ignore[attr-defined]
    SessionBase._aget_new_session_key = _aget_new_session_key  # type: ignore[attr-defined]
    SessionBase._validate_session_key = _validate_session_key  # type: ignore[attr-defined]


def sign_sessions_in(hold_owner: Callable[[], AbstractContextManager[Any]]) -> None:
    """Sign what sessions hold inside the block that `hold_owner` returns.

    That is their data, the signed cookie and the hash that binds them to a password.
    """
    from django.contrib.auth import base_user  # noqa: PLC0415 - needs the app registry

    for owner, name in (
        (SessionBase, "encode"),
        (SessionBase, "decode"),
        (SignedCookieStore, "load"),
        (SignedCookieStore, "_get_session_key"),
        (base_user.AbstractBaseUser, "_get_session_auth_hash"),
    ):
        setattr(owner, name, run_in(hold_owner, getattr(owner, name)))


def _get_new_session_key(self: SessionBase) -> str:
    while True:
        key = _build(get_random_string(_RANDOM, VALID_KEY_CHARS))
        if not self.exists(key):
            return key


async def _aget_new_session_key(self: SessionBase) -> str:
    while True:
        key = _build(get_random_string(_RANDOM, VALID_KEY_CHARS))
        if not await self.aexists(key):
            return key


def _validate_session_key(self: SessionBase, key: str | None) -> bool:
    if not _validate(self, key):
        return False
    has_own_keys = type(self)._get_new_session_key is not _get_new_session_key  # type: ignore[attr-defined]
    if has_own_keys or isinstance(self, SignedCookieStore):
        return True
    return _accept(str(key))
