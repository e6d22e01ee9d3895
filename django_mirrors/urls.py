"""Addresses of mirrors: scheme, primary host and path."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.http import HttpRequest, QueryDict
from django.urls import reverse as reverse_path
from django.utils.encoding import iri_to_uri

from django_mirrors.conf import find_original_hosts, find_setting, get_conf
from django_mirrors.context import get_current_mirror
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.hosts import parse_authority
from django_mirrors.mirror import Mirror
from django_mirrors.registry import mirrors

__all__ = ["build_url", "find_urlconf", "get_host", "reverse"]


def build_url(
    mirror: Mirror | str | None = None,
    path: str = "/",
    *,
    scheme: str | None = None,
    port: int | None = None,
    request: HttpRequest | None = None,
) -> str:
    """Return the address of `path` at a mirror, by default the current one.

    It begins with the mirror's primary host. Scheme and port are those given, else the
    options `SCHEME` and `PORT`, else those of `request`. Raises `UnknownMirror`,
    `InvalidMirror` for a mirror that no link can lead to, and `NoCurrentMirror`.
    """
    host = get_host(_get_mirror(mirror))
    scheme, port = _find_scheme_and_port(scheme, port, request)
    end = "" if port is None else f":{port}"
    return iri_to_uri(f"{scheme}://{host}{end}/{path.removeprefix('/')}")


def reverse(
    viewname: Any,
    *,
    mirror: Mirror | str | None = None,
    args: Sequence[Any] | None = None,
    kwargs: dict[str, Any] | None = None,
    current_app: str | None = None,
    query: QueryDict | Mapping[str, Any] | None = None,
    fragment: str | None = None,
    scheme: str | None = None,
    port: int | None = None,
    request: HttpRequest | None = None,
) -> str:
    """Return the address of a view at a mirror, by default the current one.

    See build_url(). The mirror's own `URLCONF` is asked, whichever is being served.
    """
    found = _get_mirror(mirror)
    path = reverse_path(
        viewname,
        urlconf=find_urlconf(found),
        args=args,
        kwargs=kwargs,
        current_app=current_app,
        query=query,
        fragment=fragment,
    )
    return build_url(found, path, scheme=scheme, port=port, request=request)


def find_urlconf(mirror: Mirror) -> str:
    """Return the URLconf of a mirror: its own, or the project's."""
    return mirror.urlconf or str(find_setting("ROOT_URLCONF"))


def get_host(mirror: Mirror) -> str:
    """Return the host of links to `mirror`. Raises `InvalidMirror` if it has none."""
    host = mirror.primary_host
    if not host and mirror.is_original:
        host = next(iter(find_original_hosts()), "")
    if not host:
        raise InvalidMirror(
            f"Mirror '{mirror}' has no host that a link can use. Put one without '*' "
            "first in its 'HOSTS'."
        )
    return host


def _get_mirror(mirror: Mirror | str | None) -> Mirror:
    if mirror is None:
        return get_current_mirror()
    return mirror if isinstance(mirror, Mirror) else mirrors[mirror]


def _find_scheme_and_port(
    scheme: str | None, port: int | None, request: HttpRequest | None
) -> tuple[str, int | None]:
    conf = get_conf()
    port = conf.port if port is None else port
    # `conf.scheme` does not tell a default from what the project wrote.
    scheme = scheme or find_setting("MIRRORS_OPTIONS", {}).get("SCHEME")
    if scheme or request is None:
        return scheme or conf.scheme, port
    if port is None:
        # The port that the browser knows, not that of a server behind a proxy. It
        # belongs to the request's scheme, so it is not used with another.
        _, port = parse_authority(request.get_host())
    return request.scheme or conf.scheme, port
