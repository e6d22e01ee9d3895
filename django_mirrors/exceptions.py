"""Everything that can be wrong with a mirror, rooted at `MirrorError`."""

from collections.abc import Iterable

from django.core.exceptions import ImproperlyConfigured
from django.db.utils import OperationalError

__all__ = [
    "InvalidHost",
    "InvalidMirror",
    "MirrorError",
    "MirrorExists",
    "MirrorUnavailable",
    "NoCurrentMirror",
    "OperationFailed",
    "OperationLocked",
    "UnknownHost",
    "UnknownMirror",
    "WrongMirror",
]


class MirrorError(Exception):
    """Base of every error of this package. Do not raise directly."""


class InvalidMirror(MirrorError, ImproperlyConfigured):
    """A definition or an option is wrong; `problems` has a sentence for each."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems: tuple[str, ...] = problems

    @classmethod
    def collect(cls, errors: Iterable["InvalidMirror"]) -> "InvalidMirror":
        """Return one error that holds the problems of all `errors`."""
        return cls(*(problem for error in errors for problem in error.problems))


class InvalidHost(MirrorError, ValueError):
    """A text is not a host name, an IPv4 address or a bracketed IPv6 address."""


class NoCurrentMirror(MirrorError):
    """Something that belongs to a mirror was used while no mirror is current."""


class UnknownMirror(MirrorError, KeyError):
    """The fleet has no mirror of this name."""

    # KeyError shows the repr of its argument, which would quote the sentence.
    __str__ = Exception.__str__


class UnknownHost(MirrorError, LookupError):
    """No mirror answers on this host."""


class WrongMirror(MirrorError):
    """Something of one mirror was used while another one is current."""


class MirrorUnavailable(MirrorError, OperationalError):
    """A service of the current mirror does not answer."""


class MirrorExists(MirrorError):
    """A mirror, or something that is not this mirror's, already has the name."""


class OperationLocked(MirrorError):
    """Another operation works on the same mirror, or on the fleet."""


class OperationFailed(MirrorError):
    """An operation could not do what it was asked to."""
