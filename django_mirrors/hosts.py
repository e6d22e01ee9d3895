"""Read and check host names: one linear-time parser, to register and to serve."""

from ipaddress import AddressValueError, IPv6Address
from string import ascii_lowercase, digits

import idna

from django_mirrors.exceptions import InvalidHost

__all__ = ["MAX_HOST_LENGTH", "parse_authority", "parse_host", "parse_pattern"]

# RFC 1035, 2.3.4: a name has at most 253 characters as text, a label at most 63.
MAX_HOST_LENGTH = 253
_MAX_LABEL_LENGTH = 63
# A trailing dot, a colon and five digits may follow the name.
_MAX_AUTHORITY_LENGTH = MAX_HOST_LENGTH + 7
_LETTERS_AND_DIGITS = frozenset(ascii_lowercase + digits)
_LABEL_CHARACTERS = _LETTERS_AND_DIGITS | {"-"}
_DIGITS = frozenset(digits)
_HEX_DIGITS = _DIGITS | frozenset("abcdef")
_MAX_PORT = 65535
_SHOWN = 80


def parse_host(raw: str | bytes) -> str:
    """Return the canonical host of `raw`, without its port.

    Lower case, without a trailing dot, IPv6 compressed and in brackets. Raises
    `InvalidHost` for everything else, international names included: those are
    turned into ASCII when they are registered, never while serving.
    """
    return parse_authority(raw)[0]


def parse_authority(raw: str | bytes) -> tuple[str, int | None]:
    """Return the canonical host and the port (None if absent) of a `Host` header."""
    text = _read_ascii(raw).lower()
    if text.startswith("["):
        return _parse_ipv6(text)
    host, colon, port = text.partition(":")
    number = _parse_port(port, text) if colon else None
    host = host.removesuffix(".")
    _check_name(host, text)
    return host, number


def parse_pattern(raw: str) -> str:
    """Return the canonical form of a host to register: a name or `*.name`.

    International names are converted to ASCII by UTS #46. A wildcard stands for
    exactly one label and needs a parent of at least two labels. A port is refused.
    """
    if not isinstance(raw, str):
        raise InvalidHost(f"{raw!r} is not a host. Write it as a string.")
    if raw.isascii() and raw.islower() and _is_plain(raw):
        return raw
    wildcard = raw.startswith("*.")
    host, port = parse_authority(_to_ascii(raw[2:] if wildcard else raw))
    if port is not None:
        raise InvalidHost(f"Host {_show(raw)} has a port. Leave the port out.")
    if not wildcard:
        return host
    if host.startswith("[") or _is_ipv4(host):
        raise InvalidHost(f"Host {_show(raw)} is a wildcard of an address. Use a name.")
    if "." not in host and host != "localhost":
        raise InvalidHost(
            f"Host {_show(raw)} covers a whole top-level domain. "
            "Put at least two labels after '*.'."
        )
    return f"*.{host}"


def _read_ascii(raw: str | bytes) -> str:
    if not isinstance(raw, str | bytes):
        raise InvalidHost(f"{raw!r} is not a host. Write it as a string.")
    # The length comes first: nothing below may look at a megabyte of header.
    if len(raw) > _MAX_AUTHORITY_LENGTH:
        raise InvalidHost(
            f"A host has at most {MAX_HOST_LENGTH} characters, not {len(raw)}."
        )
    text = raw.decode("latin-1") if isinstance(raw, bytes) else raw
    if not text.isascii():
        raise InvalidHost(f"Host {_show(text)} has characters outside ASCII.")
    return text


def _parse_port(port: str, text: str) -> int:
    if port and len(port) <= 5 and _DIGITS.issuperset(port):
        number = int(port)
        if 0 < number <= _MAX_PORT:
            return number
    raise InvalidHost(f"Host {_show(text)} has no valid port. Use 1 to {_MAX_PORT}.")


def _parse_ipv6(text: str) -> tuple[str, int | None]:
    address, bracket, rest = text[1:].partition("]")
    if not bracket or (rest and not rest.startswith(":")) or "%" in address:
        raise InvalidHost(f"Host {_show(text)} is not an IPv6 address in brackets.")
    try:
        parsed = IPv6Address(address)
    except AddressValueError as error:
        raise InvalidHost(f"Host {_show(text)} is not an IPv6 address.") from error
    return f"[{_compress(parsed)}]", _parse_port(rest[1:], text) if rest else None


def _compress(address: IPv6Address) -> str:
    # Python 3.13 writes mapped addresses as ::ffff:1.2.3.4, earlier ones in hex.
    # One spelling on all versions, so that a registry can be shared.
    mapped = address.ipv4_mapped
    if mapped is None:
        return address.compressed
    high, low = divmod(int(mapped), 1 << 16)
    return f"::ffff:{high:x}:{low:x}"


def _is_plain(host: str) -> bool:
    """Whether `host`, ASCII in lower case, is a valid name beyond doubt.

    True for nearly every name, by a few quick tests; else the slow way decides.
    """
    return (
        0 < len(host) <= _MAX_LABEL_LENGTH
        and host.replace("-", "").replace(".", "").isalnum()
        and ".." not in host
        and "-." not in host
        and ".-" not in host
        and "xn--" not in host
        and host[0] not in "-."
        and host[-1] not in "-."
        and host[host.rfind(".") + 1] not in _DIGITS
    )


def _check_name(host: str, text: str) -> None:
    if _is_plain(host):
        return
    if not host or len(host) > MAX_HOST_LENGTH:
        raise InvalidHost(
            f"Host {_show(text)} has no name, or one of over {MAX_HOST_LENGTH} "
            "characters."
        )
    labels = host.split(".")
    for label in labels:
        _check_label(label, text)
    if _ends_in_number(labels[-1]) and not _is_ipv4(host):
        raise InvalidHost(
            f"Host {_show(text)} ends in a number but is not an IPv4 address."
        )


def _check_label(label: str, text: str) -> None:
    if (
        not label
        or len(label) > _MAX_LABEL_LENGTH
        or not _LABEL_CHARACTERS.issuperset(label)
        or label[0] == "-"
        or label[-1] == "-"
    ):
        raise InvalidHost(
            f"Host {_show(text)} is not valid. Each part between dots has 1 to "
            f"{_MAX_LABEL_LENGTH} letters, digits or inner hyphens."
        )


def _ends_in_number(label: str) -> bool:
    # The URL standard (whatwg) reads such a host as an IPv4 address, 0x7f000001 too.
    if _DIGITS.issuperset(label):
        return True
    return label.startswith("0x") and _HEX_DIGITS.issuperset(label[2:])


def _is_ipv4(host: str) -> bool:
    parts = host.split(".")
    return len(parts) == 4 and all(
        0 < len(part) <= 3
        and _DIGITS.issuperset(part)
        and (part == "0" or part[0] != "0")
        and int(part) <= 255
        for part in parts
    )


def _to_ascii(host: str) -> str:
    name = host.removesuffix(".")
    if len(name) > MAX_HOST_LENGTH:
        raise InvalidHost(
            f"A host has at most {MAX_HOST_LENGTH} characters, not {len(name)}."
        )
    if name.isascii() and "xn--" not in name.lower():
        return host
    try:
        # Refuses an A-label that does not survive the round trip: two spellings would
        # mean one name.
        return idna.encode(name, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        raise InvalidHost(
            f"Host {_show(host)} is not a valid international name: {error}"
        ) from error


def _show(text: str) -> str:
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return repr(shown)
