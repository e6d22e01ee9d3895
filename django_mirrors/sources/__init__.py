"""Where definitions of mirrors come from."""

from typing import Protocol

from django_mirrors.conf import Conf
from django_mirrors.sources.files import FilesSource
from django_mirrors.sources.reading import Reading
from django_mirrors.sources.settings import SettingsSource

__all__ = ["Reading", "Source", "build_declared_sources"]


class Source(Protocol):
    """A place where mirrors are declared, read-only at run time."""

    def read(self) -> Reading:
        """Return every mirror, and what is wrong with those that cannot be built."""

    def fingerprint(self) -> object:
        """Return a value that differs after a change, cheap enough to ask each second.

        Never raises: what cannot be read now is a value too.
        """


def build_declared_sources(conf: Conf) -> tuple[Source, ...]:
    """Return the sources of declared mirrors that the configuration names."""
    if conf.files is None:
        return (SettingsSource(conf),)
    return (SettingsSource(conf), FilesSource(conf.files, conf))
