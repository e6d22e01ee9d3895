"""Make what a new mirror needs, in steps that can be killed and continued."""

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import DatabaseError, connections, transaction
from django.utils.module_loading import import_string

from django_mirrors.conf import find_setting, get_conf
from django_mirrors.context import use_mirror, use_original
from django_mirrors.dsn import build_storage
from django_mirrors.exceptions import MirrorExists, OperationFailed
from django_mirrors.mirror import DATABASE, STORAGE, Mirror, State
from django_mirrors.models import Marker, MirrorRecord
from django_mirrors.operations.databases import get_database_backend
from django_mirrors.operations.fleet import plan_registration, register
from django_mirrors.operations.health import find_problems
from django_mirrors.operations.locks import Lock, hold_lock
from django_mirrors.operations.release import get_release
from django_mirrors.operations.reports import DONE, Plan, Report, StepResult
from django_mirrors.operations.runner import describe
from django_mirrors.registry import mirrors
from django_mirrors.signals import mirror_provisioned

__all__ = ["add_mirror", "plan_mirror", "provision"]

logger = logging.getLogger("django_mirrors.operations")

OnStep = Callable[[str, int, int], None]

# Tables that a database may hold before it is marked: those of the marking itself.
_OWN_TABLES = frozenset({"django_migrations", "django_mirrors_marker"})
_APP = "django_mirrors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioning:
    """One mirror being made."""

    mirror: Mirror
    superuser: str | None
    is_resumed: bool = False  # whether an attempt was stopped in this very step


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
    is_needed: Callable[[Mirror, str | None], bool]
    check: Callable[[Mirror], None] | None = None
    is_final: bool = False


def plan_mirror(
    name: str, definition: Mapping[str, Any], *, superuser: str | None = None
) -> tuple[Mirror, Plan]:
    """Return the mirror and the plan of `add_mirror`; change nothing."""
    mirror = plan_registration(name, definition)
    needed = [step for step in _STEPS if step.is_needed(mirror, superuser)]
    _check_new(mirror, needed)
    steps = tuple(step.title for step in needed)
    return mirror, Plan(operation="add", steps={name: ("register", *steps, "activate")})


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
    began = monotonic()
    with hold_lock(f"mirror:{name}"[:64], operation=f"Adding mirror '{name}'") as lock:
        plan_mirror(name, definition, superuser=superuser)
        mirror = register(name, definition)
        provision(mirror, lock=lock, superuser=superuser, on_step=on_step)
    result = StepResult(
        mirror=name, outcome=DONE, seconds=monotonic() - began, detail="active"
    )
    return Report(operation="add", id=str(uuid4()), results=(result,))


def provision(
    mirror: Mirror,
    *,
    lock: Lock,
    superuser: str | None = None,
    on_step: OnStep | None = None,
) -> None:
    """Bring a registered mirror from where it stands to `active`."""
    needed = [step for step in _STEPS if step.is_needed(mirror, superuser)]
    work = Provisioning(mirror=mirror, superuser=superuser)
    begun = _find_begun(mirror)
    for number, step in enumerate(needed):
        if step.is_final and step.name in begun[:-1]:
            continue
        if on_step is not None:
            on_step(step.title, number, len(needed))
        lock.renew()
        if step.name not in begun and step.check is not None:
            step.check(mirror)
        if step.name not in begun:
            _record(mirror, step=step.name)
        is_resumed = begun[-1:] == (step.name,)
        try:
            with use_mirror(mirror):
                step.do(replace(work, is_resumed=is_resumed))
        except DatabaseError as error:
            raise OperationFailed(
                f"Adding mirror '{mirror}' stopped at '{step.title}': "
                f"{describe(error)}. Mend that, then continue with "
                f"'manage.py mirror_add {mirror}'."
            ) from error
    lock.renew()
    _activate(mirror)
    if on_step is not None:
        on_step("active", len(needed), len(needed))


def check_database(mirror: Mirror) -> None:
    """Raise if the database is there: it may hold somebody's data, or be somebody's."""
    config = connections.settings.build_config(mirror)  # type: ignore[attr-defined]
    if get_database_backend(config).exists(config):
        raise MirrorExists(
            f"The database '{config['NAME']}' of mirror '{mirror}' is there already "
            "and is not marked as this mirror's, so it is left alone. Remove it, or "
            "name another one with --database."
        )


def create_database(work: Provisioning) -> None:
    """Make the database, unless an attempt that was stopped has made it."""
    config = connections.settings[work.mirror.alias]
    backend = get_database_backend(config)
    if not backend.exists(config):
        try:
            backend.create(config)
        except OperationFailed:
            # Nothing was made, so that the address may still be corrected.
            _record(work.mirror, step="")
            raise
        return
    # It was not there when this step was recorded. Nobody else may have filled it.
    marker = _find_marker(work.mirror)
    if marker is None and not _find_tables(work.mirror) <= _OWN_TABLES:
        raise MirrorExists(
            f"The database '{config['NAME']}' of mirror '{work.mirror}' holds tables "
            "and is not marked as this mirror's, so it is left alone. Remove it."
        )


def mark_database(work: Provisioning) -> None:
    """Write into the database whose it is."""
    migrate(work.mirror, app=_APP)
    marker = _find_marker(work.mirror)
    if marker is None:
        with transaction.atomic():
            Marker.objects.create(uid=work.mirror.uid, name=work.mirror.name)
    elif marker != work.mirror.uid:
        raise MirrorExists(
            f"The database of mirror '{work.mirror}' is marked as another mirror's, so "
            "it is left alone. Name another one with --database."
        )


def migrate_database(work: Provisioning) -> None:
    """Apply all migrations.

    Django records some migrations after their transaction, so that a process killed in
    between leaves one that is applied and not recorded. A database in which this step
    was stopped has nothing but tables yet, and is made anew.
    """
    if work.is_resumed and _find_marker(work.mirror) == work.mirror.uid:
        config = connections.settings[work.mirror.alias]
        connections[work.mirror.alias].close()
        get_database_backend(config).drop(config)
        get_database_backend(config).create(config)
        mark_database(work)
    migrate(work.mirror)


def check_storage(mirror: Mirror) -> None:
    """Raise if a file-system storage has files: they may be somebody's."""
    for root in _find_directories(mirror):
        if root.is_dir() and any(root.iterdir()):
            raise MirrorExists(
                f"The directory '{root}' of mirror '{mirror}' holds files already, so "
                "it is left alone. Empty it, or name another one with --storage."
            )


def prepare_storage(work: Provisioning) -> None:
    """Make the directories of file-system storages."""
    for root in _find_directories(work.mirror):
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OperationFailed(
                f"The directory '{root}' of mirror '{work.mirror}' cannot be made: "
                f"{error.strerror}. Make it writable, or name another with --storage."
            ) from error


def update_site(work: Provisioning) -> None:
    """Let the row of `contrib.sites` follow the primary host."""
    site_model = apps.get_model("sites", "Site")
    site_model.objects.update_or_create(
        pk=find_setting("SITE_ID"),
        defaults={
            "domain": work.mirror.primary_host[:100],
            "name": work.mirror.display_name[:50],
        },
    )


def create_superuser(work: Provisioning) -> None:
    """Make the superuser, with the password of $DJANGO_SUPERUSER_PASSWORD or none."""
    model: Any = get_user_model()
    if model.objects.filter(**{model.USERNAME_FIELD: work.superuser}).exists():
        return
    values = {
        name: os.environ.get(f"DJANGO_SUPERUSER_{name.upper()}", "")
        for name in model.REQUIRED_FIELDS
    }
    password = os.environ.get("DJANGO_SUPERUSER_PASSWORD") or None
    try:
        model.objects.create_superuser(
            **{model.USERNAME_FIELD: work.superuser}, **values, password=password
        )
    except (ValidationError, ValueError, DatabaseError) as error:
        raise OperationFailed(
            f"The superuser '{work.superuser}' of mirror '{work.mirror}' cannot be "
            f"made: {error}. Set DJANGO_SUPERUSER_<FIELD> for each required field."
        ) from error


def run_hook(work: Provisioning) -> None:
    """Call the project's hook for a new mirror, in that mirror."""
    import_string(get_conf().hooks["PROVISIONED"])(work.mirror)


def verify(work: Provisioning) -> None:
    """Use every service once. Raises `OperationFailed` with what is wrong."""
    problems = find_problems(work.mirror)
    if problems:
        raise OperationFailed(" ".join(problems))


def migrate(mirror: Mirror, *, app: str | None = None) -> None:
    """Apply the migrations of one app, or of all, in `mirror`: the current one."""
    arguments = [] if app is None else [app]
    call_command(
        "migrate",
        *arguments,
        database=mirror.alias,
        interactive=False,
        verbosity=0,
        stdout=StringIO(),
    )


def _activate(mirror: Mirror) -> None:
    _record(mirror, step="", state=State.ACTIVE, release=get_release())
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


def _find_begun(mirror: Mirror) -> tuple[str, ...]:
    """Return the names of the steps that were begun; all but the last one are done."""
    with use_original():
        record = MirrorRecord.objects.filter(name=mirror.name).first()
    names = [step.name for step in _STEPS]
    if record is None or record.step not in names:
        return ()
    return tuple(names[: names.index(record.step) + 1])


def _record(mirror: Mirror, **values: Any) -> None:
    with use_original():
        MirrorRecord.objects.filter(name=mirror.name).update(**values)


def _find_tables(mirror: Mirror) -> frozenset[str]:
    connection = connections[mirror.alias]
    with connection.cursor() as cursor:
        return frozenset(connection.introspection.table_names(cursor))


def _find_marker(mirror: Mirror) -> UUID | None:
    if Marker._meta.db_table not in _find_tables(mirror):
        return None
    uid: UUID | None = Marker.objects.values_list("uid", flat=True).first()
    return uid


def _find_directories(mirror: Mirror) -> list[Path]:
    """Return the roots of file-system storages; object stores have none to make."""
    roots = []
    for alias, value in mirror.storages.items():
        config = build_storage(value, place=f"Mirror '{mirror}' STORAGE '{alias}'")
        location = config.get("OPTIONS", {}).get("location")
        if location and "filesystem" in config["BACKEND"].lower():
            roots.append(Path(location))
    return roots


def _owns(service: str) -> Callable[[Mirror, str | None], bool]:
    return lambda mirror, superuser: mirror.find_owner(service) == mirror.name


def _has_own_site(mirror: Mirror, superuser: str | None) -> bool:
    if not apps.is_installed("django.contrib.sites") or not mirror.primary_host:
        return False
    # In a shared database the owner's row must not be taken.
    return mirror.alias == mirror.name or "SITE_ID" in mirror.settings


_STEPS = (
    ProvisionStep(
        name="database",
        title="create the database",
        do=create_database,
        check=check_database,
        is_needed=_owns(DATABASE),
    ),
    ProvisionStep(
        name="marker",
        title="mark the database",
        do=mark_database,
        is_needed=_owns(DATABASE),
    ),
    ProvisionStep(
        name="migrations",
        title="apply migrations",
        do=migrate_database,
        is_needed=_owns(DATABASE),
    ),
    ProvisionStep(
        name="storage",
        title="prepare the storage",
        do=prepare_storage,
        check=check_storage,
        is_needed=_owns(STORAGE),
    ),
    ProvisionStep(
        name="site", title="update the site", do=update_site, is_needed=_has_own_site
    ),
    ProvisionStep(
        name="superuser",
        title="create the superuser",
        do=create_superuser,
        is_needed=lambda mirror, superuser: superuser is not None,
    ),
    ProvisionStep(
        name="hook",
        title="call the project's hook",
        do=run_hook,
        is_needed=lambda mirror, superuser: "PROVISIONED" in get_conf().hooks,
        is_final=True,
    ),
    ProvisionStep(
        name="verify",
        title="verify every service",
        do=verify,
        is_needed=lambda mirror, superuser: True,
    ),
)
