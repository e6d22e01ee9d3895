"""Where definitions of mirrors come from."""

from collections.abc import Iterable
from typing import Protocol

from django_mirrors.conf import get_conf
from django_mirrors.mirror import Mirror
from django_mirrors.sources.files import FilesSource
from django_mirrors.sources.settings import SettingsSource

__all__ = ["Source", "build_declared_sources"]


class Source(Protocol):
    """A place where mirrors are declared, read-only at run time."""

    def read(self) -> Iterable[Mirror]:
        """Return every mirror. Raises `InvalidMirror` with all problems."""

    def fingerprint(self) -> object:
        """Return a value that differs after a change, cheap enough to ask each second."""


def build_declared_sources() -> tuple[Source, ...]:
    """Return the sources of declared mirrors that the configuration names."""
    conf = get_conf()
    if conf.files is None:
        return (SettingsSource(),)
    return (SettingsSource(), FilesSource(conf.files))
