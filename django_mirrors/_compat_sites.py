"""Sites and content types, which Django keeps for the whole process."""

from collections.abc import (
    Callable,
    Iterator,
    MutableMapping,
)
from functools import wraps
from typing import Any

from django.apps import apps
from django.contrib.sites.requests import RequestSite
from django.http import HttpRequest
from django.http.request import split_domain_port


class _SiteCache(MutableMapping[Any, Any]):
    """The current `Site` of each mirror; of those in use, when there are many."""

    _SIZE = 1000

    def __init__(
        self, find_owner: Callable[[], object], find_host: Callable[[], str]
    ) -> None:
        self._find_owner = find_owner
        self._find_host = find_host
        self._sites: dict[tuple[object, Any], Any] = {}

    def __getitem__(self, key: Any) -> Any:
        return self._sites[self._find_owner(), key]

    def __setitem__(self, key: Any, site: Any) -> None:
        if len(self._sites) >= self._SIZE:
            self._sites.pop(next(iter(self._sites)), None)
        # A row may be that of the mirror whose database is shared, or be out of date.
        site.domain = replace_host(site.domain, self._find_host())
        self._sites[self._find_owner(), key] = site

    def __delitem__(self, key: Any) -> None:
        del self._sites[self._find_owner(), key]

    def __iter__(self) -> Iterator[Any]:
        owner = self._find_owner()
        return iter([key for holder, key in self._sites if holder == owner])

    def __len__(self) -> int:
        return sum(1 for _ in self)


def follow_sites(
    find_owner: Callable[[], object], find_host: Callable[[], str]
) -> None:
    """Keep the current sites of `contrib.sites` apart by what `find_owner` returns.

    It keeps them by SITE_ID or host for the process; clear_cache() binds a new
    dictionary to the name. Django 5.2 to 6.1. Links that are built of a site, as those
    in the mail for a forgotten password, lead to what `find_host` returns.
    """
    if not hasattr(RequestSite.__init__, "__wrapped__"):
        _name_request_sites(find_host)
    if not apps.is_installed("django.contrib.sites"):
        return
    from django.contrib.sites import models  # noqa: PLC0415 - needs the app registry

    if isinstance(models.SITE_CACHE, _SiteCache):
        return
    models.SITE_CACHE = _SiteCache(find_owner, find_host)
    models.SiteManager.clear_cache = _clear_sites  # type: ignore[assignment, method-assign]


def replace_host(authority: str, host: str) -> str:
    """Return `host`, if it says anything, with the port of `authority`."""
    _, port = split_domain_port(authority)
    if not host:
        return authority
    return f"{host}:{port}" if port else host


def _name_request_sites(find_host: Callable[[], str]) -> None:
    make = RequestSite.__init__

    @wraps(make)
    def make_named(self: RequestSite, request: HttpRequest) -> None:
        make(self, request)
        self.domain = self.name = replace_host(self.domain, find_host())

    RequestSite.__init__ = make_named  # type: ignore[method-assign]


def _clear_sites(manager: object) -> None:
    from django.contrib.sites import models  # noqa: PLC0415 - needs the app registry

    models.SITE_CACHE.clear()


class _ContentTypes(dict[str, dict[Any, Any]]):
    """The content types of each mirror; of those in use, when there are many."""

    _SIZE = 1000

    def __init__(self, find_owner: Callable[[str], str]) -> None:
        super().__init__()
        self._find_owner = find_owner

    def __getitem__(self, alias: str) -> dict[Any, Any]:
        return super().__getitem__(self._find_owner(alias))

    def setdefault(self, alias: str, default: Any = None) -> Any:
        owner = self._find_owner(alias)
        if owner not in self and len(self) >= self._SIZE:
            self.pop(next(iter(self)), None)
        return super().setdefault(owner, default)


def follow_content_types(find_owner: Callable[[str], str]) -> None:
    """Keep the cached content types apart by what `find_owner` returns for an alias.

    They are kept by alias, which mirrors that share a database have in common, for the
    life of the process and without a limit. Django 5.2 to 6.1.
    """
    if not apps.is_installed("django.contrib.contenttypes"):
        return
    from django.contrib.contenttypes import (  # noqa: PLC0415 - needs the app registry
        models,
    )

    manager: Any = models.ContentType.objects
    if not isinstance(manager._cache, _ContentTypes):
        manager._cache = _ContentTypes(find_owner)
