"""From the host of a request to its mirror, through Django's own handlers."""

import asyncio
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.cache import caches
from django.db import connections
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.test import AsyncClient, Client, RequestFactory
from django.urls import path

from django_mirrors import mirrors
from django_mirrors.conf import forget_conf
from django_mirrors.context import find_current_mirror
from django_mirrors.exceptions import MirrorUnavailable
from django_mirrors.middleware import MirrorMiddleware

CLOSED: list[Any] = []


def find_name():
    mirror = find_current_mirror()
    return None if mirror is None else mirror.name


def show(request, **_):
    return JsonResponse(
        {
            "host": request.get_host(),
            "uri": request.build_absolute_uri(),
            "mirror": request.mirror.name,
            "current": find_name(),
            "token": get_token(request) if "token" in request.GET else "",
        }
    )


async def show_async(request):
    await asyncio.sleep(0)
    return show(request)


def fail(request):
    raise ValueError(find_name())


def break_down(request):
    raise MirrorUnavailable("The database of mirror 'books' does not answer.")


def stream(request):
    def generate():
        try:
            for _ in range(3):
                yield f"{find_name()};"
        finally:
            CLOSED.append(find_name())

    return StreamingHttpResponse(generate())


async def stream_async(request):
    async def generate():
        try:
            for _ in range(3):
                await asyncio.sleep(0)
                yield f"{find_name()};"
        finally:
            CLOSED.append(find_name())

    return StreamingHttpResponse(generate())


urlpatterns = [
    path("fail/", fail),
    path("down/", break_down),
    path("stream/", stream),
    path("stream-async/", stream_async),
    path("async/", show_async),
    path("", show),
    path("<path:rest>", show),
]


class HostClient(AsyncClient):
    """An AsyncClient that can ask another host; Django's always asks testserver too."""

    remote = ""

    def _base_scope(self, **request: Any) -> dict[str, Any]:
        scope = super()._base_scope(**request)
        scope["client"] = [self.remote or "127.0.0.1", 1]
        scope["headers"] = [
            header for header in scope["headers"] if header != (b"host", b"testserver")
        ]
        return scope


BOOKS = {
    "HOSTS": ["books.example", "www.books.example", "*.books.example", "[2001:db8::1]"],
    "STATE": "active",
}
FILMS = {"HOSTS": ["films.example", "own.books.example"], "STATE": "active"}


@pytest.fixture(autouse=True)
def serve(settings):
    """Return a function that changes the definition of `books`, and the options."""
    settings.ROOT_URLCONF = __name__
    settings.MIRRORS = {"books": BOOKS, "films": FILMS}
    CLOSED.clear()

    def change(options=None, **books):
        settings.MIRRORS = {"books": {**BOOKS, **books}, "films": FILMS}
        settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, **(options or {})}

    return change


@pytest.fixture(params=["wsgi", "asgi"])
def ask(request):
    """Return a function that sends a request to a host."""
    is_async = request.param == "asgi"
    kinds = {False: Client, True: HostClient}
    clients: dict[bool, Any] = {}

    def send(host, url="/", method="get", *, remote="", checks=False, **headers):
        client = clients.setdefault(
            checks,
            kinds[is_async](raise_request_exception=False, enforce_csrf_checks=checks),
        )
        function = getattr(client, method)
        if is_async:
            function = async_to_sync(function)
        extra = {"REMOTE_ADDR": remote} if remote else {}
        if is_async:
            client.remote, extra = remote, {}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return function(url, headers={"host": host, **given}, **extra)

    return send


def is_unknown(response):
    headers = {name for name in response.headers if name != "Content-Length"}
    return (response.status_code, response.content, headers) == (
        404,
        b"Not Found",
        {"Content-Type"},
    )


@pytest.mark.parametrize(
    ("host", "name", "canonical"),
    [
        ("books.example", "books", "books.example"),
        ("BOOKS.Example.", "books", "books.example"),
        ("books.example:8000", "books", "books.example:8000"),
        ("[2001:DB8:0::1]", "books", "[2001:db8::1]"),
        ("x.books.example", "books", "x.books.example"),
        ("own.books.example", "films", "own.books.example"),
        ("films.example", "films", "films.example"),
        ("original.example", "original", "original.example"),
    ],
)
def test_host_finds_its_mirror_in_canonical_form(ask, host, name, canonical):
    answer = ask(host, "/a/?b=1").json()

    assert (answer["mirror"], answer["current"]) == (name, name)
    assert answer["host"] == canonical
    assert answer["uri"] == f"http://{canonical}/a/?b=1"
    assert find_name() is None


def test_async_view_has_its_mirror(ask):
    assert ask("books.example", "/async/").json()["current"] == "books"
    assert ask("films.example", "/async/").json()["current"] == "films"


@pytest.mark.parametrize(
    "host",
    [
        "unknown.example",
        "books.example.evil.example",
        "evilbooks.example",
        "x.y.books.example",
        ".books.example",
        "books.example..",
        "books.example:0",
        "books.example:99999",
        "user@books.example",
        "books.example,films.example",
        "books_.example",
        "b\xfcoks.example",
        "127.0.0.1",
        "[::1]",
        "<script>alert(1)</script>",
        "a" * 10_000,
        "",
    ],
)
def test_host_that_nobody_has_gets_the_constant_answer(ask, host):
    response = ask(host, "/some/path/")

    assert is_unknown(response)
    assert not response.cookies


@pytest.mark.django_db
def test_unknown_host_costs_no_query(ask, django_assert_num_queries):
    ask("books.example")

    with django_assert_num_queries(0, connection=connections["original"]):
        response = ask("unknown.example")

    assert response.status_code == 404


def test_unknown_host_may_be_called_misdirected(ask, serve):
    serve({"UNKNOWN_HOST": "misdirected"})

    response = ask("unknown.example")

    assert (response.status_code, response.content) == (421, b"Misdirected Request")


@pytest.mark.parametrize(
    "name", ["x-forwarded-host", "forwarded", "x-host", "x-original-host", "x-tenant"]
)
def test_header_of_a_client_does_not_choose_the_mirror(ask, name):
    value = "host=films.example" if name == "forwarded" else "films.example"

    answer = ask("books.example", **{name: value}).json()

    assert (answer["mirror"], answer["host"]) == ("books", "books.example")


def test_forwarded_host_is_not_read_after_this(ask, settings):
    settings.USE_X_FORWARDED_HOST = True

    answer = ask("books.example", x_forwarded_host="films.example").json()

    assert answer["uri"] == "http://books.example/"


@pytest.mark.parametrize("remote", ["10.1.2.3", "::ffff:10.1.2.3", "fd00::5"])
def test_forwarded_host_of_a_trusted_proxy_counts(ask, serve, remote):
    serve({"TRUSTED_PROXIES": ["10.0.0.0/8", "fd00::/8"]})

    answer = ask(
        "books.example", remote=remote, x_forwarded_host="films.example"
    ).json()

    assert (answer["mirror"], answer["uri"]) == ("films", "http://films.example/")


@pytest.mark.parametrize("remote", ["11.1.2.3", "fe80::1", "unix"])
def test_forwarded_host_of_anybody_else_does_not_count(ask, serve, remote):
    serve({"TRUSTED_PROXIES": ["10.0.0.0/8"]})

    answer = ask(
        "books.example", remote=remote, x_forwarded_host="films.example"
    ).json()

    assert (answer["mirror"], answer["uri"]) == ("books", "http://books.example/")


@pytest.mark.parametrize("value", ["books.example, films.example", "", "a b", "evil"])
def test_forwarded_host_that_is_not_one_host_is_unknown(ask, serve, value):
    serve({"TRUSTED_PROXIES": ["10.0.0.0/8"]})

    response = ask("books.example", remote="10.0.0.1", x_forwarded_host=value)

    assert is_unknown(response)


@pytest.mark.parametrize("method", ["get", "post", "put", "delete", "head"])
def test_alias_is_redirected_with_port_path_and_query(ask, serve, method):
    serve(REDIRECT_ALIASES=True)

    response = ask("www.books.example:8000", "/a%20b/?c=1&d=%2F", method)

    assert response.status_code == 308
    assert response.headers["Location"] == (
        "http://books.example:8000/a%20b/?c=1&d=%2F"
    )
    assert response.headers["Cache-Control"] == "max-age=300"


def test_primary_host_is_not_redirected(ask, serve):
    serve(REDIRECT_ALIASES=True)

    assert ask("books.example").json()["mirror"] == "books"


def test_aliases_are_served_unless_the_mirror_says_otherwise(ask):
    assert ask("www.books.example").json()["host"] == "www.books.example"


@pytest.mark.parametrize(
    "url",
    [
        "//evil.com",
        "///evil.com",
        "/\\evil.com",
        "/\\/evil.com",
        "/%0d%0aSet-Cookie:%20a=b",
        "/@evil.com",
        "/%2f%2fevil.com",
        "/?next=//evil.com%0d%0aX:y",
        "/.evil.com",
    ],
)
def test_redirect_stays_on_the_host_of_the_registry(ask, serve, url):
    serve(REDIRECT_ALIASES=True)

    location = ask("www.books.example", url).headers["Location"]

    assert location.startswith("http://books.example/")
    assert "\r" not in location
    assert "\n" not in location
    assert "\\" not in location


@pytest.mark.parametrize(
    ("path_info", "location"),
    [
        ("evil.com", "http://books.example/evil.com"),
        (".evil.com", "http://books.example/.evil.com"),
        ("@evil.com", "http://books.example/@evil.com"),
        ("//evil.com", "http://books.example//evil.com"),
        ("/a\r\nX: y", "http://books.example/a%0D%0AX:%20y"),
        ("/\\evil.com", "http://books.example/%5Cevil.com"),
    ],
)
def test_redirect_of_a_path_that_a_server_let_through_stays(serve, path_info, location):
    serve(REDIRECT_ALIASES=True)

    response = Client().generic(
        "GET", "/", headers={"host": "www.books.example"}, PATH_INFO=path_info
    )

    assert response.headers["Location"] == location


@pytest.mark.parametrize("state", ["maintenance", "suspended"])
def test_held_mirror_says_when_to_come_back(ask, serve, state):
    serve(STATE=state)

    response = ask("books.example")

    assert response.status_code == 503
    assert response.headers["Retry-After"] == "120"
    assert response.headers["Cache-Control"] == "no-store"
    assert not response.cookies
    assert ask("films.example").status_code == 200


def test_time_to_come_back_is_an_option(ask, serve):
    serve({"RETRY_AFTER": 7}, STATE="suspended")

    assert ask("books.example").headers["Retry-After"] == "7"


def test_held_mirror_does_not_redirect(ask, serve):
    serve(STATE="suspended", REDIRECT_ALIASES=True)

    assert ask("www.books.example").status_code == 503


@pytest.mark.parametrize("state", ["provisioning", "failed", "archived"])
def test_mirror_that_is_not_ready_is_unknown(ask, serve, state):
    serve(STATE=state)

    assert is_unknown(ask("books.example"))


def test_mirror_has_its_own_urls(ask, settings):
    settings.MIRRORS = {
        "books": BOOKS,
        "films": {**FILMS, "URLCONF": "tests.bookshop.urls"},
    }

    assert ask("films.example", "/where/").content == b"http://films.example/where/"
    assert ask("films.example", "/a/").status_code == 404
    assert ask("books.example", "/where/").json()["mirror"] == "books"


def test_allowed_hosts_are_no_obstacle(ask, settings):
    settings.ALLOWED_HOSTS = []

    assert ask("books.example").json()["uri"] == "http://books.example/"


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://books.example", 200),
        ("http://www.books.example", 200),
        ("https://www.books.example", 200),
        ("https://app.example", 200),
        ("http://app.example", 403),
        ("http://films.example", 403),
        ("http://own.books.example", 403),
        ("http://any.books.example", 403),
        ("http://original.example", 403),
        ("null", 403),
    ],
)
def test_forms_are_accepted_from_the_mirrors_own_origins(ask, serve, origin, status):
    serve(TRUSTED_ORIGINS=["https://app.example"])
    token = ask("books.example", "/?token", checks=True).json()["token"]

    response = ask(
        "books.example", "/", "post", checks=True, origin=origin, x_csrftoken=token
    )

    assert response.status_code == status


def test_origin_that_one_mirror_trusts_is_refused_by_the_other(ask, serve):
    serve(TRUSTED_ORIGINS=["https://app.example"])
    token = ask("films.example", "/?token", checks=True).json()["token"]

    response = ask(
        "films.example",
        "/",
        "post",
        checks=True,
        origin="https://app.example",
        x_csrftoken=token,
    )

    assert response.status_code == 403


def test_view_that_raises_leaves_no_mirror(ask):
    response = ask("books.example", "/fail/")

    assert response.status_code == 500
    assert find_name() is None
    assert ask("films.example").json()["current"] == "films"


def test_service_that_is_down_is_unavailable(ask):
    response = ask("books.example", "/down/")

    assert response.status_code == 503
    assert response.headers["Retry-After"] == "120"
    assert b"database of mirror" not in response.content


def test_requests_of_one_thread_use_the_same_caches(settings):
    seen = []

    def keep(request):
        seen.append((caches["default"], caches["default"]._find_backing()[1].cache))
        return HttpResponse()

    middleware = MirrorMiddleware(keep)
    for host in ("books.example", "films.example"):
        middleware(RequestFactory().get("/", HTTP_HOST=host))

    assert seen[0][0] is seen[1][0]
    assert seen[0][1] is seen[1][1]


def test_stream_has_its_mirror_until_its_end():
    books = Client().get("/stream/", headers={"host": "books.example"})
    films = Client().get("/stream/", headers={"host": "films.example"})

    parts = [
        part + find_bytes() for pair in zip(books, films, strict=True) for part in pair
    ]

    assert parts == [b"books;None", b"films;None"] * 3
    assert sorted(CLOSED) == ["books", "films"]


def find_bytes():
    return str(find_name()).encode()


def test_abandoned_stream_is_closed_in_its_mirror():
    response = Client().get("/stream/", headers={"host": "books.example"})

    assert next(iter(response)) == b"books;"
    response.close()

    assert (CLOSED, find_name()) == (["books"], None)


def test_async_stream_has_its_mirror_until_its_end():
    async def main():
        seen = []
        for name in ("books", "films"):
            response = await HostClient().get(
                "/stream-async/", headers={"host": f"{name}.example"}
            )
            seen += [(part, find_name()) async for part in response]
        return seen

    seen = asyncio.run(main())

    assert seen == [(b"books;", None)] * 3 + [(b"films;", None)] * 3
    assert CLOSED == ["books", "films"]


def test_abandoned_async_stream_is_closed_in_its_mirror():
    async def main():
        response = await HostClient().get(
            "/stream-async/", headers={"host": "books.example"}
        )
        steps = response._iterator
        first = await anext(steps), find_name()
        await steps.aclose()
        del steps, response
        await asyncio.sleep(0.05)  # the loop closes what was dropped
        return first, find_name()

    assert asyncio.run(main()) == ((b"books;", None), None)
    assert CLOSED == ["books"]


def test_requests_at_the_same_time_do_not_mix():
    async def ask(name):
        client = HostClient()
        answers = [
            (await client.get("/async/", headers={"host": f"{name}.example"})).json()
            for _ in range(10)
        ]
        return {answer["current"] for answer in answers}

    async def main():
        return await asyncio.gather(ask("books"), ask("films"), ask("books"))

    assert asyncio.run(main()) == [{"books"}, {"films"}, {"books"}]


@pytest.fixture
def pinned(monkeypatch):
    """Pin the process to `books`, as DJANGO_MIRROR=books does."""
    monkeypatch.setenv("DJANGO_MIRROR", "books")
    forget_conf()
    mirrors.forget()
    yield
    monkeypatch.undo()
    forget_conf()
    mirrors.forget()


def test_pinned_process_answers_its_own_hosts_only(pinned, ask):
    assert ask("books.example").json()["mirror"] == "books"
    assert is_unknown(ask("films.example"))
    assert is_unknown(ask("original.example"))
