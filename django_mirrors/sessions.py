"""Sessions that only the mirror which began them accepts, whatever the engine."""

from contextlib import AbstractContextManager
from hashlib import sha256

from django_mirrors.context import get_current_mirror, hold_mirror
from django_mirrors.mirror import SESSIONS, Mirror
from django_mirrors.registry import mirrors

__all__ = ["accept_session_key", "build_session_key", "hold_sessions_owner"]

# Django's own keys have 32 characters, its table has room for 40.
_RANDOM = 32
_TAG = 8


def build_session_key(random: str) -> str:
    """Return the session key made of `random`, bound to the current mirror.

    A key of another mirror can be turned into one that is accepted here, but that is
    the key of another session: rows, files and entries are found by the whole key.
    """
    return random + _build_tag(random, _find_owner())


def accept_session_key(key: str) -> bool:
    """Whether the current mirror began the session of this key.

    The original also accepts keys from before the project had mirrors.
    """
    mirror = _find_owner()
    if len(key) != _RANDOM + _TAG:
        return mirror.is_original
    return key[_RANDOM:] == _build_tag(key[:_RANDOM], mirror)


def hold_sessions_owner() -> AbstractContextManager[Mirror]:
    """Return a block in which the owner of the current mirror's sessions is current."""
    return hold_mirror(_find_owner())


def _find_owner() -> Mirror:
    mirror = get_current_mirror()
    owner = mirror.find_owner(SESSIONS)
    return mirror if owner == mirror.name else mirrors[owner]


def _build_tag(random: str, mirror: Mirror) -> str:
    return sha256(mirror.uid.bytes + random.encode()).hexdigest()[:_TAG]
