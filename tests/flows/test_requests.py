"""From the host of a request to its mirror, and back: WSGI, ASGI, every way out."""

import asyncio
import gc
import io
import pickle
import weakref
from contextlib import closing
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core.asgi import get_asgi_application
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.core.files.storage import storages
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished
from django.db.models.fields.files import FieldFile
from django.http import (
    FileResponse,
    Http404,
    HttpResponse,
    JsonResponse,
    StreamingHttpResponse,
)
from django.middleware.csrf import CsrfViewMiddleware
from django.template import engines
from django.template.response import TemplateResponse
from django.test import AsyncClient, AsyncRequestFactory, Client, RequestFactory
from django.urls import path
from django.utils import timezone, translation
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_mirrors import find_current_mirror, get_current_mirror
from django_mirrors.exceptions import MirrorUnavailable
from django_mirrors.middleware import MirrorMiddleware, find_trusted_origins
from tests.flows import hostile

MIRRORS = {
    "books": {
        "NAME": "Books & more",
        "HOSTS": ["books.example", "www.books.example", "*.shops.books.example"],
        "STATE": "active",
    },
    "films": {"HOSTS": ["films.example", "[::1]", "127.0.0.1"], "STATE": "active"},
    "begun": {"HOSTS": ["begun.example"]},
    "failed": {"HOSTS": ["failed.example"], "STATE": "failed"},
    "gone": {"HOSTS": ["gone.example"], "STATE": "archived"},
}
OPTIONS = {"ORIGINAL": {"HOSTS": ["original.example"]}, "RECORDS": False}
UNKNOWN = (404, b"Not Found", "text/plain; charset=utf-8")

seen: list[object] = []


def show(request):
    return JsonResponse(
        {
            "mirror": get_current_mirror().name,
            "request": request.mirror.name,
            "host": request.get_host(),
            "meta": request.META["HTTP_HOST"],
            "url": request.build_absolute_uri(),
            "headers": sorted(request.headers),
        }
    )


async def show_async(request):
    await asyncio.sleep(0)
    return show(request)


def show_other(request):
    return HttpResponse(f"other urls of {get_current_mirror()}")


def fail(request):
    raise ERRORS[request.GET["error"]]("planted")


async def fail_async(request):
    await asyncio.sleep(0)
    fail(request)


def fail_in_template(request):
    def resolve():
        raise MirrorUnavailable("planted")

    page = engines["django"].from_string("{{ title }}")
    return TemplateResponse(request, page, {"title": resolve})


def note(step):
    seen.append((step, getattr(find_current_mirror(), "name", None)))


def stream(request):
    def steps():
        try:
            for number in range(3):
                yield f"{number}:{get_current_mirror()}:{translation.get_language()};"
        finally:
            note("closed")

    translation.activate(request.GET.get("language", "en"))
    return StreamingHttpResponse(steps())


async def stream_async(request):
    async def steps():
        try:
            for number in range(3):
                await asyncio.sleep(0)
                yield f"{number}:{get_current_mirror()};"
        finally:
            note("closed")

    return StreamingHttpResponse(steps())


def stream_list(request):
    return StreamingHttpResponse(["a", "b"])


def send_file(request):
    return FileResponse(io.BytesIO(b"0123456789"))


def send_model_file(request):
    field = SimpleNamespace(storage=storages["default"], name="cover", attname="cover")
    return FileResponse(FieldFile(SimpleNamespace(), field, "a.txt"))


def send_with_closer(request):
    response = HttpResponse("ok")
    response._resource_closers.append(lambda: note("closer"))
    return response


def prefer(request):
    translation.activate("de")
    timezone.activate("Asia/Tokyo")
    return HttpResponse("ok")


urlpatterns = [
    path("", show),
    path("async/", show_async),
    path("fail/", fail),
    path("fail-async/", fail_async),
    path("fail-in-template/", fail_in_template),
    path("stream/", stream),
    path("stream-async/", stream_async),
    path("stream-list/", stream_list),
    path("file/", send_file),
    path("model-file/", send_model_file),
    path("closer/", send_with_closer),
    path("prefer/", prefer),
]

ERRORS = {
    "ValueError": ValueError,
    "Http404": Http404,
    "PermissionDenied": PermissionDenied,
    "SuspiciousOperation": SuspiciousOperation,
    "MirrorUnavailable": MirrorUnavailable,
    "SystemExit": SystemExit,
    "KeyboardInterrupt": KeyboardInterrupt,
    "CancelledError": asyncio.CancelledError,
    "GeneratorExit": GeneratorExit,
}


@pytest.fixture(autouse=True)
def fleet(settings):
    """Serve the mirrors of this module; the pages are the views above."""
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = ["django_mirrors.middleware.MirrorMiddleware"]
    settings.MIRRORS = MIRRORS
    settings.MIRRORS_OPTIONS = OPTIONS
    settings.ALLOWED_HOSTS = []
    seen.clear()
    return settings


@pytest.fixture
def quiet_client():
    """A client that returns the response Django gives to an error."""
    return Client(raise_request_exception=False)


def change(settings, name, **changes):
    settings.MIRRORS = {**MIRRORS, name: {**MIRRORS[name], **changes}}


def get(host, url="/", **options):
    return Client().get(url, headers={"host": host}, **options)


class HostClient(AsyncClient):
    """A client that asks one host; Django's always asks for testserver too."""

    def __init__(self, host, **options):
        super().__init__(**options)
        self.host = host.encode(errors="surrogatepass")

    async def request(self, **scope):
        kept = [item for item in scope["headers"] if item[0] != b"host"]
        scope["headers"] = [(b"host", self.host), *kept]
        return await super().request(**scope)


def get_async(host, url="/", **options):
    async def ask():
        return await HostClient(host, **options).get(url)

    return asyncio.run(ask())


FACES = pytest.mark.parametrize("ask", [get, get_async], ids=["wsgi", "asgi"])


def answer(view, host="books.example"):
    request = RequestFactory().get("/", headers={"host": host})
    return MirrorMiddleware(view)(request)


def describe(response):
    return response.status_code, response.content, response.headers["Content-Type"]


# Hosts


@pytest.mark.parametrize(
    ("host", "name", "canonical"),
    [
        ("books.example", "books", "books.example"),
        ("WWW.Books.Example", "books", "www.books.example"),
        ("books.example.", "books", "books.example"),
        ("books.example:8000", "books", "books.example:8000"),
        ("Books.Example.:443", "books", "books.example:443"),
        ("any.shops.books.example", "books", "any.shops.books.example"),
        ("films.example", "films", "films.example"),
        ("[::1]:8000", "films", "[::1]:8000"),
        ("[0:0:0:0:0:0:0:1]", "films", "[::1]"),
        ("127.0.0.1", "films", "127.0.0.1"),
        ("original.example", "original", "original.example"),
    ],
)
@FACES
def test_a_host_is_served_by_its_mirror_and_made_canonical(ask, host, name, canonical):
    shown = ask(host).json()

    assert shown["mirror"] == shown["request"] == name
    assert shown["host"] == shown["meta"] == canonical
    assert shown["url"] == f"http://{canonical}/"


@pytest.mark.parametrize(
    "host",
    [
        "unknown.example",
        "example",
        "shops.books.example",
        "a.b.shops.books.example",
        "begun.example",
        "failed.example",
        "gone.example",
        *hostile.INVALID_HOSTS,
    ],
)
@FACES
def test_a_host_that_is_not_served_gets_the_one_answer(ask, host):
    response = ask(host)

    assert describe(response) == UNKNOWN
    assert not response.cookies
    assert list(response.headers) == ["Content-Type"]


def test_unknown_hosts_can_be_answered_as_misdirected(settings):
    settings.MIRRORS_OPTIONS = {**OPTIONS, "UNKNOWN_HOST": "misdirected"}

    response = get("unknown.example")

    assert (response.status_code, response.content) == (421, b"Misdirected Request")


def test_sixty_four_spellings_of_a_host_are_one_page(settings):
    spellings = [
        "".join(
            letter.upper() if number >> place & 1 else letter
            for place, letter in enumerate("books.")
        )
        + "example"
        for number in range(64)
    ]

    assert {get(spelling).content for spelling in spellings} == {
        get("books.example").content
    }


def test_allowed_hosts_are_not_asked_for_a_host_of_the_fleet(settings):
    settings.ALLOWED_HOSTS = ["original.example"]

    assert get("books.example").json()["mirror"] == "books"


def test_allowed_hosts_are_those_of_an_original_that_names_none(settings):
    settings.MIRRORS_OPTIONS = {"RECORDS": False}
    settings.ALLOWED_HOSTS = ["shop.example", ".brand.example", "*"]

    assert get("shop.example").json()["mirror"] == "original"
    assert get("brand.example").json()["mirror"] == "original"
    assert describe(get("a.brand.example")) == UNKNOWN


def test_a_mirror_added_later_is_served(settings):
    before = describe(get("music.example"))
    settings.MIRRORS = {
        **MIRRORS,
        "music": {"HOSTS": ["music.example"], "STATE": "active"},
    }

    assert before == UNKNOWN
    assert get("music.example").json()["mirror"] == "music"


def test_a_request_without_a_host_is_read_as_django_reads_it():
    middleware = MirrorMiddleware(show)
    server = {"SERVER_NAME": "books.example"}
    request = RequestFactory().get("/", **server)
    with_port = RequestFactory().get("/", **server, SERVER_PORT="81")

    assert b'"host": "books.example"' in middleware(request).content
    assert b'"host": "books.example:81"' in middleware(with_port).content


def test_a_request_can_be_pickled():
    requests = []
    MirrorMiddleware(lambda request: requests.append(request) or HttpResponse())(
        RequestFactory().get("/", headers={"host": "BOOKS.example"})
    )
    del requests[0].mirror

    copied = pickle.loads(pickle.dumps(requests[0]))

    assert copied.get_host() == "books.example"


# Forwarded hosts

FORWARDED = {
    "x-forwarded-host": "films.example",
    "x-host": "films.example",
    "x-original-host": "films.example",
    "x-tenant": "films",
    "forwarded": "host=films.example",
}


@pytest.mark.parametrize("use", [True, False])
@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_what_a_client_forwards_counts_for_nothing(settings, client, use):
    settings.USE_X_FORWARDED_HOST = use

    if client is Client:
        response = Client(headers={**FORWARDED, "host": "books.example"}).get("/")
    else:
        response = get_async("books.example", headers=FORWARDED)

    assert response.json()["mirror"] == "books"
    assert response.json()["url"] == "http://books.example/"
    assert "X-Forwarded-Host" not in response.json()["headers"]


def ask_through(address, **headers):
    client = Client(headers={"host": "proxy.example", **headers}, REMOTE_ADDR=address)
    return client.get("/")


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1"])
def test_a_trusted_proxy_says_which_host_was_asked(settings, address):
    settings.MIRRORS_OPTIONS = {
        **OPTIONS,
        "TRUSTED_PROXIES": ["10.0.0.0/8", "2001:db8::/32"],
    }

    shown = ask_through(address, **{"x-forwarded-host": "Books.Example:8443 "}).json()

    assert (shown["mirror"], shown["host"]) == ("books", "books.example:8443")
    assert "X-Forwarded-Host" not in shown["headers"]


@pytest.mark.parametrize("address", ["192.0.2.1", "::ffff:192.0.2.1", "", "unix:"])
def test_others_forward_nothing(settings, address):
    settings.MIRRORS_OPTIONS = {**OPTIONS, "TRUSTED_PROXIES": ["10.0.0.0/8"]}
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.USE_X_FORWARDED_PORT = True
    headers = {
        "host": "books.example",
        "x-forwarded-host": "films.example",
        "x-forwarded-proto": "https",
        "x-forwarded-port": "8443",
    }

    shown = Client(headers=headers, REMOTE_ADDR=address).get("/").json()

    assert shown["url"] == "http://books.example/"
    assert shown["headers"] == ["Cookie", "Host"]


@pytest.mark.parametrize(
    "value",
    [
        "a.example, books.example",
        "books.example, films.example",
        "books.example,",
        "books example",
        "",
    ],
)
def test_a_trusted_proxy_must_forward_one_host(settings, value):
    settings.MIRRORS_OPTIONS = {**OPTIONS, "TRUSTED_PROXIES": ["127.0.0.0/8"]}

    response = ask_through("127.0.0.1", **{"x-forwarded-host": value})

    assert describe(response) == UNKNOWN


def test_a_trusted_proxy_may_leave_the_host_alone(settings):
    settings.MIRRORS_OPTIONS = {**OPTIONS, "TRUSTED_PROXIES": ["127.0.0.0/8"]}

    assert get("books.example").json()["mirror"] == "books"


# Redirects


@pytest.fixture
def redirecting(settings):
    change(settings, "books", REDIRECT_ALIASES=True)


@pytest.mark.parametrize("method", ["get", "post", "put", "delete", "head", "options"])
def test_an_alias_leads_to_the_primary_host(redirecting, method):
    client = Client(headers={"host": "www.books.example:8000"})

    response = getattr(client, method)("/a/b/?c=%2Fd&e=ü&c=2")

    assert response.status_code == 308
    assert response.headers["Location"] == (
        "http://books.example:8000/a/b/?c=%2Fd&e=%C3%BC&c=2"
    )
    assert response.headers["Cache-Control"] == "max-age=300"


@FACES
def test_the_query_is_kept(redirecting, ask):
    response = ask("www.books.example", "/a/?a=%2F&a=%20+&b[]=ü&%23")

    assert response.headers["Location"] == (
        "http://books.example/a/?a=%2F&a=%20+&b[]=%C3%BC&%23"
    )


def test_a_path_in_any_script_is_kept(redirecting):
    request = RequestFactory().get(
        "/b%C3%BCcher/", headers={"host": "www.books.example"}
    )

    assert follow(request) == "http://books.example/b%C3%BCcher/"


@FACES
def test_the_primary_host_does_not_redirect(redirecting, ask):
    assert ask("books.example").json()["mirror"] == "books"


def test_a_mirror_of_wildcards_does_not_redirect(settings):
    change(settings, "books", HOSTS=["*.books.example"], REDIRECT_ALIASES=True)

    assert get("www.books.example").json()["mirror"] == "books"


def follow(request):
    response = MirrorMiddleware(show)(request)
    assert response.status_code == 308
    return response.headers["Location"]


@hypothesis_settings(
    max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(target=st.text(), query=st.text())
@example(target="//evil.example/%2f..", query="")
@example(target="/\\evil.example", query="")
@example(target="@evil.example", query="")
@example(target=".evil.example", query="")
@example(target=":80@evil.example", query="")
@example(target="*", query="")
@example(target="", query="")
@example(target="/\r\nSet-Cookie: a=b", query="\r\nX: y")
@example(target="/%0d%0aSet-Cookie:a=b", query="%0d%0a")
@example(target="https://evil.example/", query="next=//evil.example")
def test_no_path_leads_off_the_registry(redirecting, target, query):
    for factory in (RequestFactory(), AsyncRequestFactory()):
        request = factory.get("/")
        request.META |= {"HTTP_HOST": "www.books.example", "QUERY_STRING": query}
        request.path = request.path_info = target
        location = follow(request)
        parts = urlsplit(location)

        assert location.startswith("http://books.example/")
        assert (parts.scheme, parts.netloc) == ("http", "books.example")
        assert location.isascii()
        assert location.isprintable()
        assert "\\" not in location


# States


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ("maintenance", "We are working on this site"),
        ("suspended", "This site is suspended"),
    ],
)
@FACES
def test_a_held_mirror_shows_its_page(settings, ask, state, text):
    change(settings, "books", STATE=state)

    response = ask("books.example")

    assert response.status_code == 503
    assert response.headers["Retry-After"] == "120"
    assert response.headers["Cache-Control"] == "no-store"
    assert text in response.text
    assert "Books &amp; more" in response.text
    assert "<script" not in response.text
    assert not response.cookies


def test_the_wait_is_an_option(settings):
    settings.MIRRORS_OPTIONS = {**OPTIONS, "RETRY_AFTER": 7}
    change(settings, "books", STATE="maintenance")

    response = get("books.example")

    assert response.headers["Retry-After"] == "7"
    assert "try again in 7 seconds" in response.text


def test_a_held_mirror_is_held_on_every_host_and_method(settings):
    change(settings, "books", STATE="suspended", REDIRECT_ALIASES=True)

    assert get("www.books.example").status_code == 503
    assert Client(headers={"host": "books.example"}).post("/").status_code == 503


def test_the_page_of_a_project_comes_first(settings, tmp_path):
    change(settings, "books", STATE="maintenance")
    (tmp_path / "django_mirrors").mkdir()
    page = tmp_path / "django_mirrors" / "maintenance.html"
    page.write_text("{{ mirror.name }}|{{ reason }}|{{ retry_after }}|{{ user }}")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [str(tmp_path)]}]

    assert get("books.example").text == "books||120|"


def test_the_page_is_in_the_language_of_the_mirror(settings):
    change(settings, "books", STATE="maintenance", SETTINGS={"LANGUAGE_CODE": "ar"})

    with translation.override("de"):
        response = get("books.example")

    assert '<html lang="ar" dir="rtl">' in response.text


# URLs


@FACES
def test_a_mirror_can_have_urls_of_its_own(settings, ask):
    change(settings, "books", URLCONF="tests.flows.other_urls")

    assert ask("books.example").content == b"other urls of books"
    assert ask("films.example").json()["mirror"] == "films"


# Pinned


def pin(monkeypatch, settings, name, **services):
    monkeypatch.setenv("DJANGO_MIRROR", name)
    for variable, value in services.items():
        monkeypatch.setenv(variable, value)
    # Read the environment again.
    settings.MIRRORS_OPTIONS = {**OPTIONS}


def test_a_pinned_process_answers_its_mirror_only(monkeypatch, settings):
    pin(monkeypatch, settings, "books")

    assert get("books.example").json()["mirror"] == "books"
    assert describe(get("films.example")) == UNKNOWN
    assert describe(get("original.example")) == UNKNOWN


def test_a_process_pinned_to_the_original_answers_it_only(monkeypatch, settings):
    pin(monkeypatch, settings, "original")

    assert get("original.example").json()["mirror"] == "original"
    assert describe(get("books.example")) == UNKNOWN


def test_a_process_pinned_to_nothing_known_answers_nobody(monkeypatch, settings):
    pin(monkeypatch, settings, "nobody")

    assert describe(get("books.example")) == UNKNOWN


# Exceptions


@pytest.mark.parametrize("error", ["ValueError", "SystemExit", "KeyboardInterrupt"])
@pytest.mark.parametrize("url", ["/fail/", "/fail-async/"])
@FACES
def test_no_mirror_is_left_behind_by_an_exception(ask, url, error):
    with pytest.raises(ERRORS[error]):
        ask("books.example", f"{url}?error={error}")

    assert find_current_mirror() is None


@pytest.mark.parametrize("error", ["CancelledError", "GeneratorExit"])
def test_no_mirror_is_left_behind_by_an_end_of_a_task(error):
    middleware = MirrorMiddleware(fail_async)
    request = AsyncRequestFactory().get(f"/?error={error}")
    request.META["HTTP_HOST"] = "books.example"

    async def ask():
        with pytest.raises(ERRORS[error]):
            await middleware(request)
        return find_current_mirror()

    assert asyncio.run(ask()) is None


@pytest.mark.parametrize(
    ("error", "status"),
    [("Http404", 404), ("PermissionDenied", 403), ("SuspiciousOperation", 400)],
)
@FACES
def test_djangos_own_answers_are_those_of_the_mirror(ask, error, status):
    response = ask("books.example", f"/fail/?error={error}")

    assert response.status_code == status
    assert find_current_mirror() is None


class Stage:
    """A middleware that fails where it is told to."""

    stage = ""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        self.fail_at("request")
        response = self.get_response(request)
        self.fail_at("response")
        return response

    def process_view(self, request, view, args, kwargs):
        self.fail_at("view")

    def process_template_response(self, request, response):
        self.fail_at("template")
        return response

    def fail_at(self, stage):
        if self.stage == stage:
            raise MirrorUnavailable(f"planted, {get_current_mirror()}")


@pytest.fixture
def stage(settings, monkeypatch):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.Stage"]

    def choose(name):
        monkeypatch.setattr(Stage, "stage", name)

    return choose


def assert_unavailable(response):
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "120"
    assert "cannot be reached" in response.text
    assert "planted" not in response.text
    assert find_current_mirror() is None


@pytest.mark.parametrize("name", ["request", "view", "template", "response"])
def test_a_service_that_is_down_is_a_503_wherever_it_is_noticed(
    stage, quiet_client, name
):
    stage(name)

    url = "/fail-in-template/" if name == "template" else "/"
    response = quiet_client.get(url, headers={"host": "books.example"})

    assert_unavailable(response)


@pytest.mark.parametrize("name", ["request", "view", "response"])
def test_a_service_that_is_down_is_a_503_for_asgi_too(stage, name):
    stage(name)

    response = get_async("books.example", "/async/", raise_request_exception=False)

    assert_unavailable(response)


@pytest.mark.parametrize(
    "url", ["/fail/?error=MirrorUnavailable", "/fail-in-template/"]
)
@FACES
def test_a_service_that_is_down_in_a_view_is_a_503(ask, url):
    assert_unavailable(ask("books.example", url))


@FACES
def test_the_other_mirrors_do_not_notice(ask):
    ask("books.example", "/fail/?error=MirrorUnavailable")

    assert ask("films.example").json()["mirror"] == "films"


def test_another_error_stays_a_500(quiet_client):
    response = quiet_client.get(
        "/fail/?error=ValueError", headers={"host": "books.example"}
    )

    assert response.status_code == 500


def test_a_view_may_answer_500_itself():
    def answer(request):
        return HttpResponse("mine", status=500)

    request = RequestFactory().get("/", headers={"host": "books.example"})

    assert MirrorMiddleware(answer)(request).content == b"mine"


# Streams and files


def test_a_stream_is_of_its_mirror():
    response = get("books.example", "/stream/?language=de")

    assert find_current_mirror() is None
    body = b"".join(response.streaming_content).decode()
    response.close()

    assert body == "0:books:de;1:books:de;2:books:de;"
    assert seen == [("closed", "books")]
    assert find_current_mirror() is None


def test_interleaved_streams_stay_apart():
    first = get("books.example", "/stream/?language=de")
    second = get("films.example", "/stream/?language=fr")

    pairs = list(zip(first.streaming_content, second.streaming_content, strict=True))

    assert pairs == [
        (f"{n}:books:de;".encode(), f"{n}:films:fr;".encode()) for n in range(3)
    ]
    assert translation.get_language() == "en-us"


async def read(response):
    return [part async for part in response.streaming_content]


def test_an_async_stream_is_of_its_mirror():
    async def ask():
        pages = [
            await HostClient(host).get("/stream-async/")
            for host in ("books.example", "films.example")
        ]
        assert find_current_mirror() is None
        first, second = await asyncio.gather(*map(read, pages))
        assert find_current_mirror() is None
        return first, second

    first, second = asyncio.run(ask())

    assert first == [b"0:books;", b"1:books;", b"2:books;"]
    assert second == [b"0:films;", b"1:films;", b"2:films;"]
    assert seen == [("closed", "books"), ("closed", "films")]


def test_an_abandoned_stream_is_closed_in_its_mirror():
    response = answer(stream)
    next(iter(response.streaming_content))

    response.close()

    assert seen == [("closed", "books")]
    assert find_current_mirror() is None


def test_a_stream_that_is_dropped_leaves_nothing():
    response = answer(stream)
    next(iter(response.streaming_content))

    del response
    gc.collect()

    assert [step for step, _ in seen] == ["closed"]
    assert find_current_mirror() is None


def test_a_stream_that_is_never_read_leaves_nothing():
    answer(stream).close()

    assert seen == []
    assert find_current_mirror() is None


def test_an_abandoned_async_stream_is_closed_in_its_mirror():
    async def ask():
        request = AsyncRequestFactory().get("/")
        request.META["HTTP_HOST"] = "books.example"
        response = await MirrorMiddleware(stream_async)(request)
        steps = aiter(response)
        first = await anext(steps)
        await steps.aclose()
        await response._iterator.aclose()
        return first, find_current_mirror()

    assert asyncio.run(ask()) == (b"0:books;", None)
    assert seen == [("closed", "books")]


def test_a_task_that_is_cancelled_in_a_stream_leaves_nothing():
    async def ask():
        request = AsyncRequestFactory().get("/")
        request.META["HTTP_HOST"] = "books.example"
        response = await MirrorMiddleware(stream_async)(request)
        task = asyncio.create_task(read(response))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return find_current_mirror()

    assert asyncio.run(ask()) is None
    assert seen == [("closed", "books")]


def test_a_stream_without_a_close_is_read():
    assert b"".join(get("books.example", "/stream-list/").streaming_content) == b"ab"


def test_a_file_is_left_to_the_server():
    response = answer(send_file)

    assert response.file_to_stream is not None
    assert response.getvalue() == b"0123456789"
    response.close()


def test_a_file_of_a_model_is_opened_in_its_mirror(settings, tmp_path):
    for name in ("books", "films"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(f"of {name}")
    settings.MIRRORS = {
        name: {**MIRRORS[name], "STORAGE": f"file://{tmp_path / name}/"}
        for name in ("books", "films")
    }

    response = get("films.example", "/model-file/")

    with closing(response):
        assert response.getvalue() == b"of films"


@FACES
def test_a_response_is_closed_in_its_mirror(ask):
    def finish(**_):
        note("finished")

    request_finished.connect(finish)
    try:
        ask("books.example", "/closer/")
    finally:
        request_finished.disconnect(finish)

    assert seen == [("closer", "books"), ("finished", "books")]
    assert find_current_mirror() is None


def test_a_response_can_be_closed_twice():
    response = answer(send_with_closer)

    response.close()
    response.close()

    assert response.closed
    assert seen == [("closer", "books")]


def test_a_response_is_freed_with_its_last_name():
    response = answer(send_with_closer)
    response.close()
    lives = weakref.ref(response)

    del response

    assert lives() is None


# What a request leaves behind


def test_a_language_and_a_time_zone_end_with_the_request():
    get("books.example", "/prefer/")

    assert translation.get_language() == "en-us"
    assert timezone.get_current_timezone_name() == "America/Chicago"


def test_a_language_chosen_outside_counts_inside():
    with translation.override("fr"):
        response = answer(lambda request: HttpResponse(translation.get_language()))

    assert response.content == b"fr"


# ASGI for real


async def ask_server(application, host, url="/async/"):
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": url,
        "query_string": b"",
        "headers": [(b"host", host)],
    }
    server = ApplicationCommunicator(application, scope)
    await server.send_input({"type": "http.request", "body": b""})
    start = await server.receive_output(5)
    body, is_over = b"", False
    while not is_over:
        part = await server.receive_output(5)
        body += part.get("body", b"")
        is_over = not part.get("more_body")
    await server.wait()
    return start["status"], body


def test_an_asgi_server_is_answered():
    async def ask():
        application = get_asgi_application()
        return [
            await ask_server(application, b"Books.Example"),
            await ask_server(application, b"nobody.example"),
            await ask_server(application, b"books.example", "/stream-async/"),
        ]

    shown, unknown, streamed = asyncio.run(ask())

    assert shown[0] == 200
    assert b'"host": "books.example"' in shown[1]
    assert unknown == (404, b"Not Found")
    assert streamed == (200, b"0:books;1:books;2:books;")


def test_two_host_headers_are_refused():
    async def ask():
        request = AsyncRequestFactory().get("/")
        request.META["HTTP_HOST"] = "books.example,films.example"
        return MirrorMiddleware(show)(request)

    assert describe(asyncio.run(ask())) == UNKNOWN


def test_many_tasks_in_one_thread_stay_apart():
    async def ask(application, name):
        for _ in range(20):
            status, body = await ask_server(application, f"{name}.example".encode())
            assert (status, f'"mirror": "{name}"'.encode() in body) == (200, True)

    async def ask_all():
        application = get_asgi_application()
        names = ["books", "films"] * 16
        await asyncio.gather(*(ask(application, name) for name in names))

    asyncio.run(ask_all())


def test_an_async_view_runs_on_the_event_loop():
    loops = []

    async def answer(request):
        loops.append(asyncio.get_running_loop())
        return HttpResponse(str(get_current_mirror()))

    async def ask():
        request = AsyncRequestFactory().get("/")
        request.META["HTTP_HOST"] = "books.example"
        response = await MirrorMiddleware(answer)(request)
        return response.content, asyncio.get_running_loop()

    content, loop = asyncio.run(ask())

    assert (content, loops) == (b"books", [loop])


def test_a_wsgi_server_is_answered():
    environ = RequestFactory().get("/", headers={"host": "books.example"}).environ

    with closing(WSGIHandler()(environ, lambda status, headers: None)) as response:
        assert b'"mirror": "books"' in response.content


# CSRF


def check_csrf(host, origin, *, secure=False):
    request = RequestFactory().post("/", headers={"host": host, "origin": origin})
    request.META["wsgi.url_scheme"] = "https" if secure else "http"
    request.environ["wsgi.url_scheme"] = "https" if secure else "http"
    answers = []

    def answer(request):
        checker = CsrfViewMiddleware(answer)
        answers.append(checker._origin_verified(request))
        return HttpResponse()

    MirrorMiddleware(answer)(request)
    return answers


@pytest.mark.parametrize(
    ("origin", "is_trusted"),
    [
        ("http://books.example", True),
        ("https://www.books.example", True),
        ("https://app.example", True),
        ("http://app.example", False),
        ("https://films.example", False),
        ("https://any.shops.books.example", False),
        ("https://evil.example", False),
        ("null", False),
    ],
)
def test_a_mirror_trusts_its_own_origins(settings, origin, is_trusted):
    change(settings, "books", TRUSTED_ORIGINS=["https://app.example"])

    assert check_csrf("books.example", origin) == [is_trusted]


def test_origins_follow_the_fleet_at_once(settings):
    before = check_csrf("books.example", "https://new.example")
    change(settings, "books", HOSTS=["books.example", "new.example"])

    assert before == [False]
    assert check_csrf("books.example", "https://new.example") == [True]


def test_secure_cookies_make_secure_origins(settings):
    settings.CSRF_COOKIE_SECURE = True

    assert check_csrf("books.example", "http://www.books.example") == [False]
    assert check_csrf("books.example", "https://www.books.example") == [True]


def test_wildcards_are_no_origins():
    origins = []

    answer(lambda request: origins.extend(find_trusted_origins()) or HttpResponse())

    assert origins == [
        "https://books.example",
        "http://books.example",
        "https://www.books.example",
        "http://www.books.example",
    ]


def test_without_a_mirror_no_origin_is_added():
    assert list(find_trusted_origins()) == []
