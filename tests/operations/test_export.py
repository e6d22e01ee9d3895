"""Archives: whole or not at all, and back again."""

import fcntl
import json
import os
import tarfile
import tempfile
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile

from django_mirrors import mirrors, use_mirror
from django_mirrors.exceptions import InvalidMirror, MirrorExists, OperationFailed
from django_mirrors.models import MirrorRecord
from django_mirrors.operations import (
    add_mirror,
    export_mirror,
    plan_export,
    plan_restore,
    restore_mirror,
)
from django_mirrors.operations.archives import verify_archive
from tests.bookshop.models import Book

pytestmark = pytest.mark.django_db


@pytest.fixture
def books(defaults):
    """Add a mirror with a book that has a cover, and a customer."""
    add_mirror("books", {"SETTINGS": {"SHOP_TITLE": "Books"}})
    with use_mirror("books"):
        book = Book(title="Emma")
        book.cover.save("emma.txt", ContentFile(b"a cover"))
        get_user_model().objects.create_user("ann", password="a password")
    return mirrors["books"]


@pytest.fixture
def archive(books, tmp_path) -> Path:
    export_mirror("books", str(tmp_path / "books.tar"))
    return tmp_path / "books.tar"


def test_archive_tells_what_it_holds(archive, books):
    manifest = verify_archive(str(archive))

    assert manifest["name"] == "books"
    assert manifest["uid"] == str(books.uid)
    assert manifest["definition"]["HOSTS"] == ["books.example"]
    with tarfile.open(archive) as tar:
        assert tar.getnames() == [
            "manifest.json",
            "database",
            "media/default/covers/emma.txt",
            "checksums.json",
        ]


def test_only_its_owner_can_read_an_archive(archive):
    assert archive.stat().st_mode & 0o777 == 0o600


def test_address_of_the_database_is_not_in_the_manifest(archive, books):
    with tarfile.open(archive) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))

    assert str(books.database) not in json.dumps(manifest)


def test_archive_is_put_among_the_archives_if_no_file_is_named(books, tmp_path):
    report = export_mirror("books")

    place = Path(report.results[0].detail)
    assert place.parent == tmp_path / "archives"
    assert verify_archive(place.name)["name"] == "books"


def test_archive_is_never_overwritten(archive):
    before = archive.read_bytes()

    with pytest.raises(OperationFailed, match="is not overwritten"):
        export_mirror("books", str(archive))

    assert archive.read_bytes() == before
    assert [path.name for path in archive.parent.glob("*books.tar*")] == ["books.tar"]


def test_restored_mirror_is_as_the_exported_one_was(archive):
    with use_mirror("books"):
        Book.objects.all().delete()

    restore_mirror(str(archive), name="films", definition={})

    with use_mirror("films"):
        book = Book.objects.get()
        assert book.title == "Emma"
        assert book.cover.read() == b"a cover"
        book.cover.close()
        assert get_user_model().objects.get().check_password("a password")
    assert mirrors["films"].settings["SHOP_TITLE"] == "Books"
    assert mirrors["films"].hosts == ("films.example",)
    with use_mirror("books"):
        assert not Book.objects.exists()


def test_restored_mirror_has_a_uid_of_its_own(archive, books):
    restore_mirror(str(archive), name="films", definition={})

    assert mirrors["films"].uid != books.uid


def test_mirror_that_is_there_is_not_restored_over(archive):
    with pytest.raises(MirrorExists, match="exists and is active"):
        restore_mirror(str(archive), definition={})


def test_mirror_comes_back_under_its_own_name_and_hosts(archive, database_of):
    MirrorRecord.objects.all().delete()
    mirrors.reload()
    database_of("books").rename(database_of("books").with_suffix(".lost"))
    cover = archive.parent / "media" / "books" / "covers" / "emma.txt"
    cover.unlink()
    cover.parent.rmdir()

    restore_mirror(str(archive), definition={})

    assert mirrors["books"].hosts == ("books.example",)
    with use_mirror("books"):
        assert Book.objects.get().title == "Emma"


def test_hosts_in_use_are_refused(archive):
    with pytest.raises(InvalidMirror, match="claimed twice"):
        restore_mirror(
            str(archive), name="films", definition={"HOSTS": ["books.example"]}
        )

    assert "films" not in mirrors


def test_plan_of_a_restore_changes_nothing(archive):
    plan = plan_restore(str(archive), name="films", definition={})

    assert plan.operation == "restore"
    assert "films" not in mirrors


def test_plan_of_an_export_writes_nothing(books, tmp_path):
    plan = plan_export("books")

    assert "write its storage" in plan.steps["books"]
    assert not (tmp_path / "archives").exists()


def damage(archive: Path, position: int) -> None:
    data = bytearray(archive.read_bytes())
    data[position] ^= 1
    archive.write_bytes(data)


def find(archive: Path, member: str) -> int:
    with tarfile.open(archive) as tar:
        return tar.getmember(member).offset_data


@pytest.mark.parametrize(
    "member", ["database", "media/default/covers/emma.txt", "manifest.json"]
)
def test_archive_with_one_wrong_bit_is_refused(archive, member):
    damage(archive, find(archive, member) + 3)

    with pytest.raises(OperationFailed, match="cannot be used"):
        restore_mirror(str(archive), name="films", definition={})

    assert "films" not in mirrors


def test_archive_that_ends_early_is_refused(archive):
    os.truncate(archive, find(archive, "checksums.json") - 512)

    with pytest.raises(OperationFailed, match="cannot be used"):
        restore_mirror(str(archive), name="films", definition={})


def test_file_that_is_no_archive_is_refused(books, tmp_path):
    (tmp_path / "notes.txt").write_text("not an archive")

    with pytest.raises(OperationFailed, match="is damaged"):
        restore_mirror(str(tmp_path / "notes.txt"), definition={})


def test_archive_that_is_not_there_is_refused(books):
    with pytest.raises(OperationFailed, match=r"There is no archive 'none\.tar'"):
        restore_mirror("none.tar", definition={})


def test_mirror_that_is_not_finished_is_not_exported(books):
    MirrorRecord.objects.filter(name="books").update(state="provisioning")
    mirrors.reload()

    with pytest.raises(OperationFailed, match="nothing whole to export"):
        export_mirror("books")


def test_archive_of_a_sharing_mirror_holds_what_is_its_own(books, tmp_path):
    add_mirror("books-fr", {"SHARES": {"DATABASE": "books"}})
    with use_mirror("books-fr"):
        Book.objects.get().cover.storage.save("own.txt", ContentFile(b"its own"))

    export_mirror("books-fr", str(tmp_path / "fr.tar"))

    with tarfile.open(tmp_path / "fr.tar") as tar:
        names = tar.getnames()
    assert "database" not in names
    assert "media/default/own.txt" in names


def test_archive_without_a_database_is_restored_beside_one(books, tmp_path):
    add_mirror("books-fr", {"SHARES": {"DATABASE": "books"}})
    export_mirror("books-fr", str(tmp_path / "fr.tar"))

    with pytest.raises(OperationFailed, match="holds no database"):
        restore_mirror(str(tmp_path / "fr.tar"), name="books-be", definition={})
    shared = {"SHARES": {"DATABASE": "books"}}
    restore_mirror(str(tmp_path / "fr.tar"), name="books-ch", definition=shared)

    assert mirrors["books-ch"].alias == "books"


def test_export_that_fails_leaves_no_file(books, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "django_mirrors.operations.archive.ArchiveWriter.add_json", stop_at_the_end
    )

    with pytest.raises(OperationFailed, match="No space left on device"):
        export_mirror("books", str(tmp_path / "books.tar"))

    assert not list(tmp_path.glob("*.tar*")) + list(tmp_path.glob(".*.draft"))


def test_what_killed_exports_left_is_removed_and_what_others_write_is_not(
    books, tmp_path
):
    left, live = tmp_path / ".left.archive.draft", tmp_path / ".live.archive.draft"
    left.touch()
    with live.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        export_mirror("books", str(tmp_path / "books.tar"))

    assert not left.exists()
    assert live.exists()


def test_export_that_finds_no_temporary_directory_is_told(books, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))

    with pytest.raises(OperationFailed, match=r"missing' cannot be written: .* TMPDIR"):
        export_mirror("books", str(tmp_path / "books.tar"))


def stop_at_the_end(self, name, value):
    if name == "checksums.json":
        raise OSError(28, "No space left on device")
