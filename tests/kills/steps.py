"""What a forked process does: run a command, visit every host, tell what is there."""

import errno
import json
import os
import re
import resource
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sites.models import Site
from django.core.files.base import ContentFile
from django.db import connections
from django.test import Client

from django_mirrors import mirrors, use_mirror, use_original
from django_mirrors.models import (
    LockRecord,
    Marker,
    MirrorRecord,
    OperationRecord,
    Tombstone,
)
from django_mirrors.operations.archives import verify_archive
from django_mirrors.operations.databases import get_database_backend
from django_mirrors.operations.drafts import find_marker, mark
from tests.bookshop.models import Book
from tests.kills import commands, orchards, servers
from tests.kills.events import Events
from tests.kills.urls import list_books

__all__ = ["list_databases", "run"]

Answer = dict[str, Any]

_HOSTS = ("books.example", "films.example", "new.example")
_COVER = 150_000  # bytes: several pieces
# What is random in names: identifiers, and when an archive was made.
_RANDOM = re.compile(
    r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}|\d{8}T\d{6}Z-[0-9a-f]{6}"
)


def run(request: dict[str, Any]) -> Answer:
    """Do the steps of a request, and return what each one gives."""
    events = Events(settings.DIRECTORY, kill_at=request.get("kill_at"))
    if not request.get("has_links", True):
        os.link = _refuse_link
    if "largest_file" in request:
        size = request["largest_file"]
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    if request.get("is_watched"):
        events.watch()
    began = monotonic()
    results = [_STEPS[name](*arguments) for name, *arguments in request["steps"]]
    return {
        "results": results,
        "events": events.seen,
        "seconds": monotonic() - began,
    }


def _refuse_link(*arguments: Any, **options: Any) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def look() -> Answer:
    """Return what visitors see, and in what state each mirror is."""
    visits = {}
    for host in _HOSTS:
        answer = Client(headers={"host": host}).get("/")
        content = json.loads(answer.content) if answer.status_code == 200 else None
        visits[host] = [answer.status_code, content]
    with use_original():
        states = dict(MirrorRecord.objects.values_list("name", "state"))
        definitions = {
            name: normalise(json.dumps(item, sort_keys=True))
            for name, item in MirrorRecord.objects.values_list("name", "definition")
        }
        begun = OperationRecord.objects.filter(finished=None).count()
    connections.close_all()
    return {
        "visits": visits,
        "states": states,
        "definitions": definitions,
        "begun": begun,
        "archives": sorted(normalise(path.name) for path in _list_archives()),
    }


def describe() -> Answer:
    """Return everything that is there, without what differs from run to run."""
    with use_original():
        records = {record.name: record for record in MirrorRecord.objects.all()}
        left = [
            *LockRecord.objects.exclude(holder="").values_list("name", flat=True),
            *OperationRecord.objects.filter(finished=None).values_list(
                "operation", flat=True
            ),
        ]
        buried = sorted(Tombstone.objects.values_list("host", "mirror"))
    described = {
        name: {**_describe_record(record), **_describe_content(name)}
        for name, record in records.items()
    }
    connections.close_all()
    return {
        "mirrors": described,
        "tombstones": [list(item) for item in buried],
        "left": left,
        "files": sorted(_iter_names(settings.DIRECTORY)),
        "databases": sorted(normalise(name) for name in list_databases()),
        "archived": sorted(_verify(path) for path in _list_archives()),
    }


def _describe_record(record: MirrorRecord) -> Answer:
    return {
        "state": record.state,
        "step": record.step,
        "origin": normalise(record.origin),
        "archive": normalise(record.archive),
        "is_read_only": record.read_only,
        "definition": normalise(json.dumps(record.definition, sort_keys=True)),
    }


def _describe_content(name: str) -> Answer:
    mirror = mirrors[name]
    with use_mirror(mirror):
        found = {
            "books": list_books(),
            "users": sorted(
                get_user_model().objects.values_list("username", flat=True)
            ),
            "sites": sorted(Site.objects.values_list("domain", flat=True)),
            "is_marked": [item.uid for item in Marker.objects.all()] == [mirror.uid],
        }
    connections.close_all()
    return found


def normalise(text: str) -> str:
    """Return `text` without what is random in it."""
    return _RANDOM.sub("*", text)


def _iter_names(directory: Path) -> Iterator[str]:
    for path in directory.rglob("*"):
        name = normalise(str(path.relative_to(directory)))
        # While a database is there, so may be its log.
        main = re.sub(r"-(wal|shm)$", "", path.name)
        if main == path.name or not path.with_name(main).exists():
            yield f"{name}/" if path.is_dir() else name


def _list_archives() -> list[Path]:
    return sorted((settings.DIRECTORY / "archives").glob("*.tar"))


def _verify(path: Path) -> str:
    return verify_archive(str(path))["name"]


def list_databases() -> list[str]:
    """Return what this fleet has on its server."""
    return servers.list_databases(settings)


def prepare() -> None:
    """Make what a fleet needs before there is any."""
    servers.prepare(settings)


def fill(name: str) -> None:
    """Give a mirror books with covers, and a user."""
    with use_mirror(name):
        for number in range(3):
            cover = ContentFile(f"{name} {number} ".encode() * (_COVER // 10))
            book = Book(title=f"{name} {number}")
            book.cover.save(f"{name}-{number}.txt", cover)
        get_user_model().objects.create_user(f"reader of {name}")
    connections.close_all()


def drop(kept: list[str]) -> None:
    """Remove what is on the server beside `kept`."""
    servers.drop_databases(settings, kept=kept)
    connections.close_all()


def mark_again() -> None:
    """Give databases their markers back that a move had taken."""
    for mirror in (mirrors["books"], mirrors["films"]):
        config = connections.settings.build_config(mirror)
        if get_database_backend(config).exists(config) and not find_marker(config):
            mark(mirror, config)
    connections.close_all()


def remove_all() -> None:
    """Leave nothing on the server."""
    servers.remove(settings)


def block(path: str) -> None:
    """Put a file in the place of a directory that may be there."""
    place = settings.DIRECTORY / path
    if place.exists():
        place.rename(_find_aside(place))
    place.write_text("somebody else's")


def unblock(path: str) -> None:
    """Take back what `block` did."""
    place = settings.DIRECTORY / path
    place.unlink()
    if _find_aside(place).exists():
        _find_aside(place).rename(place)


def _find_aside(path: Path) -> Path:
    return path.with_name(f"{path.name}-aside")


def read(path: str) -> str | None:
    """Return what is in a file, or None if there is none."""
    place = settings.DIRECTORY / path
    return place.read_text() if place.exists() else None


_STEPS = {
    **commands.STEPS,
    **orchards.STEPS,
    "block": block,
    "describe": describe,
    "drop": drop,
    "fill": fill,
    "list_databases": list_databases,
    "look": look,
    "mark_again": mark_again,
    "prepare": prepare,
    "read": read,
    "remove_all": remove_all,
    "unblock": unblock,
}
