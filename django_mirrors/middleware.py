"""From the host of a request to its mirror."""

import sys
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context
from functools import lru_cache, partial
from ipaddress import IPv6Address, ip_address
from typing import Any
from urllib.parse import quote
from weakref import ref

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.cache import caches
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import translation
from django.utils.encoding import escape_uri_path

from django_mirrors import _compat
from django_mirrors.behind import is_behind, learn_migrations
from django_mirrors.conf import Conf, find_setting, get_conf
from django_mirrors.context import build_context, find_current_mirror, hold_mirror
from django_mirrors.exceptions import InvalidHost, MirrorUnavailable
from django_mirrors.hosts import parse_authority
from django_mirrors.mirror import Mirror, State
from django_mirrors.options import Network
from django_mirrors.pages import render_page
from django_mirrors.registry import mirrors
from django_mirrors.steps import iter_async_steps, iter_steps

__all__ = ["MirrorMiddleware", "find_trusted_origins"]

# A permanent redirect that is forgotten in time: a primary host can change.
_REDIRECT_SECONDS = 300
# RFC 9110, 9.2.1.
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
# A mirror that is moved is read-only for some seconds.
_READ_ONLY_SECONDS = 5
_HELD = frozenset({State.MAINTENANCE, State.SUSPENDED})
_UNAVAILABLE = "unavailable"
# What visitors get of a mirror that lacks migrations, and the page for it.
_HOLD, _REFUSE = "hold", "refuse"
_BEHIND = "behind"
_FORWARDED_HOST = "HTTP_X_FORWARDED_HOST"
_FORWARDED = (_FORWARDED_HOST, "HTTP_X_FORWARDED_PORT", "HTTP_FORWARDED")
# RFC 3986, 3.4, and the brackets that many leave as they are.
_QUERY_CHARACTERS = "/?:@!$&'()*+,;=-._~%[]"
_CACHE = "django_mirrors.cache.MirrorCache"
# Where a request keeps that a service of its mirror was down.
_NOTE = "mirror_unavailable"


class MirrorMiddleware:
    """Makes the mirror of the request's host current, sync and async alike.

    Must come first in MIDDLEWARE. Sets `request.mirror`, and `request.urlconf` if the
    mirror has its own. Answers unknown hosts, redirects and mirrors that are not
    active itself, without a query.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        got_request_exception.connect(_note_exception, dispatch_uid=__name__)
        mirrors.watch()
        learn_migrations()

    def __call__(
        self, request: HttpRequest
    ) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Return the response of the mirror's host."""
        if self._is_async:
            return self._answer_async(request)
        mirror = _find_mirror(request)
        if not isinstance(mirror, Mirror):
            return mirror
        # Whatever the request sets in its context ends with it: the mirror, and the
        # language and the time zone that views and middleware activate.
        _keep_caches()
        context = build_context(mirror)
        response = context.run(self.get_response, request)
        return _finish(request, response, mirror, context)

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        mirror = _find_mirror(request)
        if not isinstance(mirror, Mirror):
            return mirror
        # A task has a context of its own.
        with hold_mirror(mirror):
            response = await self.get_response(request)
        return _finish(request, response, mirror, build_context(mirror))

    def process_exception(
        self, request: HttpRequest, exception: Exception
    ) -> HttpResponse | None:
        """Answer 503 when a service of the mirror is down."""
        mirror = find_current_mirror()
        if mirror is None or not isinstance(exception, MirrorUnavailable):
            return None
        return _build_held_response(mirror, _UNAVAILABLE)


def read_authority(request: HttpRequest, conf: Conf) -> tuple[str, int | None]:
    """Return canonical host and port of the request. Raises `InvalidHost`.

    A forwarded host counts if the request comes from a trusted proxy, and is removed
    in any case, so that nothing after this reads it. What others forward is removed.
    """
    meta = request.META
    if conf.trusted_proxies and not _is_trusted(
        meta.get("REMOTE_ADDR", ""), conf.trusted_proxies
    ):
        for name in (*_FORWARDED, *(find_setting("SECURE_PROXY_SSL_HEADER") or ())[:1]):
            meta.pop(name, None)
    forwarded = meta.pop(_FORWARDED_HOST, None)
    if forwarded is not None and conf.trusted_proxies:
        return parse_authority(forwarded.strip())
    raw = meta.get("HTTP_HOST")
    if raw is None:
        # HTTP/1.0 without a header, as Django reads it.
        port = str(meta.get("SERVER_PORT", ""))
        raw = meta.get("SERVER_NAME", "")
        if port not in {"", "80", "443"}:
            raw = f"{raw}:{port}"
    return parse_authority(raw)


def find_trusted_origins() -> Iterable[str]:
    """Return the origins whose forms the current mirror accepts beside its own host."""
    mirror = find_current_mirror()
    if mirror is None:
        return ()
    schemes = ("https",) if find_setting("CSRF_COOKIE_SECURE") else ("https", "http")
    return (
        *mirror.trusted_origins,
        *(
            f"{scheme}://{host}"
            for host in mirror.hosts
            if not host.startswith("*")
            for scheme in schemes
        ),
    )


def _find_mirror(request: HttpRequest) -> Mirror | HttpResponse:
    """Return the mirror to serve, or the answer in its place."""
    if not mirrors.is_watching:
        # A forked child has no watcher yet.
        mirrors.watch()
    conf, meta = get_conf(), request.META
    authority: str = meta.get("HTTP_HOST", "")
    mirror = mirrors.get_snapshot().exact.get(authority)
    if mirror is None or conf.trusted_proxies or _FORWARDED_HOST in meta:
        try:
            host, port = read_authority(request, conf)
        except InvalidHost:
            return _build_unknown_response(conf)
        mirror = mirrors.find_for_host(host)
        authority = host if port is None else f"{host}:{port}"
    else:
        # A host of the index is canonical: there is nothing to parse.
        host, port = authority, None
    if mirror is None or not _is_served(mirror, conf):
        return _build_unknown_response(conf)
    _compat.fix_host(request, authority)
    request.mirror = mirror  # type: ignore[attr-defined]
    page = _find_page(request, mirror)
    if page:
        return build_context(mirror).run(_hold, mirror, page)
    if mirror.redirect_aliases and host != mirror.primary_host != "":
        return _build_redirect(request, mirror, port)
    if mirror.urlconf is not None:
        request.urlconf = mirror.urlconf
    return mirror


def _find_page(request: HttpRequest, mirror: Mirror) -> str:
    """Return the page that a mirror shows in place of itself, or ''."""
    if mirror.state in _HELD:
        return mirror.state
    if get_conf().behind == _HOLD and is_behind(mirror):
        return _BEHIND
    # Before a request does a part of its work that cannot be undone.
    is_refused = mirror.is_read_only and request.method not in _SAFE_METHODS
    return _UNAVAILABLE if is_refused else ""


def _is_served(mirror: Mirror, conf: Conf) -> bool:
    if conf.pinned is not None and mirror.name != conf.pinned:
        return False
    if conf.behind == _REFUSE and is_behind(mirror):
        return False
    return mirror.state == State.ACTIVE or mirror.state in _HELD


@lru_cache(maxsize=1024)
def _is_trusted(address: str, networks: tuple[Network, ...]) -> bool:
    try:
        remote = ip_address(address)
    except ValueError:
        return False
    if isinstance(remote, IPv6Address) and remote.ipv4_mapped is not None:
        remote = remote.ipv4_mapped
    return any(remote in network for network in networks)


def _build_unknown_response(conf: Conf) -> HttpResponse:
    """Return the one answer for every host that is not served; it names nothing."""
    status = 404 if conf.unknown_host == "reject" else 421
    text = "Not Found" if status == 404 else "Misdirected Request"
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")


def _hold(mirror: Mirror, page: str) -> HttpResponse:
    # The thread may have the language of its last request, in another mirror.
    translation.deactivate()
    return _build_held_response(mirror, page)


def _build_held_response(mirror: Mirror, page: str) -> HttpResponse:
    retry_after = mirror.retry_after or get_conf().retry_after
    if mirror.is_read_only:
        retry_after = min(retry_after, _READ_ONLY_SECONDS)
    body = render_page(page, mirror, retry_after=retry_after)
    headers = {"Retry-After": str(retry_after), "Cache-Control": "no-store"}
    return HttpResponse(body, status=503, headers=headers)


def _build_redirect(
    request: HttpRequest, mirror: Mirror, port: int | None
) -> HttpResponse:
    authority = mirror.primary_host if port is None else f"{mirror.primary_host}:{port}"
    # Scheme and host come from the registry, and the slash ends them: a path without
    # one, which some servers let through, would go on with the host.
    path = escape_uri_path(request.path).removeprefix("/")
    query = _read_query(request)
    headers = {
        "Location": f"{request.scheme}://{authority}/{path}{query}",
        "Cache-Control": f"max-age={_REDIRECT_SECONDS}",
    }
    return HttpResponse(status=308, headers=headers)


def _read_query(request: HttpRequest) -> str:
    """Return the query as it came, with all that must not stand there quoted."""
    query = request.META.get("QUERY_STRING", "")
    # WSGI gives each byte as a character, ASGI gives what Django decoded.
    raw = query.encode("utf-8" if hasattr(request, "scope") else "latin-1", "replace")
    return f"?{quote(raw, safe=_QUERY_CHARACTERS)}" if raw else ""


def _note_exception(sender: object, request: HttpRequest | None, **_: Any) -> None:
    """Remember why Django answers 500: where no `process_exception` is asked."""
    if isinstance(sys.exc_info()[1], MirrorUnavailable) and request is not None:
        setattr(request, _NOTE, True)


def _finish(
    request: HttpRequest, response: HttpResponseBase, mirror: Mirror, context: Context
) -> HttpResponseBase:
    """Return the response, whose body and closing will run in its mirror."""
    if response.status_code == 500 and getattr(request, _NOTE, False):
        # It failed in another middleware, whose exceptions do not come here.
        response = context.run(_build_held_response, mirror, _UNAVAILABLE)
    if response.streaming:
        _follow_stream(response, mirror, context)
    response.close = partial(_close, _refer_to(response), context)  # type: ignore[method-assign]
    return response


def _keep_caches() -> None:
    """Make the caches of this thread before its context is copied.

    Django keeps them in the context: one that is made in a request ends with it, and so
    do its connections.
    """
    for alias, config in caches.settings.items():
        if config["BACKEND"] == _CACHE:
            caches[alias]


def _follow_stream(response: Any, mirror: Mirror, context: Context) -> None:
    file = getattr(response, "file_to_stream", None)
    steps = _compat.get_stream(response)
    if response.is_async:
        response.streaming_content = iter_async_steps(steps, hold_mirror(mirror))
    else:
        response.streaming_content = iter_steps(steps, context)
    if file is not None:
        # A server that can reads it itself, perhaps without Python.
        response.file_to_stream = file


def _refer_to(response: HttpResponseBase) -> Callable[[], HttpResponseBase | None]:
    """Return what finds a response again, and does not keep a stream.

    Who reads a stream keeps it. Nobody else shall: when it is dropped it ends at once,
    and in its mirror. Of other responses a server may keep no more than `close`.
    """
    if response.streaming and getattr(response, "file_to_stream", None) is None:
        return ref(response)
    return lambda: response


def _close(find: Callable[[], HttpResponseBase | None], context: Context) -> None:
    """Close a response in its mirror: what it holds, and what follows its end."""
    response = find()
    if response is None:
        return
    response.__dict__.pop("close", None)
    _compat.forget_running_closers(response)
    # A copy, since a stream that is closed here enters the context itself.
    context.copy().run(response.close)
