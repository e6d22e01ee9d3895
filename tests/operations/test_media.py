"""Files go along with a mirror a piece at a time, however large they are."""

import tracemalloc

import pytest
from django.core.files import File
from django.core.files.storage import default_storage
from storages.backends.s3 import S3Storage

from django_mirrors import mirrors, use_mirror
from django_mirrors.operations import (
    add_mirror,
    clone_mirror,
    export_mirror,
    move_mirror,
    restore_mirror,
)
from django_mirrors.operations.contents import find_storages
from django_mirrors.operations.media import bound_memory

pytestmark = pytest.mark.django_db(transaction=True)

MIB = 1024 * 1024
SIZE = 48 * MIB
MOST = 12 * MIB  # the pieces are of 1 MiB; the rest is for everything else


@pytest.fixture
def books(defaults):
    """Add a mirror with one large file, which has no content on the disk."""
    sparse = defaults / "large"
    with sparse.open("wb") as file:
        file.truncate(SIZE)
    add_mirror("books", {})
    with use_mirror("books"), sparse.open("rb") as file:
        default_storage.save("film.bin", File(file))
    sparse.unlink()
    return "books"


@pytest.fixture
def archive(books, defaults):
    path = str(defaults / "books.tar")
    export_mirror("books", path)
    return path


def measure(do, *arguments, **named):
    """Return the most memory that Python held meanwhile, above the start."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        do(*arguments, **named)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def find_size(name):
    with use_mirror(name):
        return default_storage.size("film.bin")


def test_export_does_not_hold_a_file_in_memory(books, defaults):
    taken = measure(export_mirror, "books", str(defaults / "books.tar"))

    assert taken < MOST
    assert (defaults / "books.tar").stat().st_size > SIZE


def test_export_into_archives_does_not_hold_it_in_memory(books, defaults):
    taken = measure(export_mirror, "books")

    assert taken < MOST
    assert next((defaults / "archives").iterdir()).stat().st_size > SIZE


def test_restore_does_not_hold_a_file_in_memory(archive):
    taken = measure(restore_mirror, archive, name="films", definition={})

    assert taken < MOST
    assert find_size("films") == SIZE


def test_clone_does_not_hold_a_file_in_memory(books):
    taken = measure(clone_mirror, "books", "films", {})

    assert taken < MOST
    assert find_size("films") == SIZE


def test_move_does_not_hold_a_file_in_memory(books, defaults):
    taken = measure(move_mirror, "books", storage=f"file://{defaults}/moved/")

    assert taken < MOST
    assert (defaults / "moved" / "film.bin").stat().st_size == SIZE


def test_storage_on_s3_is_used_with_one_part_of_a_file_at_a_time():
    storage = S3Storage(bucket_name="media", region_name="us-east-1")

    bounded = bound_memory(storage)

    assert not bounded.transfer_config.use_threads
    assert bounded.bucket_name == "media"
    assert storage.transfer_config.use_threads  # requests go on as they did


def test_operations_use_the_storages_of_a_mirror_bounded(defaults, settings):
    settings.MIRRORS = {
        "films": {
            "HOSTS": ["films.example"],
            "DATABASE": "sqlite:///films.sqlite3",
            "STORAGE": "s3://key:secret@media/films/?region_name=us-east-1",
        }
    }

    storage = find_storages(mirrors["films"])["default"]

    assert not storage.transfer_config.use_threads
    assert storage.max_memory_size == 8 * MIB
