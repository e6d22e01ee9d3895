"""How a command begins, and what it says if the configuration is wrong."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from django.core.checks.registry import registry

from django_mirrors.conf import build_conf, get_conf
from django_mirrors.context import find_current_mirror, hold_mirror
from django_mirrors.db.command import choose_command_mirror
from django_mirrors.exceptions import InvalidMirror, UnknownMirror
from django_mirrors.mirror import ORIGINAL_NAME
from django_mirrors.registry import mirrors
from django_mirrors.registry.building import build_original
from django_mirrors.sources import build_declared_sources

__all__ = ["begin_command", "check_in_original"]

_CHECKING = "check"
# They need no mirror, and the first shows everything that is wrong.
_HARMLESS = frozenset({_CHECKING, "help", "version", "--help", "-h", "--version", ""})
_RELOADING = "runserver"  # Django shows the error and waits for a better file
_OWN_PREFIX = "mirror_"  # they begin in the original, with the checks


def begin_command(arguments: Sequence[str]) -> None:
    """Let the command of `arguments` act in its mirror, or end the process.

    Django catches a `CommandError` only once its apps are ready. No other mirror takes
    the place of one that cannot be read: a command would change the wrong database.
    """
    command = arguments[1] if len(arguments) > 1 else ""
    try:
        if not command.startswith(_OWN_PREFIX):
            _read_configuration()
        choose_command_mirror(arguments)
        if command == _CHECKING or command not in _HARMLESS:
            _find_pinned()
    except (InvalidMirror, UnknownMirror) as error:
        if command == _RELOADING:
            raise
        if command not in _HARMLESS:
            raise SystemExit(
                f"CommandError: {error}\n"
                "Run 'manage.py check' to see everything that is wrong."
            ) from None
        # Held as a value until the process ends: the registry would raise again.
        original = build_original(build_conf()[0])
        hold_mirror(original).__enter__()


def check_in_original() -> None:
    """Let system checks look at the original wherever no mirror is current.

    Celery runs them when a worker starts, and those of Django use the database.
    """
    list_checks = registry.get_checks

    def get_checks(*args: Any, **kwargs: Any) -> list[Any]:
        return [_hold_original(check) for check in list_checks(*args, **kwargs)]

    # Celery has its hands on run_checks() before any app is ready.
    registry.get_checks = get_checks  # type: ignore[method-assign]


def _hold_original(check: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(check)
    def run(*args: Any, **kwargs: Any) -> Any:
        if find_current_mirror() is not None:
            return check(*args, **kwargs)
        # A value, since the registry raises what the checks shall list.
        with hold_mirror(build_original(build_conf()[0])):
            return list(check(*args, **kwargs))

    return run


def _find_pinned() -> None:
    """Raise `UnknownMirror` if $DJANGO_MIRROR names none."""
    pinned = get_conf().pinned
    if pinned is not None and pinned not in mirrors:
        raise UnknownMirror(
            f"The variable DJANGO_MIRROR is '{pinned}', and there is no such mirror. "
            "Correct it, or remove it."
        )


def _read_configuration() -> None:
    """Raise `InvalidMirror` if the pinned mirror could not be found by name."""
    conf = get_conf()
    if conf.pinned in {None, ORIGINAL_NAME}:
        return
    readings = [source.read() for source in build_declared_sources(conf)]
    problems = [problem for reading in readings for problem in reading.problems]
    if problems:
        raise InvalidMirror(*problems)
