"""The end of a mirror: archived, and destroyed only then."""

from pathlib import Path

import pytest
from django.core.cache import cache
from django.core.files.base import ContentFile

from django_mirrors import mirrors, use_mirror
from django_mirrors.exceptions import InvalidMirror, OperationFailed, UnknownMirror
from django_mirrors.models import Marker, MirrorRecord, Tombstone
from django_mirrors.operations import (
    add_mirror,
    plan_purge,
    plan_retire,
    purge_mirror,
    restore_mirror,
    retire_mirror,
    set_state,
)
from django_mirrors.operations import retire as retire_module
from tests.bookshop.models import Book

pytestmark = pytest.mark.django_db


@pytest.fixture
def books(defaults):
    """Add a mirror with a book that has a cover, and one that must stay."""
    for name in ("books", "films"):
        add_mirror(name, {})
        with use_mirror(name):
            Book(title=name).cover.save("same.txt", ContentFile(name.encode()))
    return mirrors["books"]


def get_archive(name: str) -> Path:
    return Path(MirrorRecord.objects.get(name=name).archive)


def test_retired_mirror_is_archived_and_not_served(books, client):
    retire_mirror("books")

    assert mirrors["books"].state == "archived"
    assert get_archive("books").is_file()
    assert client.get("/titles/", headers={"host": "books.example"}).status_code == 404
    assert client.get("/titles/", headers={"host": "films.example"}).status_code == 200


def test_place_of_the_archive_is_told(books):
    report = retire_mirror("books")

    assert report.results[0].detail == str(get_archive("books"))


def test_hosts_of_a_retired_mirror_stay_taken(books):
    retire_mirror("books")

    with pytest.raises(InvalidMirror, match="is kept from others until"):
        add_mirror("thief", {"HOSTS": ["books.example"]})


def test_retired_mirror_is_not_served_again_on_a_host_that_is_taken(books):
    retire_mirror("books")
    Tombstone.objects.update(until="2001-01-01T00:00:00Z")
    add_mirror("heir", {"HOSTS": ["books.example"]})

    with pytest.raises(InvalidMirror, match="claimed twice"):
        set_state("books", "active")

    assert mirrors["books"].state == "archived"


def test_retired_mirror_can_be_served_again(books):
    retire_mirror("books")

    set_state("books", "active")

    with use_mirror("books"):
        assert Book.objects.get().title == "books"


def test_archive_from_before_it_was_served_again_does_not_count(books, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    retire_mirror("books")
    set_state("books", "active")
    with use_mirror("books"):
        Book.objects.create(title="since then")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(retire_module, "_archive", stop)
        retire_mirror("books")
    # It goes on with what an attempt has made that was cut short.
    retire_mirror("books")

    purge_mirror("books", confirm="books")
    [newest] = [item for item in get_archives(books) if holds(item, "since then")]
    restore_mirror(str(newest), definition={})

    with use_mirror("books"):
        assert Book.objects.filter(title="since then").exists()


def get_archives(mirror) -> list[Path]:
    from django_mirrors.conf import get_conf

    return sorted(Path(get_conf().archives.removeprefix("file://")).iterdir())


def holds(archive: Path, text: str) -> bool:
    return text.encode() in archive.read_bytes()


@pytest.mark.parametrize("state", ["active", "maintenance", "suspended"])
def test_mirror_that_is_not_archived_is_not_purged(books, state):
    set_state("books", state)

    with pytest.raises(OperationFailed, match="only what is archived is destroyed"):
        purge_mirror("books", confirm="books")

    with use_mirror("books"):
        assert Book.objects.exists()


@pytest.mark.parametrize("word", ["", "films", "BOOKS", "yes"])
def test_purge_wants_the_name_typed(books, word, database_of):
    retire_mirror("books")

    with pytest.raises(OperationFailed, match="Give --confirm books"):
        purge_mirror("books", confirm=word)

    assert database_of("books").exists()


def test_purge_destroys_the_mirror_and_nothing_else(books, database_of, defaults):
    retire_mirror("books")
    archive = get_archive("books")

    purge_mirror("books", confirm="books")

    assert "books" not in mirrors
    assert not database_of("books").exists()
    assert not (defaults / "media" / "books").exists()
    assert archive.is_file()
    with use_mirror("films"):
        book = Book.objects.get()
        assert book.cover.read() == b"films"
        book.cover.close()


def test_purged_mirror_can_be_restored(books):
    retire_mirror("books")
    archive = get_archive("books")
    purge_mirror("books", confirm="books")

    restore_mirror(str(archive), definition={})

    assert mirrors["books"].hosts == ("books.example",)
    with use_mirror("books"):
        assert Book.objects.get().title == "books"


def test_cache_of_a_purged_mirror_is_empty(books):
    with use_mirror("books"):
        cache.set("word", "of books")
    with use_mirror("films"):
        cache.set("word", "of films")
    retire_mirror("books")

    purge_mirror("books", confirm="books")

    with use_mirror(books):
        assert cache.get("word") is None
    with use_mirror("films"):
        assert cache.get("word") == "of films"


@pytest.mark.parametrize("harm", ["remove", "damage", "truncate"])
def test_purge_refuses_without_a_whole_archive(books, harm, database_of):
    retire_mirror("books")
    archive = get_archive("books")
    if harm == "remove":
        archive.unlink()
    else:
        data = archive.read_bytes()
        middle = len(data) // 2
        changed = bytes([data[middle] ^ 1])
        rest = data[middle + 1 :] if harm == "damage" else b""
        archive.write_bytes(data[:middle] + changed + rest)

    with pytest.raises(OperationFailed, match="archive"):
        purge_mirror("books", confirm="books")

    assert database_of("books").exists()
    assert mirrors["books"].state == "archived"


def test_archive_of_another_mirror_does_not_count(books, database_of):
    retire_mirror("films")
    retire_mirror("books")
    other = get_archive("films")
    MirrorRecord.objects.filter(name="books").update(archive=str(other))

    with pytest.raises(OperationFailed, match="is of another mirror"):
        purge_mirror("books", confirm="books")

    assert database_of("books").exists()


def test_database_that_is_another_mirrors_is_left_alone(books, database_of):
    retire_mirror("books")
    with use_mirror(mirrors["books"]):
        Marker.objects.all().delete()
        Marker.objects.create(uid=mirrors["films"].uid, name="films")

    with pytest.raises(OperationFailed, match="not marked as its own"):
        purge_mirror("books", confirm="books")

    assert database_of("books").exists()


def test_hosts_of_a_purged_mirror_are_kept_from_others_for_days(books):
    retire_mirror("books")
    purge_mirror("books", confirm="books")

    with pytest.raises(InvalidMirror, match="was that of mirror 'books'"):
        add_mirror("thief", {"HOSTS": ["books.example"]})
    Tombstone.objects.update(until="2001-01-01T00:00:00Z")
    add_mirror("heir", {"HOSTS": ["books.example"]})

    assert mirrors.for_host("books.example").name == "heir"


def test_mirror_whose_services_are_shared_is_not_retired(books):
    add_mirror("books-fr", {"SHARES": {"DATABASE": "books", "STORAGE": "books"}})

    with pytest.raises(OperationFailed, match=r"shared by 'books-fr' \(DATABASE\)"):
        retire_mirror("books")

    assert mirrors["books"].state == "active"


def test_purge_leaves_what_is_shared(books, database_of):
    add_mirror("books-fr", {"SHARES": {"DATABASE": "books", "STORAGE": "books"}})
    retire_mirror("books-fr")

    purge_mirror("books-fr", confirm="books-fr")

    with use_mirror("books"):
        book = Book.objects.get()
        assert book.cover.read() == b"books"
        book.cover.close()


def test_original_is_neither_retired_nor_purged(books):
    with pytest.raises(OperationFailed, match="The original cannot be retired"):
        retire_mirror("original")
    with pytest.raises(OperationFailed, match="only what is archived"):
        purge_mirror("original", confirm="original")


def test_plans_change_nothing(books, database_of):
    plan_retire("books")
    assert mirrors["books"].state == "active"
    retire_mirror("books")

    plan = plan_purge("books")

    assert "destroy the database" in plan.steps["books"]
    assert database_of("books").exists()


def test_retiring_that_was_stopped_uses_the_archive_that_was_made(
    books, monkeypatch, defaults
):
    def stop(mirror, place):
        raise KeyboardInterrupt

    monkeypatch.setattr(retire_module, "_end_serving", stop)
    with pytest.raises(KeyboardInterrupt):
        retire_mirror("books")
    monkeypatch.undo()

    retire_mirror("books")

    assert mirrors["books"].state == "archived"
    assert len(get_archives(books)) == 1


def test_place_of_an_archive_that_was_made_before_a_stop_is_told_in_full(
    books, monkeypatch
):
    monkeypatch.setattr(retire_module, "_end_serving", _stop)
    with pytest.raises(KeyboardInterrupt):
        retire_mirror("books")
    monkeypatch.undo()

    report = retire_mirror("books")

    assert report.results[0].detail == str(get_archive("books"))
    assert get_archive("books").is_absolute()


def _stop(mirror, place):
    raise KeyboardInterrupt


def test_purge_removes_what_a_killed_one_left_of_the_database(books, database_of):
    retire_mirror("books")
    database_of("books").unlink()
    log = database_of("books").with_name("books.sqlite3-wal")
    log.touch()

    purge_mirror("books", confirm="books")

    assert not log.exists()


@pytest.mark.parametrize("last", ["_drop_database", "_delete_files", "_clear_caches"])
def test_purge_that_was_stopped_goes_on(books, monkeypatch, last, database_of):
    retire_mirror("books")
    end = getattr(retire_module, last)

    def stop(mirror, on_file):
        end(mirror, on_file)
        raise KeyboardInterrupt

    monkeypatch.setattr(retire_module, last, stop)
    with pytest.raises(KeyboardInterrupt):
        purge_mirror("books", confirm="books")
    monkeypatch.undo()

    purge_mirror("books", confirm="books")

    assert "books" not in mirrors
    with pytest.raises(UnknownMirror):
        purge_mirror("books", confirm="books")
    assert not database_of("books").exists()
