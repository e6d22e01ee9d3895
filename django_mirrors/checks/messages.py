"""From sentences to check messages."""

import re
from collections.abc import Iterable

from django.core import checks
from django.core.checks import CheckMessage

__all__ = ["build_errors", "build_warnings"]

# A message ends with what to do: its last sentence is the hint.
_LAST_SENTENCE = re.compile(r"(?<=[.:]) (?=[A-Z][^.]*(?:\.[^ .][^.]*)*[.?]$)")


def build_errors(problems: Iterable[str], number: int) -> list[CheckMessage]:
    """Return an error for each problem, with the id `mirrors.E<number>`."""
    return [
        checks.Error(*_split(problem), id=f"mirrors.E{number:03}")
        for problem in problems
    ]


def build_warnings(problems: Iterable[str], number: int) -> list[CheckMessage]:
    """See build_errors()."""
    return [
        checks.Warning(*_split(problem), id=f"mirrors.W{number:03}")
        for problem in problems
    ]


def _split(problem: str) -> tuple[str, str]:
    message, *rest = _LAST_SENTENCE.split(problem, maxsplit=1)
    return message, rest[0] if rest else "Correct what the message names."
