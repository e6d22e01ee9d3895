"""Write the records of the fleet: register, change, set the state."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from django.db import DatabaseError, transaction

from django_mirrors.conf import get_conf
from django_mirrors.context import use_original
from django_mirrors.dsn import build_cache, build_database, build_mail, build_storage
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
    fill_defaults,
)
from django_mirrors.models import LockRecord, MirrorRecord
from django_mirrors.registry import mirrors
from django_mirrors.registry.snapshot import build_snapshot

__all__ = [
    "change_mirror",
    "get_record",
    "plan_registration",
    "register",
    "set_state",
]

_FLEET_LOCK = "fleet"
# What an operator may ask for; the other states are reached by operations.
_SETTABLE = (State.ACTIVE, State.MAINTENANCE, State.SUSPENDED)


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
    return _build(name, _complete(name, definition, uid), uid)


def register(name: str, definition: Mapping[str, Any]) -> Mirror:
    """Record the mirror `name`, in the state `provisioning`, and return it.

    A declared mirror gets a record of its uid and state only. One that is recorded and
    not active yet stays as it is. Raises `InvalidMirror`, or `MirrorExists` for an
    active one.
    """
    with _writing():
        planned = plan_registration(name, definition)
        is_declared = planned.source != "records"
        complete = {} if is_declared else _complete(name, definition, planned.uid)
        record = MirrorRecord.objects.filter(name=name).first()
        if record is None:
            MirrorRecord.objects.create(
                name=name, uid=planned.uid, declared=is_declared, definition=complete
            )
        elif _is_replaced(record, definition):
            record.definition = complete
            record.save(update_fields=["definition", "changed"])
    mirrors.reload()
    return mirrors[name]


def change_mirror(
    name: str, change: Callable[[dict[str, Any]], None], *, dry_run: bool = False
) -> Mirror:
    """Apply `change` to the definition in the record of `name`; return the new mirror.

    It is live in every process within two seconds. Raises `InvalidMirror` and changes
    nothing if the new definition is wrong, or if the mirror is declared elsewhere.
    """
    with _writing():
        mirrors.reload()
        known = mirrors[name]
        if known.source != "records":
            raise InvalidMirror(
                f"Mirror '{name}' is declared in {known.source}, and so is read-only "
                "here. Change it there."
            )
        record = get_record(name)
        definition = dict(record.definition)
        change(definition)
        planned = _build(name, definition, known.uid)
        if not dry_run:
            record.definition = definition
            record.save(update_fields=["definition", "changed"])
    mirrors.reload()
    return planned if dry_run else mirrors[name]


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
    with _writing():
        mirrors.reload()
        known = mirrors[name]
        if known.state not in _SETTABLE:
            raise OperationFailed(
                f"Mirror '{name}' is {known.state}, so it cannot be set to {state}. "
                f"Finish it first with 'manage.py mirror_add {name}'."
            )
        MirrorRecord.objects.update_or_create(
            name=name,
            defaults={"state": state, "reason": reason, "retry_after": retry_after},
            create_defaults={
                "uid": known.uid,
                "declared": known.source != "records",
                "state": state,
                "reason": reason,
                "retry_after": retry_after,
            },
        )
    mirrors.reload()
    return mirrors[name]


def get_record(name: str) -> MirrorRecord:
    """Return the record of the mirror `name`. Raises `UnknownMirror`."""
    try:
        return MirrorRecord.objects.get(name=name)
    except MirrorRecord.DoesNotExist:
        raise UnknownMirror(
            f"Mirror '{name}' has no record yet. Run 'manage.py mirror_add {name}'."
        ) from None


@contextmanager
def _writing() -> Iterator[None]:
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
    _check_services(known)
    return known


def _complete(name: str, definition: Mapping[str, Any], uid: UUID) -> dict[str, Any]:
    return fill_defaults(name, definition, get_conf().defaults, uid=uid)


def _build(name: str, definition: Mapping[str, Any], uid: UUID) -> Mirror:
    planned = Mirror.from_mapping(
        name, definition, uid=uid, source="records", place=f"Mirror '{name}'"
    )
    others = [mirror for mirror in mirrors.values() if mirror.name != name]
    build_snapshot([*others, planned], get_conf())
    _check_services(planned)
    return planned


def _check_services(mirror: Mirror) -> None:
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
        yield partial(build_mail, mirror.mail, place=f"{place} MAIL")


def _check_database(mirror: Mirror, place: str) -> None:
    if mirror.database is not None:
        build_database(mirror.database, directory=get_conf().directory, place=place)
    elif mirror.alias == mirror.name:
        raise InvalidMirror(
            f"Mirror '{mirror}' has no database. Give it one with --database, share "
            "one with --share DATABASE=NAME, or set 'DATABASE' in "
            "MIRRORS_OPTIONS['DEFAULTS']."
        )


def _is_replaced(record: MirrorRecord, definition: Mapping[str, Any]) -> bool:
    """Whether an unfinished mirror gets a new definition: while nothing was made."""
    changed = [
        key for key, value in definition.items() if record.definition.get(key) != value
    ]
    if changed and record.step:
        raise MirrorExists(
            f"Mirror '{record.name}' was begun with another {', '.join(changed)}. "
            f"Continue it with 'manage.py mirror_add {record.name}' alone."
        )
    return bool(changed)
