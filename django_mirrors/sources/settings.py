"""Mirrors declared in the setting `MIRRORS`."""

from collections.abc import Mapping
from typing import Any

from django_mirrors.conf import get_conf
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.mirror import Mirror, build_uid, fill_defaults

__all__ = ["SettingsSource", "build_mirrors"]


class SettingsSource:
    """`MIRRORS = {name: definition}`."""

    def read(self) -> tuple[Mirror, ...]:
        """Return every mirror of the setting."""
        definitions = get_conf().mirrors
        return build_mirrors(
            {name: (definition, "settings") for name, definition in definitions.items()}
        )

    def fingerprint(self) -> object:
        """Return the identity of the configuration: settings do not change."""
        return id(get_conf())


def build_mirrors(
    definitions: Mapping[str, tuple[Mapping[str, Any], str]],
) -> tuple[Mirror, ...]:
    """Return the mirrors of `definitions`, which maps names to definition and source.

    Raises one `InvalidMirror` with the problems of all of them.
    """
    defaults = get_conf().defaults
    built, errors = [], []
    for name, (definition, source) in definitions.items():
        place = f"MIRRORS[{name!r}]" if source == "settings" else source
        try:
            uid = build_uid(str(name))
            if isinstance(definition, Mapping):
                definition = fill_defaults(name, definition, defaults, uid=uid)
            built.append(
                Mirror.from_mapping(
                    name, definition, uid=uid, source=source, place=place
                )
            )
        except InvalidMirror as error:
            errors.append(error)
    if errors:
        raise InvalidMirror.collect(errors)
    return tuple(built)
