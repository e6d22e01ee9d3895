"""CSRF secrets that only the mirror which made them accepts."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from hashlib import sha256
from hmac import digest

from django.middleware.csrf import CSRF_ALLOWED_CHARS as _CHARACTERS
from django.utils.crypto import constant_time_compare

from django_mirrors.conf import find_setting
from django_mirrors.context import find_current_mirror
from django_mirrors.mirror import Mirror
from django_mirrors.sessions import hold_sessions_owner

__all__ = ["accept_csrf_secret", "build_csrf_secret"]

_PURPOSE = b"django_mirrors.csrf:"
# Together as long as Django's own secrets; 20 characters have 119 random bits.
_RANDOM = 20
_TAG = 6


def build_csrf_secret(random: str) -> str:
    """Return the CSRF secret made of `random`, bound to the current mirror.

    It ends in two tags: that of the project tells the original that this is a secret
    of a mirror, that of the mirror tells which. The original's own has none. Mirrors
    that share sessions share secrets too.
    """
    with _hold_owner() as mirror:
        if _is_original(mirror):
            return random
        kept = random[:_RANDOM]
        key = find_setting("SECRET_KEY")
        return kept + _build_tag(kept, _get_projects_own(key)) + _build_tag(kept, key)


def accept_csrf_secret(secret: str) -> bool:
    """Whether the current mirror made this secret.

    The original accepts all but those of mirrors: it had secrets before there were any.
    """
    kept, mark, tag = secret[:_RANDOM], secret[_RANDOM:-_TAG], secret[-_TAG:]
    with _hold_owner() as mirror:
        if _is_original(mirror):
            keys = map(_get_projects_own, _iter_keys())
            return not any(_is_tag(mark, kept, key) for key in keys)
        return any(_is_tag(tag, kept, key) for key in _iter_keys())


def _hold_owner() -> AbstractContextManager[Mirror | None]:
    # Forms can be rendered without a mirror; no mirror accepts what they hold.
    return nullcontext() if find_current_mirror() is None else hold_sessions_owner()


def _is_original(mirror: Mirror | None) -> bool:
    return mirror is not None and mirror.is_original


def _iter_keys() -> Iterator[str]:
    yield find_setting("SECRET_KEY")
    yield from find_setting("SECRET_KEY_FALLBACKS", ())


def _get_projects_own(key: str) -> str:
    return str.__str__(key)


def _is_tag(tag: str, random: str, key: str) -> bool:
    return constant_time_compare(tag, _build_tag(random, key))


def _build_tag(random: str, key: str) -> str:
    made = digest(str(key).encode(), _PURPOSE + random.encode(), sha256)
    return "".join(_CHARACTERS[byte % len(_CHARACTERS)] for byte in made[:_TAG])
