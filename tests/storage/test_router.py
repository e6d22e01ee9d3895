import asyncio
import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.images import ImageFile
from django.core.files.storage import Storage, default_storage, storages
from django.db import models
from django.db.migrations.writer import MigrationWriter
from django.http import FileResponse
from django.test.utils import isolate_apps
from PIL import Image

from django_mirrors import bind_mirror, use_mirror, use_original
from django_mirrors.exceptions import NoCurrentMirror
from django_mirrors.registry import mirrors
from django_mirrors.storage import MirrorStorage

NAME = "same/name.txt"


@pytest.fixture
def storage() -> MirrorStorage:
    return MirrorStorage()


def read(storage: Storage, name: str = NAME) -> bytes:
    with storage.open(name) as file:
        return file.read()


@pytest.fixture
def filled(shelves, storage) -> Path:
    """Save a file of the same name, and of other content, in two mirrors."""
    with use_mirror("books"):
        storage.save(NAME, ContentFile(b"books"))
    with use_mirror("films"):
        storage.save(NAME, ContentFile(b"films!"))
    return shelves


def test_each_mirror_has_files_of_its_own(filled, storage):
    with use_mirror("books"):
        assert read(storage) == b"books"
        assert storage.size(NAME) == 5
        assert storage.path(NAME) == f"{filled}/books/{NAME}"
    with use_mirror("films"):
        assert read(storage) == b"films!"
        assert storage.size(NAME) == 6
        assert storage.path(NAME) == f"{filled}/films/{NAME}"

    assert (filled / "books" / NAME).read_bytes() == b"books"
    assert (filled / "films" / NAME).read_bytes() == b"films!"


def test_what_one_mirror_saves_another_does_not_see(filled, storage):
    with use_mirror("books"):
        storage.save("only/books.txt", ContentFile(b"x"))

    with use_mirror("films"):
        assert not storage.exists("only/books.txt")
        assert storage.listdir("") == (["same"], [])
        with pytest.raises(FileNotFoundError):
            storage.open("only/books.txt")


def test_deleting_in_one_mirror_leaves_the_file_of_another(filled, storage):
    with use_mirror("books"):
        storage.delete(NAME)
        assert not storage.exists(NAME)

    with use_mirror("films"):
        assert read(storage) == b"films!"


def test_the_inner_of_two_nested_mirrors_counts(filled, storage):
    with use_mirror("books"):
        with use_mirror("films"):
            assert read(storage) == b"films!"
        assert read(storage) == b"books"


def test_an_exception_gives_the_outer_mirror_its_files_back(filled, storage):
    with use_mirror("books"):
        with pytest.raises(FileNotFoundError), use_mirror("films"):
            storage.open("missing")
        assert read(storage) == b"books"


def test_tasks_and_their_threads_read_their_own_mirror(filled, storage):
    async def read_in(name: str) -> bytes:
        async with use_mirror(name):
            await asyncio.sleep(0)
            return await sync_to_async(read)(storage)

    async def read_all() -> list[bytes]:
        return await asyncio.gather(*map(read_in, ["books", "films"] * 5))

    assert asyncio.run(read_all()) == [b"books", b"films!"] * 5


def test_threads_read_the_mirror_they_are_bound_to(filled, storage):
    def bind(name: str):
        with use_mirror(name):
            return bind_mirror(lambda: read(storage))

    with ThreadPoolExecutor(8) as executor:
        futures = [executor.submit(bind(name)) for name in ["books", "films"] * 50]

    assert [future.result() for future in futures] == [b"books", b"films!"] * 50


def test_a_stream_that_is_read_later_is_of_the_mirror_that_opened_it(filled, storage):
    with use_mirror("books"):
        response = FileResponse(storage.open(NAME))
    with use_mirror("films"):
        body = response.getvalue()
    response.close()

    assert body == b"books"


CALLS = {
    "open": lambda storage, name: storage.open(name),
    "save": lambda storage, name: storage.save(name, ContentFile(b"x")),
    "delete": lambda storage, name: storage.delete(name),
    "exists": lambda storage, name: storage.exists(name),
    "listdir": lambda storage, name: storage.listdir(name),
    "size": lambda storage, name: storage.size(name),
    "url": lambda storage, name: storage.url(name),
    "path": lambda storage, name: storage.path(name),
    "accessed": lambda storage, name: storage.get_accessed_time(name),
    "created": lambda storage, name: storage.get_created_time(name),
    "modified": lambda storage, name: storage.get_modified_time(name),
    "is_available": lambda storage, name: storage.is_name_available(name),
    "get_available": lambda storage, name: storage.get_available_name(name),
}
NAMING = {
    "get_valid": lambda storage, name: storage.get_valid_name(name),
    "get_alternative": lambda storage, name: storage.get_alternative_name(name, ""),
    "generate": lambda storage, name: storage.generate_filename(name),
    "attribute": lambda storage, name: storage.location,
    "private attribute": lambda storage, name: storage._save(name, ContentFile(b"x")),
}


@pytest.mark.parametrize("call", [*CALLS, *NAMING])
def test_without_a_mirror_every_call_raises(shelves, storage, call):
    with pytest.raises(NoCurrentMirror, match="No mirror is current"):
        (CALLS | NAMING)[call](storage, NAME)

    assert list(shelves.iterdir()) == []


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "name", ["../films/secret.txt", "/etc/passwd", "./", "a\0b", "a/\u202eb", "a/../.."]
)
def test_names_that_lead_elsewhere_are_refused_for_every_backend(
    settings, shelves, storage, call, name
):
    settings.MIRRORS = {"books": {"HOSTS": ["b.example"], "STORAGE": "memory://"}}

    with use_mirror("books"), pytest.raises(SuspiciousFileOperation):
        CALLS[call](storage, name)


@pytest.mark.parametrize("call", sorted(CALLS.keys() - {"save", "get_available"}))
def test_backslashes_are_refused_but_in_new_names(shelves, storage, call):
    with use_mirror("books"), pytest.raises(SuspiciousFileOperation):
        CALLS[call](storage, "a\\b.txt")


def test_backslashes_in_new_names_are_separators_as_in_django(shelves, storage):
    with use_mirror("books"):
        assert storage.save("a\\b.txt", ContentFile(b"x")) == "a/b.txt"
        assert storage.get_available_name("c\\d.txt") == "c/d.txt"
        with pytest.raises(SuspiciousFileOperation):
            storage.save("..\\films\\b.txt", ContentFile(b"x"))


@pytest.mark.parametrize("path", ["", "."])
def test_the_root_may_be_listed(filled, storage, path):
    with use_mirror("books"):
        assert storage.listdir(path) == (["same"], [])


def test_hostile_upload_names_are_cleaned_as_in_django(shelves, storage):
    with use_mirror("books"):
        assert storage.get_valid_name("a b\0\u202e.txt") == "a_b.txt"
        assert storage.generate_filename("x/a\\b c.txt") == "x/a/b_c.txt"
        assert storage.get_alternative_name("a", ".txt").startswith("a_")
        with pytest.raises(SuspiciousFileOperation):
            storage.generate_filename("../a.txt")


def test_the_name_of_the_content_is_used_if_none_is_given(shelves, storage):
    with use_mirror("books"):
        assert storage.save(None, ContentFile(b"x", name="given.txt")) == "given.txt"


def test_long_names_are_cut_to_the_length_of_the_field(shelves, storage):
    with use_mirror("books"):
        name = storage.save("x" * 300 + ".txt", ContentFile(b"x"), max_length=50)

    assert len(name) == 50


def test_attributes_of_the_backend_are_those_of_the_current_mirror(shelves, storage):
    with use_mirror("books"):
        assert storage.location == f"{shelves}/books"
        assert storage.base_url == "/media/"
        with pytest.raises(AttributeError, match="'bucket'"):
            _ = storage.bucket
    with use_mirror("films"):
        assert storage.location == f"{shelves}/films"


def test_urls_begin_with_media_url_or_the_base_url_of_the_definition(shelves, settings):
    settings.MEDIA_URL = "/files/"

    with use_mirror("books"):
        assert MirrorStorage().url("a b.txt") == "/files/a%20b.txt"
        assert MirrorStorage("private").url("a.txt") == "/private/a.txt"


def test_aliases_are_storages_of_their_own(shelves):
    private = MirrorStorage("private")

    with use_mirror("books"):
        private.save(NAME, ContentFile(b"secret"))

        assert read(private) == b"secret"
        assert private.exists(NAME)
        assert private.size(NAME) == 6
        assert private.listdir("") == (["same"], [])
        assert private.path(NAME) == f"{shelves}/books-private/{NAME}"
        assert private.location == f"{shelves}/books-private"
        assert not MirrorStorage().exists(NAME)
    assert (shelves / "books-private" / NAME).read_bytes() == b"secret"


def test_a_mirror_that_shares_has_the_files_of_the_owner(filled, storage):
    with use_mirror("films-fr"):
        assert read(storage) == b"films!"
        storage.save("fr.txt", ContentFile(b"fr"))

    with use_mirror("films"):
        assert read(storage, "fr.txt") == b"fr"
    with use_mirror("books"):
        assert not storage.exists("fr.txt")


def test_the_original_has_the_files_in_media_root(filled, storage):
    with use_original():
        storage.save(NAME, ContentFile(b"original"))
        assert storage.url(NAME) == f"/media/{NAME}"

    assert (filled / "original" / NAME).read_bytes() == b"original"


def test_media_root_may_change(filled, storage, settings):
    with use_original():
        settings.MEDIA_ROOT = str(filled / "books")

        assert read(storage) == b"books"


def test_the_original_may_have_a_storage_of_its_own(shelves, storage, settings):
    settings.MIRRORS_OPTIONS = {
        **settings.MIRRORS_OPTIONS,
        "ORIGINAL": {"STORAGE": f"file://{shelves}/elsewhere/"},
    }

    with use_original():
        storage.save(NAME, ContentFile(b"original"))

    assert (shelves / "elsewhere" / NAME).exists()


def test_a_changed_definition_counts_at_once(filled, storage):
    books = mirrors["books"]
    moved = replace(books, storages={"default": f"file://{filled}/films/"})

    with use_mirror(books):
        assert read(storage) == b"books"
    with use_mirror(moved):
        assert read(storage) == b"films!"
    with use_mirror(books):
        assert read(storage) == b"books"


def test_the_project_finds_it_under_its_usual_names(filled):
    with use_mirror("films"):
        assert read(default_storage) == b"films!"
        assert read(storages["default"]) == b"films!"
    with use_mirror("books"):
        assert read(default_storage) == b"books"


def test_the_project_may_have_further_aliases(shelves, settings):
    settings.STORAGES = {
        **settings.STORAGES,
        "private": {
            "BACKEND": "django_mirrors.storage.MirrorStorage",
            "OPTIONS": {"alias": "private"},
        },
    }

    with use_mirror("films"):
        storages["private"].save("a.txt", ContentFile(b"x"))

    assert (shelves / "films-private/a.txt").exists()


def test_it_can_be_copied_pickled_and_written_into_migrations(storage):
    private = MirrorStorage(alias="private")

    assert copy.deepcopy(private)._alias == "private"
    assert pickle.loads(pickle.dumps(private))._alias == "private"
    assert MigrationWriter.serialize(storage) == (
        "django_mirrors.storage.MirrorStorage()",
        {"import django_mirrors.storage"},
    )
    assert MigrationWriter.serialize(private)[0].endswith("(alias='private')")
    assert repr(private) == "<MirrorStorage private>"
    assert isinstance(private, Storage)


@pytest.fixture
def document():
    with isolate_apps("django_mirrors"):

        class Document(models.Model):
            file = models.FileField(upload_to="documents")
            private = models.FileField(storage=lambda: MirrorStorage("private"))
            image = models.ImageField(width_field="width", height_field="height")
            width = models.IntegerField(null=True)
            height = models.IntegerField(null=True)

            class Meta:
                app_label = "django_mirrors"

        yield Document


def test_file_fields_work_unmodified(shelves, document):
    with use_mirror("books"):
        ours = document()
        ours.file.save("a b.txt", ContentFile(b"ours"), save=False)
    with use_mirror("films"):
        theirs = document()
        theirs.file.save("a b.txt", ContentFile(b"theirs"), save=False)

        assert theirs.file.url == "/media/documents/a_b.txt"
        assert theirs.file.path == f"{shelves}/films/documents/a_b.txt"
        assert theirs.file.size == 6
        assert theirs.file.read() == b"theirs"
        theirs.file.delete(save=False)

    assert (shelves / "books/documents/a_b.txt").read_bytes() == b"ours"
    assert not (shelves / "films/documents/a_b.txt").exists()


def test_a_callable_storage_is_asked_at_import_and_routed_at_use(shelves, document):
    with use_mirror("films"):
        document().private.save("a.txt", ContentFile(b"x"), save=False)

    assert (shelves / "films-private/a.txt").exists()
    assert not (shelves / "books-private").exists()


def test_image_fields_know_their_dimensions(shelves, document):
    picture = BytesIO()
    Image.new("RGB", (7, 5)).save(picture, "PNG")

    with use_mirror("books"):
        new = document(image=ImageFile(picture, name="a.png"))
        document._meta.get_field("image").pre_save(new, add=True)
        again = document(image="a.png")

    assert (new.width, new.height) == (7, 5)
    assert (again.width, again.height) == (7, 5)
    assert (shelves / "books/a.png").read_bytes() == picture.getvalue()


def test_aliases_of_equal_definition_are_kept_apart(settings, shelves):
    settings.MIRRORS = {
        "books": {
            "HOSTS": ["books.example"],
            "STORAGES": {"default": "memory://", "private": "memory://"},
        }
    }

    with use_mirror("books"):
        MirrorStorage("private").save(NAME, ContentFile(b"secret"))
        assert not MirrorStorage().exists(NAME)
        assert MirrorStorage("private").exists(NAME)


def test_files_in_memory_are_kept_apart_too(settings, shelves, storage):
    settings.MIRRORS = {
        name: {"HOSTS": [f"{name}.example"], "STORAGE": "memory://"}
        for name in ("books", "films")
    }

    with use_mirror("books"):
        storage.save(NAME, ContentFile(b"books"))
    with use_mirror("films"):
        assert not storage.exists(NAME)
    with use_mirror("books"):
        assert read(storage) == b"books"
