"""Mirrors with a schema each in one PostgreSQL database, and connections in turn."""

import asyncio
import gc
import os
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured
from django.db import (
    ProgrammingError,
    close_old_connections,
    connection,
    connections,
    transaction,
)
from django.db.utils import InterfaceError, OperationalError
from django.test import Client
from django.utils.module_loading import import_string

from django_mirrors import bind_mirror, mirrors, use_mirror
from django_mirrors.exceptions import MirrorUnavailable
from django_mirrors.testing import no_mirror
from tests.bookshop.models import Book

psycopg = pytest.importorskip("psycopg")
prune_pools = import_string("django_mirrors.db.pools.prune_pools")

SCHEMAS = pytest.param("postgres-schema", marks=pytest.mark.postgres)
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.parametrize("engine", [SCHEMAS], indirect=True),
]


@pytest.fixture
def limit(settings, monkeypatch):
    """Return a function that sets the options of the pool, which is empty then."""

    def set_options(**options):
        connections.close_all()
        prune_pools()
        # Nor does it know of what threads of other tests may have in use.
        monkeypatch.setattr("django_mirrors.db.pools._pools", {})
        settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "POOL": options}

    yield set_options
    connections.close_all()
    prune_pools()


@pytest.fixture
def server(fleet):
    """A connection of our own to the database that holds the schemas."""
    with psycopg.connect(fleet.build_url(""), autocommit=True) as own:
        yield own


def ask(sql, parameters=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchone() if cursor.description else None


def get_pid():
    return ask("SELECT pg_backend_pid()")[0]


def get_path():
    return ask("SELECT current_schemas(false)::text[]")[0]


def list_pids(server, database):
    """Return who is connected, by themselves."""
    sql = "SELECT pid FROM pg_stat_activity WHERE datname = %s"
    return {pid for (pid,) in server.execute(sql, [database])}


def quote(schema):
    return '"{}"'.format(schema.replace('"', '""'))


def get_schema(name):
    return connections.settings[name]["SCHEMA"]


def end_request():
    """Do what Django does at the end of a request, and at the beginning of the next."""
    close_old_connections()
    close_old_connections()


def serve(*names):
    """Let the thread outlive a request of each of these mirrors, and read in it."""
    for name in names * 2:
        with use_mirror(name):
            Book.objects.count()
        end_request()


def leave(*names):
    """Give back what the thread has of these mirrors, as the end of a request does."""
    for name in names:
        connections[name].close()


def test_search_path_is_the_schema_alone(fleet):
    for name in ("books", "films"):
        with use_mirror(name):
            assert get_path() == [get_schema(name)]


def test_mirror_reads_no_table_that_is_not_its_own(fleet, server):
    server.execute("CREATE TABLE public.leaked (id int)")
    try:
        with use_mirror("books"), pytest.raises(ProgrammingError):
            ask("SELECT * FROM leaked")
    finally:
        server.execute("DROP TABLE public.leaked")


@pytest.mark.parametrize(
    "schema",
    ['a"b', "a'b", "a;b", "a b", "Ä€💡", "select", '"; DROP SCHEMA x; --', "%s", "\\"],
)
def test_schema_of_any_name_is_quoted(fleet, settings, server, schema):
    schema = f"{schema} {uuid4().hex[:8]}"
    server.execute(f"CREATE SCHEMA {quote(schema)}")
    settings.MIRRORS = {
        "odd": {
            "HOSTS": ["odd.example"],
            "DATABASE": fleet.build_url(""),
            "SCHEMA": schema,
        }
    }
    try:
        with use_mirror("odd"):
            assert ask("SELECT current_schema()") == (schema,)
            ask("CREATE TABLE made (id int)")
            assert connection.introspection.table_names() == ["made"]
            leave("odd")
            assert ask("SELECT current_schemas(false)") == ([schema],)
            leave("odd")
    finally:
        server.execute(f"DROP SCHEMA {quote(schema)} CASCADE")


def test_connection_goes_from_mirror_to_mirror(fleet, limit):
    limit(MAX_SIZE=2)
    with use_mirror("books"):
        Book.objects.create(title="Emma")
        first = get_pid()
    leave("books")

    with use_mirror("films"):
        assert get_pid() == first
        assert Book.objects.count() == 0


@pytest.fixture
def narrow(settings):
    """A thread that has one connection to a mirror at a time."""
    settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "MAX_OPEN_CONNECTIONS": 1}


def get_wrapper(name):
    """Return the connection after a use of it, as an object."""
    with use_mirror(name):
        assert get_path() == [get_schema(name)]
        return connections[name]


def test_connection_that_made_room_for_another_is_remembered(fleet, narrow):
    before = get_wrapper("books")
    get_wrapper("films")
    opened = connections.all(initialized_only=True)

    after = get_wrapper("books")

    assert after is before
    assert before not in opened


def test_connection_that_made_room_is_forgotten_if_its_mirror_changed(
    fleet, narrow, settings
):
    before = get_wrapper("books")
    get_wrapper("films")
    home = fleet.take()
    books = {**settings.MIRRORS["books"], **fleet.define(home)}
    settings.MIRRORS = {**settings.MIRRORS, "books": books}
    _ = mirrors["books"]

    after = get_wrapper("books")

    assert after is not before
    assert after.settings_dict["SCHEMA"] == home
    fleet.give_back(home)


def test_few_connections_that_made_room_are_remembered(fleet, narrow, monkeypatch):
    monkeypatch.setattr("django_mirrors.db.connections._MAX_PARKED", 0)
    before = get_wrapper("books")
    get_wrapper("films")

    assert get_wrapper("books") is not before


def test_thread_has_one_connection_for_all_mirrors(fleet, limit):
    limit(MAX_SIZE=1)

    pids = set()
    for name in ("books", "films", "books", "films"):
        with use_mirror(name):
            pids.add(get_pid())

    assert len(pids) == 1


STATES = [
    "SET search_path TO public",
    "SET TIME ZONE 'Asia/Tokyo'",
    "SET statement_timeout TO 12345",
    "SET default_transaction_read_only TO on",
    "SET application_name TO 'leaked'",
    "CREATE TEMP TABLE leaked (id int)",
    "LISTEN leaked",
    "PREPARE leaked AS SELECT 1",
    "SELECT pg_advisory_lock(4711)",
    "DECLARE leaked CURSOR WITH HOLD FOR SELECT 1",
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
]
LOOK = """
SELECT current_setting('search_path'), current_setting('TimeZone'),
    current_setting('statement_timeout'),
    current_setting('default_transaction_read_only'),
    current_setting('default_transaction_isolation'),
    current_setting('application_name'), current_user::text, session_user::text,
    (SELECT count(*) FROM pg_class WHERE relname = 'leaked'),
    (SELECT count(*) FROM pg_listening_channels()),
    (SELECT count(*) FROM pg_prepared_statements),
    (SELECT count(*) FROM pg_cursors WHERE name = 'leaked'),
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
        AND pid = pg_backend_pid())
"""


def run_raw(state):
    connection.ensure_connection()
    connection.connection.execute(state)


def run_in_driver(state):
    connection.ensure_connection()
    with connection.connection.cursor() as cursor:
        cursor.execute(state)


def run_with_others(state):
    ask(f"SELECT 1; {state}")


def run_in_transaction(state):
    with transaction.atomic():
        Book.objects.count()
        ask(state)


def run_as_bytes(state):
    ask(state.encode())


def run_composed(state):
    ask(psycopg.sql.SQL(state))


def run_after_a_comment(state):
    ask(f"/* SELECT 1 */ {state}")


def run_in_function(state):
    ask(
        "CREATE FUNCTION leak() RETURNS int LANGUAGE plpgsql "
        f"AS $$ BEGIN {state}; RETURN 1; END $$"
    )
    leave("books")
    ask("SELECT leak()")


def run_in_procedure(state):
    ask(
        "CREATE FUNCTION leak() RETURNS int LANGUAGE plpgsql "
        f"AS $$ BEGIN {state}; RETURN 1; END $$"
    )
    leave("books")
    with connection.cursor() as cursor:
        cursor.callproc("leak")


def run_by_trigger(state):
    ask(
        "CREATE FUNCTION leak() RETURNS trigger LANGUAGE plpgsql "
        f"AS $$ BEGIN {state}; RETURN NEW; END $$"
    )
    ask(
        "CREATE TRIGGER leak BEFORE INSERT ON bookshop_book "
        "FOR EACH ROW EXECUTE FUNCTION leak()"
    )
    leave("books")
    Book.objects.create(title="Emma")


def run_for_many(state):
    with connection.cursor() as cursor:
        cursor.executemany(state, [[], []])


RUNS = [
    ask,
    run_raw,
    run_in_driver,
    run_with_others,
    run_in_transaction,
    run_as_bytes,
    run_composed,
    run_after_a_comment,
    run_in_function,
    run_in_procedure,
    run_by_trigger,
    run_for_many,
]
ENDS = [
    pytest.param(leave, id="closed"),
    pytest.param(lambda *_: end_request(), id="ended"),
]


@pytest.fixture
def leaks(fleet, server):
    """Let a test make a function `leak`, which is gone after it."""
    schema = quote(get_schema("books"))
    yield
    leave("books", "films")
    server.execute(f"DROP FUNCTION IF EXISTS {schema}.leak CASCADE")


@pytest.mark.parametrize("other", ["films", "books"])
@pytest.mark.parametrize("state", STATES)
def test_nothing_of_a_session_reaches_the_next_one(fleet, limit, state, other):
    limit(MAX_SIZE=1)
    with use_mirror(other):
        clean = ask(LOOK)
    leave(other)
    with use_mirror("books"):
        ask(state)
        pid = get_pid()
    leave("books")

    with use_mirror(other):
        assert ask(LOOK) == clean
        assert get_pid() == pid


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("state", STATES)
def test_nothing_of_a_session_reaches_the_next_request(fleet, limit, state, end):
    limit(MAX_SIZE=4)
    with use_mirror("books"):
        clean = ask(LOOK)
        leave("books")
        serve("books")
        ask(state)
        end("books")

        assert ask(LOOK) == clean


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("run", RUNS)
def test_nothing_reaches_the_next_request_however_it_is_run(leaks, limit, run, end):
    limit(MAX_SIZE=4)
    serve("books")
    with use_mirror("books"):
        Book.objects.count()
        run("SET search_path TO public")
        end("books")

        assert get_path() == [get_schema("books")]


@pytest.mark.parametrize("run", RUNS)
def test_nothing_reaches_another_mirror_however_it_is_run(leaks, limit, run):
    limit(MAX_SIZE=1)
    with use_mirror("films"):
        clean = ask(LOOK)
    leave("films")
    with use_mirror("books"):
        run("SET application_name TO 'leaked'")
    leave("books")

    with use_mirror("films"):
        assert ask(LOOK) == clean


def test_last_value_of_a_sequence_does_not_reach_the_next_request(fleet, limit):
    limit(MAX_SIZE=4)
    serve("books")
    with use_mirror("books"):
        Book.objects.create(title="Emma")
        end_request()

        with pytest.raises(OperationalError, match="lastval"):
            ask("SELECT lastval()")


def test_session_after_a_cursor_on_the_server_is_reset(fleet, limit, count_resets):
    limit(MAX_SIZE=4)
    serve("books")
    with use_mirror("books"):
        list(Book.objects.iterator())
        before = count_resets()
        end_request()

        assert count_resets() == before + 1


@pytest.fixture
def count_resets(monkeypatch):
    """Return a function that tells how often a session was set up or reset."""
    pools = "django_mirrors.db.pools"
    sent, send = [], import_string(f"{pools}._send")

    def note(connection, sql):
        sent.append(sql)
        send(connection, sql)

    monkeypatch.setattr(f"{pools}._send", note)
    monkeypatch.setattr(f"{pools}._FRESH_SECONDS", 60)
    return lambda: len(sent)


def read():
    Book.objects.count()


def read_in_a_transaction():
    with transaction.atomic(), transaction.atomic():
        Book.objects.count()


def roll_back():
    with transaction.atomic():
        Book.objects.count()
        transaction.set_rollback(True)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("use", [read, read_in_a_transaction, roll_back])
def test_session_that_was_read_in_is_used_as_it_is(
    fleet, limit, count_resets, use, end
):
    limit(MAX_SIZE=4)
    serve("books")
    before = count_resets()

    with use_mirror("books"):
        for _ in range(3):
            use()
            end("books")

    assert count_resets() == before


def fail_to_read():
    with pytest.raises(ProgrammingError):
        ask("SELECT * FROM nowhere")


def fail_in_a_transaction():
    with pytest.raises(ProgrammingError), transaction.atomic():
        ask("SELECT * FROM nowhere")


def fail_behind_a_savepoint():
    with transaction.atomic():
        with pytest.raises(ProgrammingError), transaction.atomic():
            ask("SELECT * FROM nowhere")
        Book.objects.count()


def write():
    Book.objects.create(title="Emma")


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    "use", [fail_to_read, fail_in_a_transaction, fail_behind_a_savepoint, write]
)
def test_session_after_an_error_or_a_write_is_reset_at_the_end(
    fleet, limit, count_resets, use, end
):
    limit(MAX_SIZE=4)
    serve("books")
    with use_mirror("books"):
        use()
        before = count_resets()
        end("books")

        assert count_resets() == before + 1
        assert get_path() == [get_schema("books")]


def test_whoever_gave_a_connection_back_no_longer_speaks_for_it(fleet, limit):
    limit(MAX_SIZE=1)
    with use_mirror("books"):
        read()
        trace = connection.connection.trace
    leave("books")
    with use_mirror("films"):
        read()
        assert connection.connection.trace is trace

        assert connections["books"]._trace is not trace


def test_session_that_was_read_in_is_reset_for_another_mirror(
    fleet, limit, count_resets
):
    limit(MAX_SIZE=1)
    with use_mirror("books"):
        read()
    leave("books")
    before = count_resets()

    with use_mirror("films"):
        read()
        assert count_resets() == before + 1
        assert get_path() == [get_schema("films")]


def test_what_is_hidden_from_us_ends_with_the_second(fleet, limit, monkeypatch):
    limit(MAX_SIZE=4)
    serve("books")
    with use_mirror("books"):
        read()
        # What is told to the library below the driver is not seen.
        connection.connection.pgconn.exec_(b"SET search_path TO public")
        monkeypatch.setattr("django_mirrors.db.pools._FRESH_SECONDS", 0)
        end_request()

        assert get_path() == [get_schema("books")]


def test_what_is_hidden_from_us_never_reaches_another_mirror(fleet, limit):
    limit(MAX_SIZE=1)
    with use_mirror("films"):
        clean = ask(LOOK)
    leave("films")
    for state in STATES:
        with use_mirror("books"):
            read()
            connection.connection.pgconn.exec_(state.encode())
        leave("books")

        with use_mirror("films"):
            assert ask(LOOK) == clean
        leave("films")


def test_thread_that_serves_again_keeps_its_connections(fleet, limit):
    limit(MAX_SIZE=4)
    serve("books", "films")

    with use_mirror("books"):
        books = connection.connection
    with use_mirror("films"):
        films = connection.connection

    assert None not in (books, films)
    assert books is not films
    serve("books", "films")
    assert connections["books"].connection is books
    assert connections["films"].connection is films
    for name in ("books", "films"):
        with use_mirror(name):
            assert get_path() == [get_schema(name)]


def test_thread_that_serves_once_gives_its_connection_back(fleet, limit):
    limit(MAX_SIZE=4)
    with use_mirror("books"):
        read()
        close_old_connections()

        assert connection.connection is None


@pytest.mark.parametrize(
    ("size", "kept"), [(1, 0), (2, 1), (3, 1), (4, 2)], ids=["1", "2", "3", "4"]
)
def test_half_of_the_connections_may_be_kept(fleet, limit, size, kept):
    limit(MAX_SIZE=size)
    serve("books", "films")
    serve("books", "films")

    opened = [connections[name].connection for name in ("books", "films")]
    assert len([item for item in opened if item is not None]) == kept


def count_and_close():
    try:
        return Book.objects.count()
    finally:
        connections.close_all()


def test_thread_gives_back_what_it_keeps_rather_than_wait(fleet, limit):
    limit(MAX_SIZE=2, TIMEOUT=0.2)
    serve("films")
    begun, done = threading.Event(), threading.Event()

    def hold():
        with use_mirror("books"), transaction.atomic():
            read()
            begun.set()
            done.wait(10)
        connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    begun.wait(10)
    try:
        with use_mirror("books"):
            read()
            assert connections["films"].connection is None
            assert get_path() == [get_schema("books")]
    finally:
        done.set()
        thread.join()


def test_connection_is_not_kept_while_another_thread_waits(fleet, limit):
    limit(MAX_SIZE=2, TIMEOUT=10)
    serve("films")
    with use_mirror("books"), transaction.atomic():
        read()
        thread = ThreadPoolExecutor(1)
        with thread:
            found = thread.submit(bind_mirror(count_and_close))
            sleep(0.2)
            assert not found.done()
            close_old_connections()  # the end of a request of this thread
            assert found.result() == 0


@pytest.mark.parametrize("end", ENDS)
def test_backend_killed_between_two_requests_costs_nothing(fleet, server, limit, end):
    limit(MAX_SIZE=4)
    serve("books")
    with use_mirror("books"):
        read()
        pid = connection.connection.info.backend_pid
        end("books")
        server.execute("SELECT pg_terminate_backend(%s)", [pid])
        sleep(0.1)

        assert get_pid() != pid
        assert get_path() == [get_schema("books")]


def test_kept_connection_that_somebody_closed_costs_nothing(fleet, limit):
    limit(MAX_SIZE=4)
    serve("books")
    with use_mirror("books"):
        connection.connection.close()

        assert Book.objects.count() == 0


def test_kept_connection_that_the_driver_used_is_as_before(fleet, limit):
    limit(MAX_SIZE=4)
    serve("books")
    with use_mirror("books"):
        run_raw("SET search_path TO public")
        end_request()

        assert get_path() == [get_schema("books")]


def test_kept_connection_whose_rows_are_made_otherwise_is_not_used(fleet, limit):
    limit(MAX_SIZE=4)
    serve("books")
    with use_mirror("books"):
        connection.connection.row_factory = psycopg.rows.dict_row

        assert get_path() == [get_schema("books")]


def test_kept_connection_follows_a_config_that_is_changed_in_place(fleet, limit):
    limit(MAX_SIZE=4)
    serve("books")
    config = connections["books"].settings_dict
    own, config["SCHEMA"] = config["SCHEMA"], get_schema("films")
    try:
        with use_mirror("books"):
            assert get_path() == [get_schema("films")]
            leave("books")
    finally:
        config["SCHEMA"] = own


@pytest.mark.parametrize("end", ENDS)
def test_cursors_of_the_projects_choice_are_never_trusted(
    fleet, settings, limit, count_resets, end
):
    database = {**connections.settings["books"]}
    kept = {"ENGINE", "NAME", "HOST", "PORT", "USER"}
    database = {key: item for key, item in database.items() if key in kept}
    database["OPTIONS"] = {"server_side_binding": True}
    settings.MIRRORS = {
        **settings.MIRRORS,
        "books": {**settings.MIRRORS["books"], "DATABASE": database},
    }
    limit(MAX_SIZE=4)
    serve("books")
    with use_mirror("books"):
        read()
        before = count_resets()
        end("books")

        assert count_resets() == before + 1


@pytest.mark.parametrize("state", STATES)
def test_nothing_of_a_transaction_that_was_left_open_stays(fleet, limit, state):
    limit(MAX_SIZE=1)
    with use_mirror("films"):
        clean = ask(LOOK)
    leave("films")
    with use_mirror("books"):
        connection.set_autocommit(False)
        Book.objects.create(title="Emma")
        ask(state.replace("WITH HOLD ", ""))
        connection.close()
        assert Book.objects.count() == 0
    leave("books")

    with use_mirror("films"):
        assert ask(LOOK) == clean


def test_lock_is_let_go_at_the_end_and_not_at_the_next_begin(fleet, server):
    with use_mirror("books"):
        ask("SELECT pg_advisory_lock(4712)")
    leave("books")

    # A lock of another session: it waits if the first one still has it.
    server.execute("SET lock_timeout TO '5s'")
    server.execute("SELECT pg_advisory_lock(4712)")


def test_attributes_of_the_driver_do_not_reach_the_next_one(fleet, limit):
    limit(MAX_SIZE=1)
    with use_mirror("books"):
        Book.objects.count()
        connection.connection.read_only = True
        connection.connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
    leave("books")

    with use_mirror("films"):
        assert connection.connection is None
        Book.objects.count()
        assert connection.connection.read_only is None
        assert connection.connection.isolation_level is None


def test_cursor_of_a_connection_that_was_given_back_is_closed(fleet, limit):
    limit(MAX_SIZE=1)
    with use_mirror("books"):
        kept = connection.cursor()
        kept.execute("SELECT 1")
        connection.close()
    with use_mirror("films"):
        Book.objects.create(title="Alien")

        with use_mirror("books"), pytest.raises(InterfaceError):
            kept.execute("SELECT title FROM bookshop_book")


def test_open_cursor_keeps_its_connection(fleet):
    with use_mirror("books"):
        kept = connection.cursor()
        kept.execute("SELECT pg_backend_pid()")
        pid = kept.fetchone()[0]
        with use_mirror("films"):
            assert get_pid() != pid
        kept.execute("SELECT current_schema()")
        assert kept.fetchone() == (get_schema("books"),)
        kept.close()


def test_rows_being_read_keep_their_connection(fleet):
    with use_mirror("books"):
        Book.objects.bulk_create(Book(title=str(number)) for number in range(9))
        books = Book.objects.iterator(chunk_size=2)
        next(books)
        with use_mirror("films"):
            assert Book.objects.count() == 0
        assert len(list(books)) == 8


def test_transaction_keeps_its_connection(fleet):
    with use_mirror("books"), transaction.atomic():
        Book.objects.create(title="Emma")
        pid = get_pid()
        with use_mirror("films"):
            assert get_pid() != pid
            assert Book.objects.count() == 0
        assert get_pid() == pid


def test_exhausted_pool_is_unavailable_and_never_another_schema(fleet, limit):
    limit(MAX_SIZE=1, TIMEOUT=0.2)
    name = get_schema("books")
    with use_mirror("books"), transaction.atomic():
        Book.objects.create(title="Emma")
        began = monotonic()

        with use_mirror("films"), pytest.raises(MirrorUnavailable) as caught:
            Book.objects.count()

        assert 0.2 <= monotonic() - began < 2
        assert get_path() == [name]
    assert str(caught.value) == (
        "No connection is free for mirror 'films': the limit is 1 connection. "
        "Raise 'MAX_SIZE' in MIRRORS_OPTIONS['POOL'], or use fewer mirrors at once."
    )
    with use_mirror("films"):
        assert Book.objects.count() == 0


def test_exhausted_pool_answers_503(fleet, limit):
    limit(MAX_SIZE=1, TIMEOUT=0.2)
    with use_mirror("books"), transaction.atomic():
        Book.objects.count()
        with no_mirror():
            response = Client().get("/titles/", headers={"host": "films.example"})

    assert response.status_code == 503


def test_threads_have_no_more_connections_than_may_be(fleet, limit, server):
    limit(MAX_SIZE=3, TIMEOUT=30)
    database = connections.settings["books"]["NAME"]
    counted, others = [], list_pids(server, database)

    def work(name):
        try:
            for number in range(15):
                with use_mirror(name):
                    Book.objects.create(title=f"{name} {number}")
                    assert get_path() == [get_schema(name)]
                    foreign = Book.objects.exclude(title__startswith=name)
                    assert not foreign.exists()
                connections.close_all()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as executor:
        running = [executor.submit(work, name) for name in ("books", "films") * 4]
        while not all(future.done() for future in running):
            counted.append(len(list_pids(server, database) - others))
            sleep(0.005)
        for future in running:
            future.result()

    assert 1 <= max(counted) <= 3
    with use_mirror("books"):
        assert Book.objects.count() == 60


def test_connection_of_a_thread_that_ended_is_not_lost(fleet, limit):
    limit(MAX_SIZE=1, TIMEOUT=5)

    def forget():
        with use_mirror("books"):
            Book.objects.count()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        thread = threading.Thread(target=forget)
        thread.start()
        thread.join()
        del thread
        gc.collect()

        with use_mirror("films"):
            assert Book.objects.count() == 0


@pytest.mark.parametrize("other", ["films", "books"])
def test_backend_killed_while_idle_costs_nothing(fleet, server, limit, other):
    limit(MAX_SIZE=1)
    with use_mirror("books"):
        pid = get_pid()
    leave("books")
    sleep(0.1)
    server.execute("SELECT pg_terminate_backend(%s)", [pid])
    sleep(0.1)

    with use_mirror(other):
        assert get_pid() != pid
        assert get_path() == [get_schema(other)]


def test_backend_killed_in_use_costs_one_error(fleet, server):
    with use_mirror("books"):
        server.execute("SELECT pg_terminate_backend(%s)", [get_pid()])
        sleep(0.1)

        with pytest.raises(OperationalError):
            Book.objects.count()
    with no_mirror():
        close_old_connections()  # as the end of a request does
        for _ in range(3):
            found = Client().get("/titles/", headers={"host": "books.example"})
            assert found.json() == {"titles": []}


def test_end_of_a_request_gives_the_connection_back(fleet, limit, server):
    limit(MAX_SIZE=1)
    with no_mirror():
        for host in ("books.example", "films.example") * 2:
            response = Client().get("/titles/", headers={"host": host})
            assert response.json() == {"titles": []}
            # The test client keeps connections open; a server does not.
            connections.close_all()


def test_age_of_connections_is_that_of_the_pool(fleet, settings, monkeypatch):
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 600)
    connections.settings.forget_changed(["books"])
    built = connections.settings.build_config(mirrors["books"])

    assert built["CONN_MAX_AGE"] == 0
    assert built["CONN_HEALTH_CHECKS"] is False


def test_idle_connections_are_closed_in_time(fleet, server):
    with use_mirror("books"):
        pid = get_pid()
    leave("books")
    sleep(0.1)

    prune_pools(max_idle=0.05)

    found = server.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid])
    for _ in range(100):
        if found.fetchone() is None:
            break
        sleep(0.02)
        found = server.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid])
    else:
        pytest.fail("the connection is still open")


def test_old_connection_is_replaced(fleet, limit):
    limit(MAX_SIZE=1, MAX_LIFETIME=0.05)
    with use_mirror("books"):
        pid = get_pid()
        leave("books")
        sleep(0.1)
        assert get_pid() != pid


def test_schema_that_is_not_there_is_unavailable(fleet, settings, limit):
    limit(MAX_SIZE=1)
    with use_mirror("films"):
        pid = get_pid()
    leave("films")
    settings.MIRRORS = {
        **settings.MIRRORS,
        "music": {
            "HOSTS": ["music.example"],
            "DATABASE": fleet.build_url(""),
            "SCHEMA": "nowhere",
        },
    }

    with use_mirror("music"), pytest.raises(MirrorUnavailable) as caught:
        Book.objects.count()

    assert str(caught.value) == (
        "The schema of mirror 'music' cannot be used: schema \"nowhere\" does not "
        "exist. Make it with 'manage.py mirror_add music', or correct 'SCHEMA'."
    )
    # The connection was not to blame, and serves the others.
    with use_mirror("films"):
        assert get_pid() == pid
        assert get_path() == [get_schema("films")]


@pytest.fixture
def roles(fleet, server, settings):
    """A role for each of both mirrors, which may use its own schema alone."""
    declared = {**settings.MIRRORS}
    made = {}
    for name in ("books", "films"):
        role, schema = f"dm role {uuid4().hex[:8]}", get_schema(name)
        server.execute(f"CREATE ROLE {quote(role)}")
        server.execute(f"GRANT USAGE ON SCHEMA {quote(schema)} TO {quote(role)}")
        server.execute(
            f"GRANT ALL ON ALL TABLES IN SCHEMA {quote(schema)} TO {quote(role)}"
        )
        made[name] = role
        declared[name] = {**declared[name], "SCHEMA": {"NAME": schema, "ROLE": role}}
    settings.MIRRORS = declared
    yield made
    leave("books", "films")
    for role in made.values():
        server.execute(f"DROP OWNED BY {quote(role)}")
        server.execute(f"DROP ROLE {quote(role)}")


def test_role_of_a_mirror_cannot_reach_another_schema(fleet, roles, limit):
    limit(MAX_SIZE=1)
    for name, other in (("books", "films"), ("films", "books")):
        with use_mirror(name):
            assert ask("SELECT current_user::text") == (roles[name],)
            assert Book.objects.count() == 0
            with pytest.raises(ProgrammingError, match="permission denied"):
                ask(f"SELECT * FROM {quote(get_schema(other))}.bookshop_book")


def test_role_is_taken_off_with_the_schema(fleet, roles, limit, settings):
    limit(MAX_SIZE=1)
    with use_mirror("books"):
        ask("RESET ROLE")
    leave("books")
    with use_mirror("books"):
        assert ask("SELECT current_user::text") == (roles["books"],)
        get_pid()  # so that it is reset, and set up for books again, at once
    leave("books")
    settings.MIRRORS = {
        **settings.MIRRORS,
        "films": {**settings.MIRRORS["films"], "SCHEMA": get_schema("films")},
    }

    with use_mirror("films"):
        assert ask("SELECT current_user::text = session_user::text") == (True,)


def test_role_that_is_not_there_is_unavailable(fleet, settings):
    schema = {"NAME": get_schema("books"), "ROLE": "nobody at all"}
    settings.MIRRORS = {
        **settings.MIRRORS,
        "books": {**settings.MIRRORS["books"], "SCHEMA": schema},
    }

    with use_mirror("books"), pytest.raises(MirrorUnavailable, match="nobody at all"):
        Book.objects.count()


def test_mirrors_have_time_zones_of_their_own(fleet, limit, settings):
    limit(MAX_SIZE=1)
    database = {**connections.settings["films"], "TIME_ZONE": "Asia/Tokyo"}
    connections.settings.forget_changed(["films"])
    kept = {"ENGINE", "NAME", "HOST", "PORT", "USER", "OPTIONS", "TIME_ZONE"}
    database = {key: item for key, item in database.items() if key in kept}
    settings.MIRRORS = {
        **settings.MIRRORS,
        "films": {**settings.MIRRORS["films"], "DATABASE": database},
    }

    for _ in range(2):
        for name, zone in (("books", "UTC"), ("films", "Asia/Tokyo")):
            with use_mirror(name):
                assert ask("SELECT current_setting('TimeZone')") == (zone,)
                assert ask("SELECT now()")[0].tzname() in {"UTC", "JST"}


def test_statements_are_never_prepared(fleet, settings):
    url = fleet.build_url("") + "&prepare_threshold=0"
    settings.MIRRORS = {
        **settings.MIRRORS,
        "books": {**settings.MIRRORS["books"], "DATABASE": url},
    }

    with use_mirror("books"):
        for _ in range(3):
            Book.objects.count()
        assert ask("SELECT count(*) FROM pg_prepared_statements") == (0,)


def test_pool_of_django_is_refused(fleet, settings):
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "shop",
        "OPTIONS": {"pool": True},
    }
    settings.MIRRORS = {
        **settings.MIRRORS,
        "music": {"HOSTS": ["music.example"], "DATABASE": database, "SCHEMA": "music"},
    }

    with use_mirror("music"), pytest.raises(ImproperlyConfigured) as caught:
        Book.objects.count()

    assert str(caught.value) == (
        "The DATABASE of mirror 'music' has the option 'pool', and the mirror has a "
        "'SCHEMA'. Set MIRRORS_OPTIONS['POOL'], which is for all mirrors of the "
        "database."
    )


def test_changed_schema_is_used_at_once(fleet, settings):
    with use_mirror("films"):
        Book.objects.create(title="Alien")
    with use_mirror("books"):
        assert Book.objects.count() == 0

    films, books = get_schema("films"), get_schema("books")
    settings.MIRRORS = {
        **settings.MIRRORS,
        "books": {**settings.MIRRORS["books"], "SCHEMA": films},
        "films": {**settings.MIRRORS["films"], "SCHEMA": books},
    }

    with use_mirror("books"):
        assert Book.objects.get().title == "Alien"


def ask_child(ask):
    """Return what a forked child answers, whose last act that is."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads and fork()
        child = os.fork()
    if child == 0:
        code = 1
        try:
            os.write(writing, str(ask()).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as answer:
        said = answer.read()
    assert os.waitpid(child, 0)[1] == 0
    return said


def give_back():
    leave("books")


def keep():
    serve("books")


@pytest.mark.parametrize("end", [give_back, keep])
def test_forked_child_has_connections_of_its_own(fleet, limit, end):
    limit(MAX_SIZE=4)
    with use_mirror("books"):
        parent = get_pid()
    end()

    with use_mirror("books"):
        child = ask_child(get_pid)

    assert int(child) != parent
    with use_mirror("books"):
        assert get_pid() == parent


def test_connection_in_use_before_a_fork_is_left_to_the_parent(fleet):
    with use_mirror("books"):
        parent = get_pid()

        ask_child(connection.close)

        assert get_pid() == parent


def test_shell_of_the_database_begins_in_the_schema(fleet, roles):
    config = {**connections.settings["books"], "SCHEMA": 'a "b\\c'}
    client = connections["books"].client

    _, environment = client.settings_to_cmd_args_env(config, [])

    url = fleet.build_url("").partition("?")[0]
    done = subprocess.run(
        ["psql", "-XAt", url, "-c", "SHOW search_path", "-c", "SELECT current_user"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ['"a ""b\\c"', roles["books"]]


def test_tasks_of_two_mirrors_share_the_connection_of_their_thread(fleet, limit):
    limit(MAX_SIZE=1, TIMEOUT=1)

    async def fill(name):
        async with use_mirror(name):
            for number in range(10):
                await Book.objects.acreate(title=f"{name} {number}")
                await asyncio.sleep(0)

    async def fill_all():
        await asyncio.gather(*(fill(name) for name in ("books", "films") * 3))

    async_to_sync(fill_all)()

    for name in ("books", "films"):
        with use_mirror(name):
            assert Book.objects.filter(title__startswith=name).count() == 30
            assert Book.objects.count() == 30


def test_bound_thread_waits_for_its_turn(fleet, limit):
    limit(MAX_SIZE=1, TIMEOUT=10)
    done = []

    def count():
        try:
            done.append(Book.objects.count())
        finally:
            connections.close_all()

    with use_mirror("books"):
        thread = threading.Thread(target=bind_mirror(count))
        with transaction.atomic():
            Book.objects.create(title="Emma")
            thread.start()
            sleep(0.2)
            waited = not done
        connection.close()
    thread.join(10)

    assert waited
    assert done == [1]


def test_driver_is_not_imported_where_no_mirror_has_a_schema(fleet):
    code = (
        "import sys, django_mirrors.db; "
        "sys.exit(bool({'psycopg', 'django_mirrors.db.schemas'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_connection_whose_cursors_cannot_be_closed_is_dropped(fleet, limit):
    limit(MAX_SIZE=1)
    with use_mirror("books"):
        cursor = connection.cursor()
        pid = get_pid()

        def fail():
            raise psycopg.OperationalError("broken")

        cursor.cursor.close = fail
        connection.close()
        assert get_pid() != pid
        del cursor.cursor.close
