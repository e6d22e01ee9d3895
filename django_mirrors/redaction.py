"""Hide the secrets in what is shown: in definitions, URLs and texts of any kind."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django_mirrors.dsn import STORAGE_SCHEMES

__all__ = ["HIDDEN", "redact", "redact_text"]

HIDDEN = "********"
_SECRET_NAME = re.compile(
    "PASS|SECRET|TOKEN|KEY|API|SIGNATURE|CREDENTIAL", re.IGNORECASE
)
# Up to the last @, since a password may hold what it should have percent-encoded.
_USER_INFO = re.compile(r"(?<=://)[^\s'\"]*@")
# Without a scheme, as `netloc` has it. Begins at the begin of a word only, and so takes
# no more than linear time.
_USER = re.compile(r"(?<![^\s/:@'\"])[^\s/:@'\"]*:[^\s/:@'\"]+@")
# In the text of a dictionary, a call or a connection string.
_ASSIGNED = re.compile(
    r"((?:PASS|SECRET|TOKEN|CREDENTIAL|(?:ACCESS|ACCOUNT|API|PRIVATE)_?KEY)\w*"
    r"['\"]?\s*[:=]\s*)(b?'(?:[^'\\]|\\.)*'|b?\"(?:[^\"\\]|\\.)*\"|[^\s,;&)}\]'\"]+)",
    re.IGNORECASE,
)


def redact(value: Any, *, name: str = "") -> Any:
    """Return a copy of `value` that can be shown: no password, token or key in it."""
    if isinstance(value, Mapping):
        return {key: redact(item, name=str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item, name=name) for item in value]
    if _SECRET_NAME.search(name) and value not in ("", None):
        return HIDDEN
    return _redact_text(value) if isinstance(value, str) else value


def redact_text(text: str) -> str:
    """Return `text`, such as what repr() gives, without what looks like a secret."""
    text = _USER_INFO.sub(f"{HIDDEN}@", text)
    text = _USER.sub(f"{HIDDEN}@", text)
    return _ASSIGNED.sub(rf"\1{HIDDEN}", text)


def _redact_text(text: str) -> str:
    if "://" not in text:
        return _USER.sub(f"{HIDDEN}@", text)
    try:
        parts = urlsplit(text)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return _USER_INFO.sub(f"{HIDDEN}@", text)
    user, at, host = parts.netloc.rpartition("@")
    if not at and "@" in text:
        return _USER_INFO.sub(f"{HIDDEN}@", text)
    if at:
        name, colon, _ = user.partition(":")
        # Object stores carry a key pair: there the user name is half of the secret.
        shown = name if parts.scheme not in STORAGE_SCHEMES else HIDDEN
        user = f"{shown}:{HIDDEN}" if colon else shown
    query = "&".join(
        f"{key}={HIDDEN if _SECRET_NAME.search(key) else item}" for key, item in pairs
    )
    # Not urlunsplit(), which takes two of the slashes of sqlite:////a/path.
    shown = f"{parts.scheme}://{user}{at}{host}{parts.path}"
    return f"{shown}?{query}" if query else shown
