"""What every engine promises, on all four modes."""

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic, sleep
from uuid import uuid4

import pytest

from django_mirrors import mirrors, use_mirror
from django_mirrors.exceptions import MirrorExists, OperationFailed
from django_mirrors.operations import add_mirror, check_mirrors, get_status
from django_mirrors.operations.databases import get_database_backend
from tests.bookshop.models import Book
from tests.operations.databases import content
from tests.operations.databases.conftest import build_config
from tests.plugins.services import get_mariadb_url, get_postgres_url

pytestmark = pytest.mark.django_db

HOSTILE = [
    "x'; DROP DATABASE VICTIM; --",
    "\"`%s {} $1 $$ %(x)s \\' a=b",
    "-rf --help",
    "CamelCase Füße €",
    "x" * 63,
]


def make_name(name, victim=""):
    """Return a name of at most 63 bytes that no other run of the tests uses."""
    token = uuid4().hex[:10]
    named = name.replace("VICTIM", victim).encode()[:53].decode(errors="ignore")
    return f"{named}{token}"


@pytest.fixture
def source(server):
    """Return the config of a database that holds rows of every type."""
    return server.filled()


def make_template(server, name=""):
    return server.filled(server.template(name))


# --- made and removed


def test_database_is_made_measured_and_removed(server):
    config = server.config()
    assert not server.backend.exists(config)

    server.backend.create(config)

    assert server.backend.exists(config)
    assert server.backend.get_size(config) >= 0
    assert not server.backend.is_unfinished(config)
    server.backend.drop(config)
    assert not server.backend.exists(config)


def test_database_that_is_not_there_can_be_removed(server):
    server.backend.drop(server.config())


def test_database_with_rows_is_larger_than_an_empty_one(server, source):
    empty = server.config()
    server.backend.create(empty)

    sizes = [server.backend.get_size(item) for item in (source, empty)]

    assert sizes[0] > sizes[1]


def test_database_that_is_there_is_not_made_again(server, source):
    before = server.backend.fingerprint(source)

    with pytest.raises(MirrorExists, match="is there already"):
        server.backend.create(source)

    assert server.backend.fingerprint(source) == before


@pytest.mark.parametrize("name", HOSTILE)
def test_name_of_a_database_is_never_taken_for_anything_else(server, name, tmp_path):
    victim = server.config()
    server.backend.create(victim)
    target = str(victim.get("SCHEMA") or victim["NAME"]).rpartition("/")[2]
    hostile, other, restored = (
        server.config(make_name(name, target)) for _ in range(3)
    )
    server.backend.create(hostile)
    with server.connect(hostile) as connection:
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE things (id integer)")
            cursor.execute("INSERT INTO things VALUES (7)")

    server.backend.copy(hostile, other)
    server.backend.dump(other, tmp_path / "dump")
    server.backend.create(restored)
    server.backend.load(restored, tmp_path / "dump")

    assert server.ask(restored, "SELECT id FROM things") == [(7,)]
    assert server.backend.fingerprint(other) == server.backend.fingerprint(hostile)
    for config in (hostile, other, restored):
        server.backend.drop(config)
        assert not server.backend.exists(config)
    assert server.backend.exists(victim)


@pytest.mark.parametrize("name", HOSTILE)
def test_database_of_any_name_is_made_from_a_template(server, name):
    template, config = make_template(server), server.config(make_name(name))

    server.backend.create_from_template(template, config)

    assert server.backend.fingerprint(config) == server.backend.fingerprint(template)


def test_name_that_a_server_would_cut_off_is_refused(make_server, server):
    name = "x" * (256 if server.mode == "sqlite" else 65)

    with pytest.raises(OperationFailed):
        server.backend.create(server.config(name))

    server.made.clear()


def test_engine_that_cannot_be_made_is_refused():
    with pytest.raises(OperationFailed, match=r"'some\.engine' cannot be made"):
        get_database_backend({"ENGINE": "some.engine"})


# --- copied


def test_copy_has_all_rows_indexes_constraints_and_numbers(server, source):
    target = server.config()

    server.backend.copy(source, target)

    assert server.backend.fingerprint(target) == server.backend.fingerprint(source)
    with server.connect(source) as one, server.connect(target) as other:
        assert content.describe(other) == content.describe(one)
        assert content.add_tag(other) == 51


def test_triggers_of_a_copy_work_in_the_copy_alone(server, source):
    target = server.config()
    server.backend.copy(source, target)

    with server.connect(target) as connection:
        content.add_tag(connection)

    count = "SELECT number FROM content_counter"
    assert server.ask(target, count) == [(1,)]
    assert server.ask(source, count) == [(0,)]


def test_copy_is_of_one_moment_while_others_write(server, source):
    server.ask(source, "CREATE TABLE pairs (id integer)")
    stopped = threading.Event()
    written = []

    def write():
        with server.connect(source) as connection:
            while not stopped.is_set():
                with connection.cursor() as cursor:
                    cursor.execute("BEGIN")
                    for _ in range(2):
                        cursor.execute("INSERT INTO pairs VALUES (1)")
                    cursor.execute("COMMIT")
                written.append(1)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        targets = [server.config() for _ in range(3)]
        for target in targets:
            server.backend.copy(source, target)
    finally:
        stopped.set()
        thread.join()

    for target in targets:
        ((count,),) = server.ask(target, "SELECT count(*) FROM pairs")
        assert count % 2 == 0
    assert len(written) > 1


def test_copy_never_takes_the_place_of_what_is_there(server, source):
    target = server.config()
    server.backend.create(target)
    server.ask(target, "CREATE TABLE precious (id integer)")

    with pytest.raises(MirrorExists, match="is there already"):
        server.backend.copy(source, target)

    assert server.ask(target, "SELECT * FROM precious") == []


def test_copy_of_what_is_not_there_makes_nothing(server):
    source, target = server.config(), server.config()

    with pytest.raises(OperationFailed):
        server.backend.copy(source, target)

    assert not server.backend.exists(target)
    assert not server.backend.exists(source)


def test_copy_that_fails_in_the_middle_leaves_nothing(server, source, monkeypatch):
    target = server.config()
    break_transfers(monkeypatch)

    with pytest.raises(OperationFailed, match="in the middle"):
        server.backend.copy(source, target)

    monkeypatch.undo()
    assert not server.backend.exists(target)
    server.backend.copy(source, target)
    assert server.backend.fingerprint(target) == server.backend.fingerprint(source)


def break_transfers(monkeypatch):
    """Let the source fail after half of what a copy or a dump takes from it."""
    from django_mirrors.operations.databases import mysql, sqlite, transfers

    def break_output(*commands):
        chunks = list(iter_output(*commands))
        whole = b"".join(chunks)
        yield whole[: len(whole) // 2]
        raise OperationFailed("Broken in the middle.")

    def break_progress(watch, status, left, total):
        raise OperationFailed("Broken in the middle.")

    iter_output = transfers.iter_output
    for module in (mysql, transfers):
        monkeypatch.setattr(module, "iter_output", break_output)
    monkeypatch.setattr(sqlite, "_PAGES", 5)
    monkeypatch.setattr(sqlite._Watch, "__call__", break_progress)


# --- dumped and loaded


def test_dump_is_loaded_under_another_name(server, source, tmp_path):
    path, target = tmp_path / "dumps" / "dump", server.config()
    server.backend.dump(source, path)
    before = server.backend.fingerprint(source)
    with server.connect(source) as connection:
        described = content.describe(connection)
    server.backend.drop(source)
    server.backend.create(target)

    server.backend.load(target, path)

    assert server.backend.fingerprint(target) == before
    with server.connect(target) as connection:
        assert content.describe(connection) == described
        assert content.add_tag(connection) == 51
    assert server.ask(target, "SELECT number FROM content_counter") == [(1,)]
    assert not server.backend.is_unfinished(target)


def test_dump_is_loaded_beside_what_it_was_made_of(server, source, tmp_path):
    path, target = tmp_path / "dump", server.config()
    server.backend.dump(source, path)
    server.backend.create(target)

    server.backend.load(target, path)

    assert server.backend.fingerprint(target) == server.backend.fingerprint(source)


def test_dump_is_loaded_under_its_own_name(server, source, tmp_path):
    path = tmp_path / "dump"
    server.backend.dump(source, path)
    before = server.backend.fingerprint(source)
    server.backend.drop(source)
    server.backend.create(source)

    server.backend.load(source, path)

    assert server.backend.fingerprint(source) == before


def test_dump_can_be_read_by_its_owner_only(server, source, tmp_path):
    server.backend.dump(source, tmp_path / "dump")

    assert stat.S_IMODE((tmp_path / "dump").stat().st_mode) == 0o600


def test_dump_never_takes_the_place_of_a_file(server, source, tmp_path):
    (tmp_path / "dump").write_text("precious")

    with pytest.raises(MirrorExists, match="is there already"):
        server.backend.dump(source, tmp_path / "dump")

    assert (tmp_path / "dump").read_text() == "precious"


def test_dump_that_fails_leaves_no_file(server, source, tmp_path, monkeypatch):
    directory = tmp_path / "dumps"
    break_transfers(monkeypatch)

    with pytest.raises(OperationFailed, match="in the middle"):
        server.backend.dump(source, directory / "dump")

    assert list(directory.iterdir()) == []


def test_dump_is_not_loaded_into_a_database_with_tables(server, source, tmp_path):
    path, target = tmp_path / "dump", server.config()
    server.backend.dump(source, path)
    server.backend.create(target)
    server.ask(target, "CREATE TABLE precious (id integer)")

    with pytest.raises(MirrorExists, match="is not empty"):
        server.backend.load(target, path)

    assert server.ask(target, "SELECT * FROM precious") == []


@pytest.mark.parametrize("share", [0.0, 0.9])
def test_damaged_dump_leaves_the_database_empty(server, source, tmp_path, share):
    path, target = tmp_path / "dump", server.config()
    server.backend.dump(source, path)
    whole = path.read_bytes()
    path.write_bytes(b"not a dump\n" + whole[: int(len(whole) * share)])
    server.backend.create(target)

    with pytest.raises(OperationFailed):
        server.backend.load(target, path)

    assert_empty(server, target)


@pytest.mark.parametrize("share", [0.3, 0.95])
def test_dump_that_was_cut_off_leaves_the_database_empty(
    server, source, tmp_path, share
):
    path, target = tmp_path / "dump", server.config()
    server.backend.dump(source, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    server.backend.create(target)

    with pytest.raises(OperationFailed):
        server.backend.load(target, path)

    assert_empty(server, target)


def assert_empty(server, config):
    """Assert that a dump can be loaded, which needs an empty database."""
    assert server.backend.exists(config)
    assert not server.backend.is_unfinished(config)
    tables = {**server.backend.fingerprint(config)}
    assert tables.pop("(sequences)")[0] == 0
    assert tables == {}


def test_dump_that_is_not_there_is_told(server, tmp_path):
    target = server.config()
    server.backend.create(target)

    with pytest.raises(OperationFailed, match="missing"):
        server.backend.load(target, tmp_path / "missing")

    assert_empty(server, target)


# --- templates


def test_database_from_a_template_is_like_the_template(server):
    template, config = make_template(server), server.config()

    server.backend.create_from_template(template, config)

    assert server.backend.fingerprint(config) == server.backend.fingerprint(template)
    with server.connect(template) as one, server.connect(config) as other:
        wanted = content.describe(one)
        found = content.describe(other)
        assert content.add_tag(other) == 51
    kept = {table for table in wanted if "django_mirrors_replay" not in table}
    assert found == {table: wanted[table] for table in kept}
    assert server.ask(config, "SELECT number FROM content_counter") == [(1,)]
    assert server.ask(template, "SELECT number FROM content_counter") == [(0,)]


def test_second_database_from_a_template_is_like_the_first(server):
    template = make_template(server)
    configs = [server.config() for _ in range(2)]

    for config in configs:
        server.backend.create_from_template(template, config)

    first, second = map(server.backend.fingerprint, configs)
    assert first == second == server.backend.fingerprint(template)


def test_template_that_was_made_again_is_the_one_that_counts(server):
    template = make_template(server)
    server.backend.create_from_template(template, server.config())
    server.backend.drop(template)
    server.backend.create(template)
    server.ask(template, "CREATE TABLE other (id integer)")

    config = server.config()
    server.backend.create_from_template(template, config)

    tables = {*server.backend.fingerprint(config)}
    assert tables == {"other", "(sequences)"}


def test_template_never_takes_the_place_of_what_is_there(server):
    template, config = make_template(server), server.config()
    server.backend.create(config)
    server.ask(config, "CREATE TABLE precious (id integer)")

    with pytest.raises(MirrorExists, match="is there already"):
        server.backend.create_from_template(template, config)

    assert server.ask(config, "SELECT * FROM precious") == []


def test_database_from_a_template_that_is_not_there_is_not_made(server):
    template, config = server.template(), server.config()

    with pytest.raises(OperationFailed):
        server.backend.create_from_template(template, config)

    assert not server.backend.exists(config)
    assert not server.backend.exists(template)


def test_templates_are_listed_by_name(server):
    before = set(server.backend.list_templates(server.base))
    names = [f"tests_{uuid4().hex}" for _ in range(2)]
    for name in names:
        server.backend.create(server.template(name))
    server.backend.create(server.config())

    listed = server.backend.list_templates(server.base)

    assert set(listed) - before == {*names}
    server.backend.drop(server.backend.build_template_config(server.base, names[0]))
    assert names[0] not in server.backend.list_templates(server.base)


def test_database_without_templates_lists_none_that_is_not_one(server):
    token = uuid4().hex[:8]
    server.backend.create(server.config(f"django_mirrors_template{token}"))

    listed = server.backend.list_templates(server.base)

    assert not [name for name in listed if token in name]


@pytest.mark.parametrize("name", ["", "../x", "X", "a b", "x" * 40, "x;y", "ü"])
def test_template_with_a_name_that_needs_quotes_is_refused(server, name):
    with pytest.raises(OperationFailed, match="Name it with 1 to 39"):
        server.backend.build_template_config(server.base, name)


def test_databases_are_made_from_one_template_at_once(server):
    template = make_template(server)
    configs = [server.config() for _ in range(6)]
    errors = []

    def make(config):
        try:
            server.backend.create_from_template(template, config)
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=make, args=[config]) for config in configs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    wanted = server.backend.fingerprint(template)
    assert [server.backend.fingerprint(config) for config in configs] == [wanted] * 6


def test_of_two_who_make_one_database_one_is_refused(server):
    template, config = make_template(server), server.config()
    server.backend.create_from_template(template, server.config())
    outcomes = []

    def make():
        try:
            server.backend.create_from_template(template, config)
        except MirrorExists:
            outcomes.append("refused")
        else:
            outcomes.append("made")

    threads = [threading.Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["made", "refused"]
    assert server.backend.fingerprint(config) == server.backend.fingerprint(template)


def test_finished_template_gets_its_name(server):
    built, template = make_template(server), server.template()
    before = server.backend.fingerprint(built)

    server.backend.rename(built, template)

    assert server.backend.fingerprint(template) == before
    assert not server.backend.exists(built)


def test_finished_template_does_not_take_the_place_of_another(server):
    built, template = make_template(server), server.template()
    server.backend.create(template)
    before = server.backend.fingerprint(built)

    with pytest.raises(MirrorExists, match="is there already"):
        server.backend.rename(built, template)

    assert server.backend.fingerprint(built) == before


# --- fingerprints


def change(server, config, sql):
    before = server.backend.fingerprint(config)
    server.ask(config, sql)
    after = server.backend.fingerprint(config)
    return {name for name in before if after[name] != before[name]}


@pytest.mark.parametrize(
    ("sql", "changed"),
    [
        ("UPDATE content_tag SET name = 'x' WHERE id = 3", {"content_tag"}),
        ("UPDATE content_thing SET text = NULL WHERE id = 1", {"content_thing"}),
        ("UPDATE content_thing SET url = '' WHERE id = 2", {"content_thing"}),
        (
            "UPDATE content_thing SET url = email, email = NULL WHERE id = 1",
            {"content_thing"},
        ),
        ("DELETE FROM content_thing_tags WHERE id = 1", {"content_thing_tags"}),
        ("UPDATE content_tag SET name = name", set()),
    ],
)
def test_changed_cell_changes_the_checksum_of_its_table(server, source, sql, changed):
    assert change(server, source, sql) == changed


def test_number_that_was_used_changes_the_checksum_of_sequences(server, source):
    before = server.backend.fingerprint(source)
    with server.connect(source) as connection:
        content.add_tag(connection)
    server.ask(source, "DELETE FROM content_tag WHERE name = 'new'")
    server.ask(source, "UPDATE content_counter SET number = 0")

    after = server.backend.fingerprint(source)

    assert after.pop("(sequences)") != before.pop("(sequences)")
    assert after == before


def test_order_of_rows_does_not_matter(server):
    configs = [server.config() for _ in range(2)]
    for config, numbers in zip(
        configs, ("(1), (2), (2)", "(2), (1), (2)"), strict=True
    ):
        server.backend.create(config)
        server.ask(config, "CREATE TABLE numbers (id integer)")
        server.ask(config, f"INSERT INTO numbers VALUES {numbers}")

    first, second = map(server.backend.fingerprint, configs)

    assert first == second
    assert first["numbers"][0] == 3


@pytest.mark.postgres
@pytest.mark.mariadb
def test_equal_rows_have_equal_checksums_on_every_engine(make_server):
    found = {}
    for mode in ("sqlite", "postgresql", "schema", "mysql"):
        server = make_server(mode)
        found[mode] = server.backend.fingerprint(server.filled())

    assert found["postgresql"] == found["sqlite"]
    assert found["schema"] == found["sqlite"]
    assert found["mysql"] == found["sqlite"]


# --- killed

SCRIPT = """
import pickle, sys
import django
django.setup()
from pathlib import Path
from django_mirrors.operations.databases import get_database_backend
action, source, target, is_half = pickle.load(sys.stdin.buffer)
backend = get_database_backend(target)
if is_half:
    from tests.operations.databases import half
    half.end_in_the_middle()
print("ready", flush=True)
if action == "copy":
    backend.copy(source, target)
elif action == "load":
    backend.load(target, Path(source))
else:
    backend.create_from_template(source, target)
print("done", flush=True)
"""


def run_and_kill(action, source, target, *, after):
    """Do it in a process of its own, and kill that; return whether it was done.

    Without a time it is killed when half of the data has gone through.
    """
    import pickle

    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
    )
    process.stdin.write(pickle.dumps((action, source, target, after is None)))
    process.stdin.close()
    assert process.stdout.readline() == b"ready\n"
    if after is not None:
        sleep(after)
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    said = process.stdout.read()
    process.stdout.close()
    return said == b"done\n"


def make_large(server, config):
    server.ask(config, "CREATE TABLE big (id integer, filler varchar(4000))")
    with server.connect(config) as connection:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            for _ in range(40):
                cursor.executemany(
                    "INSERT INTO big VALUES (%s, %s)",
                    [(number, str(number) * 300) for number in range(150)],
                )
            cursor.execute("COMMIT")


def wait_for_end_of_tools(server, config, *, seconds=90):
    """Wait until what a killed process left running has ended."""
    end = monotonic() + seconds
    while monotonic() < end:
        found = subprocess.run(
            ["pgrep", "-f", str(config["NAME"])],
            capture_output=True,
            check=False,
        )
        if found.returncode == 1:
            return
        sleep(0.05)
    raise AssertionError("What a killed process had started goes on.")


HALVES = {  # what is left when half was written
    "sqlite": {"copy": "absent", "load": "empty"},
    "postgresql": {"copy": "empty", "load": "empty"},
    "schema": {"copy": "absent", "load": "empty"},
    "mysql": {"copy": "unfinished", "load": "unfinished"},
}


@pytest.mark.parametrize("action", ["copy", "load"])
def test_half_of_the_data_is_never_taken_for_all(server, source, tmp_path, action):
    make_large(server, source)
    server.backend.dump(source, tmp_path / "dump")
    wanted = server.backend.fingerprint(source)
    target = server.config()
    given = source
    if action == "load":
        server.backend.create(target)
        given = str(tmp_path / "dump")

    was_done = run_and_kill(action, given, target, after=None)

    assert not was_done
    wait_for_end_of_tools(server, target)
    assert find_state(server, target, wanted) == HALVES[server.mode][action]
    assert server.backend.fingerprint(source) == wanted
    server.backend.drop(target)
    assert not server.backend.exists(target)


MOMENTS = [0.0, 0.1, 0.3]


@pytest.mark.parametrize("after", MOMENTS)
def test_copy_that_is_killed_leaves_nothing_that_looks_whole(server, source, after):
    make_large(server, source)
    before = server.backend.fingerprint(source)
    target = server.config()

    was_done = run_and_kill("copy", source, target, after=after)

    wait_for_end_of_tools(server, target)
    state = find_state(server, target, before)
    assert state in (
        {"whole"} if was_done else {"absent", "empty", "unfinished", "whole"}
    )
    server.backend.drop(target)
    server.backend.copy(source, target)
    assert server.backend.fingerprint(target) == before
    assert server.backend.fingerprint(source) == before


@pytest.mark.parametrize("after", MOMENTS)
def test_load_that_is_killed_leaves_nothing_that_looks_whole(
    server, source, tmp_path, after
):
    make_large(server, source)
    before = server.backend.fingerprint(source)
    server.backend.dump(source, tmp_path / "dump")
    target = server.config()
    server.backend.create(target)

    was_done = run_and_kill("load", str(tmp_path / "dump"), target, after=after)

    wait_for_end_of_tools(server, target)
    state = find_state(server, target, before)
    assert state in ({"whole"} if was_done else {"empty", "unfinished", "whole"})
    server.backend.drop(target)
    server.backend.create(target)
    server.backend.load(target, tmp_path / "dump")
    assert server.backend.fingerprint(target) == before


@pytest.mark.parametrize("after", [0.0, 0.03, 0.1])
def test_template_killed_while_it_is_copied_leaves_nothing_that_looks_whole(
    server, after
):
    template, target = make_template(server), server.config()
    before = server.backend.fingerprint(template)

    was_done = run_and_kill("create", template, target, after=after)

    sleep(0.3)  # for a statement that the server still works on
    state = find_state(server, target, before)
    assert state in (
        {"whole"} if was_done else {"absent", "empty", "unfinished", "whole"}
    )
    server.backend.drop(target)
    server.backend.create_from_template(template, target)
    assert server.backend.fingerprint(target) == before


def find_state(server, config, wanted):
    if not server.backend.exists(config):
        return "absent"
    if server.backend.is_unfinished(config):
        with pytest.raises(OperationFailed, match="is not whole"):
            server.backend.fingerprint(config)
        return "unfinished"
    found = server.backend.fingerprint(config)
    if found == wanted:
        return "whole"
    return "empty" if len(found) == 1 else "half"


# --- by the commands


@pytest.fixture(
    params=[
        pytest.param(get_postgres_url(), marks=pytest.mark.postgres, id="postgres"),
        pytest.param(get_mariadb_url(), marks=pytest.mark.mariadb, id="mariadb"),
    ]
)
def made(request):
    """Return the config of a database that is not there, and its URL."""
    url = f"{request.param.rpartition('/')[0]}/dm_made_{uuid4().hex[:12]}"
    config = build_config(url)
    yield {**config, "URL": url}
    get_database_backend(config).drop(config)


def test_mirror_is_added_on_a_server(made, defaults):
    add_mirror("books", {"DATABASE": made["URL"]})

    with use_mirror("books"):
        Book.objects.create(title="Emma")
        assert Book.objects.get().title == "Emma"
    assert check_mirrors(mirrors.select("books")).count("done") == 1
    assert get_status(mirrors["books"]).database_bytes > 0


def test_database_of_somebody_is_refused_on_a_server(made, defaults):
    get_database_backend(made).create(made)

    with pytest.raises(MirrorExists, match="is not marked as this mirror's"):
        add_mirror("books", {"DATABASE": made["URL"]})

    assert get_database_backend(made).exists(made)
    assert "books" not in mirrors
