"""With no mirror there is no data, and the fleet's records are the original's alone."""

import pytest
from django.apps import apps
from django.db import connections, router
from django.db.models import Count, F
from django.test.utils import CaptureQueriesContext

from django_mirrors import mirrors, use_mirror, use_original
from django_mirrors.exceptions import NoCurrentMirror
from django_mirrors.models import (
    FleetVersion,
    LockRecord,
    Marker,
    MirrorRecord,
    OperationRecord,
)
from django_mirrors.testing import no_mirror

pytestmark = pytest.mark.django_db

CONTROL = (MirrorRecord, FleetVersion, OperationRecord, LockRecord)
MODELS = [
    model
    for model in apps.get_models(include_auto_created=True)
    if model not in CONTROL
]


def create_in_bulk(model):
    # Django creates no children in bulk, wherever they are.
    model = next(iter(model._meta.all_parents), model)
    model._base_manager.bulk_create([model()])


OPERATIONS = {
    "get": lambda model: model._base_manager.get(pk=1),
    "list": lambda model: list(model._base_manager.all()),
    "count": lambda model: model._base_manager.count(),
    "exists": lambda model: model._base_manager.exists(),
    "first": lambda model: model._base_manager.first(),
    "aggregate": lambda model: model._base_manager.aggregate(Count("pk")),
    "values": lambda model: list(model._base_manager.values_list("pk")),
    "iterator": lambda model: next(model._base_manager.iterator()),
    "raw": lambda model: list(
        model._base_manager.raw(f"SELECT * FROM {model._meta.db_table}")
    ),
    "save": lambda model: model().save(),
    "bulk_create": create_in_bulk,
    "update": lambda model: model._base_manager.update(
        **{model._meta.concrete_fields[-1].name: F("pk")}
    ),
    "delete": lambda model: model._base_manager.all().delete(),
    "in_bulk": lambda model: model._base_manager.in_bulk([1]),
}


class Queries:
    """Counts what runs on each connection of this thread."""

    def __enter__(self):
        opened = connections.all(initialized_only=True)
        used = [item for item in opened if item.connection is not None]
        self.open = [CaptureQueriesContext(item) for item in used]
        for item in self.open:
            item.__enter__()
        return self

    def __exit__(self, *exception):
        for item in self.open:
            item.__exit__(*exception)

    def count(self, *, besides=""):
        return sum(len(item) for item in self.open if item.connection.alias != besides)


def find_label(model):
    return model._meta.label


@pytest.fixture
def opened(fleet):
    """Let this thread have connections that a fallback could use."""
    for name in ("books", "films"):
        with use_mirror(name):
            connections[name].ensure_connection()
    with use_original():
        connections["original"].ensure_connection()


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_no_model_of_a_mirror_is_used_without_one(opened, operation):
    refused = []

    with no_mirror(), Queries() as queries:
        for model in MODELS:
            with pytest.raises(NoCurrentMirror):
                operation(model)
            refused.append(model)

    assert refused == MODELS
    assert len(refused) >= 15
    assert queries.count() == 0


@pytest.fixture
def decoys(opened):
    """Let `books` have tables of the names of the fleet's, with a row in each."""
    with use_mirror("books"):
        connection = connections["books"]
        with connection.schema_editor() as editor:
            for model in CONTROL:
                editor.create_model(model)
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO django_mirrors_mirrorrecord (name, uid, state, declared,"
                " definition, reason, retry_after, release, step, version, created,"
                " changed) VALUES ('evil', %s, 'active', %s, %s, '', 0, '', '', 9,"
                " '2026-01-01', '2026-01-01')",
                ["0" * 32, False, '{"HOSTS": ["evil.example"]}'],
            )
    yield
    with use_mirror("books"):
        with connection.schema_editor() as editor:
            for model in CONTROL:
                editor.delete_model(model)


RECORD_OPERATIONS = {
    "list": lambda: list(MirrorRecord.objects.all()),
    "get": lambda: MirrorRecord.objects.get(name="music"),
    "count": MirrorRecord.objects.count,
    "filter": lambda: list(MirrorRecord.objects.filter(state="active")),
    "values": lambda: list(MirrorRecord.objects.values("name")),
    "aggregate": lambda: MirrorRecord.objects.aggregate(Count("pk")),
    "iterator": lambda: list(MirrorRecord.objects.iterator()),
    "create": lambda: MirrorRecord.objects.create(name="more"),
    "get_or_create": lambda: MirrorRecord.objects.get_or_create(name="evil"),
    "bulk_create": lambda: MirrorRecord.objects.bulk_create([MirrorRecord(name="x")]),
    "update": lambda: MirrorRecord.objects.update(reason="changed"),
    "save": lambda: MirrorRecord.objects.get().save(),
    "delete": lambda: MirrorRecord.objects.all().delete(),
    "operations": lambda: OperationRecord.objects.create(operation="x", holder="y"),
    "locks": lambda: LockRecord.objects.get_or_create(name="x"),
    "version": lambda: list(FleetVersion.objects.all()),
}


def read_decoy():
    with use_mirror("books"), connections["books"].cursor() as cursor:
        counts = []
        for model in CONTROL:
            cursor.execute(f"SELECT COUNT(*) FROM {model._meta.db_table}")
            counts.append(cursor.fetchone()[0])
        cursor.execute("SELECT name, reason FROM django_mirrors_mirrorrecord")
        return counts, cursor.fetchall()


@pytest.mark.parametrize("operation", RECORD_OPERATIONS.values(), ids=RECORD_OPERATIONS)
def test_records_are_the_originals_beside_a_table_of_the_same_name(decoys, operation):
    with use_original():
        MirrorRecord.objects.create(name="music", definition={"HOSTS": ["m.example"]})

    with use_mirror("books"), Queries() as queries:
        operation()

    assert queries.count(besides="original") == 0
    assert read_decoy() == ([1, 0, 0, 0], [("evil", "")])


def test_the_registry_reads_no_record_of_a_mirror(decoys):
    with use_mirror("books"):
        mirrors.reload()
        found = mirrors.find_for_host("evil.example"), mirrors.get("evil")

    assert found == (None, None)


@pytest.mark.parametrize("model", CONTROL, ids=find_label)
def test_tables_of_the_fleet_are_made_in_the_original_only(fleet, model):
    name = model._meta.model_name

    assert not router.allow_migrate("books", "django_mirrors", model_name=name)
    assert router.allow_migrate("original", "django_mirrors", model_name=name)


def test_the_marker_is_the_mirrors(fleet):
    assert router.allow_migrate("books", "django_mirrors", model_name="marker")
    with use_mirror("books"):
        assert router.db_for_write(Marker) == "books"


@pytest.mark.parametrize("model", CONTROL, ids=find_label)
def test_records_need_a_mirror_too(opened, model):
    with no_mirror(), Queries() as queries, pytest.raises(NoCurrentMirror):
        model._base_manager.count()

    assert queries.count() == 0
