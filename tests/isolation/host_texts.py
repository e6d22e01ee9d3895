"""Hosts to ask for: written by hand, generated, and mutated from registered ones."""

from collections.abc import Iterator, Sequence
from random import Random

from tests.flows.hostile import INVALID_HOSTS

__all__ = ["generate_host", "iter_hostile"]

# What is put around a registered host, `{}`.
DECORATIONS = (
    "{}", "{}.", "{}..", "{}...", ".{}", "-{}", "{}-", "{}:", "{}:0", "{}:1", "{}:00",
    "{}:80", "{}:443", "{}:00080", "{}:000080", "{}:65535", "{}:65536", "{}:99999",
    "{}:80:80", "{}:80a", "{}:a80", "{}:+80", "{}:-80", "{}: 80", "{}:80 ", "{}.:80",
    "{}..:80", "{}:\u0661", "{}:\uff18\uff10", "{} ", " {}", "\t{}", "{}\t", "{}\r",
    "{}\n", "{}\r\nHost: evil.example", "\n{}", "{}\x00", "\x00{}",
    "{}\x00.evil.example",
    "{}\x0b", "{}\x0c", "{}\x1f", "{}\x7f", "{}\x80", "{}\x85", "{}\xa0", "{}\xad",
    "{}\u2028", "{}\ufeff", "\ufeff{}", "{}/", "{}/path", "/{}", "//{}", "{}?",
    "{}?x=1", "{}#", "{}#x", "{}\\", "\\{}", "{}\\.evil.example", "{}/.evil.example",
    "{}#.evil.example", "{}?.evil.example", "{},", ",{}", "{},evil.example",
    "evil.example,{}", "{}, evil.example", "{};evil.example", "{} evil.example",
    "evil.example {}", "{}@evil.example", "@{}", "user@{}", "user:secret@{}", "{}@",
    "evil.example@{}", "http://{}", "https://{}", "http:{}", "javascript:{}", "//{}/",
    "{}%00", "%00{}", "{}%20", "{}%2e", "%2e{}", "{}%0d%0a", "{}%2f", "{}%23", "{}%40",
    "{}\u3002", "{}\uff0e", "{}\uff61", "\u3002{}", "{}.evil.example", "{}evil.example",
    "evil.{}", "evil-{}", "evil{}", "a.b.{}", "www.{}", "*.{}", "*{}", "{}*", "_.{}",
    "_{}", "xn--{}", "xn--.{}", "[{}]", "[{}", "{}]", "({})", "'{}'", '"{}"', "`{}`",
    "<{}>", "{}<script>", "{{{}}}", "${{{}}}", "{}'--", "{}|x", "{}&x", "{}!", "{}~",
    "{}^", "{}+", "{}=", "{}$", "{}_", "{}.local", "{}.0", "{}.1", "{}.0x1", "0x{}",
    "1.{}", "127.0.0.1.{}", "{}.127.0.0.1", "{}\u0301", "\u202e{}", "{}\u200b",
    "{}\u200d", "{}.\u00ad", "\U0001f600.{}",
)  # fmt: skip
ADDRESSES = (
    "0", "1", "127", "127.1", "127.0.1", "0x7f.1", "0x7f000001", "0X7F000001", "0x",
    "017700000001", "2130706433", "192.0.2", "192.0.2.1", "192.0.2.01", "192.0.2.001",
    "192.0.2.1.", "192.0.2.1..", "192.0.2.1:80", "192.0.2.256", "192.0.2.1e1",
    "192.0.2.+1", "192.0.2.0x1", "0300.0.2.1", "3221225985", "192.0.513", "192.513",
    "192.0.2.1.1", "192.0.2.1.example", "1.192.0.2.1", "192-0-2-1", "::", "::1",
    "2001:db8::1", "[::]", "[::1]", "[2001:db8::1]", "[2001:DB8::1]", "[2001:db8::1].",
    "[2001:db8::1]:80", "[2001:db8::1]:", "[2001:db8::1]:0", "[2001:db8::1]80",
    "[2001:db8::1]x", "[2001:db8::1]/", "[2001:db8::1%eth0]", "[2001:db8::1%25eth0]",
    "[2001:db8:0:0:0:0:0:1]", "[2001:db8::0.0.0.1]", "[2001:db8::0.0.1]",
    "[2001:0db8::0001]", "[2001:00db8::1]", "[2001:db8:::1]", "[2001::db8::1]",
    "[2001:db8::1::]", "[2001:db8:1]", "[2001:db8:0:0:0:0:0:0:1]", "[:2001:db8::1]",
    "[2001:db8::1:]", "[2001:db8::g]", "[ 2001:db8::1]", "[2001:db8::1 ]", "[[::1]]",
    "[2001:db8::1", "2001:db8::1]", "[2001:db8::1]]", "[]", "[", "]", "[:]", "[::1%]",
    "[::192.0.2.1]", "[::ffff:192.0.2.1]", "[::ffff:c000:201]", "[v1.acme]", "[vf.::1]",
    "[2001:db8:0::0:0:0:1]", "[1:2:3:4:5:6:7::]", "[::2:3:4:5:6:7:8]",
    "[1:2:3:4:5:6:7:8::]", "[1::2:3:4:5:6:7:8]", "[2001:db8::1]:\u0661",
    "[2001:db8::\uff11]", "[2001:d\u0432 8::1]",
)  # fmt: skip
PIECES = (
    "acme", "acme2", "ACME", "acme-", "example", "EXAMPLE", "com", "co", "shop", "b",
    "www", "a" * 63, "a" * 64, "-", "1", "127", "0x7f", "255", "256", "01", "0", "x-y",
    "-x", "x-", "\xfc", "_", "", "x\n", "*", "a b", "@", "::", "%25", "\u212a", "xn--",
    "xn--bcher-kva", "192", "2", "evil", "[", "]", "\uff0e", "original", "localhost",
)  # fmt: skip
INSERTED = (
    *map(chr, range(256)),
    *"\u0130\u0131\u017f\u212a\uff0e\u3002\uff61\u2024\u00ad\u200b\u202e\ufeff",
    *("%2e", "..", "::", ":80", "\r\n", "xn--", "0x", "evil.example", "*."),
)
# Lower case of one is ASCII, or it looks as one.
ALIKE = {"k": "\u212a", "s": "\u017f", "a": "\u0430", "e": "\u0435", ".": "\uff0e"}
ENDS = ("", "", "", "", ".", "..", ":80", ":443", ":0", ":65536", ":", ":8", ".:80")


def iter_hostile(hosts: Sequence[str]) -> Iterator[str]:
    """Yield the hosts written by hand."""
    yield from INVALID_HOSTS
    yield from ADDRESSES
    for host in hosts:
        for decoration in DECORATIONS:
            yield decoration.format(host)
        for cut in range(1, len(host)):
            yield host[:cut]
            yield host[cut:]


def generate_host(chance: Random, hosts: Sequence[str]) -> str:
    """Return a host, mostly one that is nearly one of `hosts`."""
    kind = chance.random()
    if kind < 0.6:
        return mutate(chance, chance.choice(hosts))
    if kind < 0.75:
        return generate_address(chance) + chance.choice(ENDS)
    if kind < 0.97:
        parts = chance.choices(PIECES, k=chance.randint(1, 6))
        return ".".join(parts) + chance.choice(ENDS)
    length = chance.choice((8, 64, 253, 254, 400))
    return "".join(chr(chance.randrange(256)) for _ in range(length))


def mutate(chance: Random, host: str) -> str:
    for _ in range(chance.choice((0, 1, 1, 1, 2, 2, 3))):
        host = MUTATIONS[chance.randrange(len(MUTATIONS))](chance, host)
    return host + chance.choice(ENDS)


def generate_address(chance: Random) -> str:
    if chance.random() < 0.4:
        last = chance.choice(("1", "10", "01", "0x1", "256", "", "2"))
        return f"{chance.choice(('192', '193'))}.0.2.{last}"
    groups = ["2001", "db8", *["0"] * 5, chance.choice(("1", "12", "01", "0012", "g"))]
    if chance.random() < 0.3:
        groups[chance.randrange(8)] = f"{chance.randrange(70_000):x}"
    if chance.random() < 0.7:
        begin = chance.randint(2, 4)
        groups[begin : chance.randint(begin, 7)] = [""]
    text = ":".join(groups)
    if chance.random() < 0.1:
        text = text.rpartition(":")[0] + ":0.0.0.1"
    text = swap_case(chance, text)
    return f"[{text}]" if chance.random() < 0.9 else f"[{text}"


def swap_case(chance: Random, host: str) -> str:
    return "".join(char.upper() if chance.random() < 0.5 else char for char in host)


def insert(chance: Random, host: str) -> str:
    at = chance.randint(0, len(host))
    return host[:at] + chance.choice(INSERTED) + host[at:]


def remove(chance: Random, host: str) -> str:
    at = chance.randint(0, len(host))
    return host[:at] + host[at + 1 :]


def replace(chance: Random, host: str) -> str:
    at = chance.randrange(len(host) or 1)
    return host[:at] + chance.choice(INSERTED) + host[at + 1 :]


def look_alike(chance: Random, host: str) -> str:
    char = chance.choice(tuple(ALIKE))
    return host.replace(char, ALIKE[char], 1)


def add_label(chance: Random, host: str) -> str:
    return f"{chance.choice(PIECES)}.{host}"


def add_end(chance: Random, host: str) -> str:
    return f"{host}{chance.choice(('.', ''))}{chance.choice(PIECES)}"


def decorate(chance: Random, host: str) -> str:
    return chance.choice(DECORATIONS).format(host)


MUTATIONS = (
    swap_case, swap_case, insert, remove, replace, look_alike, add_label, add_label,
    add_end, decorate,
)  # fmt: skip
