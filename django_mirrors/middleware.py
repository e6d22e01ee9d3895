"""From the host of a request to its mirror."""

from collections.abc import Awaitable, Callable, Iterable
from ipaddress import ip_address
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template import TemplateDoesNotExist, loader

from django_mirrors import _compat
from django_mirrors.conf import find_setting, get_conf
from django_mirrors.context import (
    find_current_mirror,
    hold_mirror,
    iter_async_steps,
    iter_steps,
)
from django_mirrors.exceptions import InvalidHost, MirrorUnavailable
from django_mirrors.hosts import parse_authority
from django_mirrors.mirror import Mirror, State
from django_mirrors.registry import mirrors

__all__ = ["MirrorMiddleware", "find_trusted_origins"]

# A permanent redirect that is forgotten in time: a primary host can change.
_REDIRECT_SECONDS = 300
_HELD = frozenset({State.MAINTENANCE, State.SUSPENDED})


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
        mirrors.watch()

    def __call__(
        self, request: HttpRequest
    ) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Return the response of the mirror's host."""
        if self._is_async:
            return self._answer_async(request)
        mirror = self._find_mirror(request)
        if isinstance(mirror, HttpResponse):
            return mirror
        with hold_mirror(mirror):
            response = self.get_response(request)
        return _follow_response(response, mirror)

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        mirror = self._find_mirror(request)
        if isinstance(mirror, HttpResponse):
            return mirror
        with hold_mirror(mirror):
            response = await self.get_response(request)
        return _follow_response(response, mirror)

    def process_exception(
        self, request: HttpRequest, exception: Exception
    ) -> HttpResponse | None:
        """Answer 503 when a service of the mirror is down."""
        mirror = find_current_mirror()
        if mirror is None or not isinstance(exception, MirrorUnavailable):
            return None
        return build_held_response(mirror, "unavailable")

    def _find_mirror(self, request: HttpRequest) -> Mirror | HttpResponse:
        if not mirrors.is_watching:
            # A forked child has no watcher yet.
            mirrors.watch()
        try:
            host, port = read_authority(request)
        except InvalidHost:
            return build_unknown_response()
        mirror = mirrors.find_for_host(host)
        if mirror is None or not _is_served(mirror):
            return build_unknown_response()
        authority = host if port is None else f"{host}:{port}"
        _compat.fix_host(request, authority)
        request.mirror = mirror  # type: ignore[attr-defined]
        if mirror.state in _HELD:
            return build_held_response(mirror, mirror.state)
        if mirror.redirect_aliases and host != mirror.primary_host:
            return _build_redirect(request, mirror, port)
        if mirror.urlconf is not None:
            request.urlconf = mirror.urlconf  # type: ignore[attr-defined]
        return mirror


def read_authority(request: HttpRequest) -> tuple[str, int | None]:
    """Return canonical host and port of the request. Raises `InvalidHost`.

    A forwarded host counts if the request comes from a trusted proxy, and is removed
    in any case, so that nothing after this reads it.
    """
    meta = request.META
    forwarded = meta.pop("HTTP_X_FORWARDED_HOST", None)
    if forwarded is not None and _is_trusted(meta.get("REMOTE_ADDR", "")):
        return parse_authority(forwarded.strip())
    raw = meta.get("HTTP_HOST")
    if raw is None:
        # HTTP/1.0 without a header, as Django reads it.
        port = str(meta.get("SERVER_PORT", ""))
        raw = meta.get("SERVER_NAME", "")
        if port not in {"", "80", "443"}:
            raw = f"{raw}:{port}"
    return parse_authority(raw)


def build_unknown_response() -> HttpResponse:
    """Return the one answer for every host that is not served; it names nothing."""
    status = 404 if get_conf().unknown_host == "reject" else 421
    text = "Not Found" if status == 404 else "Misdirected Request"
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")


def build_held_response(mirror: Mirror, reason: str) -> HttpResponse:
    """Return the 503 page `django_mirrors/<reason>.html`, a template of the project."""
    retry_after = mirror.retry_after or get_conf().retry_after
    with hold_mirror(mirror):
        try:
            body = loader.render_to_string(
                f"django_mirrors/{reason}.html",
                {"mirror": mirror, "reason": mirror.reason, "retry_after": retry_after},
            )
        except TemplateDoesNotExist:
            body = "<!doctype html><title>503</title><p>Please come back later."
    headers = {"Retry-After": str(retry_after), "Cache-Control": "no-store"}
    return HttpResponse(body, status=503, headers=headers)


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


def _is_served(mirror: Mirror) -> bool:
    pinned = get_conf().pinned
    if pinned is not None and mirror.name != pinned:
        return False
    return mirror.state == State.ACTIVE or mirror.state in _HELD


def _is_trusted(address: str) -> bool:
    networks = get_conf().trusted_proxies
    if not networks:
        return False
    try:
        remote = ip_address(address)
    except ValueError:
        return False
    return any(remote in network for network in networks)


def _build_redirect(
    request: HttpRequest, mirror: Mirror, port: int | None
) -> HttpResponse:
    authority = mirror.primary_host if port is None else f"{mirror.primary_host}:{port}"
    # Scheme and host come from the registry, so that no path can lead elsewhere.
    location = f"{request.scheme}://{authority}{request.get_full_path()}"
    headers = {"Location": location, "Cache-Control": f"max-age={_REDIRECT_SECONDS}"}
    return HttpResponse(status=308, headers=headers)


def _follow_response(response: HttpResponseBase, mirror: Mirror) -> HttpResponseBase:
    """Return the response, whose body and closing will run in its mirror."""
    block = hold_mirror(mirror)
    _compat.bind_closers(response, cast(Any, block))
    # A file is read by the server, perhaps without Python: it needs no mirror.
    if response.streaming and getattr(response, "file_to_stream", None) is None:
        steps = response.streaming_content  # type: ignore[attr-defined]
        step = iter_async_steps if response.is_async else iter_steps  # type: ignore[attr-defined]
        response.streaming_content = step(  # type: ignore[attr-defined]
            aiter(steps) if response.is_async else iter(steps),  # type: ignore[attr-defined]
            block,
        )
    return response
