"""Mirrors declared in the setting `MIRRORS`."""

from django_mirrors.conf import Conf
from django_mirrors.sources.reading import Declaration, Reading, build_mirrors

__all__ = ["SettingsSource"]

_SOURCE = "settings"


class SettingsSource:
    """`MIRRORS = {name: definition}`."""

    def __init__(self, conf: Conf) -> None:
        self._conf = conf

    def read(self) -> Reading:
        """Return every mirror of the setting."""
        declarations = [
            Declaration(name, definition, _SOURCE, f"MIRRORS[{name!r}]")
            for name, definition in self._conf.mirrors.items()
        ]
        return build_mirrors(declarations, self._conf.defaults)

    def fingerprint(self) -> object:
        """Return the identity of the configuration: settings do not change."""
        return id(self._conf)
