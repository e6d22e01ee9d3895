"""Put a mirror into an archive, and make one of an archive."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import django
from django.core.files.storage import Storage
from django.db import connections

import django_mirrors
from django_mirrors.context import use_mirror
from django_mirrors.exceptions import OperationFailed
from django_mirrors.mirror import DATABASE, STORAGE, Mirror, State
from django_mirrors.operations.archive import (
    DATABASE_MEMBER,
    MEDIA_PREFIX,
    ArchiveWriter,
)
from django_mirrors.operations.archives import (
    find_archive,
    keep_archive,
    verify_archive,
    write_file,
)
from django_mirrors.operations.contents import ArchiveContent, find_storages
from django_mirrors.operations.databases import get_database_backend
from django_mirrors.operations.fleet import get_mirror
from django_mirrors.operations.locks import hold_lock
from django_mirrors.operations.media import OnFile, ignore_file, iter_files
from django_mirrors.operations.provision import OnStep, make_mirror, plan_making
from django_mirrors.operations.reports import DONE, Plan, Report, StepResult
from django_mirrors.operations.scratch import use_scratch_directory

__all__ = [
    "build_archive_name",
    "describe_definition",
    "export_mirror",
    "plan_export",
    "plan_restore",
    "restore_mirror",
    "write_mirror",
]

_UNFINISHED = frozenset({State.PROVISIONING, State.FAILED})


def plan_export(name: str, file: str | None = None) -> Plan:
    """Return what `export_mirror` would do; change nothing."""
    mirror = _find_whole(name)
    own = [key.lower() for key in (DATABASE, STORAGE) if _owns(mirror, key)]
    place = "ARCHIVES" if file is None else f"'{file}'"
    steps = (*(f"write its {service}" for service in own), "verify the archive")
    return Plan(operation="export", steps={name: (f"begin one in {place}", *steps)})


def export_mirror(
    name: str, file: str | None = None, *, on_file: OnFile | None = None
) -> Report:
    """Write the database and the files of a mirror into one archive; return its place.

    Into `file`, or into ARCHIVES if it is None. It appears whole or not at all. A
    service that the mirror shares is not in it. Raises `OperationFailed`.
    """
    began = monotonic()
    mirror = _find_whole(name)
    with hold_lock(f"mirror:{name}"[:64], operation=f"Exporting mirror '{name}'"):
        place = write_mirror(mirror, file, on_file=on_file or ignore_file)
    result = StepResult(
        mirror=name, outcome=DONE, seconds=monotonic() - began, detail=place
    )
    return Report(operation="export", id=str(uuid4()), results=(result,))


def write_mirror(
    mirror: Mirror,
    file: str | None,
    *,
    on_file: OnFile,
    name: str | None = None,
    is_still: bool = False,
) -> str:
    """Write the archive of `mirror`, verify it, and return its place.

    `name` is that of the archive in ARCHIVES if `file` is None. If the mirror is still,
    the contents of its tables are told too, to compare what is made of the archive.
    """
    with use_scratch_directory() as directory:
        dump = directory / DATABASE_MEMBER
        manifest = {
            **_build_manifest(mirror),
            "database": _dump_database(mirror, dump, is_still=is_still),
        }
        fill = partial(_fill, mirror, dump, on_file)
        if file is not None:
            place = write_file(Path(file), manifest, fill)
        else:
            place = keep_archive(name or build_archive_name(mirror), manifest, fill)
    verify_archive(place)
    return place


def build_archive_name(mirror: Mirror) -> str:
    """Return a name for an archive of `mirror` that is made now."""
    return f"{mirror.name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid4().hex[:6]}.tar"


def plan_restore(
    file: str, *, name: str | None = None, definition: Mapping[str, Any]
) -> Plan:
    """Return what `restore_mirror` would do; change nothing."""
    place = find_archive(file)
    chosen, complete = _complete(verify_archive(place), name, definition)
    content = ArchiveContent(place)
    _, plan = plan_making(chosen, complete, content, operation="restore")
    return plan


def restore_mirror(
    file: str,
    *,
    name: str | None = None,
    definition: Mapping[str, Any],
    on_step: OnStep | None = None,
    on_file: OnFile | None = None,
) -> Report:
    """Make a mirror of an archive, under its own name or another; return the report.

    The archive is verified first. The mirror gets services and a uid of its own, so
    that nothing signed for the old one is accepted. Raises `OperationFailed`, or
    `MirrorExists` if the name is taken.
    """
    place = find_archive(file)
    chosen, complete = _complete(verify_archive(place), name, definition)
    return make_mirror(
        chosen,
        complete,
        ArchiveContent(place),
        operation="restore",
        on_step=on_step,
        on_file=on_file,
    )


def describe_definition(mirror: Mirror) -> dict[str, Any]:
    """Return what another mirror may take over: all but hosts, services and billing."""
    pairs = {
        "LABELS": dict(mirror.labels),
        "SETTINGS": dict(mirror.settings),
        "RESOURCES": dict(mirror.resources),
        "URLCONF": mirror.urlconf,
        "THEME": mirror.theme,
        "REDIRECT_ALIASES": mirror.redirect_aliases,
    }
    return {key: value for key, value in pairs.items() if value}


def _find_whole(name: str) -> Mirror:
    mirror = get_mirror(name)
    if mirror.state in _UNFINISHED:
        raise OperationFailed(
            f"Mirror '{name}' is {mirror.state}, so there is nothing whole to export. "
            f"Finish it first with 'manage.py mirror_add {name}'."
        )
    return mirror


def _owns(mirror: Mirror, service: str) -> bool:
    return mirror.find_owner(service) == mirror.name


def _build_manifest(mirror: Mirror) -> dict[str, Any]:
    own = {
        "NAME": mirror.display_name,
        "HOSTS": list(mirror.hosts),
        "BILLING": dict(mirror.billing),
        "TRUSTED_ORIGINS": list(mirror.trusted_origins),
    }
    return {
        "name": mirror.name,
        "uid": str(mirror.uid),
        "release": mirror.release,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "django": django.get_version(),
            "django_mirrors": django_mirrors.__version__,
        },
        "shares": dict(mirror.shares),
        "storages": sorted(find_storages(mirror)),
        "definition": {
            **describe_definition(mirror),
            **{key: value for key, value in own.items() if value},
        },
    }


def _dump_database(
    mirror: Mirror, path: Path, *, is_still: bool
) -> dict[str, Any] | None:
    """Write the database into a file, and return what tells that it is whole."""
    if not _owns(mirror, DATABASE):
        return None
    databases: Any = connections.settings
    with use_mirror(mirror):
        config = databases[mirror.alias]
        backend = get_database_backend(config)
        backend.dump(config, path)
        tables = backend.fingerprint(config) if is_still else None
    return {"engine": config["ENGINE"], "tables": tables}


def _fill(mirror: Mirror, dump: Path, on_file: OnFile, writer: ArchiveWriter) -> None:
    if dump.exists():
        with dump.open("rb") as file:
            writer.add(DATABASE_MEMBER, file, size=dump.stat().st_size)
    for alias, storage in find_storages(mirror).items():
        _add_files(storage, f"{MEDIA_PREFIX}{alias}/", writer, on_file)


def _add_files(
    storage: Storage, prefix: str, writer: ArchiveWriter, on_file: OnFile
) -> None:
    for item in iter_files(storage):
        with storage.open(item.name, "rb") as opened:
            writer.add(f"{prefix}{item.name}", opened, size=item.size)
        on_file(item)


def _complete(
    manifest: Mapping[str, Any], name: str | None, given: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Return the name and the definition of the mirror to be made."""
    kept = dict(manifest["definition"])
    if name is not None and name != manifest["name"]:
        # These are of the mirror that was exported, which may still be there.
        for key in ("NAME", "HOSTS", "BILLING", "TRUSTED_ORIGINS"):
            kept.pop(key, None)
    return name or str(manifest["name"]), {**kept, **given}
