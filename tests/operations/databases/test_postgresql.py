"""What is special about PostgreSQL: rights, tools, connections to a template."""

import subprocess
import threading
from time import monotonic, sleep
from uuid import uuid4

import pytest

from django_mirrors.exceptions import OperationFailed
from django_mirrors.operations.databases import processes

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]

PASSWORD = 's3cret\' pass\\word "x" '


@pytest.fixture(params=["postgresql", "schema"])
def server(request, make_server):
    """Both modes in turn."""
    return make_server(request.param)


@pytest.fixture
def postgresql(make_server):
    return make_server("postgresql")


@pytest.fixture
def role(make_server, shared_database):
    """Return the name of a role that may log in, and nothing else."""
    server = make_server("postgresql")
    name = f'dm role " {uuid4().hex[:8]}'
    quoted = name.replace('"', '""')
    said = PASSWORD.replace("'", "''")
    main = {**server.base, "NAME": "postgres"}
    server.ask(main, f"CREATE ROLE \"{quoted}\" LOGIN PASSWORD '{said}'")
    yield name
    for database in ("postgres", shared_database):
        config = {**server.base, "NAME": database}
        server.ask(config, f'DROP OWNED BY "{quoted}" CASCADE')
    server.ask(main, f'DROP ROLE "{quoted}"')


@pytest.fixture
def commands(monkeypatch):
    """Return a list of what tools are started with, from now on."""
    started = []

    class Spy(subprocess.Popen):
        def __init__(self, arguments, **options):
            started.append((tuple(arguments), options.get("env", {})))
            super().__init__(arguments, **options)

    monkeypatch.setattr(processes.subprocess, "Popen", Spy)
    return started


def test_server_that_does_not_answer_is_told_without_the_password(server):
    config = {**server.base, "HOST": "127.0.0.1", "PORT": "1", "PASSWORD": PASSWORD}

    with pytest.raises(OperationFailed, match="Check that it runs") as caught:
        server.backend.exists(config)

    assert "s3cret" not in str(caught.value)


def test_role_without_rights_is_told(server, role):
    config = {**server.config(), "USER": role, "PASSWORD": PASSWORD}

    with pytest.raises(OperationFailed, match="permission denied"):
        server.backend.create(config)

    server.made.clear()


def test_role_without_rights_makes_no_copy(server, role):
    source = server.filled()
    target = {**server.config(), "USER": role, "PASSWORD": PASSWORD}

    with pytest.raises(OperationFailed, match=r"permission denied|must be owner"):
        server.backend.copy(source, target)

    assert not server.backend.exists({**target, "USER": server.base["USER"]})
    server.made.pop()


def test_password_is_in_no_argument_of_a_tool(server, tmp_path, commands):
    source, target = server.filled(), server.config()
    with_password = [{**item, "PASSWORD": PASSWORD} for item in (source, target)]

    server.backend.copy(*with_password)
    server.backend.dump(with_password[1], tmp_path / "dump")

    assert len(commands) >= 3
    connected = [env for arguments, env in commands if "--no-password" in arguments]
    assert {env["PGPASSWORD"] for env in connected} == {PASSWORD}
    assert not any("s3cret" in item for arguments, _ in commands for item in arguments)


def test_secret_of_a_key_is_in_no_argument_of_a_tool(server, tmp_path, commands):
    source = server.filled()
    options = {**source["OPTIONS"], "sslpassword": "s3cret", "sslmode": "prefer"}

    server.backend.dump({**source, "OPTIONS": options}, tmp_path / "dump")

    arguments = [item for one, _ in commands for item in one]
    assert any("service='mirror'" in item for item in arguments)
    assert not any("s3cret" in item for item in arguments)


def test_options_for_tls_reach_the_tools(server, tmp_path, commands):
    source = server.filled()
    options = {**source["OPTIONS"], "sslmode": "prefer", "sslrootcert": "/a b/it's.pem"}

    server.backend.dump({**source, "OPTIONS": options}, tmp_path / "dump")

    (said,) = [item for item in commands[-1][0] if item.startswith("--dbname")]
    assert "sslmode='prefer'" in said
    assert "sslrootcert='/a b/it\\'s.pem'" in said


def test_options_of_django_and_of_requests_do_not_reach_the_tools(server, tmp_path):
    source = server.filled()
    options = {
        "pool": True, "server_side_binding": True, "isolation_level": 3,
        "options": "-c statement_timeout=200",
    }  # fmt: skip

    server.backend.dump({**source, "OPTIONS": options}, tmp_path / "dump")

    assert (tmp_path / "dump").stat().st_size > 0


def test_tool_that_is_missing_is_told_with_its_package(server, tmp_path, monkeypatch):
    source = server.filled()
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(
        OperationFailed, match=r"'pg_dump' is not on PATH\. .* 'postgresql-client-\d+'"
    ):
        server.backend.dump(source, tmp_path / "dump")


def test_tool_older_than_the_server_is_told_with_its_package(
    server, tmp_path, monkeypatch
):
    source = server.filled()
    tool = tmp_path / "pg_dump"
    tool.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.1'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    with pytest.raises(OperationFailed, match=r"Install a newer one: .* 'postgresql-c"):
        server.backend.dump(source, tmp_path / "dump")


def test_template_that_somebody_is_connected_to_is_copied(postgresql):
    template, config = postgresql.filled(postgresql.template()), postgresql.config()

    with postgresql.connect(template) as connection:
        connection.ensure_connection()
        postgresql.backend.create_from_template(template, config)

    assert postgresql.backend.exists(config)


def test_only_connections_to_the_template_are_ended(postgresql):
    template, config = postgresql.filled(postgresql.template()), postgresql.config()
    other = postgresql.filled()

    with postgresql.connect(template) as ended, postgresql.connect(other) as kept:
        ended.ensure_connection()
        kept.ensure_connection()
        postgresql.backend.create_from_template(template, config)

        with kept.cursor() as cursor:
            cursor.execute("SELECT 1")


def test_database_that_is_in_use_is_removed(postgresql):
    config = postgresql.filled()

    with postgresql.connect(config) as connection:
        connection.ensure_connection()
        postgresql.backend.drop(config)

    assert not postgresql.backend.exists(config)


def test_extension_that_every_database_has_counts_as_nothing(postgresql, tmp_path):
    source, target = postgresql.filled(), postgresql.config()
    postgresql.backend.dump(source, tmp_path / "dump")
    postgresql.backend.create(target)
    postgresql.ask(target, "CREATE EXTENSION IF NOT EXISTS plpgsql")

    postgresql.backend.load(target, tmp_path / "dump")

    assert postgresql.backend.fingerprint(target) == postgresql.backend.fingerprint(
        source
    )


def test_rows_are_read_as_of_one_moment(postgresql):
    config = postgresql.config()
    postgresql.backend.create(config)
    for table in ("one", "two"):
        postgresql.ask(config, f"CREATE TABLE {table} (id integer)")
    stopped = threading.Event()

    def write():
        while not stopped.is_set():
            postgresql.ask(
                config,
                "INSERT INTO one VALUES (1); INSERT INTO two VALUES (1)",
            )

    thread = threading.Thread(target=write)
    thread.start()
    try:
        found = []
        for _ in range(10):
            found.append(postgresql.backend.fingerprint(config))
            sleep(0.02)
    finally:
        stopped.set()
        thread.join()

    assert all(item["one"] == item["two"] for item in found)
    assert found[-1]["one"][0] > found[0]["one"][0]


def test_drop_ends_what_a_killed_process_left_the_server_to_make(postgresql):
    config = postgresql.config()
    main = {**postgresql.base, "NAME": "postgres"}
    outcomes = []

    def make(lock):
        try:
            postgresql.backend.create(config)
        except OperationFailed as error:
            outcomes.append(str(error))
        finally:
            lock.execute("ROLLBACK")

    with postgresql.connect(main) as connection, connection.cursor() as lock:
        # Nobody makes a database meanwhile.
        lock.execute("BEGIN; LOCK TABLE pg_database IN SHARE MODE")
        makes = threading.Thread(target=make, args=(lock,))
        makes.start()
        wait_for_statement(postgresql, f'CREATE DATABASE "{config["NAME"]}"')
        # Lest both wait for ever.
        release = threading.Timer(20, connection.connection.close)
        release.start()
        postgresql.backend.drop(config)
        makes.join(30)
        release.cancel()

    assert len(outcomes) == 1
    assert "terminating connection" in outcomes[0]
    assert not postgresql.backend.exists(config)


def wait_for_statement(server, start):
    main = {**server.base, "NAME": "postgres"}
    sql = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    end = monotonic() + 20
    while not server.ask(main, f"{sql} AND starts_with(query, '{start}')"):
        assert monotonic() < end, "The statement never began."
        sleep(0.02)


def test_checksum_does_not_depend_on_how_a_session_writes_values(server):
    config = server.config()
    server.backend.create(config)
    server.ask(
        config,
        "CREATE TABLE odd AS SELECT ARRAY[now()] AS moments, ARRAY['x'::bytea] AS data,"
        " tstzrange(now(), NULL) AS stay, ARRAY['3 days'::interval] AS intervals,"
        " ARRAY[0.1::float8 + 0.2] AS numbers",
    )
    settings = (
        "-c bytea_output=escape -c intervalstyle=iso_8601 -c extra_float_digits=0"
    )
    other = {
        **config,
        "TIME_ZONE": "Asia/Tokyo",
        "OPTIONS": {**config["OPTIONS"], "options": settings},
    }

    assert server.backend.fingerprint(other) == server.backend.fingerprint(config)
