"""Mirrors as they are served: a declaration or a record, and what the record adds."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from django_mirrors.conf import Conf
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.mirror import (
    CACHE,
    DATABASE,
    ORIGINAL_NAME,
    STATES,
    STORAGE,
    Mirror,
    State,
)
from django_mirrors.sources.records import RECORDS, Record

__all__ = ["build_original", "build_recorded", "overlay_record", "pin_services"]


def build_original(conf: Conf) -> Mirror:
    """Return the original, whose services default to the project's own."""
    return Mirror.from_mapping(
        ORIGINAL_NAME,
        {"STATE": State.ACTIVE, **conf.original},
        source=ORIGINAL_NAME,
        place="MIRRORS_OPTIONS['ORIGINAL']",
    )


def build_recorded(record: Record) -> Mirror:
    """Return the mirror whose definition is kept in `record`.

    Raises `InvalidMirror` for whatever somebody may have written there.
    """
    place = f"The record of mirror '{record.name}'"
    return Mirror.from_mapping(
        record.name,
        _read_json(record, place),
        source=RECORDS,
        place=place,
        **_read_columns(record, place),
    )


def overlay_record(mirror: Mirror, record: Record) -> Mirror:
    """Return the declared `mirror` with what its record says: uid, state, release.

    A declared state stricter than the recorded one wins.
    """
    values = _read_columns(record, f"The record of mirror '{record.name}'")
    is_held = mirror.state not in {State.PROVISIONING, State.ACTIVE}
    if is_held and record.state == State.ACTIVE:
        values["state"] = mirror.state
    return replace(mirror, **values)


def pin_services(mirror: Mirror, conf: Conf) -> Mirror:
    """Return the mirror with the services that the environment of the process gives."""
    services = conf.pinned_services
    if mirror.name != conf.pinned or not services:
        return mirror
    changes: dict[str, Any] = {}
    if DATABASE in services:
        changes["database"] = services[DATABASE]
    if STORAGE in services:
        changes["storages"] = {**mirror.storages, "default": services[STORAGE]}
    if CACHE in services:
        changes["cache"] = services[CACHE]
    if "SITE_ID" in services:
        changes["settings"] = {**mirror.settings, "SITE_ID": _read_site_id(services)}
    shares = {
        service: owner
        for service, owner in mirror.shares.items()
        if service not in services
    }
    return replace(mirror, shares=shares, **changes)


def _read_json(record: Record, place: str) -> Any:
    try:
        return json.loads(record.definition)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidMirror(
            f"{place} holds a definition that is not JSON. Correct it, or delete the "
            "record."
        ) from error


def _read_columns(record: Record, place: str) -> dict[str, Any]:
    if record.state not in STATES:
        raise InvalidMirror(
            f"{place} has the state {record.state!r}. Use one of: {', '.join(STATES)}."
        )
    return {
        "uid": _read_uid(record.uid, place),
        "state": record.state,
        "reason": record.reason,
        "retry_after": record.retry_after,
        "release": record.release,
        "is_read_only": bool(record.read_only),
        "migrations": record.migrations or "",
    }


def _read_uid(value: Any, place: str) -> UUID:
    if isinstance(value, UUID):
        return value
    try:
        return UUID(value)
    except (AttributeError, TypeError, ValueError) as error:
        raise InvalidMirror(
            f"{place} has the uid {value!r}, which is not a UUID. Restore it from a "
            "backup: keys and paths of the mirror are made of it."
        ) from error


def _read_site_id(services: Mapping[str, str]) -> int:
    try:
        return int(services["SITE_ID"])
    except ValueError:
        raise InvalidMirror(
            f"The variable SITE_ID is {services['SITE_ID']!r}, which is not a number. "
            "Correct or remove it."
        ) from None
