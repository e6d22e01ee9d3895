"""What a pool does with connections that break, fall silent, or are a parent's."""

import gc
import os
import socket
import threading
from time import monotonic, sleep

import pytest
from django.utils.module_loading import import_string

from django_mirrors.options import PoolConf
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


OTHER = b"SET search_path TO nowhere"
ROOMY = PoolConf(max_size=4, timeout=1, max_idle=600, max_lifetime=3600)


def change(connection):
    """Change what a session holds, and tell nobody."""
    connection.execute("SET application_name TO 'changed'")


def get_name(connection):
    return connection.execute("SHOW application_name").fetchone()[0]


@pytest.fixture
def sent(monkeypatch):
    """What was sent to set sessions up."""
    noted, send = [], pools._send

    def note(connection, sql):
        noted.append(sql)
        send(connection, sql)

    monkeypatch.setattr(pools, "_send", note)
    return noted


def test_clean_session_is_used_as_it_is(pool, sent):
    taken = pool.take(SETUP, connect, CONF)
    pool.give_back(taken, SETUP, is_clean=True)

    assert pool.take(SETUP, connect, CONF) is taken
    assert sent == [SETUP]
    pool.drop(taken)


def test_session_called_clean_is_reset_for_another_setup(pool):
    taken = pool.take(SETUP, connect, CONF)
    change(taken)
    pool.give_back(taken, SETUP, is_clean=True)

    assert pool.take(OTHER, connect, CONF) is taken
    assert get_name(taken) not in ("changed", "pooled")
    pool.drop(taken)


def test_session_called_clean_is_reset_after_a_second(pool, monkeypatch):
    monkeypatch.setattr(pools, "_FRESH_SECONDS", 0.05)
    taken = pool.take(SETUP, connect, CONF)
    change(taken)
    pool.give_back(taken, SETUP, is_clean=True)
    sleep(0.1)

    assert pool.take(SETUP, connect, CONF) is taken
    assert get_name(taken) == "pooled"
    pool.drop(taken)


def test_second_is_counted_from_the_setup_and_not_from_the_last_use(pool, monkeypatch):
    monkeypatch.setattr(pools, "_FRESH_SECONDS", 0.2)
    taken = pool.take(SETUP, connect, CONF)
    change(taken)
    for _ in range(5):
        pool.give_back(taken, SETUP, is_clean=True)
        sleep(0.06)
        pool.take(SETUP, connect, CONF)

    assert get_name(taken) == "pooled"
    pool.drop(taken)


def test_setup_is_fresh_again_after_it_was_repeated(pool, sent, monkeypatch):
    monkeypatch.setattr(pools, "_FRESH_SECONDS", 0.3)
    taken = pool.take(SETUP, connect, CONF)
    pool.give_back(taken, SETUP, is_clean=True)
    sleep(0.4)
    pool.take(SETUP, connect, CONF)
    pool.give_back(taken, SETUP, is_clean=True)
    pool.take(SETUP, connect, CONF)

    assert len(sent) == 2
    pool.drop(taken)


def test_session_in_a_transaction_is_never_clean(pool):
    taken = pool.take(SETUP, connect, CONF)
    taken.autocommit = False
    taken.execute("SET application_name TO 'changed'")
    pool.give_back(taken, SETUP, is_clean=True)

    assert pool.take(SETUP, connect, CONF) is taken
    assert taken.info.transaction_status.name == "IDLE"
    taken.autocommit = True
    assert get_name(taken) == "pooled"
    pool.drop(taken)


def test_refused_setup_leaves_a_clean_session_to_those_of_before(pool, sent):
    taken = pool.take(SETUP, connect, CONF)
    pool.give_back(taken, SETUP, is_clean=True)
    with pytest.raises(pools.SetupRefused):
        pool.take(b"SELECT 'nowhere'::regnamespace", connect, CONF)

    assert pool.take(SETUP, connect, CONF) is taken
    assert get_name(taken) == "pooled"
    pool.drop(taken)


def test_clean_session_whose_server_ended_it_is_replaced(pool):
    taken = pool.take(SETUP, connect, CONF)
    pool.give_back(taken, SETUP, is_clean=True)
    end(taken.info.backend_pid)
    sleep(0.1)

    other = pool.take(SETUP, connect, CONF)
    assert other is not taken
    assert get_name(other) == "pooled"
    pool.drop(other)


def test_half_of_a_pool_may_be_kept(pool):
    taken = [pool.take(SETUP, connect, ROOMY) for _ in range(4)]

    assert [bool(pool.keep(item, ROOMY)) for item in taken] == [True] * 2 + [False] * 2
    assert pool.keep(taken[0], ROOMY)
    pool.give_back(taken[0], SETUP)
    assert pool.keep(taken[2], ROOMY)
    pool.drop(taken[2])
    assert pool.keep(taken[3], ROOMY)
    for item in (taken[1], taken[3]):
        pool.drop(item)


def test_connection_that_was_lost_with_its_thread_is_not_kept(pool, monkeypatch):
    monkeypatch.setattr(pools, "_FRESH_SECONDS", 60)  # to collect garbage may take long
    taken = [pool.take(SETUP, connect, ROOMY) for _ in range(3)]
    assert [bool(pool.keep(item, ROOMY)) for item in taken] == [True, True, False]
    taken.pop(0).close()
    gc.collect()

    assert pool.keep(taken[1], ROOMY)
    for item in taken:
        pool.drop(item)


def test_kept_connection_must_be_set_up_again_after_a_second(pool, monkeypatch):
    monkeypatch.setattr(pools, "_FRESH_SECONDS", 0.2)
    taken = pool.take(SETUP, connect, ROOMY)
    until = pool.keep(taken, ROOMY)
    assert pool.may_stay(until)
    assert pool.is_ready(taken, until)
    sleep(0.3)

    assert pool.keep(taken, ROOMY) is None
    assert not pool.may_stay(until)
    assert not pool.is_ready(taken, until)
    pool.drop(taken)


def test_kept_connection_that_is_closed_is_not_ready(pool):
    taken = pool.take(SETUP, connect, ROOMY)
    until = pool.keep(taken, ROOMY)
    taken.close()

    assert not pool.is_ready(taken, until)
    pool.drop(taken)


def test_kept_connection_whose_server_ended_it_is_not_ready(pool):
    taken = pool.take(SETUP, connect, ROOMY)
    until = pool.keep(taken, ROOMY)
    end(taken.info.backend_pid)
    sleep(0.1)

    assert not pool.is_ready(taken, until)
    pool.drop(taken)


def test_kept_connection_is_not_the_childs(pool, monkeypatch):
    taken = pool.take(SETUP, connect, ROOMY)
    until = pool.keep(taken, ROOMY)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        assert pool.keep(taken, ROOMY) is None
        assert not pool.is_ready(taken, until)
    pool.drop(taken)


def test_pool_is_full_if_who_asks_has_to_wait(pool):
    assert not pool.is_full(CONF)
    taken = pool.take(SETUP, connect, CONF)
    assert pool.is_full(CONF)
    pool.give_back(taken, SETUP)
    assert not pool.is_full(CONF)


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
