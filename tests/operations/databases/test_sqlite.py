"""What is special about files."""

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from django_mirrors.exceptions import OperationFailed
from django_mirrors.operations.databases.files import use_new_file

pytestmark = pytest.mark.django_db


@pytest.fixture
def sqlite(make_server):
    return make_server("sqlite")


def list_files(path):
    return sorted(item.name for item in Path(path).parent.iterdir())


@pytest.mark.parametrize("name", [":memory:", "file:x?mode=memory", ""])
def test_database_that_is_no_file_is_refused(sqlite, name):
    with pytest.raises(OperationFailed, match="Name a file"):
        sqlite.backend.create({**sqlite.base, "NAME": name})


def test_file_is_not_for_everybody(sqlite):
    template, config = sqlite.filled(sqlite.template()), sqlite.config()

    sqlite.backend.create_from_template(template, config)

    assert stat.S_IMODE(Path(config["NAME"]).stat().st_mode) & 0o007 == 0


def test_template_that_was_not_closed_is_copied_with_its_log(sqlite):
    template, config = sqlite.template(), sqlite.config()
    sqlite.backend.create(template)
    with closing(sqlite3.connect(template["NAME"])) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE late (id integer)")
        connection.execute("INSERT INTO late VALUES (7)")
        connection.commit()

        sqlite.backend.create_from_template(template, config)

    assert sqlite.ask(config, "SELECT id FROM late") == [(7,)]


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_copy_ends_although_others_never_stop_writing(sqlite, mode):
    source, target = sqlite.config(), sqlite.config()
    sqlite.backend.create(source)
    writer = subprocess.Popen([sys.executable, "-c", WRITER, source["NAME"], mode])
    try:
        wait_for_rows(source["NAME"])

        sqlite.backend.copy(source, target)
        assert writer.poll() is None
    finally:
        writer.kill()
        writer.wait()

    ((count,),) = sqlite.ask(target, "SELECT count(*) FROM pairs")
    assert count % 2 == 0
    assert count > 0


WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
connection.execute(f"PRAGMA journal_mode={sys.argv[2]}")
connection.execute("PRAGMA synchronous=OFF")
connection.execute("CREATE TABLE pairs (id integer, filler text)")
while True:
    connection.execute("BEGIN IMMEDIATE")
    for _ in range(2):
        connection.execute("INSERT INTO pairs VALUES (1, ?)", ["x" * 3000])
    connection.execute("COMMIT")
"""


def wait_for_rows(path):
    from time import sleep

    for _ in range(600):
        with closing(sqlite3.connect(path, timeout=60)) as connection:
            try:
                (count,) = connection.execute("SELECT count(*) FROM pairs").fetchone()
            except sqlite3.OperationalError:
                count = 0
        if count > 3000:
            return
        sleep(0.05)
    raise AssertionError("The writer does not write.")


def test_database_locked_by_others_is_told(sqlite, monkeypatch):
    monkeypatch.setattr("django_mirrors.operations.databases.sqlite._PATIENCE", 0.3)
    source, target = sqlite.filled(), sqlite.config()
    sqlite.ask(source, "PRAGMA journal_mode=DELETE")
    with closing(sqlite3.connect(source["NAME"], isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")

        with pytest.raises(OperationFailed, match="locked"):
            sqlite.backend.copy(source, target)

    assert not sqlite.backend.exists(target)


SMALL_DISK = """
import pickle, resource, sys
import django
django.setup()
from pathlib import Path
from django_mirrors.exceptions import OperationFailed
from django_mirrors.operations.databases import get_database_backend
action, source, target = pickle.load(sys.stdin.buffer)
backend = get_database_backend(source)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
try:
    if action == "load":
        backend.load(target, Path(source["NAME"]))
    elif action == "dump":
        backend.dump(source, Path(target["NAME"]))
    else:
        getattr(backend, action)(source, target)
except OperationFailed as error:
    print(error)
"""


@pytest.mark.parametrize("action", ["copy", "create_from_template", "dump", "load"])
def test_full_disk_is_told_and_nothing_is_left(sqlite, action):
    import pickle

    source = sqlite.filled()
    before = sqlite.backend.fingerprint(source)
    target = {**sqlite.base, "NAME": str(Path(source["NAME"]).parent / "to" / "file")}
    Path(target["NAME"]).parent.mkdir()
    if action == "load":
        sqlite.backend.create(target)

    done = subprocess.run(
        [sys.executable, "-c", SMALL_DISK],
        input=pickle.dumps((action, source, target)),
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        check=True,
    )

    said = done.stdout.decode()
    assert target["NAME"] in said
    assert "Make room" in said or "whether the disk is full" in said
    left = {"file"} if action == "load" else set()
    assert {*list_files(target["NAME"])} == left
    assert sqlite.backend.fingerprint(source) == before
    sqlite.backend.drop(target)


def test_directory_that_cannot_be_written_is_told(sqlite, tmp_path):
    (tmp_path / "file").touch()
    config = {**sqlite.base, "NAME": str(tmp_path / "file" / "books")}

    with pytest.raises(OperationFailed, match=r"be written: (Not a d|File exists)"):
        sqlite.backend.copy(sqlite.filled(), config)


def test_file_in_the_place_of_a_directory_is_not_taken_for_the_database(
    sqlite, tmp_path
):
    (tmp_path / "file").touch()
    config = {**sqlite.base, "NAME": str(tmp_path / "file" / "books")}

    with pytest.raises(OperationFailed, match="cannot be made"):
        sqlite.backend.create(config)

    sqlite.backend.drop(config)
    assert not sqlite.backend.exists(config)


def test_file_that_is_no_database_is_told(sqlite, tmp_path):
    config = {**sqlite.base, "NAME": str(tmp_path / "text")}
    (tmp_path / "text").write_text("not a database, but long enough" * 100)

    with pytest.raises(OperationFailed, match="is not a database"):
        sqlite.backend.fingerprint(config)


def test_what_a_killed_process_left_is_removed_with_the_database(sqlite):
    config, other = sqlite.config(), sqlite.config()
    for item in (config, other):
        leave_partial(Path(item["NAME"]))
    sqlite.backend.create(config)

    sqlite.backend.drop(config)

    assert len(list_files(config["NAME"])) == 1


def test_what_a_killed_process_left_is_removed_when_it_is_made_again(sqlite):
    source, target = sqlite.filled(), sqlite.config()
    leave_partial(Path(target["NAME"]))

    sqlite.backend.copy(source, target)

    files = {Path(item["NAME"]).name for item in (source, target)}
    assert {*list_files(target["NAME"])} == files


def test_what_a_process_is_still_making_is_not_removed(sqlite):
    source, target = sqlite.filled(), sqlite.config()

    with use_new_file(Path(target["NAME"]), mode=0o600) as partial:
        sqlite.backend.drop(target)
        assert partial.exists()
        partial.write_bytes(Path(source["NAME"]).read_bytes())

    assert sqlite.backend.exists(target)


def leave_partial(path):
    run_to_its_end(LEAVE, path)


def run_to_its_end(script, path):
    process = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        check=False,
        capture_output=True,
    )
    assert process.returncode == 7, process.stderr


LEAVE = """
import os, sys
import django
django.setup()
from pathlib import Path
from django_mirrors.operations.databases.files import use_new_file
with use_new_file(Path(sys.argv[1]), mode=0o600) as partial:
    partial.write_text("half")
    os._exit(7)
"""


def test_file_system_without_links_gets_whole_files_too(sqlite, monkeypatch):
    import errno

    def refuse(self, target):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    source, target = sqlite.filled(), sqlite.config()

    sqlite.backend.copy(source, target)

    assert sqlite.backend.fingerprint(target) == sqlite.backend.fingerprint(source)


def test_new_name_is_a_link_so_that_nothing_else_is_left(sqlite):
    source, target = sqlite.filled(), sqlite.config()
    number = Path(source["NAME"]).stat().st_ino

    sqlite.backend.rename(source, target)

    assert Path(target["NAME"]).stat().st_ino == number
    assert list_files(target["NAME"]) == [Path(target["NAME"]).name]


def test_log_goes_with_the_file_that_gets_a_new_name(sqlite):
    source, target = sqlite.config(), sqlite.config()
    sqlite.backend.create(source)
    with closing(sqlite3.connect(source["NAME"])) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE late (id integer)")
        connection.execute("INSERT INTO late VALUES (7)")
        connection.commit()

        sqlite.backend.rename(source, target)

    assert sqlite.ask(target, "SELECT id FROM late") == [(7,)]


def test_name_that_a_killed_process_took_is_not_a_whole_database(sqlite):
    config = sqlite.config()

    run_to_its_end(TAKE_NAME, Path(config["NAME"]))

    assert sqlite.backend.exists(config)
    assert sqlite.backend.is_unfinished(config)


TAKE_NAME = """
import os, sys
import django
django.setup()
from pathlib import Path
from django_mirrors.operations.databases.files import use_new_file
def refuse(self, target):
    raise OSError(1, "Operation not permitted")
Path.hardlink_to, Path.replace = refuse, lambda self, target: os._exit(7)
with use_new_file(Path(sys.argv[1]), mode=0o600):
    pass
"""
