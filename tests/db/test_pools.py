"""What a pool does with connections that break, fall silent, or are a parent's."""

import os
import socket
import threading
from time import monotonic

import pytest
from django.utils.module_loading import import_string

from django_mirrors.conf import PoolConf
from tests.plugins.services import get_postgres_url

psycopg = pytest.importorskip("psycopg")
pools = pytest.importorskip("django_mirrors.db.pools")
pytestmark = pytest.mark.postgres

CONF = PoolConf(max_size=1, timeout=1, max_idle=600, max_lifetime=3600)
SETUP = b"SET application_name TO 'pooled'"


def connect():
    return psycopg.connect(get_postgres_url(), autocommit=True)


@pytest.fixture
def pool(monkeypatch):
    made = pools.Pool()
    monkeypatch.setattr(pools, "_abandoned", [])
    yield made
    made.prune()


def end(pid):
    with connect() as own:
        own.execute("SELECT pg_terminate_backend(%s)", [pid])
        while own.execute(
            "SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid]
        ).fetchone():
            pass


def test_connection_that_broke_in_use_is_dropped(pool):
    taken = pool.take(SETUP, connect, CONF)
    end(taken.info.backend_pid)
    with pytest.raises(psycopg.OperationalError):
        taken.execute("SELECT 1")

    pool.give_back(taken, SETUP)

    assert pool.count() == (0, 0)
    assert taken.closed


def test_connection_whose_end_was_not_noticed_yet_is_replaced(pool):
    taken = pool.take(SETUP, connect, CONF)
    end(taken.info.backend_pid)

    pool.give_back(taken, SETUP)

    other = pool.take(SETUP, connect, CONF)
    assert other.info.backend_pid != taken.info.backend_pid
    assert pool.count() == (1, 0)
    pool.drop(other)


def test_connection_that_cannot_be_told_anything_is_dropped(pool, monkeypatch):
    taken = pool.take(SETUP, connect, CONF)

    def fail(connection, sql):
        raise psycopg.OperationalError("no memory")

    with monkeypatch.context() as patch:
        patch.setattr(pools, "_send", fail)
        pool.give_back(taken, SETUP)

    assert pool.count() == (0, 0)
    assert taken.closed


def test_setup_that_is_refused_leaves_no_connection_open(pool):
    opened = []

    def remember():
        opened.append(connect())
        return opened[-1]

    with pytest.raises(pools.SetupRefused, match="nowhere"):
        pool.take(b"SELECT 'nowhere'::regnamespace", remember, CONF)

    assert opened[0].closed
    assert pool.count() == (0, 0)


def test_connection_of_a_parent_is_left_alone(pool, monkeypatch):
    given, dropped = pool.take(SETUP, connect, CONF), connect()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        pool.give_back(given, SETUP)
        pool.drop(dropped)

    assert pools._abandoned == [given, dropped]
    assert not given.closed
    assert not dropped.closed
    pool.drop(given)
    dropped.close()


def test_pools_of_a_parent_are_not_pruned(monkeypatch):
    monkeypatch.setattr(pools, "_pools", {})
    pool = pools.get_pool("a server", CONF)
    pool.give_back(pool.take(SETUP, connect, CONF), SETUP)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        pools.prune_pools()
        assert pools.get_pool("a server", CONF) is not pool
    assert pool.count() == (0, 1)

    pools.prune_pools()

    assert pool.count() == (0, 0)


class Silencer:
    """A server in between, which passes nothing on while it is silent."""

    def __init__(self):
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.is_silent = threading.Event()
        self._sockets = []
        threading.Thread(target=self._accept, daemon=True).start()

    def connect(self):
        info = psycopg.conninfo.conninfo_to_dict(get_postgres_url())
        return psycopg.connect(
            **{**info, "host": "127.0.0.1", "port": self.port, "sslmode": "disable"},
            autocommit=True,
        )

    def close(self):
        for item in (self._listening, *self._sockets):
            item.close()

    def _accept(self):
        info = psycopg.conninfo.conninfo_to_dict(get_postgres_url())
        address = info.get("host", "127.0.0.1"), int(info.get("port", 5432))
        while True:
            try:
                client, _ = self._listening.accept()
                server = socket.create_connection(address)
            except OSError:
                return
            self._sockets += [client, server]
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source, target):
        while True:
            try:
                data = source.recv(1 << 16)
                if not self.is_silent.is_set():
                    target.sendall(data)
            except OSError:
                return
            if not data:
                return


@pytest.fixture
def silencer():
    made = Silencer()
    yield made
    made.close()


@pytest.mark.parametrize("later", [b"SET application_name TO 'other'", SETUP])
def test_server_that_falls_silent_is_given_up_in_time(pool, silencer, later):
    taken = pool.take(SETUP, silencer.connect, CONF)
    silencer.is_silent.set()
    pool.give_back(taken, SETUP)
    began = monotonic()

    with pytest.raises(pools.Silent):
        pool.take(later, silencer.connect, CONF)

    assert monotonic() - began < 5
    assert pool.count() == (0, 0)
    assert taken.closed


def test_server_that_falls_silent_after_it_answered_is_given_up_in_time(pool, silencer):
    taken = pool.take(SETUP, silencer.connect, CONF)
    pool.give_back(taken, SETUP)
    pools._settle(taken, monotonic() + 5)
    silencer.is_silent.set()

    with pytest.raises(pools.Silent):
        pool.take(b"SET application_name TO 'other'", silencer.connect, CONF)

    assert pool.count() == (0, 0)


def test_schemas_of_a_server_are_worked_on_without_the_pool(db):
    build = import_string("django_mirrors.db.schemas.build_schema_engine")
    from django.db.backends.base.base import NO_DB_ALIAS
    from django.db.backends.postgresql.base import DatabaseWrapper

    from tests.operations.databases.conftest import build_config

    config = {**build_config(get_postgres_url()), "SCHEMA": "public"}
    connection = build(DatabaseWrapper)(config, NO_DB_ALIAS)
    connection.ensure_connection()
    made = connection.connection
    assert not made.closed
    connection.close()
    assert made.closed
    connection.close_pool()


def test_setup_that_leaves_a_transaction_open_is_no_setup(pool):
    pool.give_back(pool.take(SETUP, connect, CONF), SETUP)

    with pytest.raises(psycopg.OperationalError, match="the connection was lost"):
        pool.take(b"BEGIN", connect, CONF)

    assert pool.count() == (0, 0)


def test_work_on_a_server_is_not_watched(db):
    build = import_string("django_mirrors.db.silence.build_watched_engine")
    from django.db.backends.base.base import NO_DB_ALIAS
    from django.db.backends.postgresql.base import DatabaseWrapper

    from tests.operations.databases.conftest import build_config

    connection = build(DatabaseWrapper)(build_config(get_postgres_url()), NO_DB_ALIAS)
    connection.ensure_connection()
    made = connection.connection

    assert "wait" not in vars(made)
    connection.close()
