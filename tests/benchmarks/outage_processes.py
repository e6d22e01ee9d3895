"""The server that is asked in an outage, and the proxy that makes one.

Both write their port, and then a line for each that they read.
"""

import asyncio
import json
import socket
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

THREADS = 16


class Server(WSGIServer):
    """Answers with a fixed number of threads, which keep their connections."""

    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._pool = ThreadPoolExecutor(THREADS)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Let the next free thread answer."""
        self._pool.submit(self._answer, request, client_address)

    def _answer(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except OSError:
            pass  # the client is gone
        finally:
            self.shutdown_request(request)


class Handler(WSGIRequestHandler):
    """Says nothing of each request."""

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def show(request: Any) -> Any:
    """Answer after one query."""
    from django.db import connection
    from django.http import HttpResponse

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()
    return HttpResponse("ok")


def serve(urls: list[str], age: int) -> None:
    """Serve a mirror for each of the databases."""
    from django.conf import settings
    from django.urls import path

    from django_mirrors.db import mirror_databases

    sqlite = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    settings.configure(
        SECRET_KEY="benchmark",
        ROOT_URLCONF=(path("", show),),
        USE_TZ=True,
        DATABASES=mirror_databases({"default": {**sqlite, "CONN_MAX_AGE": age}}),
        DATABASE_ROUTERS=["django_mirrors.db.MirrorRouter"],
        INSTALLED_APPS=["django_mirrors"],
        MIDDLEWARE=["django_mirrors.middleware.MirrorMiddleware"],
        BASE_DIR=Path(tempfile.gettempdir()),
        LOGGING_CONFIG=None,
        MIRRORS={
            f"t{number}": {
                "HOSTS": [f"h{number}.example.com"],
                "DATABASE": url,
                "STATE": "active",
            }
            for number, url in enumerate(urls)
        },
        MIRRORS_OPTIONS={"SNAPSHOT": None, "RECORDS": False},
    )
    import logging

    import django

    logging.disable(logging.CRITICAL)
    django.setup()
    from django.core.wsgi import get_wsgi_application

    with Server(("127.0.0.1", 0), Handler) as server:
        server.set_app(get_wsgi_application())
        print(server.server_port, flush=True)
        server.serve_forever()


class Proxy:
    """Passes on what clients and a server say, in the way it is told."""

    def __init__(self, target: list[Any], late: float) -> None:
        self._target = target
        self._late = late
        self._delay = 0.0
        self._free = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._deaf: list[socket.socket] = []
        self.port = 0

    async def change(self, way: str) -> None:
        """Behave in this way from now on."""
        self._delay = self._late if way == "late" else 0
        if way in ("gone", "silent"):
            self._free.clear()
        else:
            self._free.set()
        for item in self._deaf:
            item.close()
        self._deaf.clear()
        if way in ("refuse", "gone"):
            self._stop_listening()
        elif self._server is None:
            await self._listen()
        if way == "refuse":
            for writer in [*self._open]:
                writer.transport.abort()
        if way == "gone":
            self._take_no_connection()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._pass_on, "127.0.0.1", self.port, backlog=128
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _take_no_connection(self) -> None:
        """Let attempts to connect get no answer at all: the queue for them is full."""
        listening = socket.create_server(("127.0.0.1", self.port), backlog=0)
        self._deaf.append(listening)
        for _ in range(8):
            client = socket.socket()
            client.settimeout(0.05)
            self._deaf.append(client)
            with suppress(OSError):
                client.connect(("127.0.0.1", self.port))

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._open.add(writer)
        try:
            await self._free.wait()
            there, back = await asyncio.open_connection(*self._target)
            self._open.add(back)
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
            self._open.discard(back)
        except OSError:
            writer.transport.abort()
        finally:
            self._open.discard(writer)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await asyncio.sleep(self._delay)
                await self._free.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


async def run_proxy(target: list[Any], late: float) -> None:
    """Do what the lines of the input say."""
    proxy = Proxy(target, late)
    await proxy.change("pass")
    print(proxy.port, flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        await proxy.change(line.strip())
        print("done", flush=True)


def main() -> None:
    """Run what the command line says."""
    kind, options = sys.argv[1], json.loads(sys.argv[2])
    if kind == "server":
        serve(**options)
    else:
        asyncio.run(run_proxy(**options))


if __name__ == "__main__":
    main()
