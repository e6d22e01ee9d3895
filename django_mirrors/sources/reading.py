"""What a source of declared mirrors gives."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from django_mirrors.exceptions import InvalidMirror
from django_mirrors.mirror import Mirror, build_uid, fill_defaults

__all__ = ["Declaration", "Reading", "build_mirrors"]


class Reading(NamedTuple):
    """The mirrors of a source, and what is wrong with those that cannot be built."""

    mirrors: tuple[Mirror, ...]
    problems: tuple[str, ...] = ()
    refused: frozenset[str] = frozenset()  # names whose definition is wrong


class Declaration(NamedTuple):
    """A definition as it was written, and where."""

    name: Any
    definition: Any
    source: str  # of the mirror it becomes
    place: str  # in the messages


def build_mirrors(
    declarations: Iterable[Declaration], defaults: Mapping[str, Any]
) -> Reading:
    """Return what the declarations give, each completed by `defaults`."""
    mirrors: list[Mirror] = []
    problems: list[str] = []
    refused: set[str] = set()
    for declaration in declarations:
        try:
            mirrors.append(_build(declaration, defaults))
        except InvalidMirror as error:
            problems.extend(error.problems)
            refused.add(str(declaration.name))
    return Reading(tuple(mirrors), tuple(problems), frozenset(refused))


def _build(declaration: Declaration, defaults: Mapping[str, Any]) -> Mirror:
    name, definition, source, place = declaration
    # A name that is no text, or cannot be encoded, is told with all that is wrong.
    uid = build_uid(str(name).encode(errors="replace").decode())
    if isinstance(name, str) and isinstance(definition, Mapping):
        definition = fill_defaults(name, definition, defaults, uid=uid)
    return Mirror.from_mapping(name, definition, uid=uid, source=source, place=place)
