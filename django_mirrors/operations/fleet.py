"""Write the records of the fleet: register, change, set the state."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import Any
from uuid import uuid4

from django.db import DatabaseError, transaction

from django_mirrors.conf import get_conf
from django_mirrors.context import use_original
from django_mirrors.exceptions import (
    InvalidMirror,
    MirrorExists,
    OperationFailed,
    UnknownMirror,
)
from django_mirrors.mirror import (
    ORIGINAL_NAME,
    Mirror,
    State,
    check_name,
)
from django_mirrors.operations.definitions import (
    build_checked,
    check_services,
    complete,
)
from django_mirrors.operations.health import find_problems_elsewhere
from django_mirrors.records import LockRecord, MirrorRecord, Tombstone
from django_mirrors.registry import mirrors
from django_mirrors.registry.snapshot import build_snapshot

__all__ = [
    "STORAGE_STEP",
    "change_mirror",
    "change_record",
    "get_mirror",
    "get_record",
    "plan_change",
    "plan_registration",
    "record_change",
    "register",
    "set_state",
    "writing",
]

Change = Callable[[dict[str, Any]], None]  # of a definition, in place

_FLEET_LOCK = "fleet"
# The step of a new mirror in which its storages get their files, before it has a
# database.
STORAGE_STEP = "storage"
_STORAGES = frozenset({"STORAGE", "STORAGES"})
# What an operator may ask for; the other states are reached by operations.
_SETTABLE = (State.ACTIVE, State.MAINTENANCE, State.SUSPENDED)
# What is recorded of a mirror beside its definition.
_KEPT = ("state", "release", "reason", "retry_after", "is_read_only", "migrations")


def plan_registration(name: str, definition: Mapping[str, Any]) -> Mirror:
    """Return the mirror that `register` would record, without recording it.

    Raises `InvalidMirror` with everything that is wrong with it, in itself and beside
    the rest of the fleet.
    """
    check_name(name)
    mirrors.reload()
    known = mirrors.get(name)
    if known is not None and known.source != "records":
        return _plan_declared(known, definition)
    if known is not None and known.state not in {State.PROVISIONING, State.FAILED}:
        raise MirrorExists(
            f"Mirror '{name}' exists and is {known.state}. Choose another name, or "
            "change it with 'manage.py mirror_change'."
        )
    if known is not None and not definition:
        return known
    uid = uuid4() if known is None else known.uid
    return build_checked(name, complete(name, definition, uid), uid)


def register(
    name: str, definition: Mapping[str, Any], *, origin: str | None = None
) -> Mirror:
    """Record the mirror `name`, in the state `provisioning`, and return it.

    `origin` says what it is made of; None leaves that as it is.

    A declared mirror gets a record of its uid and state only. One that is recorded and
    not active yet stays as it is. Raises `InvalidMirror`, or `MirrorExists` for an
    active one.
    """
    with writing():
        planned = plan_registration(name, definition)
        is_declared = planned.source != "records"
        filled = {} if is_declared else complete(name, definition, planned.uid)
        record = MirrorRecord.objects.filter(name=name).first()
        if record is None:
            MirrorRecord.objects.create(
                name=name,
                uid=planned.uid,
                declared=is_declared,
                definition=filled,
                origin=origin or "",
            )
        else:
            if _is_replaced(record, definition):
                record.definition = filled
            if origin is not None and not record.step:
                record.origin = origin
            record.save(update_fields=["definition", "origin", "changed"])
    mirrors.reload()
    return mirrors[name]


def plan_change(name: str, change: Change) -> Mirror:
    """Return the mirror that `name` would be after `change`; change nothing.

    Raises `InvalidMirror` if it would be wrong, or is declared elsewhere.
    """
    with writing():
        _, planned = _change(_get_recorded(name), change)
    return planned


def record_change(name: str, change: Change) -> Mirror:
    """Apply `change` to the definition of a mirror whose services were seen to."""
    with writing():
        record, _ = _change(_get_recorded(name), change)
        record.save(update_fields=["definition", "changed"])
    return mirrors[name]


def change_mirror(name: str, change: Change, *, dry_run: bool = False) -> Mirror:
    """Apply `change` to the definition in the record of `name`; return the new mirror.

    It is live in every process within two seconds. Raises `InvalidMirror` and changes
    nothing if the new definition is wrong, or if the mirror is declared elsewhere; and
    `OperationFailed` if a service does not answer at its new address, or is another's.
    """
    with writing():
        known = _get_recorded(name)
        _check_still(known)
        _, planned = _change(known, change)
    # Not under the lock: a server may take its time to answer.
    _check_addresses(known, planned)
    if dry_run:
        return planned
    return record_change(name, change)


def set_state(
    name: str, state: str, *, reason: str = "", retry_after: int = 0
) -> Mirror:
    """Serve, hold or suspend the mirror `name`; return it as it is now.

    Raises `OperationFailed` if it is not provisioned, or not to be set so.
    """
    if state not in _SETTABLE:
        raise OperationFailed(
            f"A mirror cannot be set to '{state}'. Use one of: {', '.join(_SETTABLE)}."
        )
    if name == ORIGINAL_NAME:
        raise OperationFailed(
            "The original has no state of its own. Set the states of its mirrors."
        )
    with writing():
        mirrors.reload()
        known = mirrors[name]
        # What was retired and not purged can be served again.
        if known.state not in {*_SETTABLE, State.ARCHIVED}:
            raise OperationFailed(
                f"Mirror '{name}' is {known.state}, so it cannot be set to {state}. "
                f"Finish it first with 'manage.py mirror_add {name}'."
            )
        if known.state == State.ARCHIVED:
            others = [mirror for mirror in mirrors.values() if mirror.name != name]
            build_snapshot([*others, replace(known, state=state)], get_conf())
            Tombstone.objects.filter(mirror=name).delete()
        # An archive that was made before is no longer of the mirror as it is.
        change_record(
            known, state=state, reason=reason, retry_after=retry_after, archive=""
        )
    return mirrors[name]


def change_record(mirror: Mirror, **values: Any) -> None:
    """Write `values` into the record of `mirror`, which is made if it has none."""
    with writing():
        MirrorRecord.objects.update_or_create(
            name=mirror.name,
            defaults=values,
            create_defaults={
                "uid": mirror.uid,
                "declared": mirror.source != "records",
                **values,
            },
        )


def get_mirror(name: str) -> Mirror:
    """Return the mirror `name` as it is now. Raises `UnknownMirror`.

    Raises `DatabaseError` or `MirrorUnavailable` if it is unknown only because the
    records cannot be read.
    """
    mirrors.reload()
    if name not in mirrors and get_conf().records:
        with use_original():
            MirrorRecord.objects.filter(name=name).exists()
    return mirrors[name]


def get_record(name: str) -> MirrorRecord:
    """Return the record of the mirror `name`. Raises `UnknownMirror`."""
    try:
        return MirrorRecord.objects.get(name=name)
    except MirrorRecord.DoesNotExist:
        raise UnknownMirror(
            f"Mirror '{name}' has no record yet. Run 'manage.py mirror_add {name}'."
        ) from None


def _get_recorded(name: str) -> Mirror:
    mirrors.reload()
    known = mirrors[name]
    if known.is_original:
        raise InvalidMirror(
            "The original is defined by the settings, and so is read-only here. Change "
            "MIRRORS_OPTIONS['ORIGINAL']."
        )
    if known.source != "records":
        raise InvalidMirror(
            f"Mirror '{name}' is declared in {known.source}, and so is read-only "
            "here. Change it there."
        )
    return known


def _check_still(mirror: Mirror) -> None:
    if mirror.is_read_only:
        raise OperationFailed(
            f"Mirror '{mirror}' is being moved, so it was not changed. Wait for the "
            "end of that, or take it back with "
            f"'manage.py mirror_move {mirror} --cancel'."
        )


def _change(known: Mirror, change: Change) -> tuple[MirrorRecord, Mirror]:
    """Return the record with its new definition, not saved, and the new mirror."""
    record = get_record(known.name)
    definition = deepcopy(record.definition)
    change(definition)
    record.definition = definition
    planned = build_checked(known.name, definition, known.uid)
    kept = {key: getattr(known, key) for key in _KEPT}
    return record, replace(planned, **kept)


def _check_addresses(known: Mirror, planned: Mirror) -> None:
    """Raise `OperationFailed` unless every service is where the change says."""
    if known.state not in _SETTABLE:
        return  # nothing was made yet
    problems = find_problems_elsewhere(known, planned)
    if problems:
        raise OperationFailed(
            f"Mirror '{known}' was not changed. {' '.join(problems)} Correct the "
            "address, or see that the service runs."
        )


@contextmanager
def writing() -> Iterator[None]:
    """Hold the one lock under which names and hosts are claimed."""
    if not get_conf().records:
        raise OperationFailed(
            "MIRRORS_OPTIONS['RECORDS'] is False, so nothing can be recorded. "
            "Set it to True, or declare the mirror in MIRRORS."
        )
    try:
        with use_original(), transaction.atomic(using=ORIGINAL_NAME):
            LockRecord.objects.get_or_create(name=_FLEET_LOCK)
            LockRecord.objects.select_for_update().get(name=_FLEET_LOCK)
            yield
    except DatabaseError as error:
        raise OperationFailed(
            f"The fleet's records cannot be written ({type(error).__name__}). Run "
            "'manage.py migrate', and see that the original's database answers."
        ) from error
    finally:
        # What was read inside a transaction that may have been undone is read again.
        mirrors.reload()


def _plan_declared(known: Mirror, definition: Mapping[str, Any]) -> Mirror:
    if known.state not in {State.PROVISIONING, State.FAILED}:
        raise MirrorExists(f"Mirror '{known}' exists and is {known.state}.")
    if definition:
        raise InvalidMirror(
            f"Mirror '{known}' is declared in {known.source}. Give 'mirror_add' its "
            "name alone, and change the definition there."
        )
    check_services(known)
    return known


def _is_replaced(record: MirrorRecord, definition: Mapping[str, Any]) -> bool:
    """Whether an unfinished mirror gets a new definition: while nothing was made."""
    changed = [
        key for key, value in definition.items() if record.definition.get(key) != value
    ]
    is_begun = record.step not in {"", STORAGE_STEP}
    if changed and (is_begun or (record.step and _STORAGES & {*changed})):
        raise MirrorExists(
            f"Mirror '{record.name}' was begun with another {', '.join(changed)}. "
            f"Continue it with 'manage.py mirror_add {record.name}' alone."
        )
    return bool(changed)
