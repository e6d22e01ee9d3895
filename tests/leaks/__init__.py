"""Defects that are planted one at a time, to see that the ordinary tests notice.

Each module of this package lists the leaks of one area as `LEAKS`; `run` plants them.
"""

from dataclasses import dataclass

__all__ = ["Leak"]


@dataclass(frozen=True)
class Leak:
    """One guard removed or broken: a piece of the package's text, replaced."""

    name: str  # a sentence: what goes wrong
    file: str  # below django_mirrors/
    old: str  # occurs once in the file
    new: str
    tests: str  # what pytest is told, of which at least one test must fail
