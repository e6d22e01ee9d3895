"""What is wrong with the definition of a mirror, in itself and beside the fleet."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any
from uuid import UUID

from django.utils import timezone

from django_mirrors.checks.services import find_mixed_databases, find_mixed_storages
from django_mirrors.conf import get_conf
from django_mirrors.context import use_original
from django_mirrors.dsn import build_cache, build_database, build_mail, build_storage
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.mirror import ORIGINAL_NAME, Mirror, fill_defaults
from django_mirrors.records import Tombstone
from django_mirrors.registry import mirrors
from django_mirrors.registry.snapshot import build_snapshot

__all__ = ["build_checked", "check_services", "complete"]


def complete(name: str, definition: Mapping[str, Any], uid: UUID) -> dict[str, Any]:
    """Return `definition` with what DEFAULTS give to it."""
    return fill_defaults(name, definition, get_conf().defaults, uid=uid)


def build_checked(name: str, definition: Mapping[str, Any], uid: UUID) -> Mirror:
    """Return the mirror of a definition. Raises `InvalidMirror` for all that is wrong.

    Also if it is right in itself, and in the way of another mirror.
    """
    planned = Mirror.from_mapping(
        name, definition, uid=uid, source="records", place=f"Mirror '{name}'"
    )
    others = [mirror for mirror in mirrors.values() if mirror.name != name]
    build_snapshot([*others, planned], get_conf())
    _check_tombstones(planned)
    check_services(planned)
    _check_databases(planned)
    _check_storages(planned)
    return planned


def _check_tombstones(mirror: Mirror) -> None:
    """Raise `InvalidMirror` for hosts that another mirror had until lately."""
    with use_original():
        taken = Tombstone.objects.filter(
            host__in=mirror.hosts, until__gt=timezone.now()
        ).exclude(mirror=mirror.name)
        problems = [
            f"The host '{item.host}' was that of mirror '{item.mirror}', which was "
            "retired, and is kept from others until "
            f"{timezone.localtime(item.until):%Y-%m-%d}. Choose another host."
            for item in taken
        ]
    if problems:
        raise InvalidMirror(*problems)


def _check_databases(mirror: Mirror) -> None:
    """Raise `InvalidMirror` if another mirror has the database, made or not."""
    usual, of_another = _find_usual(mirror)
    if mirror.database == usual.get("DATABASE") != of_another.get("DATABASE"):
        return
    mixed = find_mixed_databases(mirror, get_conf())
    if mixed:
        raise InvalidMirror(*mixed)


def _check_storages(mirror: Mirror) -> None:
    """Raise `InvalidMirror` if the files would be mixed with those of another."""
    if _has_usual_storages(mirror):
        # To compare all mirrors takes seconds in a large fleet.
        return
    mixed = find_mixed_storages(mirror, get_conf())
    if mixed:
        raise InvalidMirror(*mixed)


def _has_usual_storages(mirror: Mirror) -> bool:
    """Whether the files are where DEFAULTS put those of this mirror alone."""
    usual, of_another = map(_find_storages, _find_usual(mirror))
    return all(
        value == usual.get(alias) != of_another.get(alias)
        for alias, value in mirror.storages.items()
    )


def _find_usual(mirror: Mirror) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what DEFAULTS give to this mirror, and what to one that is not there."""
    return (
        complete(mirror.name, {}, mirror.uid),
        complete(ORIGINAL_NAME, {}, UUID(int=0)),
    )


def _find_storages(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    storages = definition.get("STORAGES", {"default": definition.get("STORAGE")})
    return storages if isinstance(storages, Mapping) else {}


def check_services(mirror: Mirror) -> None:
    """Raise `InvalidMirror` with every service that cannot be read."""
    errors: list[InvalidMirror] = []
    for check in _iter_service_checks(mirror):
        try:
            check()
        except InvalidMirror as error:
            errors.append(error)
    if errors:
        raise InvalidMirror.collect(errors)


def _iter_service_checks(mirror: Mirror) -> Iterator[Callable[[], object]]:
    place = f"Mirror '{mirror}'"
    yield partial(_check_database, mirror, f"{place} DATABASE")
    for alias, value in mirror.storages.items():
        yield partial(build_storage, value, place=f"{place} STORAGE '{alias}'")
    if mirror.cache is not None:
        yield partial(build_cache, mirror.cache, place=f"{place} CACHE")
    if mirror.mail is not None:
        directory = get_conf().directory
        yield partial(
            build_mail, mirror.mail, directory=directory, place=f"{place} MAIL"
        )


def _check_database(mirror: Mirror, place: str) -> None:
    if mirror.database is not None:
        build_database(mirror.database, directory=get_conf().directory, place=place)
    elif mirror.alias == mirror.name:
        raise InvalidMirror(
            f"Mirror '{mirror}' has no database. Give it one with --database, share "
            "one with --share DATABASE=NAME, or set 'DATABASE' in "
            "MIRRORS_OPTIONS['DEFAULTS']."
        )
