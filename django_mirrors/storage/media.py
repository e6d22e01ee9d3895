"""The view that serves a mirror's files."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from datetime import datetime
from mimetypes import guess_type
from posixpath import basename, normpath
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, Storage
from django.core.handlers.asgi import ASGIRequest
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header, http_date
from django.views.decorators.http import require_safe

from django_mirrors.conf import get_conf
from django_mirrors.storage.backends import DEFAULT_ALIAS, get_backend, get_owner
from django_mirrors.storage.names import check_name
from django_mirrors.storage.ranges import AsyncPart, Part, Span, find_span
from django_mirrors.storage.signatures import is_signed, sign_media_url

__all__ = ["serve_media", "sign_media_url"]

# What a browser shows without running anything in it. Everything else is downloaded:
# a mirror's staff may upload files, but not scripts that run as its site.
_PASSIVE = frozenset({"application/pdf", "application/json", "text/plain"})
_PASSIVE_KINDS = ("audio/", "font/", "image/", "video/")
_SANDBOX = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
_COMPRESSED = {
    "br": "application/x-brotli",
    "bzip2": "application/x-bzip",
    "compress": "application/x-compress",
    "gzip": "application/gzip",
    "xz": "application/x-xz",
}
# Any of them means: there is no such file here.
_ABSENT = (
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    SuspiciousOperation,
)


class _Stored(NamedTuple):
    """An open file and what is known of it."""

    file: File[Any]
    size: int | None
    modified: float | None

    @property
    def etag(self) -> str | None:
        if self.size is None or self.modified is None:
            return None
        return f'"{int(self.modified * 1_000_000):x}-{self.size:x}"'


@require_safe
def serve_media(
    request: HttpRequest,
    name: str,
    *,
    alias: str = DEFAULT_ALIAS,
    private: bool = False,
) -> HttpResponseBase:
    """Serve the file `name` of the current mirror, and of no other: 404 otherwise.

    With `private`, only URLs made by `sign_media_url()` are answered, others get 403.
    Files that lie elsewhere are redirected to. Set MIRRORS_OPTIONS["MEDIA_ACCEL"] to
    let the web server send what lies on this machine.
    """
    if private and not is_signed(
        name,
        alias=alias,
        expires=request.GET.get("expires", ""),
        signature=request.GET.get("signature", ""),
    ):
        raise PermissionDenied("This URL is not signed for this site, or has expired.")
    backend = get_backend(alias)
    try:
        if check_name(name) != normpath(name):
            raise FileNotFoundError(name)
        response = _serve(request, backend, name, alias)
    except _ABSENT as error:
        raise Http404(f"There is no file {name!r}.") from error
    if private:
        response["Cache-Control"] = "private, no-store"
    return response


def _serve(
    request: HttpRequest, backend: Storage, name: str, alias: str
) -> HttpResponseBase:
    is_local = isinstance(backend, FileSystemStorage)
    if not is_local:
        url = backend.url(name)
        if _leads_elsewhere(request, url):
            return HttpResponseRedirect(url)
    stored = _open(backend, name)
    headers = _build_headers(name, stored)
    accel = get_conf().media_accel
    if is_local and accel:
        stored.file.close()
        target = _find_target(accel, backend, name, alias)
        return HttpResponse(headers={**headers, accel: target})
    return _answer(request, stored, headers)


def _leads_elsewhere(request: HttpRequest, url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in {"http", "https"} and parts.netloc != request.get_host()


def _open(backend: Storage, name: str) -> _Stored:
    file = backend.open(name)
    if isinstance(backend, FileSystemStorage):
        # What is open, not what has the name by now.
        info = os.fstat(file.fileno())
        return _Stored(file, info.st_size, info.st_mtime)
    if isinstance(file, ContentFile):
        # Storages in memory give every reader the same object, with one position.
        file = ContentFile(file.read())
    return _Stored(
        file, _ask(backend.size, name), _ask(backend.get_modified_time, name)
    )


def _ask(question: Any, name: str) -> Any:
    try:
        answer = question(name)
    except NotImplementedError:
        return None
    return answer.timestamp() if isinstance(answer, datetime) else answer


def _build_headers(name: str, stored: _Stored) -> dict[str, str]:
    kind = _guess_kind(name)
    headers = {"Content-Type": kind, "X-Content-Type-Options": "nosniff"}
    if not _is_passive(kind):
        disposition = content_disposition_header(
            as_attachment=True, filename=basename(name)
        )
        headers["Content-Disposition"] = disposition or "attachment"
        headers["Content-Security-Policy"] = _SANDBOX
    if stored.modified is not None:
        headers["Last-Modified"] = http_date(stored.modified)
    if stored.etag is not None:
        headers["ETag"] = stored.etag
    return headers


def _guess_kind(name: str) -> str:
    kind, encoding = guess_type(name)
    if encoding is not None:
        # Sent as it is: the browser must save it, not unpack it.
        kind = _COMPRESSED.get(encoding)
    return kind or "application/octet-stream"


def _is_passive(kind: str) -> bool:
    return kind in _PASSIVE or (kind.startswith(_PASSIVE_KINDS) and "xml" not in kind)


def _find_target(accel: str, backend: Storage, name: str, alias: str) -> str:
    if accel == "X-Sendfile":
        return quote(backend.path(name))
    # Each storage of a mirror has a root of its own.
    suffix = "" if alias == DEFAULT_ALIAS else f".{alias}"
    return quote(f"{get_conf().media_prefix}{get_owner().uid}{suffix}/{name}")


def _answer(
    request: HttpRequest, stored: _Stored, headers: Mapping[str, str]
) -> HttpResponseBase:
    whole = HttpResponse(headers=headers)
    answer = get_conditional_response(
        request,
        etag=stored.etag,
        last_modified=None if stored.modified is None else int(stored.modified),
        response=whole,
    )
    if answer is not None and answer is not whole:
        stored.file.close()
        return answer
    span = _find_asked_span(request, stored, headers)
    if span is not None and span.is_empty:
        stored.file.close()
        return HttpResponse(
            status=416, headers={"Content-Range": f"bytes */{stored.size}"}
        )
    if stored.size is not None:
        whole["Content-Length"] = str(stored.size)
        whole["Accept-Ranges"] = "bytes"
    if request.method == "HEAD":
        stored.file.close()
        return whole
    return _stream(request, stored, span, whole)


def _find_asked_span(
    request: HttpRequest, stored: _Stored, headers: Mapping[str, str]
) -> Span | None:
    asked = request.META.get("HTTP_RANGE")
    if asked is None or stored.size is None or request.method != "GET":
        return None
    condition = request.META.get("HTTP_IF_RANGE")
    if condition is not None and condition not in {
        headers.get("ETag"),
        headers.get("Last-Modified"),
    }:
        # The file has changed since the client got the first part.
        return None
    return find_span(asked, stored.size) if stored.file.seekable() else None


def _stream(
    request: HttpRequest, stored: _Stored, span: Span | None, whole: HttpResponse
) -> StreamingHttpResponse:
    headers = dict(whole.items())
    if span is not None:
        stored.file.seek(span.start, io.SEEK_SET)
        headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{stored.size}"
        headers["Content-Length"] = str(span.end - span.start)
    length = stored.size if span is None else span.end - span.start
    part = Part(stored.file, length=length)
    # Under ASGI a plain iterator would be read into memory first.
    body = AsyncPart(part) if isinstance(request, ASGIRequest) else part
    return StreamingHttpResponse(
        body, status=200 if span is None else 206, headers=headers
    )
