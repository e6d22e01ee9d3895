"""One process that answers requests in one way, and tells how long they took.

Reads one JSON command a line, `{"view": ..., "count": ...}`, and writes the seconds.
Settings come from the command line, so that bare Django never meets this package.
"""

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import dj_database_url
from django.conf import settings

VIEWS = ("plain", "query", "atomic")


def configure(
    target: str, mirrors: int, databases: list[str], age: int, schemas: int = 0
) -> list[str]:
    """Configure Django for `target`; return the hosts to ask.

    With `schemas`, the mirrors are in so many schemas of the first database.
    """
    original = dj_database_url.parse(databases[0], conn_max_age=age)
    options: dict[str, Any] = {
        "DEBUG": False,
        "SECRET_KEY": "benchmark",
        "ROOT_URLCONF": "tests.benchmarks.urls",
        "USE_TZ": True,
        "ALLOWED_HOSTS": ["h0.example.com"],
        "DATABASES": {"default": original},
        "INSTALLED_APPS": [],
        "MIDDLEWARE": [],
    }
    # Bare Django asks the same databases in turn, by aliases known from the start.
    hosts = [f"h{number}.example.com" for number in range(len(databases))]
    options["ALLOWED_HOSTS"] = hosts
    options["DATABASES"] |= {
        f"d{number}": dj_database_url.parse(url, conn_max_age=age)
        for number, url in enumerate(databases)
    }
    if target == "mirrors":
        from django_mirrors.db import mirror_databases

        hosts = [f"h{number}.example.com" for number in range(mirrors)]
        options |= {
            "ALLOWED_HOSTS": [],
            "DATABASES": mirror_databases({"default": original}),
            "DATABASE_ROUTERS": ["django_mirrors.db.MirrorRouter"],
            "INSTALLED_APPS": ["django_mirrors"],
            "MIDDLEWARE": ["django_mirrors.middleware.MirrorMiddleware"],
            "BASE_DIR": Path(tempfile.gettempdir()),
            "MIRRORS": {
                f"t{number}": {
                    "HOSTS": [host],
                    "DATABASE": databases[number % len(databases)],
                    "STATE": "active",
                    **({"SCHEMA": f"s{number % schemas}"} if schemas else {}),
                }
                for number, host in enumerate(hosts)
            },
            "MIRRORS_OPTIONS": {"SNAPSHOT": None, "RECORDS": False},
        }
    settings.configure(**options)
    import django

    django.setup()
    return hosts


def build_environ(host: str, view: str) -> dict[str, Any]:
    """Return what a WSGI server would pass."""
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": f"/{view}/",
        "QUERY_STRING": "",
        "HTTP_HOST": host,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.input": sys.stdin.buffer,
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
    }


def run_wsgi(handler: Any, hosts: list[str], view: str, count: int) -> float:
    """Return the seconds that `count` requests took, hosts in turn."""
    environs = [build_environ(hosts[n % len(hosts)], view) for n in range(count)]
    began = perf_counter()
    for environ in environs:
        response = handler(environ, lambda status, headers: None)
        response.close()
    seconds = perf_counter() - began
    assert response.status_code == 200, response.content
    return seconds


async def run_asgi(handler: Any, hosts: list[str], view: str, count: int) -> float:
    """See run_wsgi()."""
    status = []

    async def send(message: dict[str, Any]) -> None:
        status.append(message.get("status"))

    async def ask(scope: dict[str, Any]) -> None:
        messages = iter(({"type": "http.request", "body": b""},))

        async def receive() -> dict[str, Any]:
            for message in messages:
                return message
            await asyncio.sleep(3600)
            raise AssertionError

        await handler(scope, receive, send)

    scopes = [
        {
            "type": "http",
            "method": "GET",
            "path": f"/{view}/",
            "query_string": b"",
            "headers": [(b"host", hosts[n % len(hosts)].encode())],
            "http_version": "1.1",
        }
        for n in range(count)
    ]
    began = perf_counter()
    for scope in scopes:
        await ask(scope)
    seconds = perf_counter() - began
    assert status[0] == 200, status[:2]
    return seconds


def main() -> None:
    """Answer until the input ends."""
    options = json.loads(sys.argv[1])
    hosts = configure(
        options["target"],
        options["mirrors"],
        options["databases"],
        options["age"],
        options.get("schemas", 0),
    )
    hosts = hosts[: options["asked"]]
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application

    wsgi, asgi = get_wsgi_application(), get_asgi_application()
    # Garbage of start-up must not be collected while the clock runs.
    import gc

    gc.collect()
    gc.freeze()
    print(json.dumps({"pid": os.getpid()}), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        arguments = (hosts, command["view"], command["count"])
        if command["face"] == "asgi":
            seconds = asyncio.run(run_asgi(asgi, *arguments))
        else:
            seconds = run_wsgi(wsgi, *arguments)
        print(json.dumps(seconds), flush=True)


if __name__ == "__main__":
    main()
