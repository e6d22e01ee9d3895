"""A database appears under its name when it is complete, or not at all."""

import sqlite3

import pytest
from django.db import connections

from django_mirrors import mirrors, use_mirror
from django_mirrors.exceptions import OperationFailed
from django_mirrors.models import Marker
from django_mirrors.operations import add_mirror
from django_mirrors.operations import drafts as drafts_module
from django_mirrors.operations.databases import get_database_backend
from django_mirrors.operations.drafts import find_marker, make_database
from django_mirrors.operations.fleet import register
from django_mirrors.operations.templates import apply_migrations
from tests.bookshop.models import Book

pytestmark = pytest.mark.django_db


@pytest.fixture
def draft(defaults):
    """Register a mirror, and return the config of its draft."""
    mirror = register("books", {})
    config = connections.settings.build_config(mirror)
    return get_database_backend(config).build_template_config(
        config, f"draft_{mirror.uid.hex}"
    )


def list_drafts(defaults) -> list[str]:
    # Templates are a link, which rglob() does not follow.
    templates = defaults / "databases" / ".templates"
    return [path.name for path in templates.glob("draft_*")]


def test_database_is_not_there_while_it_is_filled(defaults, database_of, monkeypatch):
    there, mark = [], drafts_module.mark

    def look(mirror, config):
        there.append(database_of("books").exists())
        mark(mirror, config)

    monkeypatch.setattr(drafts_module, "mark", look)

    add_mirror("books", {})

    assert there == [False]
    assert database_of("books").exists()


def test_draft_that_is_not_complete_is_made_anew(defaults, draft, database_of):
    path = draft["NAME"]
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE half_made (value)")

    add_mirror("books", {})

    with use_mirror("books"):
        assert not Book.objects.exists()
        tables = connections["books"].introspection.table_names()
    assert "half_made" not in tables
    assert list_drafts(defaults) == []


def test_draft_that_is_complete_is_used(defaults, draft):
    mirror = mirrors["books"]
    get_database_backend(draft).create(draft)
    apply_migrations(draft, mirror=mirror)
    with sqlite3.connect(draft["NAME"]) as connection:
        connection.execute("CREATE TABLE kept (value)")
    drafts_module.mark(mirror, draft)

    add_mirror("books", {})

    with use_mirror("books"):
        assert "kept" in connections["books"].introspection.table_names()
        assert Marker.objects.get().uid == mirror.uid
    assert list_drafts(defaults) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_nothing_is_left_of_an_attempt_that_fails(
    defaults, monkeypatch, database_of, error
):
    def fail(mirror, config):
        raise error

    monkeypatch.setattr(drafts_module, "mark", fail)

    with pytest.raises((error, OperationFailed)):
        add_mirror("books", {})

    assert not database_of("books").exists()
    assert list_drafts(defaults) == []


def test_draft_that_cannot_be_filled_is_removed_at_once(defaults, draft):
    def fail(config):
        get_database_backend(config).create(config)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        make_database(mirrors["books"], fail)

    assert list_drafts(defaults) == []


def test_looking_for_a_marker_does_not_change_a_database(defaults, draft, tmp_path):
    path = tmp_path / "foreign.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE precious (value)")
    before = path.read_bytes()

    found = find_marker({**draft, "NAME": str(path)})

    assert found is None
    assert path.read_bytes() == before
