"""Use every service of a mirror once, and say what is wrong with it."""

from uuid import uuid4

from django.core.cache import caches
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import DatabaseError, connections

from django_mirrors.conf import find_setting
from django_mirrors.context import use_mirror
from django_mirrors.exceptions import MirrorError, OperationFailed
from django_mirrors.mirror import Mirror
from django_mirrors.models import Marker
from django_mirrors.operations.reports import DONE, Report
from django_mirrors.operations.runner import OnStep, describe, run_steps

__all__ = ["check_mirrors", "find_problems"]

_PROBE = "django-mirrors-probe"


def check_mirrors(
    mirrors: tuple[Mirror, ...], *, jobs: int = 1, on_step: OnStep | None = None
) -> Report:
    """Connect to every service of every mirror; return what is wrong and where."""

    def check(mirror: Mirror) -> tuple[str, str]:
        problems = find_problems(mirror)
        if problems:
            raise OperationFailed(" ".join(problems))
        return DONE, "every service answers"

    return run_steps("check", mirrors, check, jobs=jobs, on_step=on_step)


def find_problems(mirror: Mirror) -> tuple[str, ...]:
    """Return one sentence for each service of `mirror` that does not work."""
    with use_mirror(mirror):
        return (
            *_check_database(mirror),
            *_check_storages(mirror),
            *_check_caches(),
        )


def _check_database(mirror: Mirror) -> tuple[str, ...]:
    try:
        with connections[mirror.alias].cursor() as cursor:
            cursor.execute("SELECT 1")
        if mirror.is_original or mirror.alias != mirror.name:
            return ()
        uids = list(Marker.objects.values_list("uid", flat=True))
    except (MirrorError, DatabaseError) as error:
        return (f"DATABASE: {describe(error)}",)
    if uids != [mirror.uid]:
        problem = (
            f"DATABASE: it is not marked as that of mirror '{mirror}'. Check its URL: "
            "this may be the data of another mirror."
        )
        return (problem,)
    return ()


def _check_storages(mirror: Mirror) -> tuple[str, ...]:
    problems = []
    for alias in mirror.storages:
        name = f"{_PROBE}-{uuid4().hex}"
        try:
            storage = storages[alias]
            saved = storage.save(name, ContentFile(b"probe"))
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
