"""Where a browser goes that is told a `Location`: the URL standard, in small."""

from typing import NamedTuple
from unicodedata import normalize
from urllib.parse import unquote

__all__ = ["Goal", "find_goal"]

SPECIAL = {"http": 80, "https": 443}
ENDS = "/\\?#"


class Goal(NamedTuple):
    """What decides who is asked."""

    scheme: str
    host: str
    port: int


def find_goal(location: str, *, base: Goal) -> Goal | None:
    """Return who is asked for `location` by a page of `base`; None if nobody is."""
    text = location.strip("".join(map(chr, range(33))))
    text = "".join(char for char in text if char not in "\t\n\r")
    scheme, rest = split_scheme(text)
    if scheme and scheme not in SPECIAL:
        return None
    if not scheme:
        if len(rest) < 2 or rest[0] not in "/\\" or rest[1] not in "/\\":
            return base
        scheme = base.scheme
    # However many slashes of both kinds there are: they begin an authority.
    rest = rest.lstrip("/\\")
    end = next((at for at, char in enumerate(rest) if char in ENDS), len(rest))
    host, port = split_port(rest[:end].rpartition("@")[2])
    host = normalize("NFKC", unquote(host)).replace("\u3002", ".").lower()
    if not host or not (port or "0").isdecimal():
        return None
    return Goal(scheme, host, int(port or SPECIAL[scheme]))


def split_scheme(text: str) -> tuple[str, str]:
    scheme, colon, rest = text.partition(":")
    allowed = "abcdefghijklmnopqrstuvwxyz0123456789+-."
    is_scheme = colon and scheme[:1].isalpha() and set(scheme.lower()) <= set(allowed)
    return (scheme.lower(), rest) if is_scheme else ("", text)


def split_port(text: str) -> tuple[str, str]:
    if text.endswith("]"):
        return text, ""
    host, colon, port = text.rpartition(":")
    return (host, port) if colon else (text, "")
