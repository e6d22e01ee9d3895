"""Which mirror a management command acts on."""

from collections.abc import Sequence
from typing import TypeGuard

from django.db import DEFAULT_DB_ALIAS, connections

from django_mirrors.conf import get_conf
from django_mirrors.context import use_command_mirror
from django_mirrors.db.settings import MirrorDatabases
from django_mirrors.mirror import ORIGINAL_NAME
from django_mirrors.registry import mirrors

__all__ = ["choose_command_mirror"]

_OPTION = "--database"
_OWN_PREFIX = "mirror_"


def choose_command_mirror(arguments: Sequence[str]) -> None:
    """Let the command of `arguments` act wholly in one mirror.

    That of `--database`, else that of $DJANGO_MIRROR, else the original. The commands
    of this package name their mirrors themselves, and begin in the original.
    """
    command = arguments[1] if len(arguments) > 1 else ""
    if command.startswith(_OWN_PREFIX):
        use_command_mirror(ORIGINAL_NAME)
        return
    chosen, databases = _find_option(arguments), connections.settings
    # Plain databases, of which the checks tell, have no aliases of mirrors.
    if isinstance(databases, MirrorDatabases) and _is_of_mirror(chosen, databases):
        use_command_mirror(chosen)
        # The parser accepts only aliases it sees when it iterates over all.
        databases.pin(chosen)
        return
    use_command_mirror(get_conf().pinned or ORIGINAL_NAME)


def _is_of_mirror(alias: str | None, databases: MirrorDatabases) -> TypeGuard[str]:
    if alias is None or alias == DEFAULT_DB_ALIAS or databases.is_static(alias):
        return False
    return alias in mirrors


def _find_option(arguments: Sequence[str]) -> str | None:
    for position, argument in enumerate(arguments):
        if argument == "--":
            return None
        if argument.startswith(f"{_OPTION}="):
            return argument.partition("=")[2]
        if argument == _OPTION and position + 1 < len(arguments):
            return arguments[position + 1]
    return None
