"""Use every service of a mirror once, and say what is wrong with it."""

from typing import Any
from uuid import uuid4

from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import DatabaseError, connections

from django_mirrors.conf import find_setting, get_conf
from django_mirrors.context import use_mirror
from django_mirrors.exceptions import MirrorError, OperationFailed
from django_mirrors.mail import connect, find_mail_owner
from django_mirrors.mirror import Mirror
from django_mirrors.operations.databases.markers import read_marker
from django_mirrors.operations.poolers import find_pooler_problem
from django_mirrors.operations.reports import DONE, Outcome, Report
from django_mirrors.operations.runner import OnStep, describe, run_steps
from django_mirrors.records import Marker

__all__ = ["check_mirrors", "find_problems", "find_problems_elsewhere"]

_PROBE = "django-mirrors-probe"


def check_mirrors(
    mirrors: tuple[Mirror, ...], *, jobs: int = 1, on_step: OnStep | None = None
) -> Report:
    """Connect to every service of every mirror; return what is wrong and where."""

    def check(mirror: Mirror) -> Outcome:
        problems = find_problems(mirror)
        if problems:
            raise OperationFailed(" ".join(problems))
        return Outcome(DONE, "every service answers")

    return run_steps("check", mirrors, check, jobs=jobs, on_step=on_step)


def find_problems(mirror: Mirror) -> tuple[str, ...]:
    """Return one sentence for each service of `mirror` that does not work."""
    with use_mirror(mirror):
        return (
            *_check_database(mirror),
            *_check_replica(mirror),
            *_check_storages(mirror),
            *_check_caches(),
            *_check_mail(mirror),
        )


def find_problems_elsewhere(known: Mirror, planned: Mirror) -> tuple[str, ...]:
    """Return what is wrong with the services that `planned` has and `known` has not.

    `planned` is the same mirror, not in the fleet yet.
    """
    problems: list[str] = []
    if planned.database not in (None, known.database):
        problems += _check_database_elsewhere(planned)
    if planned.replica not in (None, known.replica):
        problems += _check_replica(planned)
    with use_mirror(planned):
        if planned.storages != known.storages:
            problems += _check_storages(planned)
        if planned.mail != known.mail:
            problems += _check_mail(planned)
    return tuple(problems)


def _check_database_elsewhere(mirror: Mirror) -> tuple[str, ...]:
    databases: Any = connections.settings
    config = databases.build_config(mirror)
    try:
        uid = read_marker(config)
    except (MirrorError, DatabaseError, ImproperlyConfigured) as error:
        return (f"DATABASE: {describe(error)}",)
    return () if uid == mirror.uid else (_describe_mark(mirror),)


def _check_replica(mirror: Mirror) -> tuple[str, ...]:
    databases: Any = connections.settings
    try:
        config = databases.build_replica_config(mirror)
        uid = None if config is None else read_marker(config)
    except (MirrorError, DatabaseError, ImproperlyConfigured) as error:
        return (f"REPLICA: {describe(error)}",)
    if config is None or uid == mirror.uid:
        return ()
    return (_describe_mark(mirror, "REPLICA"),)


def _describe_mark(mirror: Mirror, key: str = "DATABASE") -> str:
    return (
        f"{key}: it is not marked as that of mirror '{mirror}'. Check its URL: "
        "this may be the data of another mirror."
    )


def _check_database(mirror: Mirror) -> tuple[str, ...]:
    try:
        with connections[mirror.alias].cursor() as cursor:
            cursor.execute("SELECT 1")
        problem = find_pooler_problem(mirror)
        if problem:
            return (f"DATABASE: {problem}",)
        if mirror.is_original or mirror.alias != mirror.name:
            return ()
        uids = list(Marker.objects.values_list("uid", flat=True))
    except (MirrorError, DatabaseError) as error:
        return (f"DATABASE: {describe(error)}",)
    return () if uids == [mirror.uid] else (_describe_mark(mirror),)


def _check_storages(mirror: Mirror) -> tuple[str, ...]:
    problems = []
    for alias in mirror.storages:
        try:
            storage = storages[alias]
            storage.delete(_PROBE)  # of a process that was killed here
            saved = storage.save(_PROBE, ContentFile(b"probe"))
            storage.delete(saved)
        except Exception as error:  # noqa: BLE001 - each vendor has errors of its own
            problems.append(f"STORAGE '{alias}': {describe(error)}")
    return tuple(problems)


def _check_caches() -> tuple[str, ...]:
    problems = []
    for alias in find_setting("CACHES"):
        value = uuid4().hex
        try:
            cache = caches[alias]
            cache.set(_PROBE, value, 10)
            cache.delete(_PROBE)
        except Exception as error:  # noqa: BLE001 - each vendor has errors of its own
            problems.append(f"CACHE '{alias}': {describe(error)}")
    return tuple(problems)


def _check_mail(mirror: Mirror) -> tuple[str, ...]:
    try:
        if find_mail_owner(mirror) is not None:
            connect(timeout=get_conf().connect_timeout)
    except Exception as error:  # noqa: BLE001 - each vendor has errors of its own
        return (f"MAIL: {describe(error)}",)
    return ()
