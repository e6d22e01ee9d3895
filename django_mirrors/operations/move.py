"""Move the database or the files of a mirror elsewhere, while it is served.

Files are copied first. Then the mirror is read-only for some seconds: the database is
copied apart and compared with the old one, the last files follow, and the definition
leads to the new place. The old database and the old files stay, and are no mirror's.

The record of the operation says how far it came. Whoever was killed is continued by the
same command, and taken back by `cancel_move`.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from time import monotonic, sleep
from typing import Any
from uuid import UUID

from django_mirrors.conf import get_conf
from django_mirrors.context import use_mirror
from django_mirrors.counts import write_count
from django_mirrors.exceptions import OperationFailed
from django_mirrors.operations.contents import find_storages
from django_mirrors.operations.databases import get_database_backend
from django_mirrors.operations.drafts import find_marker
from django_mirrors.operations.fleet import (
    change_record,
    plan_change,
    record_change,
)
from django_mirrors.operations.locks import Lock, hold_lock
from django_mirrors.operations.media import (
    OnFile,
    copy_files,
    delete_files,
    iter_files,
)
from django_mirrors.operations.moving import (
    BEGUN,
    MADE,
    OPERATION,
    Moving,
    begin_record,
    build_moving,
    close_record,
    find_begun,
)
from django_mirrors.operations.places import (
    Schema,
    apply_change,
    build_change,
    check_movable,
    check_place,
    get_config,
)
from django_mirrors.operations.provision import (
    OnStep,
    prepare_storage,
)
from django_mirrors.operations.release import find_missing_migrations
from django_mirrors.operations.reports import DONE, Plan, Report, StepResult
from django_mirrors.operations.rows import copy_rows
from django_mirrors.operations.templates import create_from_template
from django_mirrors.registry import mirrors

__all__ = ["cancel_move", "move_mirror", "plan_move"]

logger = logging.getLogger("django_mirrors.operations")

Config = dict[str, Any]


def plan_move(
    name: str,
    *,
    database: str | None = None,
    schema: Schema | None = None,
    storage: str | None = None,
) -> Plan:
    """Return what `move_mirror` would do; change nothing."""
    change = build_change(database, schema, storage)
    mirror = check_movable(name, change)
    if find_begun(name) is None:
        check_place(mirror, plan_change(name, partial(apply_change, change)), change)
    steps = [
        *(["copy the files"] if storage else []),
        "make the mirror read-only",
        *(["copy the database and compare it"] if database else []),
        *(["copy the files that are new"] if storage else []),
        "lead the mirror to the new place",
        "end read-only",
    ]
    return Plan(operation=OPERATION, steps={name: tuple(steps)})


def move_mirror(
    name: str,
    *,
    database: str | None = None,
    schema: Schema | None = None,
    storage: str | None = None,
    on_step: OnStep | None = None,
    on_file: OnFile | None = None,
) -> Report:
    """Move the database or the files of a mirror; return where the old ones are left.

    The mirror is read-only for some seconds, and served all the time. The database is
    copied to `database`, a URL, and there into `schema` if that is given; files to
    `storage`, a DSN. Both are compared before they are used. Nothing of the old place
    is destroyed. Continues a move that was killed. Raises `MirrorExists` if something
    is at the new place, `OperationFailed` else; then all is as it was.
    """
    began = monotonic()
    change = build_change(database, schema, storage)
    with hold_lock(_build_lock(name), operation=f"Moving mirror '{name}'") as lock:
        work = _begin(name, change, lock, on_step, on_file)
        try:
            detail = _move(work)
        except BaseException:
            if not work.is_switched:
                _withdraw(work)
            raise
        _finish(work)
    result = StepResult(
        mirror=name, outcome=DONE, seconds=monotonic() - began, detail=detail
    )
    return Report(operation=OPERATION, id=str(work.record.uid), results=(result,))


def cancel_move(name: str, *, on_file: OnFile | None = None) -> Report:
    """Take back a move that was begun and not ended: all is as it was before.

    What was copied is removed. Raises `OperationFailed` if none was begun, or if the
    mirror is at the new place already.
    """
    began = monotonic()
    with hold_lock(_build_lock(name), operation=f"Moving mirror '{name}'") as lock:
        mirrors.reload()
        record = find_begun(name)
        if record is None:
            raise OperationFailed(f"No move of mirror '{name}' was begun.")
        work = build_moving(name, record, lock, None, on_file)
        if work.is_switched:
            raise OperationFailed(
                f"Mirror '{name}' is at its new place already. End the move by running "
                "the command again that began it."
            )
        _withdraw(work)
        if work.has_storage:
            for storage in find_storages(work.after).values():
                delete_files(storage, on_file=work.on_file)
        close_record(work)
    result = StepResult(
        mirror=name,
        outcome=DONE,
        seconds=monotonic() - began,
        detail="the move was taken back",
    )
    return Report(operation=OPERATION, id=str(record.uid), results=(result,))


def _begin(
    name: str,
    change: Mapping[str, Any],
    lock: Lock,
    on_step: OnStep | None,
    on_file: OnFile | None,
) -> Moving:
    """Return the move of this mirror: one that was begun, or a new one."""
    mirror = check_movable(name, change)
    record = find_begun(name)
    if record is not None:
        if record.plan["change"] != change:
            raise OperationFailed(
                f"A move of mirror '{name}' to another place was begun. Continue it "
                "with the command it was begun with, or take it back with "
                f"'manage.py mirror_move {name} --cancel'."
            )
        return build_moving(name, record, lock, on_step, on_file)
    check_place(mirror, plan_change(name, partial(apply_change, change)), change)
    record = begin_record(name, change)
    return build_moving(name, record, lock, on_step, on_file)


def _move(work: Moving) -> str:
    """Do what is left of a move; return where things were left."""
    if not work.is_switched:
        if work.has_storage:
            work.begin(0, "copy the files")
            prepare_storage(work.after)
            _copy_files(work)
        work.begin(1, "make the mirror read-only")
        change_record(mirrors[work.name], read_only=True)
        _wait_for_all()
        with _hold_database(work) as leave:
            counts = _copy(work)
            work.begin(4, "lead the mirror to the new place")
            record_change(work.name, partial(apply_change, work.record.plan["change"]))
            _wait_for_all()
            leave()
    else:
        work.begin(4, "lead the mirror to the new place")
        counts = "continued"
        _wait_for_all()
        _leave_again(work)
    return f"{counts}; {_describe_rest(work)}"


def _copy(work: Moving) -> str:
    """Copy what is to be moved, compare it, and return how much it was."""
    counts = []
    if work.has_database:
        work.begin(2, "copy the database and compare it")
        counts.append(_copy_database(work))
    if work.has_storage:
        work.begin(3, "copy the files that are new")
        _copy_files(work)
        counts.append(_compare_files(work))
    return ", ".join(counts)


def _copy_database(work: Moving) -> str:
    source, target = get_config(work.before), get_config(work.after)
    backend, draft = get_database_backend(target), _build_draft(work)
    _drop_copies(work)
    _fill_draft(work, source, draft)
    old = get_database_backend(source).fingerprint(source)
    new = backend.fingerprint(draft)
    tables = sorted(old.keys() | new.keys())
    wrong = [table for table in tables if old.get(table) != new.get(table)]
    if wrong:
        raise OperationFailed(
            f"The copy of the database of mirror '{work.name}' differs from it in "
            f"{', '.join(wrong)}. The mirror stays where it is."
        )
    work.lock.renew()
    work.record_step(MADE)
    backend.rename(draft, target)
    rows = sum(count for key, (count, _) in old.items() if not key.startswith("("))
    return write_count(rows, "row")


def _fill_draft(work: Moving, source: Config, draft: Config) -> None:
    backend = get_database_backend(draft)
    if get_database_backend(source).vendor == backend.vendor:
        backend.copy(source, draft)
        return
    with use_mirror(work.name):
        missing = find_missing_migrations(mirrors[work.name])
    if missing:
        raise OperationFailed(
            f"Mirror '{work.name}' lacks the migration {missing[0]}, and only what is "
            "in step with the code can be moved to another engine. Bring it in step "
            f"with 'manage.py mirror_rollout {work.name}'."
        )
    create_from_template(draft, mirror=work.after)
    copy_rows(work.after, source, draft)


def _copy_files(work: Moving) -> None:
    targets = find_storages(work.after)
    for alias, source in find_storages(work.before).items():
        copy_files(source, targets[alias], on_file=work.on_file)


def _compare_files(work: Moving) -> str:
    """Remove copies of files that were deleted meanwhile, and compare the others."""
    targets, count = find_storages(work.after), 0
    for alias, source in find_storages(work.before).items():
        target = targets[alias]
        wanted = {file.name: file.size for file in iter_files(source)}
        for file in list(iter_files(target)):
            if file.name not in wanted:
                target.delete(file.name)
        found = {file.name: file.size for file in iter_files(target)}
        wrong = sorted(name for name in wanted if wanted[name] != found.get(name))
        if wrong:
            raise OperationFailed(
                f"Of mirror '{work.name}' {write_count(len(wrong), 'file')} did not "
                f"arrive whole: '{wrong[0]}' is the first. It stays where it is."
            )
        count += len(wanted)
    return write_count(count, "file")


@contextmanager
def _hold_database(work: Moving) -> Iterator[Callable[[], None]]:
    """Keep everybody from writing into the old database, and yield what leaves it."""
    if not work.has_database:
        yield lambda: None
        return
    config = get_config(work.before)
    with get_database_backend(config).hold_still(config) as leave:
        yield leave


def _leave_again(work: Moving) -> None:
    """Leave the old database, if whoever was killed did not."""
    config = get_config(work.before)
    if work.has_database and find_marker(config) == work.before.uid:
        with get_database_backend(config).hold_still(config) as leave:
            leave()


def _withdraw(work: Moving) -> None:
    """Remove the copies of the database, and let the mirror be written again."""
    try:
        if work.has_database:
            _drop_copies(work)
            work.record_step(BEGUN)
    finally:
        change_record(mirrors[work.name], read_only=False)


def _drop_copies(work: Moving) -> None:
    """Drop what an attempt left at the new place; never what the mirror uses."""
    target, draft = get_config(work.after), _build_draft(work)
    backend = get_database_backend(target)
    backend.drop(draft)
    if work.record.step != MADE or work.is_switched or not backend.exists(target):
        return
    if backend.is_unfinished(target) or find_marker(target) == work.after.uid:
        backend.drop(target)


def _finish(work: Moving) -> None:
    change_record(mirrors[work.name], read_only=False)
    close_record(work)
    logger.info("Mirror '%s' was moved.", work.name)


def _build_draft(work: Moving) -> Config:
    """Return where the database is made, which only moves of this mirror use."""
    target = get_config(work.after)
    uid: UUID = work.after.uid
    backend = get_database_backend(target)
    draft = backend.build_template_config(target, f"move_{uid.hex}")
    if target.get("ROLE"):
        draft["ROLE"] = target["ROLE"]
    return draft


def _describe_rest(work: Moving) -> str:
    rest = []
    if work.has_database:
        config = get_config(work.before)
        rest.append(f"the old database '{config.get('SCHEMA') or config['NAME']}'")
    if work.has_storage:
        rest.append("the old files")
    return f"{' and '.join(rest)} can be removed by hand"


def _build_lock(name: str) -> str:
    return f"mirror:{name}"[:64]


def _wait_for_all() -> None:
    """Wait until every process has looked at the fleet."""
    sleep(2 * get_conf().poll_seconds)
