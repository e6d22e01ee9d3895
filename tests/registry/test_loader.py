"""What is read when: at the start, after a change, and while something is wrong."""

import gc
import logging

import pytest
from django.db import OperationalError, connections
from django.test import override_settings

from django_mirrors import mirrors, use_original
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.models import FleetVersion, MirrorRecord
from django_mirrors.registry import loader as module
from django_mirrors.registry.last_known import read_last_known
from django_mirrors.registry.loader import Loader
from django_mirrors.signals import fleet_changed
from django_mirrors.sources.records import NOTHING, RecordsUnavailable

pytestmark = pytest.mark.django_db
LOGGER = "django_mirrors.registry"


@pytest.fixture
def snapshot(tmp_path):
    return tmp_path / "known.sqlite3"


@pytest.fixture(autouse=True)
def fleet(settings, tmp_path, snapshot):
    """`music` is declared, and `games` in a file; records are made by the tests."""
    (tmp_path / "mirrors").mkdir()
    (tmp_path / "mirrors" / "games.toml").write_text('HOSTS = ["games.example"]\n')
    settings.MIRRORS = {"music": {"HOSTS": ["music.example"], "STATE": "active"}}
    settings.MIRRORS_OPTIONS = {
        "ORIGINAL": {"HOSTS": ["original.example"]},
        "FILES": tmp_path / "mirrors",
        "SNAPSHOT": snapshot,
    }
    return settings


@pytest.fixture
def loader():
    return Loader()


@pytest.fixture
def broken(monkeypatch):
    """Return a function that takes the original's database away, or gives it back."""
    read = module.read_version

    def fail(**_):
        raise RecordsUnavailable("The records of the fleet cannot be read.")

    def choose(is_broken):
        monkeypatch.setattr(module, "read_version", fail if is_broken else read)

    return choose


def record(name, **values):
    values = {"definition": {"HOSTS": [f"{name}.example"]}, "state": "active", **values}
    return MirrorRecord.objects.create(name=name, **values)


def list_names(snapshot):
    return list(snapshot.mirrors)


def list_messages(caplog, level=logging.ERROR):
    return [item.getMessage() for item in caplog.records if item.levelno == level]


def test_all_sources_make_one_fleet(loader):
    record("books")

    assert list_names(loader.load()) == ["books", "games", "music"]


@pytest.fixture
def no_collecting():
    gc.disable()
    yield
    gc.enable()


def test_a_process_collects_garbage_after_it_loaded(loader):
    loader.load()

    assert gc.isenabled()


def test_a_process_that_collects_no_garbage_goes_on_so(no_collecting, loader):
    loader.load()

    assert not gc.isenabled()


def test_nothing_changed_is_no_snapshot(loader):
    record("books")
    loader.load()

    assert loader.refresh() is None


def test_a_loader_that_read_nothing_yet_reads_everything(loader):
    assert list_names(loader.refresh()) == ["games", "music"]


def test_changes_of_records_are_read(loader):
    made = record("books")
    loader.load()

    MirrorRecord.objects.update(state="suspended")
    suspended = loader.refresh()
    made.name = "novels"
    made.save()
    renamed = loader.refresh()
    made.delete()
    deleted = loader.refresh()

    assert suspended.mirrors["books"].state == "suspended"
    assert list_names(renamed) == ["games", "music", "novels"]
    assert list_names(deleted) == ["games", "music"]


def test_unchanged_mirrors_are_the_same_values(loader):
    record("books")
    record("films")
    before = loader.load()

    MirrorRecord.objects.filter(name="films").update(state="suspended")
    after = loader.refresh()

    assert after.mirrors["books"] is before.mirrors["books"]
    assert loader.changed == {"films"}


def test_records_can_be_left_out(loader, fleet):
    record("books")
    fleet.MIRRORS_OPTIONS = {"RECORDS": False, "SNAPSHOT": None}

    assert list_names(loader.load()) == ["music"]
    assert loader.refresh() is None


def test_a_database_that_was_restored_is_read_anew(loader):
    record("books")
    loader.load()

    FleetVersion.objects.update(number=5)
    MirrorRecord.objects.all().delete()
    FleetVersion.objects.update(number=5, deletions=0)
    after = loader.refresh()

    assert list_names(after) == ["games", "music"]


def test_another_database_is_read_anew(loader):
    record("films").delete()
    made = record("books")
    loader.load()

    # As many changes as here, and more; but fewer deletions.
    MirrorRecord.objects.filter(pk=made.pk).delete()
    record("toys")
    MirrorRecord.objects.update(version=0)
    FleetVersion.objects.update(deletions=0)
    after = loader.refresh()

    assert list_names(after) == ["games", "music", "toys"]


def test_a_file_of_the_same_size_is_read_when_it_changes(loader, tmp_path):
    loader.load()

    path = tmp_path / "mirrors" / "games.toml"
    path.write_text(path.read_text().replace("games.", "gamez."))
    after = loader.refresh()

    assert after.mirrors["games"].hosts == ("gamez.example",)


def test_files_are_read_when_they_change(loader, tmp_path):
    record("books")
    loader.load()

    (tmp_path / "mirrors" / "toys.toml").write_text('HOSTS = ["toys.example"]\n')
    added = loader.refresh()
    (tmp_path / "mirrors" / "games.toml").unlink()
    removed = loader.refresh()

    assert list_names(added) == ["books", "games", "music", "toys"]
    assert list_names(removed) == ["books", "music", "toys"]


def test_a_mirror_can_move_from_a_record_to_a_file_and_back(loader, tmp_path):
    made = record("books")
    loader.load()
    path = tmp_path / "mirrors" / "books.toml"

    path.write_text('HOSTS = ["books.example"]\n')
    made.delete()
    declared = loader.refresh()
    path.unlink()
    record("books")
    recorded = loader.refresh()

    assert declared.mirrors["books"].source == str(path)
    assert recorded.mirrors["books"].source == "records"


def test_a_wrong_file_keeps_the_declarations_and_not_the_records(
    loader, tmp_path, caplog
):
    record("books")
    loader.load()

    (tmp_path / "mirrors" / "games.toml").write_text("HOSTS = \n")
    MirrorRecord.objects.update(state="suspended")
    after = loader.refresh()
    again = loader.refresh()
    (tmp_path / "mirrors" / "games.toml").write_text('HOSTS = ["toys.example"]\n')
    corrected = loader.refresh()

    assert after.mirrors["books"].state == "suspended"
    assert after.mirrors["games"].hosts == ("games.example",)
    assert again is None
    assert corrected.mirrors["games"].hosts == ("toys.example",)
    [message] = list_messages(caplog)
    assert message.startswith("A change is refused, what was known is kept: ")
    assert "games.toml is not valid TOML: Invalid value (at line 1" in message


def test_a_file_that_claims_the_host_of_a_record_is_refused(loader, tmp_path, caplog):
    record("books")
    loader.load()

    (tmp_path / "mirrors" / "toys.toml").write_text('HOSTS = ["books.example"]\n')

    assert loader.refresh() is loader.refresh() is None
    assert len(list_messages(caplog)) == 1


def test_a_wrong_record_is_told_once_and_forgotten_when_it_is_right(loader, caplog):
    record("books")
    loader.load()
    for definition in (
        {"HOST": []},
        {"HOST": [], "NAME": "B"},
        {"HOSTS": ["b.example"]},
    ):
        MirrorRecord.objects.update(definition=definition)
        loader.refresh()
    MirrorRecord.objects.update(definition={"HOST": []})
    loader.refresh()

    assert len(list_messages(caplog)) == 4
    assert len(set(list_messages(caplog))) == 2


def test_a_wrong_declaration_at_the_start_is_an_error(loader, fleet):
    fleet.MIRRORS = {"music": {"HOSTS": ["games.example", "-"]}, "Games": {}}

    with pytest.raises(InvalidMirror) as caught:
        loader.load()

    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "MIRRORS['music']['HOSTS']",
        "MIRRORS['Games']",
        "MIRRORS['Games'] has no hosts. Add at least one name to 'HOSTS'.",
    ]


def test_two_declarations_that_clash_are_an_error(loader, fleet):
    fleet.MIRRORS = {
        "music": {"HOSTS": ["games.example"]},
        "games": {"HOSTS": ["original.example"]},
    }

    with pytest.raises(InvalidMirror) as caught:
        loader.load()

    assert len(caught.value.problems) == 3


# Without the original's database


def test_a_start_without_the_database_knows_the_last_records(
    loader, broken, snapshot, caplog
):
    record("books", state="suspended")
    first = Loader()
    first.load()
    first.save()
    assert list(read_last_known(snapshot)) == ["books"]

    broken(True)
    known = loader.load()
    silent = loader.refresh()
    broken(False)
    MirrorRecord.objects.update(state="active")
    back = loader.refresh()

    assert list_names(known) == ["books", "games", "music"]
    assert known.mirrors["books"].state == "suspended"
    assert silent is None
    assert back.mirrors["books"].state == "active"
    assert list_messages(caplog, logging.WARNING) == [
        "The records of the fleet cannot be read. The last known fleet is used."
    ]


def test_a_start_that_must_not_ask_knows_the_last_records(loader):
    record("books")
    first = Loader()
    first.load()
    first.save()
    MirrorRecord.objects.all().delete()

    assert list_names(loader.load(ask=False)) == ["books", "games", "music"]


def test_a_start_without_anything_known_serves_declared_mirrors(loader, broken):
    record("books")
    broken(True)

    assert list_names(loader.load()) == ["games", "music"]


def test_an_outage_is_told_once_and_so_is_its_end(loader, broken, caplog):
    caplog.set_level(logging.INFO, LOGGER)
    record("books")
    before = loader.load()
    broken(True)
    during = loader.refresh(), loader.refresh()
    broken(False)
    after = loader.refresh(), loader.refresh()

    assert list_names(before) == ["books", "games", "music"]
    assert during == after == (None, None)
    assert list_messages(caplog, logging.WARNING) == [
        "The records of the fleet cannot be read."
    ]
    assert list_messages(caplog, logging.INFO) == [
        "The original's database answers again."
    ]


def test_files_are_followed_during_an_outage(loader, broken, tmp_path):
    record("books")
    loader.load()
    broken(True)

    (tmp_path / "mirrors" / "toys.toml").write_text('HOSTS = ["toys.example"]\n')

    assert list_names(loader.refresh()) == ["books", "games", "music", "toys"]


def test_a_database_without_tables_is_not_the_one_of_the_file(
    loader, monkeypatch, caplog
):
    record("books")
    first = Loader()
    first.load()
    first.save()
    monkeypatch.setattr(module, "read_version", lambda **_: NOTHING)

    known = loader.load()

    assert list_names(known) == ["books", "games", "music"]
    assert loader.refresh() is None
    assert "has no tables for the fleet, which it had before" in caplog.text


def test_a_database_without_tables_is_one_that_is_not_migrated_yet(loader, monkeypatch):
    monkeypatch.setattr(module, "read_version", lambda **_: NOTHING)

    assert list_names(loader.load()) == ["games", "music"]
    assert loader.refresh() is None


def test_a_wrong_record_at_the_start_is_as_it_was_last(loader, caplog):
    record("books")
    record("music", declared=True, state="maintenance")
    first = Loader()
    first.load()
    first.save()
    MirrorRecord.objects.filter(name="books").update(definition={})
    MirrorRecord.objects.filter(name="music").update(state="on")

    after = loader.load()
    loader.save()
    again = Loader().load()

    assert after.mirrors == again.mirrors
    assert after.mirrors["books"].hosts == ("books.example",)
    assert after.mirrors["music"].state == "maintenance"
    assert len(list_messages(caplog)) == 4


def test_a_wrong_record_at_the_start_that_was_never_known_is_an_error(loader):
    record("books", definition={})

    with pytest.raises(
        InvalidMirror, match="The record of mirror 'books' has no hosts"
    ):
        loader.load()


# The file


def test_the_file_follows_changes(loader, snapshot):
    made = record("books")
    loader.load()
    loader.save()
    for change in ({"state": "suspended"}, {"name": "novels"}):
        MirrorRecord.objects.update(**change)
        loader.refresh()
        loader.save()
    loader.save()
    novels = read_last_known(snapshot)
    made.delete()
    loader.refresh()
    loader.save()

    assert list(novels) == ["novels"]
    assert novels["novels"].state == "suspended"
    assert read_last_known(snapshot) == {}


def test_the_file_does_not_learn_what_is_refused(loader, snapshot):
    record("books")
    loader.load()
    loader.save()
    MirrorRecord.objects.update(definition={})
    loader.refresh()
    loader.save()
    refused = read_last_known(snapshot)
    MirrorRecord.objects.update(definition={"HOSTS": ["b.example"]})
    loader.refresh()
    loader.save()

    assert "books.example" in refused["books"].definition
    assert "b.example" in read_last_known(snapshot)["books"].definition


def test_a_file_that_was_not_written_in_time_is_written_whole(loader, snapshot):
    record("books")
    loader.load()
    record("films")
    loader.refresh()
    record("toys")
    loader.refresh()

    loader.save()

    assert sorted(read_last_known(snapshot)) == ["books", "films", "toys"]


def test_a_file_waits_for_the_database(loader, snapshot, monkeypatch):
    record("books")
    loader.load()

    def fail(**_):
        raise RecordsUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(module, "read_records", fail)
        loader.save()
    assert read_last_known(snapshot) == {}
    loader.save()

    assert list(read_last_known(snapshot)) == ["books"]


def test_what_changes_while_the_file_is_written_is_written_next(
    loader, snapshot, monkeypatch
):
    record("books")
    loader.load()
    save = module.save_last_known

    def change_meanwhile(path, unsaved):
        save(path, unsaved)
        MirrorRecord.objects.update(state="suspended")
        loader.refresh()

    with monkeypatch.context() as patch:
        patch.setattr(module, "save_last_known", change_meanwhile)
        loader.save()
    first = read_last_known(snapshot)["books"].state
    loader.save()

    assert first == "active"
    assert read_last_known(snapshot)["books"].state == "suspended"


def test_no_file_is_written_if_none_is_wanted(loader, fleet, tmp_path):
    fleet.MIRRORS_OPTIONS = {"SNAPSHOT": None}
    record("books")
    loader.load()

    loader.save()

    assert not list(tmp_path.glob("*.sqlite3"))


# The registry


@pytest.fixture
def changes():
    """What `fleet_changed` says."""
    told = []

    def note(mirrors, **_):
        told.append(mirrors)

    fleet_changed.connect(note)
    yield told
    fleet_changed.disconnect(note)


def test_what_changed_is_told(changes, fleet):
    record("books")
    record("films")
    mirrors.reload()
    MirrorRecord.objects.filter(name="films").update(state="suspended")
    mirrors.reload()
    MirrorRecord.objects.filter(name="films").update(step="x")
    mirrors.reload()
    MirrorRecord.objects.filter(name="books").delete()
    mirrors.reload()
    fleet.MIRRORS = {"opera": {"HOSTS": ["opera.example"]}}
    mirrors.reload()

    assert changes[-3:] == [("films",), ("books",), ("music", "opera")] or changes[
        -4:
    ] == [("films",), (), ("books",), ("music", "opera")]


def test_a_receiver_that_fails_harms_nobody(changes, caplog):
    def fail(**_):
        raise ValueError("planted")

    fleet_changed.connect(fail)
    try:
        record("books")
        mirrors.reload()
    finally:
        fleet_changed.disconnect(fail)

    assert "books" in mirrors


def test_the_original_needs_neither_records_nor_files(broken):
    broken(True)
    mirrors.forget()

    assert mirrors.original is mirrors.original
    assert mirrors.original.hosts == ("original.example",)
    with use_original():
        assert mirrors["original"] == mirrors.original


def test_a_connection_that_broke_is_made_anew(monkeypatch):
    record("books")
    mirrors.reload()
    connection = connections["original"]
    closed = []
    monkeypatch.setattr(connection, "in_atomic_block", False)

    def close(self):
        closed.append(self)

    def fail(*_):
        raise OperationalError("gone")

    monkeypatch.setattr(type(connection), "close", close)

    with monkeypatch.context() as patch:
        patch.setattr(type(connection), "create_cursor", fail)
        mirrors.reload()

    assert closed == [connection]
    assert "books" in mirrors


def test_a_connection_in_a_transaction_is_left_alone(monkeypatch):
    record("books")
    mirrors.reload()
    connection = connections["original"]
    closed = []

    def fail(*_):
        raise OperationalError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(type(connection), "create_cursor", fail)
        patch.setattr(type(connection), "close", lambda _: closed.append(1))
        mirrors.reload()

    assert connection.in_atomic_block
    assert closed == []


def test_an_override_of_settings_is_followed():
    with override_settings(MIRRORS={"opera": {"HOSTS": ["opera.example"]}}):
        inside = list(mirrors)

    assert inside == ["games", "opera"]
    assert list(mirrors) == ["games", "music"]
