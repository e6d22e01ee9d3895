"""django-hosts: `reverse(..., host="books")` and `{% host_url %}` for every mirror.

Name this module in ROOT_HOSTCONF, and a mirror in DEFAULT_HOST. A mirror is looked up
in the registry, where django-hosts would compare the name of each host in turn and keep
what it found for the life of the process. So its lookup is replaced, in follow_fleet():
a list of patterns, however lazy, would cost one step for each mirror, and clearing its
caches when the fleet changes would be late for code that asks before.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from django_hosts import defaults, middleware, resolvers
from django_hosts.templatetags import hosts as tags

from django_mirrors.conf import find_setting, get_conf
from django_mirrors.context import find_current_mirror
from django_mirrors.mirror import Mirror
from django_mirrors.registry import mirrors
from django_mirrors.urls import find_urlconf
from django_mirrors.urls import get_host as get_mirror_host

__all__ = ["follow_fleet", "get_host", "host_patterns", "reverse_host"]

_get_other_host = resolvers.get_host
_reverse_other_host = resolvers.reverse_host


class MirrorHost(defaults.host):  # type: ignore[misc]
    """The primary host of a mirror."""

    def __init__(self, address: str, **options: Any) -> None:
        super().__init__(re.escape(address), **options)
        self.address = address
        # The registry has found the mirror by then, perhaps by another of its hosts.
        self.compiled_regex = re.compile("")


class CurrentHosts(Sequence[defaults.host]):
    """The host of the current mirror: all that the middleware of django-hosts needs."""

    def __getitem__(self, index: Any) -> Any:
        return self._list()[index]

    def __len__(self) -> int:
        return len(self._list())

    def _list(self) -> tuple[defaults.host, ...]:
        mirror = find_current_mirror()
        # Not get_host(): a mirror that no link can lead to is served all the same.
        return () if mirror is None else (_find_host(mirror, mirror.primary_host),)


# Other names are looked for here, which for this module means nowhere.
host_patterns = CurrentHosts()


def follow_fleet() -> None:
    """Let django-hosts ask the registry first, then its own patterns."""
    for module in (resolvers, tags, middleware):
        module.get_host = get_host
    for module in (resolvers, tags):
        module.reverse_host = reverse_host


def get_host(name: Mirror | str | None = None) -> defaults.host:
    """Return the host of the mirror `name`, else what django-hosts knows by it."""
    if name is None:
        name = find_setting("DEFAULT_HOST")
    mirror = name if isinstance(name, Mirror) else mirrors.get(str(name))
    if mirror is None:
        return _get_other_host(name)
    return _find_host(mirror, get_mirror_host(mirror))


def reverse_host(
    host: defaults.host | Mirror | str,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
) -> str:
    """Return the name of a host, which for a mirror is complete without PARENT_HOST."""
    found = host if isinstance(host, defaults.host) else get_host(host)
    if isinstance(found, MirrorHost):
        return found.address or get_mirror_host(mirrors[found.name])
    return str(_reverse_other_host(found, args=args, kwargs=kwargs))


def _find_host(mirror: Mirror, address: str) -> MirrorHost:
    conf = get_conf()
    return _build_host(
        address,
        urlconf=find_urlconf(mirror),
        name=mirror.name,
        scheme=find_setting("HOST_SCHEME", conf.scheme),
        port=str(find_setting("HOST_PORT", conf.port or "")),
    )


@lru_cache(maxsize=1024)
def _build_host(address: str, **options: Any) -> MirrorHost:
    return MirrorHost(address, **options)


# django-hosts calls it when its settings change.
get_host.cache_clear = _get_other_host.cache_clear  # type: ignore[attr-defined]
