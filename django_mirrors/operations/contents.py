"""What a new mirror begins with: nothing, the data of another one, or an archive.

The record of the mirror says which, as its `origin`, so that whoever continues a mirror
that is half made goes on with the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from django.apps import apps
from django.core.files.storage import Storage
from django.db import connections, models

from django_mirrors.context import hold_mirror, use_mirror
from django_mirrors.db.pins import is_original_label
from django_mirrors.exceptions import OperationFailed
from django_mirrors.mirror import STORAGE, Mirror
from django_mirrors.operations.archive import DATABASE_MEMBER, MEDIA_PREFIX
from django_mirrors.operations.archives import open_archive
from django_mirrors.operations.databases import get_database_backend
from django_mirrors.operations.handover import hand_over
from django_mirrors.operations.media import (
    CHUNK_BYTES,
    MediaFile,
    OnFile,
    bound_memory,
    copy_files,
    save_file,
)
from django_mirrors.operations.scratch import use_scratch_directory
from django_mirrors.operations.scrub import scrub
from django_mirrors.operations.spares import take_spare
from django_mirrors.operations.templates import apply_migrations, create_from_template
from django_mirrors.registry import mirrors
from django_mirrors.storage.backends import get_backend

__all__ = [
    "ArchiveContent",
    "Content",
    "CopyContent",
    "NewContent",
    "find_content",
    "find_storages",
]

Config = Mapping[str, Any]

_MIRROR, _SCRUBBED, _ARCHIVE = "mirror ", " scrubbed", "archive "


class Content(Protocol):
    """What the services of a mirror hold when it becomes active."""

    @property
    def origin(self) -> str:
        """What `find_content` makes it of again."""

    def fill_database(self, mirror: Mirror, draft: Config) -> None:
        """Make the database `draft`, with every table of the running code."""

    def fill_storage(self, mirror: Mirror, on_file: OnFile) -> None:
        """Put files into the storages of `mirror`, the current one; may come again."""


@dataclass(frozen=True, slots=True)
class NewContent:
    """No data but what migrations make."""

    origin = ""

    def fill_database(self, mirror: Mirror, draft: Config) -> None:
        """See `Content`."""
        if not take_spare(draft):
            create_from_template(draft, mirror=mirror)
        hand_over(mirror, draft, source=None)

    def fill_storage(self, mirror: Mirror, on_file: OnFile) -> None:
        """See `Content`."""


@dataclass(frozen=True, slots=True)
class CopyContent:
    """The data and the files of another mirror, scrubbed or as they are."""

    source: Mirror
    is_scrubbed: bool = False

    @property
    def origin(self) -> str:
        """See `Content`."""
        return f"{_MIRROR}{self.source}{_SCRUBBED if self.is_scrubbed else ''}"

    def fill_database(self, mirror: Mirror, draft: Config) -> None:
        """See `Content`."""
        databases: Any = connections.settings
        config = databases[self.source.alias]
        backend = get_database_backend(config)
        if backend is not get_database_backend(draft):
            raise OperationFailed(
                f"The database of '{self.source}' is not of the kind that '{mirror}' "
                "gets. Give the copy a database of the same engine with --database, "
                f"then move it with 'manage.py mirror_move {mirror} --database URL'."
            )
        backend.copy(config, draft)
        _take_over(mirror, draft, source=self.source.uid)
        if self.is_scrubbed:
            with databases.lend(mirror.alias, dict(draft)), hold_mirror(mirror):
                scrub(mirror)

    def fill_storage(self, mirror: Mirror, on_file: OnFile) -> None:
        """See `Content`."""
        for alias, target in find_storages(mirror).items():
            with use_mirror(self.source):
                source = bound_memory(get_backend(alias))
            copy_files(source, target, on_file=on_file)


@dataclass(frozen=True, slots=True)
class ArchiveContent:
    """What an archive holds."""

    place: str  # the path of a file, or the name of one in ARCHIVES

    @property
    def origin(self) -> str:
        """See `Content`."""
        return f"{_ARCHIVE}{self.place}"

    def fill_database(self, mirror: Mirror, draft: Config) -> None:
        """See `Content`."""
        backend = get_database_backend(draft)
        with use_scratch_directory() as directory:
            path = directory / DATABASE_MEMBER
            source = self._extract(path)
            backend.create(draft)
            backend.load(draft, path)
        _take_over(mirror, draft, source=source)

    def _extract(self, path: Path) -> UUID:
        """Write the database into the file `path`, and return whose it was."""
        with open_archive(self.place) as reader:
            source = UUID(reader.manifest["uid"])
            for name, _, content in reader.iter_members():
                if name == DATABASE_MEMBER:
                    with path.open("xb") as file:
                        while data := content.read(CHUNK_BYTES):
                            file.write(data)
        if not path.exists():
            raise OperationFailed(
                f"The archive '{self.place}' holds no database: its mirror shared one. "
                "Share one again with --share DATABASE=NAME."
            )
        return source

    def fill_storage(self, mirror: Mirror, on_file: OnFile) -> None:
        """See `Content`."""
        storages = find_storages(mirror)
        with open_archive(self.place) as reader:
            for member, size, content in reader.iter_members():
                if not member.startswith(MEDIA_PREFIX):
                    continue
                alias, _, name = member.removeprefix(MEDIA_PREFIX).partition("/")
                if alias not in storages:
                    raise OperationFailed(
                        f"The archive '{self.place}' holds files of the storage "
                        f"'{alias}', which '{mirror}' does not have. Add it to "
                        "'STORAGES' in MIRRORS_OPTIONS['DEFAULTS']."
                    )
                save_file(storages[alias], name, content)
                on_file(MediaFile(name=name, size=size))


def find_content(origin: str) -> Content:
    """Return the content that `origin` stands for. Raises `UnknownMirror`."""
    if origin.startswith(_MIRROR):
        name = origin.removeprefix(_MIRROR).removesuffix(_SCRUBBED)
        return CopyContent(mirrors[name], origin.endswith(_SCRUBBED))
    if origin.startswith(_ARCHIVE):
        return ArchiveContent(origin.removeprefix(_ARCHIVE))
    return NewContent()


def _take_over(mirror: Mirror, draft: Config, *, source: UUID) -> None:
    """Make the database of the mirror `source` that of `mirror`, in step with the code.

    Nobody stays logged in, and neither what only the original has is kept nor rows of
    mirrors that shared the database.
    """
    databases: Any = connections.settings
    with databases.lend(mirror.alias, dict(draft)), hold_mirror(mirror):
        connection = connections[mirror.alias]
        present = set(connection.introspection.table_names())
        with connection.schema_editor() as editor:
            for model in _iter_models_of_original():
                if model._meta.db_table in present:
                    editor.delete_model(model)
        session_table = _find_session_table()
        if session_table in present:
            with connection.cursor() as cursor:
                quoted = connection.ops.quote_name(session_table)
                cursor.execute(f"DELETE FROM {quoted}")  # noqa: S608 - quoted
    apply_migrations(draft, mirror=mirror)
    hand_over(mirror, draft, source=source)


def _iter_models_of_original() -> Iterable[type[models.Model]]:
    return (
        model
        for model in apps.get_models()
        if model._meta.managed
        and is_original_label(model._meta.app_label, model._meta.model_name)
    )


def _find_session_table() -> str:
    if not apps.is_installed("django.contrib.sessions"):
        return ""
    session = apps.get_app_config("sessions").get_model("Session")
    return str(session._meta.db_table)


def find_storages(mirror: Mirror) -> dict[str, Storage]:
    """Return the storages of its own that `mirror` has, by alias."""
    if mirror.find_owner(STORAGE) != mirror.name:
        return {}
    with use_mirror(mirror):
        return {alias: bound_memory(get_backend(alias)) for alias in mirror.storages}
