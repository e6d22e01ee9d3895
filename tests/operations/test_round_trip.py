"""A mirror with a field of every type, put into an archive and made of it again."""

from typing import Any

import pytest
from django.apps import apps
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.db import connections

from django_mirrors import mirrors, use_mirror
from django_mirrors.operations.databases import get_database_backend
from tests.conftest import run_on_server
from tests.operations.places import PARAMETERS, build_config
from tests.warehouse.values import FULL, WITH_NULS

pytestmark = pytest.mark.django_db(transaction=True)

POSTGRESQL = ("postgres", "schema")
APPS = ("warehouse", "warehouse_postgresql")
# What a restored mirror has of its own: whose it is, its host, and nobody logged in.
OWN_TABLES = frozenset({"django_mirrors_marker", "django_session", "django_site"})
VIRTUAL = (
    (
        "CREATE TABLE warehouse_virtual (id integer PRIMARY KEY, number integer,"
        " doubled integer GENERATED ALWAYS AS (number * 2) VIRTUAL)"
    ),
    "INSERT INTO warehouse_virtual (id, number) VALUES (1, 21)",
)
ON_SQLITE = pytest.mark.parametrize("mode", ["sqlite"], indirect=True)
FILE = "covers/ü 'emma' 🎈.bin"


@pytest.fixture(params=PARAMETERS)
def mode(request):
    """Each kind of database in turn."""
    return request.param


@pytest.fixture
def find_place(mode, places):
    """Return a function that gives the options of a place for a mirror."""
    shared = {}
    if mode == "schema":
        shared, _ = places.find("postgres", "shared")
        config = build_config(shared)
        get_database_backend(config).create(config)
        # Where every schema sees its types.
        run_on_server("CREATE EXTENSION hstore SCHEMA pg_catalog", shared["DATABASE"])

    def find(name: str) -> list[str]:
        _, found = places.find(mode, name)
        found |= {key.lower(): item for key, item in shared.items()}
        places.made[-1] |= shared
        return [f"--{key}={item}" for key, item in found.items()]

    return find


@pytest.fixture
def books(mode, find_place, warehouse, request):
    """Add a mirror with rows of every kind, and a file."""
    crates = request.getfixturevalue("crates") if mode in POSTGRESQL else None
    call_command("mirror_add", "books", *find_place("old"), verbosity=0)
    with use_mirror("books"):
        if crates is not None:
            warehouse.fill()
            crates.fill()
        else:
            # PostgreSQL has neither of these.
            warehouse.fill(WITH_NULS)
            with connections["books"].cursor() as cursor:
                for sql in VIRTUAL:
                    cursor.execute(sql)
        storage = warehouse.Item._meta.get_field("file").storage
        storage.save(FILE, ContentFile(FULL["binary"]))
    return warehouse


@pytest.fixture
def archive(books, tmp_path):
    """Return the path of an archive of the mirror."""
    path = str(tmp_path / "books.tar")
    call_command("mirror_export", "books", path, verbosity=0)
    return path


def restore(archive: str, name: str, *place: str) -> None:
    call_command("mirror_restore", archive, name, *place, verbosity=0)


def fingerprint(name: str) -> dict[str, tuple[int, str]]:
    config = connections.settings.build_config(mirrors[name])
    found = get_database_backend(config).fingerprint(config)
    return {key: item for key, item in found.items() if key not in OWN_TABLES}


def read(name: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of the models, as code gets them."""
    models = [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.app_label in APPS
    ]
    with use_mirror(name):
        return {
            model._meta.label: [
                tuple(map(read_value, row))
                for row in model.objects.order_by("pk").values_list()
            ]
            for model in models
        }


def read_value(value: Any) -> Any:
    if isinstance(value, list):
        return [*map(read_value, value)]
    return bytes(value) if isinstance(value, memoryview) else value


def test_every_value_comes_back(archive, find_place):
    restore(archive, "films", *find_place("new"))

    assert fingerprint("films") == fingerprint("books")
    assert read("films") == read("books")


def test_every_value_comes_back_after_the_mirror_was_destroyed(archive, find_place):
    values, checksums = read("books"), fingerprint("books")
    call_command("mirror_retire", "books", verbosity=0)
    call_command("mirror_purge", "books", "--confirm=books", verbosity=0)

    restore(archive, "books", *find_place("old"))

    assert fingerprint("books") == checksums
    assert read("books") == values


def test_next_numbers_are_larger_than_any_that_was_used(archive, books, find_place):
    restore(archive, "films", *find_place("new"))

    with use_mirror("books"):
        wanted = [books.add(model).pk for model in books.COUNTED]
    with use_mirror("films"):
        greatest = [model.objects.latest("pk").pk for model in books.COUNTED]
        numbers = [books.add(model).pk for model in books.COUNTED]
    assert numbers == wanted
    # Rows with three more numbers had been deleted.
    assert numbers == [number + 4 for number in greatest]


@ON_SQLITE
def test_relations_lead_to_the_same_rows(archive, books, find_place):
    restore(archive, "films", *find_place("new"))

    with use_mirror("films"):
        item = books.Item.objects.get(slug=FULL["slug"])
        assert [note.text for note in item.notes.all()] == ["of an item"]
        assert {note.subject for note in books.Note.objects.all()} == {
            item,
            item.shelf,
        }
        assert item.near.count() == 2
        assert [tag.name for tag in item.tags.all()] == ["tag 1 🎈", "tag 2 🎈"]
        assert item.detail.text == "more"
        assert item.shelf.above.code == "b 'c'"


@ON_SQLITE
def test_files_come_back(archive, books, find_place):
    restore(archive, "films", *find_place("new"))

    with use_mirror("films"):
        storage = books.Item._meta.get_field("file").storage
        with storage.open(FILE) as file:
            assert file.read() == FULL["binary"]
