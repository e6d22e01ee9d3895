"""A server with forked workers, each on a port of its own; or a change by the ORM.

Its `main` takes a command: `serve WORKERS`, `migrate` or `update NAME STATE`. The
application is built before the fork, as gunicorn's `preload` does. The directory and
the original's database come from the environment.
"""

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import dj_database_url
import django
from django.conf import settings
from django.db.backends.signals import connection_created
from django.http import HttpResponse, JsonResponse
from django.urls import path

from django_mirrors.db import mirror_databases

queries = Counter()  # by the name of the thread


def show(request):
    return HttpResponse(f"{request.mirror.name} {os.getpid()}")


def stats(request):
    return JsonResponse({"pid": os.getpid(), "queries": queries})


urlpatterns = [path("", show), path("stats/", stats)]


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class Handler(WSGIRequestHandler):
    def log_message(self, *args):
        pass


def configure():
    directory = Path(os.environ["SERVER_DIRECTORY"])
    original = dj_database_url.parse(os.environ["SERVER_DATABASE"])
    settings.configure(
        BASE_DIR=directory,
        SECRET_KEY="only for tests",
        ROOT_URLCONF="tests.registry.server",
        USE_TZ=True,
        INSTALLED_APPS=["django_mirrors"],
        MIDDLEWARE=["django_mirrors.middleware.MirrorMiddleware"],
        DATABASES=mirror_databases({"default": original}),
        DATABASE_ROUTERS=["django_mirrors.db.MirrorRouter"],
        MIRRORS={"books": {"HOSTS": ["books.example"], "STATE": "active"}},
        MIRRORS_OPTIONS={"ORIGINAL": {"HOSTS": ["original.example"]}},
    )
    connection_created.connect(trace)
    django.setup()


def trace(connection, **_):
    """Count what a thread asks of the original, if that is an SQLite database."""
    if connection.vendor == "sqlite":
        name = threading.current_thread().name
        connection.connection.set_trace_callback(
            lambda statement: queries.update([name])
        )


def tell(value):
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def serve(workers):
    from django.core.wsgi import get_wsgi_application

    from django_mirrors import registry

    registry._START_SECONDS = float(os.environ.get("SERVER_START_SECONDS", "10"))
    began = time.monotonic()
    application = get_wsgi_application()
    seconds = time.monotonic() - began
    servers = [Server(("127.0.0.1", 0), Handler) for _ in range(workers)]
    children = []
    for server in servers:
        server.set_app(application)
        child = os.fork()
        if child == 0:
            server.serve_forever()
        children.append(child)
    ports = [server.server_port for server in servers]
    tell({"ports": ports, "children": children, "seconds": seconds})
    # Until the pipe from the tests ends, however they end.
    sys.stdin.read()
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def update(name, state):
    from django_mirrors import use_original
    from django_mirrors.models import MirrorRecord

    with use_original():
        MirrorRecord.objects.filter(name=name).update(state=state)
    tell(time.time())


def migrate():
    from django.core.management import call_command

    from django_mirrors import use_original

    with use_original():
        call_command("migrate", verbosity=0)


def main(command, *arguments):
    configure()
    if command == "serve":
        serve(int(arguments[0]))
    elif command == "update":
        update(*arguments)
    else:
        migrate()
