"""Where Django makes CSRF secrets and reads them, from a cookie or a session."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest
from django.middleware import csrf

__all__ = ["bind_csrf_secrets"]

# Functions of this module are replaced, which its types do not foresee.
_csrf: Any = csrf
_Middleware: Any = csrf.CsrfViewMiddleware


def bind_csrf_secrets(
    build: Callable[[str], str], accept: Callable[[str], bool]
) -> None:
    """Let `build` finish each new secret, and ask `accept` about each that comes in.

    `csrf_protect` and third-party subclasses of the middleware go through the same two
    places. A secret that is not accepted counts as missing. Django 5.2 to 6.1.
    """
    if hasattr(_csrf, "bind_csrf_secrets"):
        return  # an override of INSTALLED_APPS makes every app ready again
    _csrf.bind_csrf_secrets = bind_csrf_secrets

    @wraps(add := _csrf._add_new_csrf_cookie)
    def add_bound(request: HttpRequest) -> str:
        secret = request.META["CSRF_COOKIE"] = build(add(request))
        return secret

    @wraps(get := _Middleware._get_secret)
    def get_own(self: Any, request: HttpRequest) -> str | None:
        secret = get(self, request)
        return secret if secret is None or accept(secret) else None

    _csrf._add_new_csrf_cookie = add_bound
    _Middleware._get_secret = get_own
