"""Mirrors with files of their own, on disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.signals import request_finished
from django.db import close_old_connections

from django_mirrors.storage.backends import forget_storages

MIRRORS_OPTIONS = {
    "ORIGINAL": {"HOSTS": ["original.example"]},
    "RECORDS": False,
    "SNAPSHOT": None,
}


@pytest.fixture(autouse=True)
def _leave_connections() -> Iterator[None]:
    """Let responses be closed in tests that may not use a database."""
    request_finished.disconnect(close_old_connections)
    yield
    request_finished.connect(close_old_connections)


@pytest.fixture
def shelves(settings, tmp_path) -> Iterator[Path]:
    """Return the directory of the files of `books`, `films` and the original.

    `films-fr` shares the files of `films`; `music` has no storage.
    """
    settings.MEDIA_ROOT = tmp_path / "original"
    settings.MIRRORS_OPTIONS = MIRRORS_OPTIONS
    settings.MIRRORS = {
        **{
            name: {
                "HOSTS": [f"{name}.example"],
                "STORAGES": {
                    "default": f"file://{tmp_path}/{name}/",
                    "private": f"file://{tmp_path}/{name}-private/?base_url=/private/",
                },
                "STATE": "active",
            }
            for name in ("books", "films")
        },
        "films-fr": {
            "HOSTS": ["fr.films.example"],
            "SHARES": {"STORAGE": "films"},
            "STATE": "active",
        },
        "music": {"HOSTS": ["music.example"], "STATE": "active"},
    }
    yield tmp_path
    forget_storages()
