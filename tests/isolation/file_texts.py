"""File names to try: traversal in every spelling, links, marks, nonsense."""

from collections.abc import Sequence
from random import Random

__all__ = ["generate_name"]

SEGMENTS = (
    "..", "..", "..", ".", "...", "....", "", "~", "~root", "*", "-rf", "con", "nul",
    "C:", "c:\\", "file:", "..;", "..;x", ".. ", " ..", "..\t", "..\n", "\n", "\r\n",
    "\0", "..\0", "\0..", "%2e%2e", "%2e.", ".%2E", "%2f", "%5c", "%252e%252e",
    "%c0%ae%c0%ae", "..%2f", "..%5c", "..%00", "..\\", "\\..", "\\", "\\\\", "\u202e..",
    "\u200b..", "\uff0e\uff0e", "\u2024\u2024", "\u2025", "..\u2215", "..\u2044",
    "..\uff0f", "\uff3c", "\u0338", "\u2028", "\x85", "\x7f", "\udc80", "\udcff..",
    "x" * 255, "x" * 256, "\xfc" * 128, "sub", "own.txt", "deep", "out", "next", "file",
    "gone", "abs", "hop", "loop", "inner", "acme", "acme2", "acme-", "2", "-",
    "secret.txt", "only-outside", "passwd", "etc", "proc", "self", "cwd", "root", "dev",
    "fd", "0", "a b", "a.txt", "\u017elu\u0165.txt", ".htaccess", "index.html", "$HOME",
    "${HOME}", "`id`", "|id", "{name}", "a" * 100, "?x", "#x", "a?b", "a#b",
    "@evil.example", "//evil.example",
)  # fmt: skip
HEADS = (
    "", "", "", "", "", "/", "//", "///", "\\", "\\\\", "./", "../", "../../", "..//",
    "file:///", "file:", "http://evil.example/", "//evil.example/", "s3://media/", "~/",
    "sub/", "sub/../", "out/", "next/", "abs/", "hop/", "inner/", "sub/up/", "C:/",
    "\0/",
)  # fmt: skip
TAILS = ("", "", "", "", "/", "//", "/.", "/..", "\0.txt", ".txt", "::$DATA", " ", ".")


def generate_name(chance: Random, places: Sequence[str]) -> str:
    """Return a name; `places` are absolute paths that it may begin with."""
    parts = chance.choices(SEGMENTS, k=chance.randint(0, 5))
    if chance.random() < 0.15:
        size = chance.choice((1, 3, 8, 40))
        parts.append("".join(chr(find_code(chance)) for _ in range(size)))
    head = chance.choice(places) if chance.random() < 0.05 else chance.choice(HEADS)
    separator = "/" if chance.random() < 0.9 else chance.choice(("\\", "//", "/./"))
    return head + separator.join(parts) + chance.choice(TAILS)


def find_code(chance: Random) -> int:
    kind = chance.random()
    if kind < 0.5:
        return chance.randrange(128)
    return chance.randrange(256) if kind < 0.8 else chance.randrange(0x110000)
