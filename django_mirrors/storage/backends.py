"""From the current mirror to its own storage backend."""

from functools import cache
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import Storage, storages

from django_mirrors.backends import Backends
from django_mirrors.conf import find_setting, get_conf
from django_mirrors.context import get_current_mirror
from django_mirrors.dsn import build_storage
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.mirror import STORAGE, Mirror
from django_mirrors.registry import mirrors

__all__ = ["DEFAULT_ALIAS", "forget_storages", "get_backend", "get_owner"]

DEFAULT_ALIAS = "default"
# An S3 backend holds connections for each thread that used it.
_MAX_BACKENDS = 512
_FILE_SYSTEM = "django_mirrors.storage.filesystem.MirrorFileSystemStorage"
_ROUTERS = frozenset(
    {
        "django_mirrors.storage.MirrorStorage",
        "django_mirrors.storage.router.MirrorStorage",
    }
)


def get_owner() -> Mirror:
    """Return the mirror whose files the current mirror uses: mostly itself.

    Raises `NoCurrentMirror`.
    """
    mirror = get_current_mirror()
    name = mirror.find_owner(STORAGE)
    return mirror if name == mirror.name else mirrors[name]


def get_backend(alias: str) -> Storage:
    """Return the backend that the current mirror has for the storage `alias`.

    Raises `NoCurrentMirror`, and `InvalidMirror` if the mirror has none.
    """
    owner = get_owner()
    definition = owner.storages.get(alias)
    if definition is None:
        definition = _find_default(owner, alias)
    place = f"The storage '{alias}' of mirror '{owner}'"
    return _get_backends().get((owner.uid, alias), definition, place=place)


def forget_storages(**_: Any) -> None:
    """Build every backend again at its next use. Files kept in memory are lost."""
    _get_backends().forget()


@cache
def _get_backends() -> Backends[Storage]:
    return Backends(read=_read, build=_build, size=_MAX_BACKENDS)


def _find_default(owner: Mirror, alias: str) -> dict[str, Any]:
    key = "STORAGE" if alias == DEFAULT_ALIAS else f"STORAGES[{alias!r}]"
    if not owner.is_original:
        raise InvalidMirror(
            f"Mirror '{owner}' has no storage '{alias}'. Add {key} to its definition, "
            f"such as 'file:///srv/media/{owner}/', or share another mirror's."
        )
    root = find_setting("MEDIA_ROOT")
    if alias != DEFAULT_ALIAS or not root:
        hint = " or set MEDIA_ROOT" if alias == DEFAULT_ALIAS else ""
        raise InvalidMirror(
            f"The original has no storage '{alias}'. Add {key} to "
            f"MIRRORS_OPTIONS['ORIGINAL']{hint}."
        )
    return {"BACKEND": _FILE_SYSTEM, "OPTIONS": {"location": Path(root).absolute()}}


def _read(definition: Any, place: str) -> dict[str, Any]:
    config = build_storage(definition, place=place)
    if config["BACKEND"] in _ROUTERS:
        raise InvalidMirror(
            f"{place} leads back to MirrorStorage. Name the backend that keeps files."
        )
    if config["BACKEND"] == _FILE_SYSTEM:
        config["OPTIONS"] = _read_location(config.get("OPTIONS", {}), place)
    return config


def _read_location(options: dict[str, Any], place: str) -> dict[str, Any]:
    location = options.get("location")
    if not location:
        # MEDIA_ROOT is the original's: two mirrors would have the same files.
        raise InvalidMirror(
            f"{place} has no 'location'. Add the directory of its files to 'OPTIONS'."
        )
    return {**options, "location": str(get_conf().directory / location)}


def _build(config: dict[str, Any], place: str) -> Storage:
    try:
        return storages.create_storage(config)
    except (ImproperlyConfigured, TypeError, ValueError) as error:
        raise InvalidMirror(f"{place} cannot be built: {error}") from error
