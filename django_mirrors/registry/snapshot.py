"""The fleet at one moment: an immutable value with its index of hosts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django_mirrors import _compat
from django_mirrors.conf import Conf
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.mirror import (
    DATABASE,
    ORIGINAL_NAME,
    Mirror,
    State,
)
from django_mirrors.sources.records import Record

__all__ = ["Snapshot", "build_original", "build_recorded", "build_snapshot", "overlay_record"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Every mirror by name and by host. Replaced whole, never changed."""

    original: Mirror
    mirrors: Mapping[str, Mirror]  # sorted by name, without the original
    exact: Mapping[str, Mirror]  # canonical host -> mirror
    wildcards: Mapping[str, Mirror]  # what follows "*." -> mirror

    def find(self, host: str) -> Mirror | None:
        """Return the mirror that answers on the canonical `host`: exact beats wildcard."""
        mirror = self.exact.get(host)
        if mirror is None and self.wildcards:
            mirror = self.wildcards.get(host.partition(".")[2])
        return mirror

    def get(self, name: str) -> Mirror | None:
        """Return the mirror `name`, the original included, or None."""
        mirror = self.mirrors.get(name)
        if mirror is None and name == ORIGINAL_NAME:
            return self.original
        return mirror


def build_original(conf: Conf) -> Mirror:
    """Return the original, whose services default to the project's own."""
    return Mirror.from_mapping(
        ORIGINAL_NAME,
        {"STATE": State.ACTIVE, **conf.original},
        source=ORIGINAL_NAME,
        place="MIRRORS_OPTIONS['ORIGINAL']",
    )


def build_recorded(record: Record) -> Mirror:
    """Return the mirror whose definition is kept in `record`."""
    mirror = Mirror.from_mapping(
        record.name,
        record.definition,
        uid=record.uid,
        source="records",
        place=f"The record of mirror '{record.name}'",
    )
    return overlay_record(mirror, record)


def overlay_record(mirror: Mirror, record: Record) -> Mirror:
    """Return `mirror` with what its record says: uid, state, release.

    A declared state stricter than the recorded one wins.
    """
    declared = mirror.state if record.declared else State.PROVISIONING
    is_held = declared not in {State.PROVISIONING, State.ACTIVE}
    return replace(
        mirror,
        uid=record.uid,
        state=declared if is_held and record.state == State.ACTIVE else record.state,
        reason=record.reason,
        retry_after=record.retry_after,
        release=record.release,
    )


def build_snapshot(mirrors: Iterable[Mirror], conf: Conf) -> Snapshot:
    """Return the snapshot of `mirrors` and the original.

    Raises `InvalidMirror` naming both places of every name or host claimed twice, and
    every share that leads nowhere.
    """
    original = build_original(conf)
    problems: list[str] = []
    by_name: dict[str, Mirror] = {}
    for mirror in sorted(mirrors, key=lambda item: item.name):
        other = by_name.setdefault(mirror.name, mirror)
        if other is not mirror:
            problems.append(
                f"Mirror '{mirror.name}' is defined twice: in {_describe(other)} and in "
                f"{_describe(mirror)}. Remove one of them."
            )
    problems += _check_shares(by_name)
    for mirror in (original, *by_name.values()):
        problems += _check_settings(mirror)
        problems += _check_supported(mirror)
    if conf.pinned:
        _pin(by_name, conf)
    exact, wildcards, clashes = _index([original, *by_name.values()])
    problems += clashes
    if problems:
        raise InvalidMirror(*problems)
    return Snapshot(original=original, mirrors=by_name, exact=exact, wildcards=wildcards)


def _index(
    mirrors: Iterable[Mirror],
) -> tuple[dict[str, Mirror], dict[str, Mirror], list[str]]:
    exact: dict[str, Mirror] = {}
    wildcards: dict[str, Mirror] = {}
    problems = []
    for mirror in mirrors:
        if mirror.state == State.ARCHIVED:
            continue
        for host in mirror.hosts:
            index, key = (wildcards, host[2:]) if host[0] == "*" else (exact, host)
            other = index.setdefault(key, mirror)
            if other is not mirror:
                problems.append(
                    f"Host '{host}' is claimed twice: by mirror '{other}' in "
                    f"{_describe(other)} and by mirror '{mirror}' in {_describe(mirror)}. "
                    "Remove it from one of them."
                )
    return exact, wildcards, problems


def _describe(mirror: Mirror) -> str:
    if mirror.source == "settings":
        return f"MIRRORS['{mirror.name}']"
    if mirror.source == ORIGINAL_NAME:
        return "MIRRORS_OPTIONS['ORIGINAL']"
    if mirror.source == "records":
        return "the records"
    return mirror.source


def _check_shares(mirrors: Mapping[str, Mirror]) -> list[str]:
    problems = []
    for mirror in mirrors.values():
        for service, owner_name in mirror.shares.items():
            if owner_name == ORIGINAL_NAME:
                continue
            owner = mirrors.get(owner_name)
            if owner is None:
                problem = "which does not exist. Name an existing mirror."
            elif owner_name == mirror.name:
                problem = "which is itself. Remove the entry."
            elif service in owner.shares:
                problem = (
                    f"which shares it from '{owner.shares[service]}' itself. "
                    f"Name '{owner.shares[service]}' directly."
                )
            else:
                continue
            problems.append(
                f"{_describe(mirror)}: '{mirror}' shares {service} of '{owner_name}', "
                f"{problem}"
            )
    return problems


def _check_supported(mirror: Mirror) -> list[str]:
    given = {"SCHEMA": mirror.schema, "REPLICA": mirror.replica, "MAIL": mirror.mail}
    return [
        f"{_describe(mirror)}: '{key}' of mirror '{mirror}' is not supported by this "
        "release. Remove it."
        for key, value in given.items()
        if value is not None
    ]


def _check_settings(mirror: Mirror) -> list[str]:
    return [
        f"{_describe(mirror)}: the setting '{name}' cannot vary by mirror, since Django "
        "reads it once for the whole process. Remove it from 'SETTINGS'."
        for name in mirror.settings
        if not _compat.can_vary(name)
    ]


def _pin(mirrors: dict[str, Mirror], conf: Conf) -> None:
    mirror = mirrors.get(conf.pinned or "")
    services = conf.pinned_services
    if mirror is None or not services:
        return
    changes: dict[str, Any] = {}
    shares = dict(mirror.shares)
    if "DATABASE" in services:
        changes["database"] = services["DATABASE"]
        shares.pop(DATABASE, None)
    if "STORAGE" in services:
        changes["storages"] = {**mirror.storages, "default": services["STORAGE"]}
        shares.pop("STORAGE", None)
    if "CACHE" in services:
        changes["cache"] = services["CACHE"]
        shares.pop("CACHE", None)
    if "SITE_ID" in services:
        changes["settings"] = {**mirror.settings, "SITE_ID": _read_site_id(services)}
    mirrors[mirror.name] = replace(mirror, shares=shares, **changes)


def _read_site_id(services: Mapping[str, str]) -> int:
    try:
        return int(services["SITE_ID"])
    except ValueError:
        raise InvalidMirror(
            f"The variable SITE_ID is {services['SITE_ID']!r}, which is not a number."
        ) from None
