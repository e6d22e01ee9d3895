"""Which names a file may have."""

import re
from os import PathLike, fspath
from posixpath import isabs

from django.core.exceptions import SuspiciousFileOperation

__all__ = ["MAX_NAME_BYTES", "MAX_PART_BYTES", "check_name", "is_too_long"]

# An S3 key has at most 1024 bytes, a file of the usual file systems 255.
MAX_NAME_BYTES = 1024
MAX_PART_BYTES = 255
# Controls, line separators, marks that reorder the text shown, lone surrogates, and
# the backslash, which some systems take for a separator.
_REFUSED = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069"
    "\\ud800-\\udfff\\\\]"
)
_SHOWN = 80


def check_name(name: str | PathLike[str]) -> str:
    """Return `name` if it names something below the root of a storage.

    Raises `SuspiciousFileOperation` for names that are empty, absolute, climb with
    '..', or hold characters that no honest name needs.
    """
    text = fspath(name)
    parts = text.split("/")
    if isabs(text) or ".." in parts or {"", "."}.issuperset(parts):
        raise SuspiciousFileOperation(
            f"The name {_show(text)} does not lead to a file below the storage's root. "
            "Use a relative name without '..'."
        )
    if _REFUSED.search(text):
        raise SuspiciousFileOperation(
            f"The name {_show(text)} has a control character or a backslash. "
            "Pass uploaded names through get_valid_name() first."
        )
    return text


def is_too_long(name: str) -> bool:
    """Whether no file can have this name, in bytes of UTF-8."""
    encoded = name.encode()
    return len(encoded) > MAX_NAME_BYTES or any(
        len(part) > MAX_PART_BYTES for part in encoded.split(b"/")
    )


def _show(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
