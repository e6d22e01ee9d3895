"""Make what a new mirror needs, in steps that can be killed and continued."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

from django.apps import apps
from django.utils.module_loading import import_string

from django_mirrors.conf import get_conf
from django_mirrors.context import use_mirror, use_original
from django_mirrors.dsn import build_storage
from django_mirrors.exceptions import MirrorError, MirrorExists, OperationFailed
from django_mirrors.mirror import DATABASE, STORAGE, Mirror, State
from django_mirrors.operations.contents import Content, NewContent, find_content
from django_mirrors.operations.drafts import check_database, make_database
from django_mirrors.operations.first_rows import create_superuser, update_site
from django_mirrors.operations.fleet import (
    STORAGE_STEP,
    plan_registration,
    register,
)
from django_mirrors.operations.health import find_problems
from django_mirrors.operations.ledger import write_state
from django_mirrors.operations.locks import Lock, hold_lock
from django_mirrors.operations.media import OnFile, ignore_file
from django_mirrors.operations.release import get_release, read_applied
from django_mirrors.operations.reports import DONE, Plan, Report, StepResult
from django_mirrors.operations.runner import describe
from django_mirrors.records import MirrorRecord
from django_mirrors.registry import mirrors
from django_mirrors.signals import mirror_provisioned
from django_mirrors.sources.records import RECORDS

__all__ = [
    "OnStep",
    "add_mirror",
    "continue_mirror",
    "has_own_site",
    "make_mirror",
    "plan_making",
    "plan_mirror",
]

logger = logging.getLogger("django_mirrors.operations")

OnStep = Callable[[str, int, int], None]  # title, number from 0, how many


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioning:
    """One mirror being made."""

    mirror: Mirror
    content: Content
    superuser: str | None = None
    on_file: OnFile = ignore_file


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionStep:
    """One step, recorded before it begins; must be safe to do again.

    `check` raises if something is in the way that is not this mirror's. It is asked
    before anything is recorded, and so never after the step has begun itself. A step
    that `is_final` is not done again once a later one was begun.
    """

    name: str
    title: str
    do: Callable[[Provisioning], None]
    is_needed: Callable[[Provisioning], bool]
    check: Callable[[Mirror], object] | None = None
    is_final: bool = False


def plan_mirror(
    name: str, definition: Mapping[str, Any], *, superuser: str | None = None
) -> tuple[Mirror, Plan]:
    """Return the mirror and the plan of `add_mirror`; change nothing."""
    return plan_making(name, definition, NewContent(), superuser=superuser)


def add_mirror(
    name: str,
    definition: Mapping[str, Any],
    *,
    superuser: str | None = None,
    on_step: OnStep | None = None,
) -> Report:
    """Register, provision, verify and activate a mirror; return the report.

    Continues a half-made one. Raises `MirrorExists` for an active one, and for a
    database or a directory that is there and is not this mirror's.
    """
    return make_mirror(
        name, definition, NewContent(), superuser=superuser, on_step=on_step
    )


def plan_making(
    name: str,
    definition: Mapping[str, Any],
    content: Content,
    *,
    superuser: str | None = None,
    operation: str = "add",
) -> tuple[Mirror, Plan]:
    """Return the mirror and the plan of `make_mirror`; change nothing."""
    mirror = plan_registration(name, definition)
    _check_origin(name, content)
    work = Provisioning(mirror=mirror, content=content, superuser=superuser)
    needed = [step for step in _STEPS if step.is_needed(work)]
    _check_new(mirror, needed)
    steps = tuple(step.title for step in needed)
    plan = Plan(operation=operation, steps={name: ("register", *steps, "activate")})
    return mirror, plan


def make_mirror(
    name: str,
    definition: Mapping[str, Any],
    content: Content,
    *,
    superuser: str | None = None,
    operation: str = "add",
    on_step: OnStep | None = None,
    on_file: OnFile | None = None,
) -> Report:
    """Make a mirror that begins with `content`. See add_mirror()."""
    began = monotonic()
    with hold_lock(f"mirror:{name}"[:64], operation=f"Adding mirror '{name}'") as lock:
        plan_making(name, definition, content, superuser=superuser)
        work = Provisioning(
            mirror=register(name, definition, origin=content.origin),
            content=content,
            superuser=superuser,
            on_file=on_file or ignore_file,
        )
        provision(work, lock=lock, on_step=on_step)
    result = StepResult(
        mirror=name, outcome=DONE, seconds=monotonic() - began, detail="active"
    )
    return Report(operation=operation, id=str(uuid4()), results=(result,))


def continue_mirror(name: str, *, lock: Lock) -> None:
    """Bring a registered mirror to `active`, with the content it was begun with."""
    mirror = register(name, {})
    record = _find_record(name)
    content = find_content("" if record is None else record.origin)
    provision(Provisioning(mirror=mirror, content=content), lock=lock)


def provision(work: Provisioning, *, lock: Lock, on_step: OnStep | None = None) -> None:
    """Bring a registered mirror from where it stands to `active`."""
    mirror = work.mirror
    needed = [step for step in _STEPS if step.is_needed(work)]
    begun = _find_begun(mirror)
    for number, step in enumerate(needed):
        if step.is_final and step.name in begun[:-1]:
            continue
        if on_step is not None:
            on_step(step.title, number, len(needed))
        lock.renew()
        if step.name not in begun:
            if step.check is not None:
                step.check(mirror)
            _record(mirror, step=step.name)
        _do(step, work)
    lock.renew()
    _activate(mirror)
    if on_step is not None:
        on_step("active", len(needed), len(needed))


def _do(step: ProvisionStep, work: Provisioning) -> None:
    mirror = work.mirror
    try:
        with use_mirror(mirror):
            step.do(work)
    except MirrorError:
        raise
    except Exception as error:
        # A project's own migration or hook can raise anything.
        logger.info("Adding '%s' failed.", mirror, exc_info=True)
        raise OperationFailed(
            _explain_stop(work, step.title, f"{describe(error)}. Mend that")
        ) from error


def _explain_stop(work: Provisioning, title: str, problem: str) -> str:
    again = "run the same command again"
    if not work.content.origin:
        again = f"continue with 'manage.py mirror_add {work.mirror}'"
    return (
        f"Adding mirror '{work.mirror}' stopped at '{title}': {problem}, then {again}."
    )


def create_database(work: Provisioning) -> None:
    """Make the database with its content, unless that was done."""
    mirror = work.mirror
    try:
        make_database(mirror, partial(work.content.fill_database, mirror))
    except OperationFailed:
        # Nothing is left, so that the address may still be corrected.
        _record(mirror, step=STORAGE_STEP)
        raise


def check_storage(mirror: Mirror) -> None:
    """Raise if a file-system storage has files: they may be somebody's."""
    for root in _find_directories(mirror):
        if root.is_dir() and any(root.iterdir()):
            raise MirrorExists(
                f"The directory '{root}' of mirror '{mirror}' holds files already, so "
                "it is left alone. Empty it, or name another one with --storage."
            )


def fill_storage(work: Provisioning) -> None:
    """Make the directories of file-system storages, and copy the first files."""
    prepare_storage(work.mirror)
    work.content.fill_storage(work.mirror, work.on_file)


def fill_storage_again(work: Provisioning) -> None:
    """Copy the files that came while the database was copied."""
    work.content.fill_storage(work.mirror, work.on_file)


def prepare_storage(mirror: Mirror) -> None:
    """Make the directories of file-system storages."""
    for root in _find_directories(mirror):
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OperationFailed(
                f"The directory '{root}' of mirror '{mirror}' cannot be made: "
                f"{error.strerror}. Make it writable, or name another with --storage."
            ) from error


def run_hook(work: Provisioning) -> None:
    """Call the project's hook for a new mirror, in that mirror."""
    import_string(get_conf().hooks["PROVISIONED"])(work.mirror)


def verify(work: Provisioning) -> None:
    """Use every service once. Raises `OperationFailed` with what is wrong."""
    problems = find_problems(work.mirror)
    if problems:
        mirror = work.mirror
        where = (
            f"with 'manage.py mirror_change {mirror}'"
            if mirror.source == RECORDS
            else f"in {mirror.source}"
        )
        remedy = f"Mend that, or correct the definition {where}"
        raise OperationFailed(
            _explain_stop(
                work, "verify every service", f"{'. '.join(problems)}. {remedy}"
            )
        )


def _activate(mirror: Mirror) -> None:
    with use_mirror(mirror):
        applied = read_applied(mirror)
    _record(
        mirror,
        step="",
        state=State.ACTIVE,
        release=get_release(),
        migrations=write_state(applied),
    )
    mirrors.reload()
    active = mirrors[mirror.name]
    with use_mirror(active):
        mirror_provisioned.send(Mirror, mirror=active)


def _check_new(mirror: Mirror, needed: Iterable[ProvisionStep]) -> None:
    """Raise for what stands in the way of a mirror that was not begun yet."""
    begun = _find_begun(mirror)
    for step in needed:
        if step.check is not None and step.name not in begun:
            step.check(mirror)


def _check_origin(name: str, content: Content) -> None:
    """Raise if the half-made mirror `name` was begun with other content."""
    record = _find_record(name)
    if record is None or record.origin == content.origin:
        return
    if not record.step:
        return
    was = f"as a copy of {record.origin}" if record.origin else "without data"
    raise OperationFailed(
        f"Mirror '{name}' was begun {was}. Continue it with the command it was begun "
        "with, or choose another name."
    )


def _find_record(name: str) -> MirrorRecord | None:
    with use_original():
        return MirrorRecord.objects.filter(name=name).first()


def _find_begun(mirror: Mirror) -> tuple[str, ...]:
    """Return the names of the steps that were begun; all but the last one are done."""
    record = _find_record(mirror.name)
    names = [step.name for step in _STEPS]
    if record is None or record.step not in names:
        return ()
    return tuple(names[: names.index(record.step) + 1])


def _record(mirror: Mirror, **values: Any) -> None:
    with use_original():
        MirrorRecord.objects.filter(name=mirror.name).update(**values)


def _find_directories(mirror: Mirror) -> list[Path]:
    """Return the roots of file-system storages; object stores have none to make."""
    roots = []
    for alias, value in mirror.storages.items():
        config = build_storage(value, place=f"Mirror '{mirror}' STORAGE '{alias}'")
        location = config.get("OPTIONS", {}).get("location")
        if location and "filesystem" in config["BACKEND"].lower():
            roots.append(Path(location))
    return roots


def _owns(service: str) -> Callable[[Provisioning], bool]:
    return lambda work: work.mirror.find_owner(service) == work.mirror.name


def has_own_site(mirror: Mirror) -> bool:
    """Whether a row of `contrib.sites` is this mirror's and nobody else's."""
    if not apps.is_installed("django.contrib.sites") or not mirror.primary_host:
        return False
    # In a shared database the owner's row must not be taken.
    return mirror.alias == mirror.name or "SITE_ID" in mirror.settings


_STEPS = (
    # Files come first, and again after the database: each file that a row names was
    # there when one of the two was copied.
    ProvisionStep(
        name=STORAGE_STEP,
        title="prepare the storage",
        do=fill_storage,
        check=check_storage,
        is_needed=_owns(STORAGE),
    ),
    ProvisionStep(
        name="database",
        title="make the database",
        do=create_database,
        check=check_database,
        is_needed=_owns(DATABASE),
    ),
    ProvisionStep(
        name="files",
        title="copy files that are new",
        do=fill_storage_again,
        is_needed=lambda work: bool(work.content.origin) and _owns(STORAGE)(work),
    ),
    ProvisionStep(
        name="site",
        title="update the site",
        do=lambda work: update_site(work.mirror),
        is_needed=lambda work: has_own_site(work.mirror),
    ),
    ProvisionStep(
        name="superuser",
        title="create the superuser",
        do=lambda work: create_superuser(work.mirror, str(work.superuser)),
        is_needed=lambda work: work.superuser is not None,
    ),
    ProvisionStep(
        name="hook",
        title="call the project's hook",
        do=run_hook,
        is_needed=lambda work: "PROVISIONED" in get_conf().hooks,
        is_final=True,
    ),
    ProvisionStep(
        name="verify", title="verify every service", do=verify, is_needed=lambda _: True
    ),
)
