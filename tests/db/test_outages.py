"""A server that is silent costs its own mirrors a quick 503, and heals."""

import selectors
import socket
import threading
from time import monotonic, sleep
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from django.db import connection, connections, transaction
from django.test import Client

from django_mirrors import use_mirror
from django_mirrors.db.breaker import breaker
from django_mirrors.exceptions import MirrorUnavailable
from django_mirrors.testing import no_mirror
from tests.bookshop.models import Book
from tests.conftest import POSTGRES_URL, run_on_server

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.parametrize(
        "engine",
        [
            pytest.param("postgres", marks=pytest.mark.postgres),
            pytest.param("postgres-schema", marks=pytest.mark.postgres),
        ],
        indirect=True,
    ),
]


class Proxy:
    """Passes on what clients and the server say, unless it is held."""

    def __init__(self) -> None:
        server = urlsplit(POSTGRES_URL)
        self._target = (server.hostname or "127.0.0.1", server.port or 5432)
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self._listening.getsockname()[1]
        self._open: list[socket.socket] = []
        self._free = threading.Event()
        self._free.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self) -> None:
        self._free.clear()

    def release(self) -> None:
        self._free.set()

    def close(self) -> None:
        self.release()
        self._listening.close()
        for item in self._open:
            item.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._free.wait()
        try:
            server = socket.create_connection(self._target)
            self._open += [client, server]
            with selectors.DefaultSelector() as selector:
                selector.register(client, selectors.EVENT_READ, server)
                selector.register(server, selectors.EVENT_READ, client)
                while True:
                    for key, _ in selector.select():
                        data = key.fileobj.recv(65536)
                        self._free.wait()
                        if not data:
                            raise OSError
                        key.data.sendall(data)
        except (OSError, ValueError):
            client.close()


@pytest.fixture
def proxy(fleet, settings):
    """Lets `books` reach its server through a proxy; `films` goes there directly."""
    made = Proxy()
    url = settings.MIRRORS["books"]["DATABASE"]
    netloc = urlsplit(url).netloc
    user = netloc.rpartition("@")[0]
    settings.MIRRORS = {
        **settings.MIRRORS,
        "books": {
            **settings.MIRRORS["books"],
            "DATABASE": url.replace(netloc, f"{user}@127.0.0.1:{made.port}"),
        },
    }
    breaker.forget()
    yield made
    made.close()
    breaker.forget()


def ask(name):
    """Return status and seconds of a request, after which connections are closed."""
    with no_mirror():
        began = monotonic()
        response = Client().get("/titles/", headers={"host": f"{name}.example"})
        seconds = monotonic() - began
        connections[name].close()
    return response.status_code, seconds


def test_silent_server_costs_its_own_mirror_alone_and_heals(proxy):
    assert ask("books")[0] == ask("films")[0] == 200
    sleep(1.2)  # a connection that is idle for a second is asked before it is used
    proxy.hold()

    status, first = ask("books")
    later = [ask("books") for _ in range(20)]
    others = [ask("films") for _ in range(20)]

    assert status == 503
    assert first < 4  # 2.5 on a machine that does nothing else
    assert {code for code, _ in later} == {503}
    assert sorted(seconds for _, seconds in later)[10] < 0.1
    assert {code for code, _ in others} == {200}
    proxy.release()
    began = monotonic()
    while ask("books")[0] != 200:
        assert monotonic() - began < 15
        sleep(0.1)


def test_server_that_begins_to_answer_late_is_used_again(proxy):
    proxy.hold()
    assert ask("books")[0] == 503
    proxy.release()

    sleep(1.2)  # as long as nobody tries after a first failure

    assert ask("books")[0] == 200


def test_statement_that_a_silent_server_took_is_given_up(proxy):
    with use_mirror("books"):
        Book.objects.count()
        proxy.hold()
        began = monotonic()
        with pytest.raises(MirrorUnavailable) as caught:
            Book.objects.count()
        seconds = monotonic() - began
        connection.close()
    with use_mirror("films"):
        Book.objects.count()

    assert seconds < 4.5  # 2.3 on a machine that does nothing else
    assert str(caught.value) == (
        "The connection to the database of mirror 'books' was lost (Silent), and what "
        "was not committed is not written. Check that its server runs, and try again."
    )


def test_transaction_that_a_silent_server_took_is_given_up(proxy):
    with use_mirror("books"), pytest.raises(MirrorUnavailable):
        with transaction.atomic():
            Book.objects.count()
            proxy.hold()
    with use_mirror("books"):
        assert not connection.in_atomic_block
        connection.close()


def test_statement_that_takes_long_is_not_given_up(proxy):
    with use_mirror("books"), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(2.8), 7")
        assert cursor.fetchone()[1] == 7


def test_connection_of_before_the_silence_is_not_used(proxy):
    with use_mirror("books"):
        Book.objects.count()
        proxy.hold()
        thread = threading.Thread(target=ask, args=["books"])
        thread.start()
        thread.join()
        began = monotonic()
        with pytest.raises(MirrorUnavailable, match="not tried again"):
            Book.objects.count()

        assert monotonic() - began < 0.5


def test_connection_that_the_server_ended_makes_the_mirror_unavailable(fleet):
    with use_mirror("books"):
        with (
            connection.cursor() as cursor,
            pytest.raises(MirrorUnavailable, match=r"was lost \(AdminShutdown\)"),
        ):
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        connection.close()


@pytest.fixture
def logins(fleet, settings):
    """Two users that may log in, and act on everything."""
    names = tuple(f"dm_login_{uuid4().hex[:8]}" for _ in range(2))
    for name in names:
        run_on_server(f"CREATE ROLE {name} LOGIN SUPERUSER PASSWORD 'hidden'")
    yield names
    for name in ("books", "films"):
        connections[name].close()
    for name in names:
        run_on_server(f"DROP ROLE {name}")


def test_credentials_are_replaced_without_a_failed_request(fleet, settings, logins):
    url = settings.MIRRORS["books"]["DATABASE"]
    server = urlsplit(url)

    def log_in_as(name):
        netloc = f"{name}:hidden@{server.hostname}:{server.port or 5432}"
        settings.MIRRORS = {
            **settings.MIRRORS,
            "books": {
                **settings.MIRRORS["books"],
                "DATABASE": url.replace(server.netloc, netloc),
            },
        }

    stopped, users, failures = threading.Event(), [], []

    def work():
        try:
            while not stopped.is_set():
                with use_mirror("books"):
                    Book.objects.count()
                    with connection.cursor() as cursor:
                        cursor.execute("SELECT session_user::text")
                        users.append(cursor.fetchone()[0])
                connections["books"].close_if_unusable_or_obsolete()
        except Exception as error:  # noqa: BLE001 - any is a failed request
            failures.append(error)
        finally:
            connections.close_all()

    log_in_as(logins[0])
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    sleep(0.5)
    log_in_as(logins[1])
    sleep(2)  # what a process may need to see the change
    run_on_server(f"ALTER ROLE {logins[0]} NOLOGIN")
    begun = len(users)
    sleep(1)
    stopped.set()
    for thread in threads:
        thread.join(20)

    assert failures == []
    assert users[0] == logins[0]
    assert len(users) > begun
    assert set(users[begun + len(threads) :]) == {logins[1]}
