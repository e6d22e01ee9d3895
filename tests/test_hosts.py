"""One parser, to register and to serve, against tables and against the grammar."""

import ipaddress
import os
import random
import re
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_mirrors.exceptions import InvalidHost
from django_mirrors.hosts import parse_authority, parse_host, parse_pattern

LABEL_63 = "a" * 63
NAME_253 = ".".join(["a" * 63] * 3 + ["a" * 61])
EXAMPLES = int(os.environ.get("TEST_FUZZ_EXAMPLES", "20000"))


@pytest.mark.parametrize(
    ("raw", "host"),
    [
        ("acme.example.com", "acme.example.com"),
        ("ACME.example.com", "acme.example.com"),
        ("acme.example.com.", "acme.example.com"),
        (b"acme.example.com", "acme.example.com"),
        ("localhost", "localhost"),
        ("a", "a"),
        ("1and1.example", "1and1.example"),
        ("123.example", "123.example"),
        ("a--b.example", "a--b.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        (f"{LABEL_63}.example", f"{LABEL_63}.example"),
        (NAME_253, NAME_253),
        (f"{NAME_253}.", NAME_253),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "[::1]"),
        ("[0:0:0:0:0:0:0:1]", "[::1]"),
        ("[2001:DB8::A]", "[2001:db8::a]"),
        ("[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
        ("[::ffff:7f00:1]", "[::ffff:7f00:1]"),
    ],
)
def test_host_has_one_spelling(raw, host):
    assert parse_host(raw) == host


@pytest.mark.parametrize(
    ("raw", "host", "port"),
    [
        ("acme.example:443", "acme.example", 443),
        ("acme.example.:8000", "acme.example", 8000),
        ("acme.example:1", "acme.example", 1),
        ("acme.example:65535", "acme.example", 65535),
        ("acme.example:00080", "acme.example", 80),
        ("127.0.0.1:8000", "127.0.0.1", 8000),
        ("[::1]:8000", "[::1]", 8000),
        (f"{NAME_253}.:65535", NAME_253, 65535),
    ],
)
def test_port_is_read_apart_from_the_host(raw, host, port):
    assert parse_authority(raw) == (host, port)
    assert parse_host(raw) == host


@pytest.mark.parametrize(
    "raw",
    [
        "",
        ".",
        "acme.example.com..",
        "acme..example.com",
        ".example.com",
        "-acme.example.com",
        "acme-.example.com",
        f"{'a' * 64}.example.com",
        f"{NAME_253}a",
        "a" * 400,
        "127.1",
        "0x7f000001",
        "0x7f.1",
        "0x",
        "2130706433",
        "127.0.0.1.5",
        "127.0.0.01",
        "256.0.0.1",
        "acme.example.1",
        "xn--",
        "xn--.example",
        "acme_shop.example",
        "user@acme.example",
        "user:pass@acme.example",
        "@evil.example",
        "https://acme.example",
        "//acme.example",
        "acme.example/",
        "acme.example#x",
        "acme.example?x",
        "acme.example\\x",
        " acme.example",
        "acme.example ",
        "acme\t.example",
        "acme.example\r\nX: y",
        "acme.example\n",
        "acme.example\x00",
        "acme.example,evil.example",
        "acm%65.example",
        "*.acme.example",
        "acme.example。com",
        "acme。example",
        "acme.example\uff11",
        "\u212aelvin.example",
        "bücher.example",
        b"b\xfccher.example",
        "::1",
        "[::1",
        "::1]",
        "[]",
        "[::1%eth0]",
        "[::1]x",
        "[::1].example",
        "[acme.example]",
        "[127.0.0.1]",
        "[1::2::3]",
    ],
)
def test_text_that_is_no_host_is_refused(raw):
    with pytest.raises(InvalidHost):
        parse_host(raw)


@pytest.mark.parametrize("raw", [None, 80, ["a.example"]])
def test_value_that_is_no_text_is_refused(raw):
    with pytest.raises(InvalidHost, match=r"is not a host\. Write it as a string\."):
        parse_host(raw)


@pytest.mark.parametrize(
    "port",
    ["", "0", "00000", "65536", "99999", "000080", "80:80", "x", "-1", "+1", "٣"],
)
@pytest.mark.parametrize("host", ["acme.example", "127.0.0.1", "[::1]"])
def test_port_outside_the_range_is_refused(host, port):
    with pytest.raises(InvalidHost):
        parse_authority(f"{host}:{port}")


def test_message_shows_the_host_shortened_and_what_to_do():
    with pytest.raises(InvalidHost) as caught:
        parse_host(f"{'a' * 100}_.example")

    assert str(caught.value) == (
        f"Host '{'a' * 80}...' is not valid. Each part between dots has 1 to 63 "
        "letters, digits or inner hyphens."
    )


@pytest.mark.parametrize("read", [parse_host, parse_pattern])
@pytest.mark.parametrize("kind", ["a", "a.", "[", ":", "1.", "ü", "xn--"])
def test_megabyte_of_header_is_refused_by_its_length(read, kind):
    raw = kind * (1_000_000 // len(kind))

    begin = perf_counter()
    with pytest.raises(InvalidHost, match=r"^A host has at most 253 characters"):
        read(raw)

    assert perf_counter() - begin < 0.1


@pytest.mark.parametrize(
    ("raw", "host"),
    [
        ("Bücher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("*.bücher.example", "*.xn--bcher-kva.example"),
        ("bücher。example", "xn--bcher-kva.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("\u212aelvin.example", "kelvin.example"),
        ("acme\uff11.example", "acme1.example"),
        ("Shop.Example.", "shop.example"),
        ("[2001:DB8::1]", "[2001:db8::1]"),
        ("*.shop.example", "*.shop.example"),
        ("*.Shop.Example.", "*.shop.example"),
        ("*.localhost", "*.localhost"),
    ],
)
def test_registration_gives_the_spelling_that_is_served(raw, host):
    assert parse_pattern(raw) == host


def test_international_name_is_converted_at_registration_only():
    assert parse_pattern("bücher.example") == parse_host("xn--bcher-kva.example")
    with pytest.raises(InvalidHost):
        parse_host("bücher.example")


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ("shop.example:80", "Host 'shop.example:80' has a port. Leave the port out."),
        (
            "*.com",
            (
                "Host '*.com' covers a whole top-level domain. "
                "Put at least two labels after '*.'."
            ),
        ),
        (
            "*.127.0.0.1",
            "Host '*.127.0.0.1' is a wildcard of an address. Use a name.",
        ),
        ("*.[::1]", "Host '*.[::1]' is a wildcard of an address. Use a name."),
        (None, "None is not a host. Write it as a string."),
        (5, "5 is not a host. Write it as a string."),
        (b"shop.example", "b'shop.example' is not a host. Write it as a string."),
    ],
)
def test_host_that_cannot_be_registered_is_told(raw, problem):
    with pytest.raises(InvalidHost) as caught:
        parse_pattern(raw)

    assert str(caught.value) == problem


@pytest.mark.parametrize(
    "raw",
    [
        "*",
        "*.",
        "*shop.example",
        "shop.*.example",
        "*.*.example.com",
        "**.example.com",
        "*.shop.example:80",
        "xn--a.example",
        "xn--.example",
        "xn--99999999999.example",
        f"{'ü' * 63}.example",
        "a b.example",
        "ü_.example",
        "shop.example/ü",
        "-ü.example",
    ],
)
def test_pattern_that_is_no_name_is_refused(raw):
    with pytest.raises(InvalidHost):
        parse_pattern(raw)


LABELS = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True).filter(
    lambda label: label[2:4] != "--"
)
NAMES = st.lists(LABELS, min_size=1, max_size=5).map(".".join)


@given(NAMES | st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map("[{}]".format))
def test_host_that_was_parsed_parses_to_itself(raw):
    host = parse_host(raw)

    assert parse_host(host) == parse_host(host.upper()) == host
    assert parse_pattern(host) == host


@given(st.text(max_size=300) | st.binary(max_size=300))
def test_any_text_is_a_host_or_refused(raw):
    try:
        host = parse_host(raw)
    except InvalidHost:
        return
    assert parse_host(host) == host


@given(st.text(max_size=60))
def test_any_registered_host_is_served_under_its_spelling(raw):
    try:
        pattern = parse_pattern(raw)
    except InvalidHost:
        return
    assert parse_host(pattern.removeprefix("*.")) == pattern.removeprefix("*.")
    assert parse_pattern(pattern) == pattern


LETTER_DIGIT = r"[A-Za-z0-9]"
LABEL = rf"{LETTER_DIGIT}(?:[A-Za-z0-9-]{{0,61}}{LETTER_DIGIT})?"
NAME_OF_THE_GRAMMAR = re.compile(rf"{LABEL}(?:\.{LABEL})*")
NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")


def ask_oracle(text: str) -> str | None:
    """Return the canonical host by RFC 1123, 3986 and 4291, or None."""
    found = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::([0-9]{1,5}))?", text, re.DOTALL)
    if found is None or not text.isascii():
        return None
    host, port = found.groups()
    if port is not None and not 1 <= int(port) <= 65535:
        return None
    if host.startswith("["):
        try:
            address = ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            return None
        return None if address.scope_id is not None else f"[{int(address):032x}]"
    name = host[:-1] if host.endswith(".") else host
    if len(name) > 253 or not NAME_OF_THE_GRAMMAR.fullmatch(name):
        return None
    if NUMBER.fullmatch(name.rpartition(".")[2]):
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            return None
    return name.lower()


def generate_host(chance: random.Random) -> str:
    pieces = (
        "acme", "ACME", "a" * 63, "a" * 64, "-", "1", "127", "0x7f", "255", "256", "01",
        "example", "com", "b-c", "-b", "b-", "ü", "_", "", "x\n", "[::1]", "a b", "@",
        "::", "ffff", "%25", "\u212a", "xn--bcher-kva", "8",
    )  # fmt: skip
    kind = chance.random()
    if kind < 0.1:
        groups = [f"{chance.randrange(70000):x}" for _ in range(chance.choice([7, 8]))]
        groups[chance.randrange(len(groups))] = chance.choice(["", "0", "g", "1"])
        host = f"[{':'.join(groups)}]"
    elif kind < 0.2:
        host = ".".join(
            str(chance.randrange(300)) for _ in range(chance.choice([3, 4, 4, 4, 5]))
        )
    else:
        host = ".".join(chance.choices(pieces, k=chance.randint(1, 5)))
    host += chance.choice(["", "", "", ".", ".."])
    host += chance.choice(["", "", "", ":80", ":0", ":65536", ":", ":443:1", ":x"])
    if chance.random() < 0.2:
        at = chance.randrange(len(host) + 1)
        host = host[:at] + chr(chance.randrange(256)) + host[at:]
    return host


def normalise_answer(host: str) -> str:
    if host.startswith("["):
        return f"[{int(ipaddress.IPv6Address(host[1:-1])):032x}]"
    return host


def find_difference(text: str) -> tuple[str, str | None, str | None] | None:
    try:
        found = normalise_answer(parse_host(text))
    except InvalidHost:
        found = None
    expected = ask_oracle(text)
    return None if found == expected else (text, found, expected)


def test_parser_agrees_with_the_grammar_about_generated_hosts():
    chance = random.Random(1035)
    hosts = [generate_host(chance) for _ in range(EXAMPLES)]

    differences = [item for host in hosts if (item := find_difference(host))]

    assert differences == []
    assert sum(ask_oracle(host) is not None for host in hosts) > EXAMPLES / 50
