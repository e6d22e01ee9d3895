"""Making databases on real servers."""

import os
from uuid import uuid4

import pytest
from django.db import connections

from django_mirrors import Mirror, mirrors, use_mirror
from django_mirrors.exceptions import MirrorExists, OperationFailed
from django_mirrors.operations import add_mirror, check_mirrors, get_status
from django_mirrors.operations.databases import get_database_backend
from tests.bookshop.models import Book
from tests.conftest import POSTGRES_URL

pytestmark = pytest.mark.django_db

MYSQL_URL = os.environ.get("TEST_MYSQL_URL", "mysql://root@127.0.0.1:3306/test")


@pytest.fixture(
    params=[
        pytest.param(POSTGRES_URL, marks=pytest.mark.postgres, id="postgres"),
        pytest.param(MYSQL_URL, marks=pytest.mark.mariadb, id="mariadb"),
    ]
)
def config(request):
    """Return the configuration of a database that is not there, and remove it after."""
    url = f"{request.param.rpartition('/')[0]}/dm_made_{uuid4().hex[:12]}"
    mirror = Mirror.from_mapping("made", {"HOSTS": ["made.example"], "DATABASE": url})
    made = connections.settings.build_config(mirror)
    yield {**made, "URL": url}
    get_database_backend(made).drop(made)


def test_database_is_made_measured_and_removed(config):
    backend = get_database_backend(config)
    assert not backend.exists(config)

    backend.create(config)

    assert backend.exists(config)
    assert backend.get_size(config) >= 0
    backend.drop(config)
    assert not backend.exists(config)


def test_database_that_is_there_is_not_made_again(config):
    backend = get_database_backend(config)
    backend.create(config)

    with pytest.raises(MirrorExists, match="is there already"):
        backend.create(config)


def test_mirror_is_added_on_a_server(config, defaults):
    add_mirror("books", {"DATABASE": config["URL"]})

    with use_mirror("books"):
        Book.objects.create(title="Emma")
        assert Book.objects.get().title == "Emma"
    assert check_mirrors(mirrors.select("books")).count("done") == 1
    assert get_status(mirrors["books"]).database_bytes > 0
    connections["books"].close()


def test_database_of_somebody_is_refused_on_a_server(config, defaults):
    get_database_backend(config).create(config)

    with pytest.raises(MirrorExists, match="is not marked as this mirror's"):
        add_mirror("books", {"DATABASE": config["URL"]})

    assert get_database_backend(config).exists(config)
    assert "books" not in mirrors


def test_engine_that_cannot_be_made_is_refused():
    with pytest.raises(OperationFailed, match=r"'some\.engine' cannot be made"):
        get_database_backend({"ENGINE": "some.engine"})
