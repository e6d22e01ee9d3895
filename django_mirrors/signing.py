"""SECRET_KEY of the current mirror: what one mirror signed, no other accepts."""

from functools import lru_cache
from hashlib import sha256
from hmac import digest
from typing import Any

from django_mirrors.context import find_current_mirror

__all__ = ["MirrorKey"]

_PURPOSE = b"django_mirrors.signing:"
# Derived keys kept; deriving one again costs a few microseconds.
_KEPT = 4096


class MirrorKey(str):
    """A secret key that becomes the current mirror's at the moment of its use.

    As text or as bytes it is a key derived from the project's by the uid of the current
    mirror. The original's key is the project's own, so that nothing signed before the
    project had mirrors is lost. Without a mirror it is a key that no mirror has.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return _derive(str.__str__(self))

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """Return the current mirror's key as bytes."""
        return str(self).encode(encoding, errors)

    def __reduce__(self) -> tuple[Any, ...]:
        return MirrorKey, (str.__str__(self),)


def _derive(base: str) -> str:
    mirror = find_current_mirror()
    if mirror is None:
        return _derive_for(base, b"no mirror")
    if mirror.is_original:
        return base
    return _derive_for(base, mirror.uid.bytes)


@lru_cache(maxsize=_KEPT)
def _derive_for(base: str, identity: bytes) -> str:
    # HMAC as a key derivation function, one block: RFC 5869, section 2.3.
    return digest(base.encode(), _PURPOSE + identity, sha256).hex()
