"""What stands between a mirror with a schema and its server, with a real pgbouncer."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from time import sleep
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import pytest
from django.db import connection, connections

from django_mirrors import mirrors, use_mirror
from django_mirrors.operations.health import find_problems
from django_mirrors.operations.poolers import find_pooler_problem
from tests.conftest import POSTGRES_URL, run_on_server

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.postgres,
    pytest.mark.parametrize(
        "engine",
        [pytest.param("postgres-schema", marks=pytest.mark.postgres)],
        indirect=True,
    ),
]

CONFIG = """
[databases]
* = host={host} port={port} pool_size=2 {login}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
unix_socket_dir =
auth_type = {auth}
auth_file = {directory}/users
pool_mode = {mode}
ignore_startup_parameters = extra_float_digits
logfile = {directory}/log
pidfile = {directory}/pid
"""


@pytest.fixture
def start(fleet, settings):
    """Return a function that lets the mirrors go through a pgbouncer of some mode."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if not program:
        pytest.skip("pgbouncer: not found")
    running = []
    directory = Path(tempfile.mkdtemp(prefix="pgbouncer-"))

    def begin(mode, users=("app", "app"), own_logins=False):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            own = probe.getsockname()[1]
        server = urlsplit(POSTGRES_URL)
        one_login = f"user={unquote(server.username or '')}"
        if server.password:
            one_login += f" password={unquote(server.password)}"
        listed = directory / "users"
        listed.write_text("".join(f'"{user}" "hidden"\n' for user in users))
        config = directory / "pgbouncer.ini"
        config.write_text(
            CONFIG.format(
                host=server.hostname,
                port=server.port or 5432,
                login="" if own_logins else one_login,
                auth="trust" if own_logins else "any",
                own=own,
                mode=mode,
                directory=directory,
            )
        )
        # It refuses to be root.
        user = {"user": "nobody"} if os.geteuid() == 0 else {}
        if user:
            nobody = pwd.getpwnam("nobody")
            for path in (directory, config, listed):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        running.append(subprocess.Popen([program, "-q", str(config)], **user))
        wait_for(own)
        database = connections.settings["books"]["NAME"]
        declared = {**settings.MIRRORS}
        for name, user in zip(("books", "films"), users, strict=True):
            url = f"postgres://{user}@127.0.0.1:{own}/{database}"
            declared[name] = {**declared[name], "DATABASE": url}
        settings.MIRRORS = declared

    yield begin
    connections.close_all()
    for process in running:
        process.terminate()
        process.wait(10)
    shutil.rmtree(directory)


def wait_for(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            sleep(0.05)
        else:
            return
    pytest.fail("pgbouncer does not answer")


def find_problem(name):
    with use_mirror(name):
        return find_pooler_problem(mirrors[name])


def test_server_itself_is_no_pooler(fleet):
    assert find_problem("books") == ""


def test_pooler_of_sessions_is_accepted(start):
    start("session")

    assert find_problem("books") == ""


def test_pooler_of_transactions_is_refused(start):
    start("transaction")

    assert find_problem("books") == (
        "what answers at the address of DATABASE is a pooler that gives each "
        "transaction another connection, such as pgbouncer with pool_mode = "
        "transaction, so a mirror could get the schema of another one. Set pool_mode "
        "= session, or let each mirror log in as a user of its own."
    )


@pytest.fixture
def users(fleet):
    """Two users that may log in."""
    names = tuple(f"dm_user_{uuid4().hex[:8]}" for _ in range(2))
    for name in names:
        run_on_server(f"CREATE ROLE {name} LOGIN PASSWORD 'hidden'")
    yield names
    for name in names:
        run_on_server(f"DROP ROLE {name}")


def test_pooler_of_transactions_is_accepted_with_a_user_for_each_mirror(start, users):
    start("transaction", users=users, own_logins=True)

    assert find_problem("books") == find_problem("films") == ""


def test_one_user_of_two_mirrors_is_refused(start, users):
    start("transaction", users=(users[0], users[0]), own_logins=True)

    assert "Set pool_mode = session" in find_problem("books")


def test_users_that_the_pooler_replaces_are_refused(start, users):
    start("transaction", users=users)

    assert "Set pool_mode = session" in find_problem("books")


def test_pooler_of_transactions_does_mix_schemas(start):
    """Why it is refused: without this, the refusal would be for nothing."""
    start("transaction")
    with use_mirror("books"):
        kept = connection.cursor()
        with use_mirror("films"), connection.cursor() as other:
            other.execute("SELECT current_schema()")
        kept.execute("SELECT current_schema()")
        found = kept.fetchone()[0]
        kept.close()

    assert found == connections.settings["films"]["SCHEMA"]


def test_mirror_check_tells_of_the_pooler(start):
    start("transaction")

    problems = find_problems(mirrors["books"])

    assert problems[0].startswith("DATABASE: what answers at the address")
