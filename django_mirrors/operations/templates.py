"""Databases that have every migration already, for new mirrors to start from."""

import logging
import sys
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from uuid import uuid4

import django
from django.db import connections
from django.db.migrations.loader import MigrationLoader

import django_mirrors
from django_mirrors import _compat_settings
from django_mirrors.conf import find_setting, get_conf
from django_mirrors.context import hold_mirror
from django_mirrors.exceptions import InvalidMirror, OperationFailed, OperationLocked
from django_mirrors.mirror import Mirror, State
from django_mirrors.operations.databases import get_database_backend
from django_mirrors.operations.locks import Lock, hold_lock, is_abandoned
from django_mirrors.operations.release import migrate

__all__ = [
    "apply_migrations",
    "create_from_template",
    "ensure_template",
    "find_fleet",
    "find_signature",
]

logger = logging.getLogger("django_mirrors.operations")

Config = Mapping[str, Any]

_PREFIX = "template_"  # no mirror can have such a name, since it holds an underscore
_DRAFT = "draft_"
_OPERATION = "Making the database that new mirrors are copied from"
_WAIT_SECONDS = 300.0  # for another process that makes the same
_PAUSE_SECONDS = 0.2


def create_from_template(config: Config, *, mirror: Mirror) -> None:
    """Make the database of `config` with every table and what migrations put there.

    Where migrations use services that only a mirror has, they are applied in `mirror`.
    """
    backend = get_database_backend(config)
    if get_conf().templates:
        try:
            _copy_template(config)
        except InvalidMirror as error:
            # The template belongs to no mirror, and so has no storage, for example.
            logger.warning("No template can be made: %s", error)
        else:
            return
    backend.create(config)
    apply_migrations(config, mirror=mirror)


def _copy_template(config: Config) -> None:
    backend = get_database_backend(config)
    template = ensure_template(config)
    try:
        backend.create_from_template(template, config)
    except OperationFailed:
        if backend.exists(template):
            raise
        # A process with other migrations has removed it meanwhile.
        backend.create_from_template(ensure_template(config), config)


def ensure_template(config: Config) -> dict[str, Any]:
    """Return the template beside the database of `config`, made now if need be.

    It holds every table, and the rows that migrations make, of the running code. A new
    set of migrations gets a template of its own, and the others are removed. Several
    processes may come here at once: one builds, the others wait for it.
    """
    backend = get_database_backend(config)
    signature = find_signature()
    template = backend.build_template_config(config, f"{_find_prefix()}{signature}")
    name, until = f"template:{signature}", monotonic() + _WAIT_SECONDS
    # Whoever was killed in this may have left a draft beside the template.
    while not _is_ready(template) or is_abandoned(name):
        try:
            with hold_lock(name, operation=_OPERATION) as lock:
                if not _is_ready(template):
                    _build(config, template, lock)
                _tidy(config)
        except OperationLocked:
            if monotonic() > until:
                raise
            sleep(_PAUSE_SECONDS)
    return template


def find_signature() -> str:
    """Return what stands for all migrations of the running code, by their content."""
    return _digest(tuple(find_setting("INSTALLED_APPS")), get_conf().original_apps)


@cache
def _digest(apps: tuple[str, ...], original_apps: frozenset[str]) -> str:
    loader = MigrationLoader(None, ignore_no_migrations=True)
    versions = django.VERSION, django_mirrors.__version__
    digest = sha256(f"{apps} {sorted(original_apps)} {versions}".encode())
    for name, migration in sorted(loader.disk_migrations.items()):
        digest.update(f"{name} ".encode())
        digest.update(_read_source(sys.modules.get(type(migration).__module__)))
    return digest.hexdigest()[:12]


def apply_migrations(config: Config, *, mirror: Mirror | None = None) -> None:
    """Apply every migration to a database that nobody uses yet.

    They run in `mirror`, or in one that stands for none: it has a database and nothing
    else.
    """
    mirror = mirror or _build_stand_in()
    databases: Any = connections.settings
    with databases.lend(mirror.alias, dict(config)), hold_mirror(mirror):
        migrate(mirror)


def _is_ready(template: Config) -> bool:
    backend = get_database_backend(template)
    return backend.exists(template) and not backend.is_unfinished(template)


def _build(config: Config, template: Config, lock: Lock) -> None:
    backend, draft = get_database_backend(config), _build_draft(config)
    logger.info("A database with all migrations is made, for new mirrors to copy.")
    # Of a process that was killed here: they were never complete.
    backend.drop(draft)
    backend.drop(template)
    try:
        backend.create(draft)
        apply_migrations(draft)
        lock.renew()
        backend.rename(draft, template)
    except BaseException:
        backend.drop(draft)
        raise


def _tidy(config: Config) -> None:
    """Remove the draft of the template, and the templates of other migrations."""
    backend, name = get_database_backend(config), f"{_find_prefix()}{find_signature()}"
    backend.drop(_build_draft(config))
    for other in backend.list_templates(config):
        if other.startswith(_find_prefix()) and other != name:
            backend.drop(backend.build_template_config(config, other))


def find_fleet() -> str:
    """Return what stands for this fleet: others may have databases on the server."""
    key = str(_compat_settings.find_plain_setting("SECRET_KEY", ""))
    return sha256(f"{_PREFIX}{key}".encode()).hexdigest()[:8]


def _build_draft(config: Config) -> dict[str, Any]:
    name = f"{_DRAFT}{_find_prefix()}{find_signature()}"
    return get_database_backend(config).build_template_config(config, name)


def _find_prefix() -> str:
    return f"{_PREFIX}{find_fleet()}_"


def _build_stand_in() -> Mirror:
    uid = uuid4()
    return Mirror(
        name=f"{_PREFIX}{uid.hex[:16]}",
        display_name=_PREFIX,
        uid=uid,
        state=State.PROVISIONING,
        hosts=(),
        source="template",
    )


def _read_source(module: Any) -> bytes:
    path = Path(getattr(module, "__file__", None) or "")
    return path.read_bytes() if path.is_file() else b""
