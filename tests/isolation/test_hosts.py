"""Hosts under fire: no text of a header reaches a mirror that it does not name."""

import asyncio
import gc
import json
import logging
import mmap
import random
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from http import HTTPStatus
from pathlib import Path
from time import perf_counter
from urllib.parse import unquote_to_bytes, urlsplit
from uuid import uuid4

import pytest
from django.core.cache.backends import locmem
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.test import Client, RequestFactory
from django.urls import path, re_path
from django.views.decorators.cache import cache_page

from django_mirrors import use_mirror
from django_mirrors.exceptions import InvalidHost
from django_mirrors.hosts import parse_host, parse_pattern
from django_mirrors.registry import mirrors
from tests.flows.hostile import INVALID_HOSTS
from tests.isolation.browser import Goal, find_goal
from tests.isolation.host_oracle import Oracle, read_authority
from tests.isolation.host_texts import generate_host, iter_hostile
from tests.isolation.sizes import get_seed, scaled

LONG = f"{'.'.join(['a' * 61] * 4)[:245]}.example"
HOSTS = {
    "acme": (
        "acme.example.com", "acme.example", "www.acme.example.com",
        "*.shop.example.com", "192.0.2.1", "[2001:db8::1]", "xn--bcher-kva.example",
        LONG,
    ),
    "acme2": (
        "acme2.example.com", "acme2.example", "b.shop.example.com", "acme.example.co",
        "*.b.shop.example.com", "192.0.2.10", "[2001:db8::12]", "acme-2.example",
    ),
    "original": ("example.com",),
}  # fmt: skip
MIRRORS = {
    name: {"HOSTS": list(HOSTS[name]), "STATE": "active"} for name in ("acme", "acme2")
}
# Served by nobody, each for a reason of its own.
UNSERVED = {
    "begun": {"HOSTS": ["begun.example"]},
    "failed": {"HOSTS": ["failed.example"], "STATE": "failed"},
    "gone": {"HOSTS": ["gone.example"], "STATE": "archived"},
}
OPTIONS = {"ORIGINAL": {"HOSTS": ["example.com"]}, "RECORDS": False}
ORACLE = Oracle(HOSTS)
SAMPLES = [
    host.replace("*", "any") for hosts in HOSTS.values() for host in hosts if host
]
HOSTILE = tuple(iter_hostile(SAMPLES))
visits: list[str] = []


def show(request):
    return JsonResponse(
        {
            "mirror": str(request.mirror),
            "host": request.get_host(),
            "url": request.build_absolute_uri("/"),
            "headers": sorted(request.headers),
        }
    )


def answer(request):
    return HttpResponse(request.mirror.name)


@cache_page(60)
def keep(request):
    visits.append(request.get_host())
    return HttpResponse(request.build_absolute_uri())


urlpatterns = [
    path("keep/", keep),
    path("form/", answer),
    re_path(r"^(?s:.)*\Z", show),
]


@pytest.fixture(autouse=True)
def _serve(settings):
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = [
        "django_mirrors.middleware.MirrorMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ]
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    settings.MIRRORS = {**MIRRORS, **UNSERVED}
    settings.MIRRORS_OPTIONS = OPTIONS
    settings.ALLOWED_HOSTS = []


@pytest.fixture
def _quiet() -> Iterator[None]:
    """Log nothing, and leave alone the connections of a test without a database."""
    logging.disable(logging.CRITICAL)
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    yield
    request_finished.connect(close_old_connections)
    request_started.connect(close_old_connections)
    logging.disable(logging.NOTSET)


@pytest.fixture
def sql(monkeypatch) -> list[str]:
    """Return the aliases whose databases were connected to or asked."""
    used: list[str] = []

    def note(self, *_, **__):
        used.append(self.alias)
        raise AssertionError(self.alias)

    for name in ("connect", "ensure_connection", "cursor", "_cursor"):
        monkeypatch.setattr(BaseDatabaseWrapper, name, note)
    return used


class Server:
    """Asks the application as a WSGI server does."""

    def __init__(self) -> None:
        self._application = WSGIHandler()

    def ask(self, host: str | None, target: str = "/", **environ):
        """Return status, headers and body."""
        said: list[object] = []
        given = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": target,
            "QUERY_STRING": "",
            "SERVER_NAME": "server.invalid",
            "SERVER_PORT": "80",
            "REMOTE_ADDR": "192.0.2.200",
            "wsgi.url_scheme": "http",
            "wsgi.input": sys.stdin.buffer,
            **environ,
        }
        if host is not None:
            given["HTTP_HOST"] = host
        response = self._application(given, lambda *told: said.extend(told))
        body = b"".join(response)
        response.close()
        return said[0], said[1], body


class AsyncServer:
    """Asks the application as an ASGI server does."""

    def __init__(self) -> None:
        self._application = ASGIHandler()
        self._loop = asyncio.new_event_loop()

    def ask(self, host: str):
        """See Server.ask()."""
        return self._loop.run_until_complete(self._ask(host.encode("latin-1")))

    def close(self) -> None:
        """End its event loop."""
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    async def _ask(self, host: bytes):
        sent: list[dict] = []
        events = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive() -> dict:
            return next(events, None) or await asyncio.Event().wait()

        async def send(event: dict) -> None:
            sent.append(event)

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/",
            "query_string": b"",
            "headers": [(b"host", host)],
            "server": ("server.invalid", 80),
            "client": ("192.0.2.200", 1),
        }
        await self._application(scope, receive, send)
        start, *parts = sent
        status = HTTPStatus(start["status"])
        headers = [(key.decode(), item.decode()) for key, item in start["headers"]]
        body = b"".join(part.get("body", b"") for part in parts)
        return f"{status} {status.phrase}", headers, body


def on_wire(text: str) -> str:
    """Return the text as a WSGI server gives it: a character for each byte."""
    try:
        return text.encode("latin-1").decode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass").decode("latin-1")


def iter_hosts(count: int, seed: int) -> Iterator[str]:
    chance = random.Random(seed)
    yield from HOSTILE
    for _ in range(count - len(HOSTILE)):
        yield generate_host(chance, SAMPLES)


# The parser and the index


def judge_parser(text: str) -> str:
    """Return what is wrong with how `text` is read and looked up, or who has it."""
    expected = read_authority(text)
    try:
        host = parse_host(text)
    except InvalidHost:
        return "wrongly refused" if expected else "refused"
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return f"crash: {type(error).__name__}"
    if expected is None:
        return "wrongly accepted"
    if read_authority(host) != (expected.host, None):
        return "wrong host"
    mirror = mirrors.find_for_host(host)
    found = None if mirror is None else mirror.name
    return "wrong mirror" if found != ORACLE.find(text) else f"is {found}"


def test_no_generated_host_is_taken_for_another(report_figure):
    count, seed = scaled(1_000_000), get_seed(1035)
    wrong: list[tuple[str, str]] = []
    verdicts: Counter[str] = Counter()

    for text in iter_hosts(count, seed):
        verdict = judge_parser(text)
        verdicts[verdict] += 1
        if verdict != "refused" and not verdict.startswith("is "):
            wrong.append((verdict, text))

    kinds = Counter(verdict.partition(":")[0] for verdict, _ in wrong)
    served = sum(verdicts[f"is {name}"] for name in HOSTS)
    report_figure(
        "hosts through the parser",
        f"{count:,} (served {served:,}); wrongly accepted {kinds['wrongly accepted']}, "
        f"wrong mirror {kinds['wrong mirror'] + kinds['wrong host']}, "
        f"crash {kinds['crash']}, wrongly refused {kinds['wrongly refused']}",
    )
    assert wrong[:20] == [], f"seed {seed}"
    assert min(verdicts[f"is {name}"] for name in HOSTS) > count / 200


def judge_registration(text: str) -> str:
    """Return what is wrong with how `text` is registered, or whether it is."""
    try:
        pattern = parse_pattern(text)
    except InvalidHost:
        return "refused"
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return f"crash: {type(error).__name__}"
    name = pattern.removeprefix("*.")
    found = read_authority(name)
    if found is None or found.port is not None or name != parse_host(name):
        return "registered as what is never asked for"
    # What is under `localhost` is on this machine only, and meant for development.
    is_narrow = isinstance(found.host, str) and ("." in name or name == "localhost")
    if pattern != name and not is_narrow:
        return "too wide a wildcard"
    if text.isascii() and "xn--" not in text.lower():
        said = read_authority(text.removeprefix("*."))
        return "registered" if said == found else "registered as another host"
    return "registered"


def test_no_host_is_registered_as_another(report_figure):
    count, seed = scaled(200_000), get_seed(5891)
    verdicts: Counter[str] = Counter()
    chance, wrong = random.Random(seed), []

    for text in iter_hosts(count, seed):
        candidate = f"*.{text}" if chance.random() < 0.2 else text
        verdict = judge_registration(candidate)
        verdicts[verdict] += 1
        if verdict not in {"refused", "registered"}:
            wrong.append((verdict, candidate))

    report_figure(
        "hosts to register",
        f"{count:,} (registered {verdicts['registered']:,}); wrong {len(wrong)}",
    )
    assert wrong[:20] == [], f"seed {seed}"
    assert verdicts["registered"] > count / 20


def test_bytes_of_a_header_are_read_as_its_text():
    hosts = [host for host in HOSTILE if host.isascii()]

    assert [judge_parser(host) for host in hosts] == [
        judge_parser(host.encode().decode("ascii")) for host in hosts
    ]
    assert [parse_host(host.encode()) for host in SAMPLES] == list(
        map(parse_host, SAMPLES)
    )


def test_all_spellings_of_an_address_have_one_canonical_form():
    chance = random.Random(get_seed(4291))
    spellings: dict[int, set[str]] = {}

    for text in (generate_host(chance, SAMPLES) for _ in range(scaled(200_000))):
        found = read_authority(text)
        if found is not None and isinstance(found.host, int):
            spellings.setdefault(found.host, set()).add(parse_host(text))

    assert {len(forms) for forms in spellings.values()} == {1}
    assert spellings[0x20010DB8 << 96 | 1] == {"[2001:db8::1]"}


def test_hosts_written_by_hand_are_many_and_of_every_kind():
    verdicts = Counter(map(judge_parser, HOSTILE))

    assert len(HOSTILE) > 2000
    assert set(verdicts) == {
        "refused", "is None", "is acme", "is acme2", "is original",
    }  # fmt: skip


# Time


def count_calls(function: Callable[[str], object], host: str) -> int:
    calls = 0

    def count(*_):
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        function(host)
    except InvalidHost:
        pass
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("kind", ["a", "a.", "-", ".", ":", "[", "1.", "[::", "\xfc"])
def test_a_megabyte_of_header_takes_no_more_steps_than_a_kilobyte(kind):
    small, large = (kind * (size // len(kind)) for size in (1_000, 1_000_000))

    assert count_calls(parse_host, large) <= count_calls(parse_host, small)


def measure(server: Server, host: str) -> float:
    times = []
    for _ in range(7):
        begin = perf_counter()
        server.ask(host)
        times.append(perf_counter() - begin)
    return min(times)


@pytest.mark.usefixtures("_quiet")
@pytest.mark.parametrize("kind", ["a", "a.", "1.", "x-", "[:", "acme.example."])
def test_the_time_for_a_host_grows_no_faster_than_its_length(kind):
    server = Server()
    small, large = (kind * (size // len(kind)) for size in (2**16, 2**20))

    ratio = measure(server, large) / measure(server, small)

    assert ratio < 16 * 4


# The whole stack


def judge_answer(server: Server | AsyncServer, text: str) -> str:
    """Return what is wrong with the answer to a request, or who gave it."""
    wire = on_wire(text)
    expected = ORACLE.find(wire)
    try:
        status, headers, body = server.ask(wire)
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return f"crash: {type(error).__name__}"
    if status.startswith("5"):
        return f"crash: {status}"
    if status == "404 Not Found":
        is_silent = headers == [("Content-Type", "text/plain; charset=utf-8")]
        if body != b"Not Found" or not is_silent:
            return "crash: an answer of its own"
        return "refused" if expected is None else "wrongly refused"
    return "wrongly accepted" if expected is None else judge_page(wire, body)


def judge_page(wire: str, body: bytes) -> str:
    shown = json.loads(body)
    expected = ORACLE.find(wire)
    if shown["mirror"] != expected:
        return "wrong mirror"
    said, canonical = read_authority(shown["host"]), read_authority(wire)
    is_lower = shown["host"] == shown["host"].lower()
    if said != canonical or not is_lower or ".:" in f"{shown['host']}:":
        return "wrong host"
    if shown["url"] != f"http://{shown['host']}/":
        return "wrong host"
    return f"is {expected}"


@pytest.mark.usefixtures("_quiet")
def test_no_request_is_answered_by_a_mirror_it_does_not_name(report_figure, sql):
    count, seed, server = scaled(100_000), get_seed(3986), Server()
    wrong: list[tuple[str, str]] = []
    verdicts: Counter[str] = Counter()

    for text in iter_hosts(count, seed):
        verdict = judge_answer(server, text)
        verdicts[verdict] += 1
        if verdict != "refused" and not verdict.startswith("is "):
            wrong.append((verdict, text))

    kinds = Counter(verdict.partition(":")[0] for verdict, _ in wrong)
    served = sum(verdicts[f"is {name}"] for name in HOSTS)
    report_figure(
        "hosts through the whole stack",
        f"{count:,} (served {served:,}); wrongly accepted {kinds['wrongly accepted']}, "
        f"wrong mirror {kinds['wrong mirror'] + kinds['wrong host']}, "
        f"crash {kinds['crash']}, wrongly refused {kinds['wrongly refused']}",
    )
    assert wrong[:20] == [], f"seed {seed}"
    assert sql == []
    assert min(verdicts[f"is {name}"] for name in HOSTS) > count / 500


@pytest.mark.usefixtures("_quiet")
def test_no_request_to_asgi_is_answered_by_a_mirror_it_does_not_name(
    settings, report_figure, sql
):
    settings.MIDDLEWARE = ["django_mirrors.middleware.MirrorMiddleware"]
    count, seed = scaled(40_000), get_seed(7230)
    verdicts: Counter[str] = Counter()

    with closing(AsyncServer()) as server:
        for text in iter_hosts(count, seed):
            verdicts[judge_answer(server, text)] += 1

    fine = {"refused", *(f"is {name}" for name in HOSTS)}
    served = sum(verdicts[f"is {name}"] for name in HOSTS)
    wrong = {
        verdict: times for verdict, times in verdicts.items() if verdict not in fine
    }
    report_figure(
        "hosts through the whole stack, ASGI",
        f"{count:,} (served {served:,}); wrong {sum(wrong.values())}",
    )
    assert wrong == {}, f"seed {seed}"
    assert sql == []


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("b.shop.example.com", "acme2"),
        ("B.SHOP.example.com.:8000", "acme2"),
        ("a.shop.example.com", "acme"),
        ("bb.shop.example.com", "acme"),
        ("x.b.shop.example.com", "acme2"),
        ("x.y.shop.example.com", None),
        ("x.y.b.shop.example.com", None),
        ("shop.example.com", None),
        ("*.shop.example.com", None),
        (".shop.example.com", None),
        ("ashop.example.com", None),
    ],
)
@pytest.mark.usefixtures("_quiet")
def test_a_wildcard_is_one_label_and_yields_to_an_exact_host(host, name):
    status, _, body = Server().ask(host)

    assert (json.loads(body)["mirror"] if status == "200 OK" else None) == name


# Hosts that nobody serves


@pytest.mark.parametrize(
    ("policy", "status"),
    [("reject", "404 Not Found"), ("misdirected", "421 Misdirected Request")],
)
@pytest.mark.usefixtures("_quiet")
def test_every_host_that_is_not_served_gets_the_same_bytes(
    settings, sql, policy, status
):
    settings.MIRRORS_OPTIONS = {**OPTIONS, "UNKNOWN_HOST": policy}
    chance, server = random.Random(get_seed(4)), Server()
    unserved = [host for item in UNSERVED.values() for host in item["HOSTS"]]
    generated = (generate_host(chance, SAMPLES) for _ in range(scaled(20_000)))
    unknown = [
        host
        for host in (*unserved, *HOSTILE, *generated)
        if ORACLE.find(on_wire(host)) is None
    ]

    answers = {repr(server.ask(on_wire(host))) for host in unknown}

    text = status.partition(" ")[2]
    headers = [("Content-Type", "text/plain; charset=utf-8")]
    assert answers == {repr((status, headers, text.encode()))}
    assert sql == []
    assert len(unknown) > 3000


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "TRACE", "X"])
@pytest.mark.usefixtures("_quiet")
def test_no_method_path_or_cookie_changes_the_answer_to_an_unknown_host(sql, method):
    server = Server()

    answers = {
        repr(
            server.ask(
                "evil.example", target, REQUEST_METHOD=method, HTTP_COOKIE="sessionid=x"
            )
        )
        for target in ("/", "/admin/", "/keep/", "/static/a", "//evil", "")
    }

    assert len(answers) == 1
    assert "evil" not in answers.pop()
    assert sql == []


@pytest.mark.parametrize("allowed", [["*"], [".example"], ["evil.example"]])
@pytest.mark.usefixtures("_quiet")
def test_no_setting_of_django_lets_an_unknown_host_through(
    settings, monkeypatch, allowed
):
    # Django's test environment asks for hosts that it adds to ALLOWED_HOSTS.
    monkeypatch.setattr("django_mirrors._compat.is_test_environment", bool)
    settings.ALLOWED_HOSTS = allowed
    server = Server()

    answers = [
        server.ask(on_wire(host))[0] for host in ("evil.example", *INVALID_HOSTS)
    ]

    assert set(answers) == {"404 Not Found"}


def measure_memory() -> int:
    """Return the bytes of this process that are in memory, where the system says it."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
    except OSError:
        return 0
    return int(pages) * mmap.PAGESIZE


def flood(server: Server, numbers: Iterable[int]) -> set[str]:
    """Ask for a host of nobody for each number; return what was answered."""
    return {repr(server.ask(f"{number:x}.unknown.example")) for number in numbers}


def count_steps(server: Server) -> list[int]:
    """Return what a known and an unknown host take, without what is periodic."""
    return [
        min(count_calls(server.ask, host) for _ in range(9))
        for host in ("acme.example", "x.shop.local")
    ]


@pytest.mark.usefixtures("_quiet")
def test_a_flood_of_unknown_hosts_costs_no_query_and_no_memory(report_figure, sql):
    count, server = scaled(1_000_000), Server()
    flood(server, range(1_000))
    server.ask("acme.example")
    steps = count_steps(server)
    gc.collect()
    blocks, memory = sys.getallocatedblocks(), measure_memory()

    answers = flood(server, range(1_000, 1_000 + count))

    gc.collect()
    kept = sys.getallocatedblocks() - blocks
    grown = (measure_memory() - memory) / 2**20
    report_figure(
        "flood of unknown hosts",
        f"{count:,} different; queries {len(sql)}, memory {grown:+.1f} MiB, "
        f"objects kept {kept:+,}",
    )
    assert len(answers) == 1
    assert sql == []
    # One object for each host would be a hundred times as many.
    assert kept < count / 100
    assert grown < 10
    # Who is known is found in as many steps as before, and so is nobody.
    assert steps == count_steps(server)


# Forwarded hosts

FORWARDED = {
    "HTTP_X_FORWARDED_HOST": "acme2.example",
    "HTTP_FORWARDED": "host=acme2.example",
    "HTTP_X_TENANT": "acme2.example",
    "HTTP_X_HOST": "acme2.example",
    "HTTP_X_ORIGINAL_HOST": "acme2.example",
}
TRUSTED = {**OPTIONS, "TRUSTED_PROXIES": ["10.0.0.0/8", "2001:db8::/32"]}


def find_answer(host: str | None, **environ) -> tuple[str, str] | None:
    status, _, body = Server().ask(host, **environ)
    if status != "200 OK":
        return None
    shown = json.loads(body)
    return shown["mirror"], shown["url"]


@pytest.mark.parametrize("use", [True, False], ids=["used", "unused"])
@pytest.mark.parametrize("options", [OPTIONS, TRUSTED], ids=["nobody", "some"])
@pytest.mark.parametrize("header", FORWARDED)
@pytest.mark.usefixtures("_quiet")
def test_what_a_stranger_forwards_counts_for_nothing(settings, header, options, use):
    settings.MIRRORS_OPTIONS = options
    settings.USE_X_FORWARDED_HOST = use

    found = find_answer("acme.example", **{header: FORWARDED[header]})

    assert found == ("acme", "http://acme.example/")


@pytest.mark.parametrize(
    "header", [name for name in FORWARDED if "FORWARDED_" not in name]
)
@pytest.mark.usefixtures("_quiet")
def test_only_one_header_of_a_trusted_proxy_names_the_host(settings, header):
    settings.MIRRORS_OPTIONS = TRUSTED

    found = find_answer(
        "acme.example", REMOTE_ADDR="10.1.2.3", **{header: FORWARDED[header]}
    )

    assert found == ("acme", "http://acme.example/")


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::9"])
@pytest.mark.usefixtures("_quiet")
def test_a_trusted_proxy_names_the_host(settings, address):
    settings.MIRRORS_OPTIONS = TRUSTED

    found = find_answer(
        "acme.example", REMOTE_ADDR=address, HTTP_X_FORWARDED_HOST="ACME2.example."
    )

    assert found == ("acme2", "http://acme2.example/")


@pytest.mark.parametrize(
    "address",
    [
        "11.1.2.3",
        "::ffff:11.1.2.3",
        "::10.1.2.3",
        "",
        "unix:",
        "10.1.2.3, 1.1.1.1",
        "10",
    ],
)
@pytest.mark.usefixtures("_quiet")
def test_an_address_that_is_not_of_a_trusted_proxy_forwards_nothing(settings, address):
    settings.MIRRORS_OPTIONS = TRUSTED

    found = find_answer("acme.example", REMOTE_ADDR=address, **FORWARDED)

    assert found == ("acme", "http://acme.example/")


@pytest.mark.usefixtures("_quiet")
def test_a_trusted_proxy_forwards_registered_hosts_only(settings, report_figure):
    settings.MIRRORS_OPTIONS = TRUSTED
    server = Server()

    wrong = [
        host
        for host in HOSTILE
        # Spaces around a value of a header are no part of it.
        for wire in [on_wire(host).strip()]
        for status, _, body in [
            server.ask(
                "acme.example", REMOTE_ADDR="10.1.2.3", HTTP_X_FORWARDED_HOST=wire
            )
        ]
        if (json.loads(body)["mirror"] if status == "200 OK" else None)
        != ORACLE.find(wire)
    ]

    report_figure("forwarded hosts", f"{len(HOSTILE):,} by hand; wrong {len(wrong)}")
    assert wrong == []


# Cached pages


@pytest.fixture
def pages(settings) -> dict[str, object]:
    """Return the entries of a cache that no other test uses."""
    location = uuid4().hex
    entries = locmem._caches.setdefault(location, OrderedDict())
    settings.CACHES = {
        "default": {
            "BACKEND": "django_mirrors.cache.MirrorCache",
            "OPTIONS": {
                "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
                "LOCATION": location,
            },
        }
    }
    visits.clear()
    return entries


def spell(host: str, number: int) -> str:
    return "".join(
        char.upper() if number >> place & 1 else char for place, char in enumerate(host)
    )


@pytest.mark.usefixtures("_quiet")
def test_sixty_four_spellings_of_a_host_are_one_page_of_the_cache(pages):
    server = Server()

    answers = {
        server.ask(spell("acme.example", number) + end, "/keep/")[2]
        for number in range(64)
        for end in ("", ".")
    }

    assert answers == {b"http://acme.example/keep/"}
    assert visits == ["acme.example"]
    assert sum(".cache_page." in key for key in pages) == 1
    assert sum(".cache_header." in key for key in pages) == 1


@pytest.mark.usefixtures("_quiet")
def test_no_host_that_is_refused_leaves_an_entry_in_the_cache(pages):
    server = Server()

    for host in INVALID_HOSTS:
        server.ask(on_wire(host), "/keep/")

    assert visits == []
    assert not pages


@pytest.mark.usefixtures("_quiet")
def test_a_kept_page_is_shown_to_its_own_mirror_only(pages):
    server = Server()
    server.ask("acme.example", "/keep/")

    answer = server.ask("acme2.example", "/keep/")[2]

    assert answer == b"http://acme2.example/keep/"
    assert visits == ["acme.example", "acme2.example"]


# Redirects

ALIASES = ("www.acme.example.com", "any.shop.example.com", "acme.example", "192.0.2.1")
PATH_PIECES = (
    "/", "//", "///", "\\", "/\\", "\\/", "@", ":", ":80", "?", "#", ";", "..", ".",
    "/../", "/./", "%2f", "%5c", "%0d%0a", "\r\n", "\n", "\r", "\t", "\x00", "\x0b",
    "%00", "%2e%2e", "%", "%zz", "%25", "evil.example", "//evil.example", "http:",
    "https://", "http://evil.example", "javascript:", "user@", "[::1]", "[", "]", "*",
    "\xe9", "\xc3\xbc", "\xff", "\x85", "\xa0", "\xe2\x80\xae", "\xef\xbc\x8f",
    "\xe3\x80\x82", "<script>", '"', "\'", "`", "|", "^", "{}", " ", "+", "a",
    "Set-Cookie:", "\r\nLocation: //evil.example", ".evil.example", "acme2.example",
)  # fmt: skip
KEPT = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    "-._~!$&'()*+,;=:@/?%[]"
)
PRIMARY = "acme.example.com"


@pytest.fixture
def _redirecting(settings):
    settings.MIRRORS = {
        **MIRRORS,
        "acme": {**MIRRORS["acme"], "REDIRECT_ALIASES": True},
    }


def generate_text(chance: random.Random) -> str:
    pieces = chance.choices(PATH_PIECES, k=chance.randint(0, 6))
    if chance.random() < 0.2:
        pieces.append("".join(chr(chance.randrange(256)) for _ in range(8)))
    return "".join(pieces)


def judge_redirect(server: Server, chance: random.Random) -> str | None:
    """Return what is wrong with where a generated request is sent to, or None."""
    target, query = generate_text(chance), generate_text(chance)
    if chance.random() < 0.7:
        target = f"/{target}"
    port = chance.choice((None, 80, 443, 8000))
    scheme = chance.choice(("http", "https"))
    authority = chance.choice(ALIASES) + ("" if port is None else f":{port}")
    status, headers, body = server.ask(
        spell(authority, chance.getrandbits(16)),
        target,
        QUERY_STRING=query,
        REQUEST_METHOD=chance.choice(("GET", "POST", "PUT", "DELETE", "HEAD")),
        **{"wsgi.url_scheme": scheme},
    )
    said = dict(headers)
    location = said.get("Location", "")
    shown = f"{authority!r} {target!r} {query!r} -> {location!r}"
    netloc = PRIMARY if port is None else f"{PRIMARY}:{port}"
    goal = Goal(scheme, PRIMARY, port or {"http": 80, "https": 443}[scheme])
    if status != "308 Permanent Redirect" or body or set(said) - KNOWN_HEADERS:
        return f"answer: {status} {shown}"
    if urlsplit(location).netloc != netloc:
        return f"leaves, by urlsplit: {shown}"
    if find_goal(location, base=Goal("http", authority, 80)) != goal:
        return f"leaves, in a browser: {shown}"
    problem = find_change(location, target, query)
    return f"{problem}: {shown}" if problem else None


def find_change(location: str, target: str, query: str) -> str | None:
    """Return what of the request was not kept, or None."""
    if not location.isascii() or not location.isprintable() or " " in location:
        return "header"
    kept = urlsplit(location).query
    if unquote_to_bytes(kept) != unquote_to_bytes(query.encode("latin-1")):
        return "query"
    if KEPT.issuperset(query) and location.partition("?")[2] != query:
        return "query is spelled otherwise"
    path = unquote_to_bytes(urlsplit(location).path)
    if is_plain_path(target) and path != target.encode("latin-1"):
        return "path"
    return None


KNOWN_HEADERS = {"Location", "Cache-Control", "Content-Type", "Content-Length"}


def is_plain_path(target: str) -> bool:
    # Django reads others in its own way: it quotes the bytes that are no UTF-8.
    try:
        target.encode("latin-1").decode()
    except UnicodeDecodeError:
        return False
    return target.startswith("/")


@pytest.mark.usefixtures("_quiet", "_redirecting")
def test_no_request_is_redirected_off_the_registry(report_figure, sql):
    count, seed, server = scaled(10_000), get_seed(9110), Server()
    chance = random.Random(seed)

    wrong = [found for _ in range(count) if (found := judge_redirect(server, chance))]

    kinds = Counter(item.partition(":")[0].partition(",")[0] for item in wrong)
    report_figure(
        "redirects of aliases",
        f"{count:,}; off the registry {kinds['leaves']}, "
        f"otherwise wrong {len(wrong) - kinds['leaves']}",
    )
    assert wrong[:10] == [], f"seed {seed}"
    assert sql == []


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("//evil.example/", "evil.example"),
        ("/\\evil.example", "evil.example"),
        ("\\\\evil.example", "evil.example"),
        ("/\t/evil.example", "evil.example"),
        ("http:\\\\evil.example", "evil.example"),
        ("http:evil.example", "evil.example"),
        ("http://acme.example@evil.example/", "evil.example"),
        ("http://acme.example\\@evil.example/", "acme.example"),
        ("http://evil.example\\.acme.example/", "evil.example"),
        ("http://%65vil.example:80/", "evil.example"),
        ("http://evil\uff0eexample/", "evil.example"),
        ("/path//evil.example", "page.example"),
        ("?//evil.example", "page.example"),
    ],
)
def test_the_browser_of_these_tests_is_led_away_as_a_real_one(location, host):
    goal = find_goal(location, base=Goal("http", "page.example", 80))

    assert goal == Goal("http", host, 80)


# Origins of forms

TRUSTING = {
    **MIRRORS,
    "acme": {**MIRRORS["acme"], "TRUSTED_ORIGINS": ["https://app.acme.example"]},
}


def build_secret(host: str) -> str:
    """Return a secret that the mirror of the host accepts, as its pages would."""
    mirror = mirrors.find_for_host(host)
    if mirror is None:
        return "t" * 32
    request = RequestFactory().get("/")
    with use_mirror(mirror):
        get_token(request)
    return request.META["CSRF_COOKIE"]


def post(host: str, *, secure: bool = True, **headers: str) -> int:
    client, secret = Client(enforce_csrf_checks=True), build_secret(host)
    client.cookies["csrftoken"] = secret
    given = {"host": host, "x-csrftoken": secret, **headers}
    return client.post("/form/", headers=given, secure=secure).status_code


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("acme.example", "https://app.acme.example", 200),
        ("acme2.example", "https://app.acme.example", 403),
        ("example.com", "https://app.acme.example", 403),
        ("acme.example", "http://app.acme.example", 403),
        ("acme.example", "https://acme.example", 200),
        ("acme.example", "https://acme.example.com", 200),
        ("acme2.example", "https://acme.example", 403),
        ("acme.example", "https://acme2.example", 403),
        ("acme.example", "https://b.shop.example.com", 403),
        ("acme.example", "https://a.shop.example.com", 403),
        ("acme.example", "https://acme.example.evil.example", 403),
        ("acme.example", "https://xacme.example", 403),
        ("acme.example", "null", 403),
    ],
)
def test_a_form_is_accepted_from_the_mirrors_own_origins_only(
    settings, host, origin, status
):
    settings.MIRRORS = TRUSTING

    assert post(host, origin=origin) == status


@pytest.mark.parametrize(
    ("host", "referer", "status"),
    [
        ("acme.example", "https://app.acme.example/page", 200),
        ("acme2.example", "https://app.acme.example/page", 403),
        ("acme2.example", "https://acme.example/page", 403),
        ("acme2.example", "https://acme2.example/page", 200),
    ],
)
def test_a_page_that_refers_is_judged_as_an_origin(settings, host, referer, status):
    settings.MIRRORS = TRUSTING

    assert post(host, referer=referer) == status


def test_origins_of_one_request_are_not_kept_for_the_next(settings):
    settings.MIRRORS = TRUSTING

    statuses = [
        post(host, origin="https://app.acme.example")
        for host in ("acme.example", "acme2.example") * 3
    ]

    assert statuses == [200, 403] * 3


def test_a_mirror_added_at_run_time_accepts_forms_of_its_own_origin(settings):
    before = post("new.example", origin="https://new.example")
    settings.MIRRORS = {
        **MIRRORS,
        "new": {"HOSTS": ["new.example", "www.new.example"], "STATE": "active"},
    }

    assert before == 404
    assert post("new.example", origin="https://new.example") == 200
    assert post("new.example", origin="https://www.new.example") == 200
    assert post("acme.example", origin="https://new.example") == 403
