"""What the middleware adds to a request, by the number of mirrors.

    python -m tests.benchmarks.middleware [--sizes 10,1000,10000,100000]

Only the middleware runs, around a view that returns a response, and the same view runs
without it: the best of many rounds in the processor's time, which other work on the
machine disturbs least.
"""

import argparse
import asyncio
import gc
import io
import tempfile
from collections.abc import Awaitable, Callable
from itertools import cycle
from pathlib import Path
from time import process_time
from typing import Any

from django.conf import settings

ROUNDS = 60
COUNT = 500
HOSTS = {  # which host is asked, of mirror number n
    "a host of the index": "m{n}.example.com",
    "with a port": "m{n}.example.com:8000",
    "in upper case, with a dot": "M{n}.Example.Com.",
    "by a wildcard": "any.w{n}.example.com",
}


def configure() -> None:
    """Configure Django with the middleware alone."""
    from django_mirrors.db import mirror_databases

    sqlite = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    settings.configure(
        SECRET_KEY="benchmark",
        INSTALLED_APPS=["django_mirrors"],
        DATABASES=mirror_databases({"default": sqlite}),
        BASE_DIR=Path(tempfile.gettempdir()),
        MIRRORS_OPTIONS={"RECORDS": False, "SNAPSHOT": None},
    )
    import django

    django.setup()


def use_fleet(size: int) -> None:
    """Serve `size` mirrors."""
    from django_mirrors.conf import forget_conf
    from django_mirrors.registry import mirrors

    settings.MIRRORS = {
        f"m{n}": {
            "HOSTS": [f"m{n}.example.com", f"*.w{n}.example.com"],
            "DATABASE": f"sqlite:///m{n}.sqlite3",
            "STATE": "active",
        }
        for n in range(size)
    }
    forget_conf()
    mirrors.forget()
    mirrors.watch()


def build_requests(host: str, size: int) -> list[Any]:
    """Return new requests for mirrors spread over the fleet."""
    from django.core.handlers.wsgi import WSGIRequest

    numbers = cycle(range(0, size, max(1, size // COUNT)))
    return [
        WSGIRequest(
            {
                "REQUEST_METHOD": "GET",
                "PATH_INFO": "/",
                "HTTP_HOST": host.format(n=next(numbers)),
                "SERVER_NAME": "127.0.0.1",
                "SERVER_PORT": "80",
                "REMOTE_ADDR": "127.0.0.1",
                "wsgi.input": io.BytesIO(),
                "wsgi.url_scheme": "http",
            }
        )
        for _ in range(COUNT)
    ]


def view(request: Any) -> Any:
    """Return a small response."""
    from django.http import HttpResponse

    return HttpResponse(b"ok")


async def view_async(request: Any) -> Any:
    """See view()."""
    return view(request)


def time_sync(answer: Callable[[Any], Any], host: str, size: int) -> float:
    """Return the best time of one request, in seconds."""
    best = float("inf")
    for _ in range(ROUNDS):
        requests = build_requests(host, size)
        began = process_time()
        for request in requests:
            answer(request).close()
        best = min(best, process_time() - began)
    return best / COUNT


def time_async(answer: Callable[[Any], Awaitable[Any]], host: str, size: int) -> float:
    """See time_sync()."""

    async def ask(requests: list[Any]) -> float:
        began = process_time()
        for request in requests:
            (await answer(request)).close()
        return process_time() - began

    best = float("inf")
    for _ in range(ROUNDS):
        best = min(best, asyncio.run(ask(build_requests(host, size))))
    return best / COUNT


def main() -> None:
    """Print what the middleware adds, by size and host."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", default="10,1000,10000,100000")
    sizes = [int(size) for size in parser.parse_args().sizes.split(",")]
    configure()
    from django_mirrors.middleware import MirrorMiddleware

    print(f"{'':38}{'WSGI':>12}{'ASGI':>12}")
    for size in sizes:
        use_fleet(size)
        gc.collect()
        gc.freeze()
        for title, host in HOSTS.items():
            added = time_sync(MirrorMiddleware(view), host, size)
            added -= time_sync(view, host, size)
            added_async = time_async(MirrorMiddleware(view_async), host, size)
            added_async -= time_async(view_async, host, size)
            print(
                f"{size:>8} mirrors, {title:20.20}"
                f"{added * 1e6:+9.1f} us{added_async * 1e6:+9.1f} us",
                flush=True,
            )


if __name__ == "__main__":
    main()
