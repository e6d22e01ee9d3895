import asyncio
import gzip
from dataclasses import replace

import pytest
from django.core.files.base import ContentFile
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.test import Client, RequestFactory
from django.utils.http import http_date

from django_mirrors import Mirror, use_mirror
from django_mirrors.exceptions import NoCurrentMirror
from django_mirrors.registry import mirrors
from django_mirrors.storage import MirrorStorage, signatures
from django_mirrors.storage.media import serve_media, sign_media_url

BODY = b"0123456789"


@pytest.fixture
def site(settings, shelves) -> Client:
    """Serve the media of the mirrors; `books` and `films` have a file each."""
    settings.ROOT_URLCONF = "tests.storage.urls"
    settings.MIDDLEWARE = ["django_mirrors.middleware.MirrorMiddleware"]
    for name, content in (("books", BODY), ("films", b"of films")):
        with use_mirror(name):
            MirrorStorage().save(f"{name}/a.txt", ContentFile(content))
            MirrorStorage().save("same.txt", ContentFile(content))
            MirrorStorage("private").save("secret.pdf", ContentFile(content))
    return Client(headers={"host": "books.example"})


def save(name: str, content: bytes = BODY) -> None:
    with use_mirror("books"):
        MirrorStorage().save(name, ContentFile(content))


def test_a_file_is_served_with_type_length_and_time(site, shelves):
    response = site.get("/media/books/a.txt")

    modified = (shelves / "books/books/a.txt").stat().st_mtime
    assert response.status_code == 200
    assert response.getvalue() == BODY
    assert response.headers["Content-Type"] == "text/plain"
    assert response.headers["Content-Length"] == "10"
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["Last-Modified"] == http_date(modified)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["ETag"].startswith('"')
    assert "Content-Disposition" not in response.headers
    assert "Cache-Control" not in response.headers


def test_a_file_of_another_mirror_is_not_there(site):
    assert site.get("/media/films/a.txt").status_code == 404
    assert site.get("/media/films/a.txt", headers={"host": "films.example"}).getvalue()


def test_the_same_path_shows_each_host_its_own_file(site):
    ours = site.get("/media/same.txt")
    theirs = site.get("/media/same.txt", headers={"host": "films.example"})

    assert ours.getvalue() == BODY
    assert theirs.getvalue() == b"of films"


def test_an_unknown_host_gets_nothing(site):
    response = site.get("/media/same.txt", headers={"host": "unknown.example"})

    assert response.status_code == 404
    assert BODY not in response.content


def test_a_mirror_that_shares_serves_the_files_of_the_owner(site):
    response = site.get("/media/same.txt", headers={"host": "fr.films.example"})

    assert response.getvalue() == b"of films"


@pytest.mark.parametrize(
    "path",
    [
        "missing.txt",
        "books",
        "books/",
        "books/a.txt/",
        "books/a.txt/b",
        "books//a.txt",
        "./books/a.txt",
        "../films/same.txt",
        "%2e%2e/films/same.txt",
        "..%5cfilms%5csame.txt",
        "%2Fetc/passwd",
        "/etc/passwd",
        "a%00b",
        "%E2%80%AEa",
        "x" * 300,
        "link.txt",
        "link/same.txt",
    ],
)
def test_what_is_no_file_of_the_mirror_is_404(site, shelves, path):
    (shelves / "books/link.txt").symlink_to(shelves / "films/same.txt")
    (shelves / "books/link").symlink_to(shelves / "films")

    response = site.get(f"/media/{path}")

    assert response.status_code == 404
    assert b"of films" not in response.content


def test_without_a_mirror_it_raises(site):
    with pytest.raises(NoCurrentMirror):
        serve_media(RequestFactory().get("/"), "same.txt")


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch", "options"])
def test_only_get_and_head_are_allowed(site, method):
    response = getattr(site, method)("/media/same.txt")

    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, HEAD"


def test_head_answers_without_a_body(site):
    response = site.head("/media/same.txt", headers={"range": "bytes=0-1"})

    assert response.status_code == 200
    assert response.content == b""
    assert response.headers["Content-Length"] == "10"
    assert not response.streaming


def test_a_range_is_answered_with_206(site):
    response = site.get("/media/same.txt", headers={"range": "bytes=2-4"})

    assert response.status_code == 206
    assert response.getvalue() == b"234"
    assert response.headers["Content-Range"] == "bytes 2-4/10"
    assert response.headers["Content-Length"] == "3"


def test_the_last_bytes_are_a_range_too(site):
    response = site.get("/media/same.txt", headers={"range": "bytes=-4"})

    assert (response.status_code, response.getvalue()) == (206, b"6789")


def test_a_range_after_the_end_is_answered_with_416(site):
    response = site.get("/media/same.txt", headers={"range": "bytes=10-"})

    assert response.status_code == 416
    assert response.headers["Content-Range"] == "bytes */10"
    assert response.content == b""


@pytest.mark.parametrize("header", ["bytes=0-1,3-4", "lines=1-2", "bytes=4-2"])
def test_ranges_that_do_not_count_get_the_whole_file(site, header):
    response = site.get("/media/same.txt", headers={"range": header})

    assert (response.status_code, response.getvalue()) == (200, BODY)


@pytest.mark.parametrize("header", ["ETag", "Last-Modified"])
def test_if_range_of_the_same_file_gets_the_part(site, header):
    first = site.get("/media/same.txt")
    first.close()

    response = site.get(
        "/media/same.txt",
        headers={"range": "bytes=0-1", "if-range": first.headers[header]},
    )

    assert (response.status_code, response.getvalue()) == (206, b"01")


def test_if_range_of_a_changed_file_gets_the_whole(site):
    response = site.get(
        "/media/same.txt", headers={"range": "bytes=0-1", "if-range": '"old"'}
    )

    assert (response.status_code, response.getvalue()) == (200, BODY)


@pytest.mark.parametrize(
    ("header", "source"),
    [("if-none-match", "ETag"), ("if-modified-since", "Last-Modified")],
)
def test_an_unchanged_file_is_answered_with_304(site, header, source):
    first = site.get("/media/same.txt")
    first.close()

    response = site.get("/media/same.txt", headers={header: first.headers[source]})

    assert response.status_code == 304
    assert response.content == b""
    assert response.headers["ETag"] == first.headers["ETag"]


def test_the_etag_of_one_mirror_does_not_stand_for_another_file(site):
    first = site.get("/media/same.txt")
    first.close()

    response = site.get(
        "/media/same.txt",
        headers={"host": "films.example", "if-none-match": first.headers["ETag"]},
    )

    assert (response.status_code, response.getvalue()) == (200, b"of films")


def test_a_failed_precondition_is_answered_with_412(site):
    response = site.get("/media/same.txt", headers={"if-match": '"other"'})

    assert response.status_code == 412


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.html", "text/html"),
        ("a.htm", "text/html"),
        ("a.xhtml", "application/xhtml+xml"),
        ("a.svg", "image/svg+xml"),
        ("a.xml", "text/xml|application/xml"),
        ("a.js", "text/javascript|application/javascript"),
        ("a.mjs", "text/javascript|application/javascript"),
        ("a.css", "text/css"),
        ("a.unknown", "application/octet-stream"),
        ("a", "application/octet-stream"),
    ],
)
def test_active_types_are_downloaded_and_sandboxed(site, name, kind):
    save(name, b"<script>alert(1)</script>")

    response = site.get(f"/media/{name}")
    response.close()

    assert response.headers["Content-Type"] in kind.split("|")
    assert response.headers["Content-Disposition"] == f'attachment; filename="{name}"'
    assert response.headers["Content-Security-Policy"] == (
        "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    )
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.png", "image/png"),
        ("a.webp", "image/webp"),
        ("a.mp4", "video/mp4"),
        ("a.mp3", "audio/mpeg"),
        ("a.pdf", "application/pdf"),
        ("a.json", "application/json"),
    ],
)
def test_passive_types_are_shown(site, name, kind):
    save(name)

    response = site.get(f"/media/{name}")
    response.close()

    assert response.headers["Content-Type"] == kind
    assert "Content-Disposition" not in response.headers
    assert "Content-Security-Policy" not in response.headers


@pytest.mark.parametrize("name", ["a.txt.gz", "a.html.gz", "a.svgz"])
def test_compressed_files_arrive_compressed(site, name):
    save(name, gzip.compress(BODY))

    response = site.get(f"/media/{name}")

    assert gzip.decompress(response.getvalue()) == BODY
    assert response.headers["Content-Type"] == "application/gzip"
    assert "Content-Encoding" not in response.headers


def test_names_outside_ascii_are_served_and_downloaded_by_their_name(site):
    save("ž luť.html")

    response = site.get("/media/%C5%BE%20lu%C5%A5.html")

    assert response.getvalue() == BODY
    assert response.headers["Content-Disposition"] == (
        "attachment; filename*=utf-8''%C5%BE%20lu%C5%A5.html"
    )


def test_big_files_are_streamed_in_blocks(site):
    save("big.bin", b"x" * 1_000_000)

    response = site.get("/media/big.bin")

    assert max(map(len, response.streaming_content)) == 65536


async def ask(path: str, host: str, *headers: tuple[bytes, bytes]) -> list[dict]:
    """Return what the ASGI application sends: the start and the blocks of the body."""
    sent: list[dict] = []
    requests = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict:
        return next(requests, None) or await asyncio.Event().wait()

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "query_string": b"",
        "headers": [(b"host", host.encode()), *headers],
    }
    await ASGIHandler()(scope, receive, send)
    return sent


def test_asgi_streams_without_reading_the_file_into_memory(site):
    save("big.bin", b"x" * 1_000_000)

    start, *blocks = asyncio.run(
        ask("/media/big.bin", "books.example", (b"range", b"bytes=1-999998"))
    )

    assert start["status"] == 206
    assert (b"Content-Length", b"999998") in start["headers"]
    sizes = [len(block.get("body", b"")) for block in blocks]
    assert sum(sizes) == 999_998
    assert max(sizes) == 65536


def test_asgi_serves_each_host_its_own_file(site):
    async def ask_all() -> list[list[dict]]:
        hosts = ["books.example", "films.example"] * 5
        return await asyncio.gather(*(ask("/media/same.txt", host) for host in hosts))

    bodies = [answer[1]["body"] for answer in asyncio.run(ask_all())]

    assert bodies == [BODY, b"of films"] * 5


def test_a_response_that_is_never_read_closes_its_file(site, shelves):
    request = RequestFactory().get("/")
    with use_mirror("books"):
        response = serve_media(request, "same.txt")

    response.close()

    assert response._iterator._file.closed


def test_x_accel_redirect_names_the_owner_and_sends_nothing(site, settings):
    settings.MIRRORS_OPTIONS = {
        **settings.MIRRORS_OPTIONS,
        "MEDIA_ACCEL": "X-Accel-Redirect",
    }
    save("a b/ž?.html")

    response = site.get("/media/a%20b/%C5%BE%3F.html")

    uid = mirrors["books"].uid
    assert response.status_code == 200
    assert response.content == b""
    assert response.headers["X-Accel-Redirect"] == (
        f"/mirrors-media/{uid}/a%20b/%C5%BE%3F.html"
    )
    assert response.headers["Content-Type"] == "text/html"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Disposition"].startswith("attachment")


def test_x_accel_redirect_of_a_shared_storage_names_its_owner(site, settings):
    settings.MIRRORS_OPTIONS = {
        **settings.MIRRORS_OPTIONS,
        "MEDIA_ACCEL": "X-Accel-Redirect",
        "MEDIA_PREFIX": "/internal/",
    }

    response = site.get("/media/same.txt", headers={"host": "fr.films.example"})

    uid = mirrors["films"].uid
    assert response.headers["X-Accel-Redirect"] == f"/internal/{uid}/same.txt"


def test_x_accel_redirect_keeps_the_storages_of_a_mirror_apart(site, settings):
    settings.MIRRORS_OPTIONS = {
        **settings.MIRRORS_OPTIONS,
        "MEDIA_ACCEL": "X-Accel-Redirect",
    }
    with use_mirror("books"):
        url = sign_media_url("secret.pdf", expires_in=60, alias="private")

    response = site.get(url)

    uid = mirrors["books"].uid
    assert response.headers["X-Accel-Redirect"] == (
        f"/mirrors-media/{uid}.private/secret.pdf"
    )
    assert response.headers["Cache-Control"] == "private, no-store"


def test_x_sendfile_names_the_path(site, settings, shelves):
    settings.MIRRORS_OPTIONS = {
        **settings.MIRRORS_OPTIONS,
        "MEDIA_ACCEL": "X-Sendfile",
    }

    response = site.get("/media/same.txt")

    assert response.content == b""
    assert response.headers["X-Sendfile"] == f"{shelves}/books/same.txt"


@pytest.mark.parametrize("accel", ["X-Accel-Redirect", "X-Sendfile"])
@pytest.mark.parametrize("name", ["missing.txt", "link.txt", "books"])
def test_the_web_server_is_not_asked_for_what_is_not_there(
    site, settings, shelves, accel, name
):
    settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "MEDIA_ACCEL": accel}
    (shelves / "books/link.txt").symlink_to(shelves / "films/same.txt")

    response = site.get(f"/media/{name}")

    assert response.status_code == 404
    assert accel not in response.headers


def get_from(definition: object, url: str = "/media/same.txt", **headers: str):
    """Return what a mirror with this storage answers, and its storage."""
    mirror = Mirror.from_mapping(
        "music", {"HOSTS": ["music.example"], "STORAGE": definition}
    )
    with use_mirror(mirror):
        MirrorStorage().save("same.txt", ContentFile(BODY))
        request = RequestFactory(headers={"host": "testserver", **headers}).get(url)
        return serve_media(request, "same.txt")


def test_files_in_memory_are_streamed_with_ranges(site):
    whole = get_from("memory://")
    part = get_from("memory://", range="bytes=0-1")

    assert whole.getvalue() == BODY
    assert whole.headers["ETag"]
    assert (part.status_code, part.getvalue()) == (206, b"01")


def test_files_on_another_host_are_redirected_to(site, settings):
    settings.ALLOWED_HOSTS = ["testserver"]
    response = get_from("memory://?base_url=https://cdn.example/m/")

    assert response.status_code == 302
    assert response.headers["Location"] == "https://cdn.example/m/same.txt"


def test_files_on_the_same_host_are_streamed(site, settings):
    settings.ALLOWED_HOSTS = ["testserver"]
    response = get_from("memory://?base_url=http://testserver/m/")

    assert response.getvalue() == BODY


def test_a_backend_that_knows_no_times_still_serves(site, monkeypatch):
    def refuse(*_):
        raise NotImplementedError

    monkeypatch.setattr(
        "django.core.files.storage.InMemoryStorage.get_modified_time", refuse
    )
    monkeypatch.setattr("django.core.files.storage.InMemoryStorage.size", refuse)

    response = get_from("memory://", range="bytes=0-1")

    assert (response.status_code, response.getvalue()) == (200, BODY)
    assert "Content-Length" not in response.headers
    assert "ETag" not in response.headers


def test_a_signed_url_opens_a_private_file(site):
    with use_mirror("books"):
        url = sign_media_url("secret.pdf", expires_in=60, alias="private")

    response = site.get(url)

    assert url.startswith("/private/secret.pdf?expires=")
    assert response.getvalue() == BODY
    assert response.headers["Cache-Control"] == "private, no-store"


def test_a_private_file_is_closed_without_a_signature(site):
    assert site.get("/private/secret.pdf").status_code == 403
    assert site.get("/private/missing.pdf").status_code == 403
    assert site.get("/private/secret.pdf?expires=9999999999").status_code == 403


def test_a_signature_counts_at_its_own_mirror_only(site):
    with use_mirror("books"):
        url = sign_media_url("secret.pdf", expires_in=60, alias="private")

    response = site.get(url, headers={"host": "films.example"})

    assert response.status_code == 403
    assert b"of films" not in response.content


def test_a_signature_does_not_count_at_a_mirror_that_shares_the_files(site):
    with use_mirror("films"):
        url = sign_media_url("secret.pdf", expires_in=60, alias="private")

    assert site.get(url, headers={"host": "films.example"}).getvalue() == b"of films"
    assert site.get(url, headers={"host": "fr.films.example"}).status_code == 403


def test_a_signature_counts_until_it_expires(site, monkeypatch):
    with use_mirror("books"):
        url = sign_media_url("secret.pdf", expires_in=60, alias="private")
    signed = int(url.partition("expires=")[2].partition("&")[0])

    monkeypatch.setattr("django_mirrors.storage.signatures.time", lambda: signed - 1)
    assert site.get(url).getvalue() == BODY
    monkeypatch.setattr("django_mirrors.storage.signatures.time", lambda: signed)
    assert site.get(url).status_code == 403


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("secret.pdf", "other.pdf"),
        ("expires=", "expires=9"),
        ("expires=", "expires=-"),
        ("expires=", "expires=%D9%A1"),
        ("expires=", "expires=+"),
        ("signature=", "signature=A"),
        ("signature=", "other="),
        ("expires=", "expires=" + "9" * 5000),
    ],
)
def test_a_changed_url_is_refused(site, old, new):
    with use_mirror("books"):
        MirrorStorage("private").save("other.pdf", ContentFile(b"x"))
        url = sign_media_url("secret.pdf", expires_in=60, alias="private")

    assert site.get(url.replace(old, new, 1)).status_code == 403


def test_a_signature_of_one_storage_does_not_open_another(site):
    with use_mirror("books"):
        MirrorStorage().save("secret.pdf", ContentFile(b"x"))
        url = sign_media_url("secret.pdf", expires_in=60, alias="default")

    response = site.get(url.replace("/media/", "/private/"))

    assert response.status_code == 403


def test_a_signature_of_an_earlier_key_counts_during_a_rotation(site, settings):
    settings.SECRET_KEY = "old"
    with use_mirror("books"):
        url = sign_media_url("secret.pdf", expires_in=60, alias="private")

    settings.SECRET_KEY = "new"
    assert site.get(url).status_code == 403
    settings.SECRET_KEY_FALLBACKS = ["old"]
    assert site.get(url).getvalue() == BODY


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_signature_needs_time_to_live(site, seconds):
    with use_mirror("books"), pytest.raises(ValueError, match="seconds above 0"):
        sign_media_url("a.txt", expires_in=seconds)


def test_signatures_differ_between_mirrors_even_under_one_key(site):
    texts = set()
    for name in ("books", "films", "films-fr", "original"):
        with use_mirror(name):
            texts.add(signatures._build_text("a.txt", "default", "1"))

    assert len(texts) == 4


def test_signing_without_a_mirror_raises(site):
    with pytest.raises(NoCurrentMirror):
        sign_media_url("a.txt", expires_in=60)


def test_signing_follows_media_url_where_a_storage_has_no_base_url(site, settings):
    mirror = replace(
        mirrors["books"],
        storages={"default": {"BACKEND": "tests.storage.test_media.Elsewhere"}},
    )

    with use_mirror(mirror):
        url = sign_media_url("a b.txt", expires_in=60)

    assert url.startswith("/media/a%20b.txt?")


class Elsewhere(MirrorStorage.__base__):
    """A storage without a base_url."""


def test_asgi_requests_are_told_from_wsgi_ones(site):
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    request = ASGIRequest(scope, None)

    with use_mirror("books"):
        response = serve_media(request, "same.txt")

    assert response.is_async
    response.close()
