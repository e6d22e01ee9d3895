"""The end of a mirror: stop serving and archive it, then destroy what it had."""

import logging
from collections.abc import Callable
from datetime import timedelta
from time import monotonic, sleep
from typing import Any
from uuid import uuid4

from django.core.cache import caches
from django.db import connections
from django.utils import timezone

from django_mirrors.conf import find_setting, get_conf
from django_mirrors.context import use_mirror, use_original
from django_mirrors.exceptions import OperationFailed
from django_mirrors.mirror import (
    CACHE,
    DATABASE,
    STORAGE,
    Mirror,
    State,
)
from django_mirrors.operations.archives import (
    build_place,
    remove_left,
    verify_archive,
)
from django_mirrors.operations.contents import find_storages
from django_mirrors.operations.databases import get_database_backend
from django_mirrors.operations.drafts import find_marker
from django_mirrors.operations.export import build_archive_name, write_mirror
from django_mirrors.operations.fleet import change_record, writing
from django_mirrors.operations.locks import hold_lock
from django_mirrors.operations.media import OnFile, delete_files, ignore_file
from django_mirrors.operations.reports import DONE, Plan, Report, StepResult
from django_mirrors.records import MirrorRecord, Tombstone
from django_mirrors.registry import mirrors

__all__ = ["plan_purge", "plan_retire", "purge_mirror", "retire_mirror"]

logger = logging.getLogger("django_mirrors.operations")

_REASON = "retired"
_RETIRABLE = frozenset({State.ACTIVE, State.MAINTENANCE, State.SUSPENDED})


def plan_retire(name: str) -> Plan:
    """Return what `retire_mirror` would do; change nothing."""
    _check_retirable(name)
    steps = ("stop serving", "write the archive", "verify the archive", "archive")
    return Plan(operation="retire", steps={name: steps})


def retire_mirror(name: str, *, on_file: OnFile | None = None) -> Report:
    """Stop serving a mirror, and put it into a verified archive; return its place.

    Its services stay as they are, and its hosts stay taken, until it is purged. Raises
    `OperationFailed` while other mirrors share its services.
    """
    began = monotonic()
    with hold_lock(f"mirror:{name}"[:64], operation=f"Retiring '{name}'") as lock:
        mirror = _check_retirable(name)
        if mirror.state != State.SUSPENDED:
            change_record(mirror, state=State.SUSPENDED, reason=_REASON)
        # Every process has looked at the fleet by then.
        sleep(2 * get_conf().poll_seconds)
        lock.renew()
        place = _find_archive(mirror) or _archive(mirror, on_file or ignore_file)
        lock.renew()
        _end_serving(mirror, place)
    result = StepResult(
        mirror=name, outcome=DONE, seconds=monotonic() - began, detail=place
    )
    return Report(operation="retire", id=str(uuid4()), results=(result,))


def plan_purge(name: str) -> Plan:
    """Return what `purge_mirror` would do; change nothing."""
    mirror, record = _check_purgeable(name)
    steps = [title for title, _ in _list_ends(mirror)]
    kept = [
        f"leave the {service.lower()} of '{owner}', which it shares"
        for service, owner in mirror.shares.items()
    ]
    verify = f"verify the archive '{record.archive}'"
    return Plan(operation="purge", steps={name: (verify, *steps, *kept, "forget it")})


def purge_mirror(name: str, *, confirm: str, on_file: OnFile | None = None) -> Report:
    """Destroy the database and the files of a retired mirror, and forget it.

    `confirm` must be its name. Its archive is read to the end before anything is
    destroyed; what it shares is left alone. Its hosts stay taken for some days. Raises
    `OperationFailed`.
    """
    began = monotonic()
    if confirm != name:
        raise OperationFailed(
            f"Mirror '{name}' is not purged: {confirm!r} was given to confirm it. "
            f"Give --confirm {name}."
        )
    with hold_lock(f"mirror:{name}"[:64], operation=f"Purging '{name}'") as lock:
        mirror, record = _check_purgeable(name)
        _check_archive(mirror, record.archive)
        for title, end in _list_ends(mirror):
            lock.renew()
            logger.info("Purging '%s': %s.", name, title)
            end(mirror, on_file or ignore_file)
        lock.renew()
        _forget(mirror)
    result = StepResult(
        mirror=name,
        outcome=DONE,
        seconds=monotonic() - began,
        detail=f"archive: {record.archive}",
    )
    return Report(operation="purge", id=str(uuid4()), results=(result,))


def _check_retirable(name: str) -> Mirror:
    mirrors.reload()
    mirror = mirrors[name]
    if mirror.is_original:
        raise OperationFailed("The original cannot be retired. Name a mirror of it.")
    if mirror.state == State.ARCHIVED:
        raise OperationFailed(
            f"Mirror '{name}' is retired already. Destroy it with 'manage.py "
            f"mirror_purge {name} --confirm {name}', or serve it again with 'manage.py "
            f"mirror_state {name} active'."
        )
    if mirror.state not in _RETIRABLE:
        raise OperationFailed(
            f"Mirror '{name}' is {mirror.state}, so it cannot be retired. Finish it "
            f"first with 'manage.py mirror_add {name}'."
        )
    if mirror.is_read_only:
        raise OperationFailed(
            f"Mirror '{name}' is being moved, so it cannot be retired. End that first "
            f"with 'manage.py mirror_move'."
        )
    _check_sharers(mirror)
    return mirror


def _check_sharers(mirror: Mirror) -> None:
    sharers = [
        f"'{other}' ({service})"
        for other in mirrors.values()
        for service, owner in other.shares.items()
        if owner == mirror.name
    ]
    if sharers:
        raise OperationFailed(
            f"Services of mirror '{mirror}' are shared by {', '.join(sharers)}. Retire "
            "and purge those first, or give them services of their own."
        )


def _archive(mirror: Mirror, on_file: OnFile) -> str:
    name = build_archive_name(mirror)
    # Noted first, so that an attempt that is killed leaves no archive nobody knows.
    change_record(mirror, archive=build_place(name))
    return write_mirror(mirror, None, on_file=on_file, name=name, is_still=True)


def _find_archive(mirror: Mirror) -> str:
    """Return the archive that an attempt made which was killed after it, or ''."""
    with use_original():
        place = MirrorRecord.objects.get(name=mirror.name).archive
    if mirror.state != State.SUSPENDED or mirror.reason != _REASON or not place:
        return ""
    try:
        _check_archive(mirror, place)
    except OperationFailed:
        return ""
    remove_left(place)
    return place


def _check_purgeable(name: str) -> tuple[Mirror, MirrorRecord]:
    mirrors.reload()
    mirror = mirrors[name]
    if mirror.state != State.ARCHIVED:
        raise OperationFailed(
            f"Mirror '{name}' is {mirror.state}, and only what is archived is "
            f"destroyed. Retire it first with 'manage.py mirror_retire {name}'."
        )
    _check_sharers(mirror)
    with use_original():
        return mirror, MirrorRecord.objects.get(name=name)


def _check_archive(mirror: Mirror, place: str) -> None:
    """Raise unless the archive is whole, and of this mirror as it is."""
    manifest = verify_archive(place)
    if manifest["uid"] != str(mirror.uid):
        raise OperationFailed(
            f"The archive '{place}' is of another mirror than '{mirror}', which is not "
            "purged. Serve it again with 'manage.py mirror_state', and retire it anew."
        )
    has_own = mirror.find_owner(DATABASE) == mirror.name
    if has_own and manifest["database"] is None:
        raise OperationFailed(
            f"The archive '{place}' does not hold the database of '{mirror}', which is "
            "not purged. Serve it again with 'manage.py mirror_state', and retire it "
            "anew."
        )


End = Callable[[Mirror, OnFile], None]


def _list_ends(mirror: Mirror) -> tuple[tuple[str, End], ...]:
    """Return what ends each service of its own, with titles; all may be done again."""
    ends: dict[str, tuple[str, End]] = {
        DATABASE: ("destroy the database", _drop_database),
        STORAGE: ("destroy the files", _delete_files),
        CACHE: ("clear the cache", _clear_caches),
    }
    return tuple(
        end
        for service, end in ends.items()
        if mirror.find_owner(service) == mirror.name
    )


def _drop_database(mirror: Mirror, on_file: OnFile) -> None:
    databases: Any = connections.settings
    config = databases.build_config(mirror)
    backend = get_database_backend(config)
    if backend.exists(config) and find_marker(config) != mirror.uid:
        raise OperationFailed(
            f"The database of mirror '{mirror}' is not marked as its own, so it is "
            "left alone. Check its address: this may be the data of another mirror."
        )
    backend.drop(config)  # also what is left of a drop that was killed


def _delete_files(mirror: Mirror, on_file: OnFile) -> None:
    for storage in find_storages(mirror).values():
        delete_files(storage, on_file=on_file)


def _clear_caches(mirror: Mirror, on_file: OnFile) -> None:
    with use_mirror(mirror):
        for alias in find_setting("CACHES"):
            caches[alias].clear()


def _end_serving(mirror: Mirror, place: str) -> None:
    with writing():
        _bury_hosts(mirror)
        change_record(mirror, state=State.ARCHIVED, archive=place)


def _forget(mirror: Mirror) -> None:
    with writing():
        _bury_hosts(mirror)
        MirrorRecord.objects.filter(name=mirror.name).delete()


def _bury_hosts(mirror: Mirror) -> None:
    """Keep the hosts of `mirror` from others for a time: links lead there still."""
    until = timezone.now() + timedelta(days=get_conf().tombstone_days)
    for host in mirror.hosts:
        Tombstone.objects.update_or_create(
            host=host, defaults={"mirror": mirror.name, "until": until}
        )
