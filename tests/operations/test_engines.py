"""The life of a mirror on each kind of server: made, copied, archived, destroyed."""

import pytest
from django.core.files.base import ContentFile
from django.db import connections

from django_mirrors import mirrors, use_mirror
from django_mirrors.exceptions import MirrorExists, OperationFailed
from django_mirrors.models import Marker
from django_mirrors.operations import (
    add_mirror,
    clone_mirror,
    plan_mirror,
    prepare_mirrors,
    purge_mirror,
    restore_mirror,
    retire_mirror,
)
from django_mirrors.operations.databases import get_database_backend
from django_mirrors.operations.templates import find_fleet
from tests.bookshop.models import Book
from tests.operations.conftest import MARIADB, POSTGRESQL
from tests.operations.test_handover import check_is_copy, make_books

pytestmark = pytest.mark.django_db(transaction=True)


def add_book(name: str, title: str) -> None:
    with use_mirror(name):
        Book(title=title).cover.save("same.txt", ContentFile(title.encode()))


def list_titles(name: str) -> list[str]:
    with use_mirror(name):
        return sorted(Book.objects.values_list("title", flat=True))


def test_mirror_lives_and_ends_on_its_server(server, tmp_path):
    add_mirror("books", {})
    add_book("books", "Emma")
    clone_mirror("books", "films", {})
    add_book("films", "Metropolis")
    place = retire_mirror("books").results[0].detail
    config = connections.settings.build_config(mirrors["books"])
    purge_mirror("books", confirm="books")
    gone = get_database_backend(config).exists(config)
    restore_mirror(place, name="music", definition={})

    assert not gone
    assert list_titles("films") == ["Emma", "Metropolis"]
    assert list_titles("music") == ["Emma"]
    with use_mirror("music"):
        assert [item.uid for item in Marker.objects.all()] == [mirrors["music"].uid]


@pytest.mark.parametrize("server", [MARIADB], indirect=True)
def test_nothing_is_made_ready_where_that_gains_nothing(server):
    with pytest.raises(OperationFailed, match="would be no faster"):
        prepare_mirrors(1)


@pytest.mark.parametrize("server", POSTGRESQL, indirect=True)
def test_databases_that_are_ready_are_taken_and_removed(server):
    assert prepare_mirrors(2).results[0].detail == "2 ready, 2 of them new"
    assert prepare_mirrors(2).results[0].outcome == "skipped"

    add_mirror("books", {})

    assert len(_list_spares()) == 1
    add_book("books", "Emma")
    with use_mirror("books"):
        assert [item.uid for item in Marker.objects.all()] == [mirrors["books"].uid]
    prepare_mirrors(0)
    assert _list_spares() == []


def _list_spares():
    mirror, _ = plan_mirror("music", {})
    config = connections.settings.build_config(mirror)
    names = get_database_backend(config).list_templates(config)
    return [name for name in names if name.startswith(f"spare_{find_fleet()}")]


@pytest.mark.parametrize("server", POSTGRESQL, indirect=True)
def test_spare_of_other_migrations_is_not_taken(server, monkeypatch):
    prepare_mirrors(1)
    with monkeypatch.context() as patch:
        patch.setattr(
            "django_mirrors.operations.spares.find_signature", lambda: "0" * 12
        )
        add_mirror("books", {})
        assert len(_list_spares()) == 1
        prepare_mirrors(0)
    assert _list_spares() == []


def test_database_of_somebody_else_is_refused(server):
    mirror, _ = plan_mirror("books", {})
    config = connections.settings.build_config(mirror)
    backend = get_database_backend(config)
    backend.create(config)

    with pytest.raises(MirrorExists, match="is not marked as this mirror's"):
        add_mirror("books", {})

    assert "books" not in mirrors
    assert backend.exists(config)
    backend.drop(config)


def test_clone_has_the_rows_of_its_source_alone(server):
    make_books()

    clone_mirror("books", "music", {})

    check_is_copy("music")
