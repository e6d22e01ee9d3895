"""What a `Host` header means, read one character at a time from the grammars.

Written from RFC 3986 (3.2.2 and 3.2.3), RFC 1123 (2.1) and RFC 4291 (2.2), as the
project narrows them: no percent-encoding, no zone, no address but a dotted quad or one
in brackets, a port from 1 to 65535. Knows nothing of the package's own parser.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

__all__ = ["Authority", "Oracle", "read_authority"]

LOWER = {chr(code): chr(code | 32) for code in range(ord("A"), ord("Z") + 1)}
LETTERS = frozenset(LOWER.values())
DIGITS = frozenset("0123456789")
HEX = DIGITS | frozenset("abcdef")
# States of the machine that reads a name.
BEGIN, INSIDE, HYPHEN = range(3)


class Authority(NamedTuple):
    """A host and a port; the host of an IPv6 address is its number."""

    host: str | int
    port: int | None


class Oracle:
    """Knows which mirror has which host, written in canonical form."""

    def __init__(self, hosts: Mapping[str, Iterable[str]]) -> None:
        self._owners: dict[str | int, str] = {}
        self._parents: dict[str, str] = {}
        for name, owned in hosts.items():
            for host in owned:
                if host.startswith("*."):
                    self._parents[host[2:]] = name
                else:
                    found = read_authority(host)
                    assert found is not None, host
                    self._owners[found.host] = name

    def find(self, text: str) -> str | None:
        """Return the name of the mirror to serve, or None."""
        found = read_authority(text)
        if found is None:
            return None
        owner = self._owners.get(found.host)
        if owner is None and isinstance(found.host, str):
            _, _, parent = found.host.partition(".")
            owner = self._parents.get(parent)
        return owner


def read_authority(text: str) -> Authority | None:
    """Return what the header says, or None if nothing valid."""
    if text[:1] == "[":
        end = text.find("]")
        if end < 0:
            return None
        number = read_address_6("".join(LOWER.get(char, char) for char in text[1:end]))
        return None if number is None else join(number, text[end + 1 :])
    at = 0
    while at < len(text) and text[at] != ":":
        at += 1
    name = read_name(text[:at])
    return None if name is None else join(name, text[at:])


def join(host: str | int, rest: str) -> Authority | None:
    if not rest:
        return Authority(host, None)
    number = 0
    if rest[0] != ":" or not 2 <= len(rest) <= 6:
        return None
    for char in rest[1:]:
        if char not in DIGITS:
            return None
        number = number * 10 + "0123456789".index(char)
    return Authority(host, number) if 1 <= number <= 65535 else None


def read_name(text: str) -> str | None:  # noqa: C901 - one machine, all its states
    """Return the name in lower case without its last dot; None if it is none."""
    if len(text) > 254:
        return None
    out: list[str] = []
    state, length, dots = BEGIN, 0, 0
    label = ""
    for place, raw in enumerate(text):
        char = LOWER.get(raw, raw)
        if char == ".":
            if state != INSIDE:
                return None
            if place == len(text) - 1:
                break
            state, length, label = BEGIN, 0, ""
            dots += 1
        elif char == "-":
            if state == BEGIN:
                return None
            state, length, label = HYPHEN, length + 1, label + char
        elif char in LETTERS or char in DIGITS:
            state, length, label = INSIDE, length + 1, label + char
        else:
            return None
        if length > 63:
            return None
        out.append(char)
    if state != INSIDE or len(out) > 253:
        return None
    name = "".join(out)
    if is_number(label) and (dots != 3 or read_address_4(name) is None):
        return None
    return name


def is_number(label: str) -> bool:
    """Whether browsers take a name with this last label for an IPv4 address."""
    if label[:2] == "0x":
        return all(char in HEX for char in label[2:])
    return all(char in DIGITS for char in label)


def read_address_4(text: str) -> int | None:
    number, octets, digits = 0, 0, ""
    for char in f"{text}.":
        if char in DIGITS:
            digits += char
        elif char == ".":
            if not 1 <= len(digits) <= 3 or (digits[0] == "0" and digits != "0"):
                return None
            if int(digits) > 255:
                return None
            number, octets, digits = number * 256 + int(digits), octets + 1, ""
        else:
            return None
    return number if octets == 4 else None


def read_address_6(text: str) -> int | None:  # noqa: C901 - as above
    groups: list[int] = []
    gap = None
    at, end = 0, len(text)
    if text[:2] == "::":
        gap, at = 0, 2
    elif text[:1] == ":":
        return None
    while at < end:
        begin = at
        while at < end and text[at] in HEX:
            at += 1
        if at < end and text[at] == ".":
            quad = read_address_4(text[begin:])
            if quad is None:
                return None
            groups += divmod(quad, 65536)
            break
        if not 1 <= at - begin <= 4:
            return None
        groups.append(int(text[begin:at], 16))
        if at == end:
            break
        if text[at] != ":" or at + 1 == end:
            return None
        at += 1
        if text[at] == ":":
            if gap is not None:
                return None
            gap, at = len(groups), at + 1
    if gap is not None:
        if len(groups) > 7:
            return None
        groups[gap:gap] = [0] * (8 - len(groups))
    if len(groups) != 8:
        return None
    number = 0
    for group in groups:
        number = number << 16 | group
    return number
