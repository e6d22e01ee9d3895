"""Who waits for the signals around migrations is told, in each mirror."""

from types import ModuleType

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.contrib.sites.models import Site
from django.db import migrations
from django.db.models.signals import post_migrate, pre_migrate

from django_mirrors import use_mirror
from django_mirrors.operations.rollout import receivers
from tests.operations.rollout.acting import ask, go
from tests.operations.rollout.table.cases import AUTHOR, BOOK, add, char, create
from tests.operations.rollout.trips import build_order

pytestmark = pytest.mark.django_db

FIRST, SECOND, THIRD = "0001_initial", "0002_note", "0003_more"


@pytest.fixture
def told():
    """Return what receivers of a project were told about the app `shop`."""
    found = []

    def receive(signal, sender, **arguments):
        name = "before" if signal is pre_migrate else "after"
        models = sorted(model.__name__ for model in sender_models(arguments))
        plan = [(item.name, back) for item, back in arguments["plan"]]
        found.append((name, arguments["using"], models, plan))

    def sender_models(arguments):
        return [
            model
            for model in arguments["apps"].get_models()
            if model._meta.app_label == "shop"
        ]

    shop = apps.app_configs["shop"]
    for signal in (pre_migrate, post_migrate):
        signal.connect(receive, sender=shop)
    yield found
    for signal in (pre_migrate, post_migrate):
        signal.disconnect(receive, sender=shop)


def list_permissions(name):
    with use_mirror(name):
        found = Permission.objects.filter(content_type__app_label="shop")
        return sorted(found.values_list("codename", flat=True))


def list_content_types(name):
    with use_mirror(name):
        found = ContentType.objects.filter(app_label="shop")
        return sorted(found.values_list("model", flat=True))


def find_content_type(model):
    with use_mirror("films"):
        return ContentType.objects.get(app_label="shop", model=model).pk


def test_receivers_are_called_once_in_each_mirror(release, told):
    release.add("shop", FIRST, AUTHOR, BOOK)
    order = build_order()

    go("books", order)
    go("films", order)

    plan = [(FIRST, False)]
    assert told == [
        ("before", "books", [], plan),
        ("after", "books", ["Author", "Book"], plan),
        ("before", "films", [], plan),
        ("after", "films", ["Author", "Book"], plan),
    ]


def test_receivers_are_called_though_django_would_find_nothing_to_do(release, told):
    release.add("shop", FIRST, AUTHOR, BOOK)
    go("books")
    told.clear()
    release.add("shop", SECOND, add("note", char(null=True)))

    go("books")

    models, plan = ["Author", "Book"], [(SECOND, False)]
    assert told == [("before", "books", models, plan), ("after", "books", models, plan)]


def test_receivers_are_told_of_what_is_taken_back(release, told):
    release.add("shop", FIRST, AUTHOR, BOOK)
    release.add("shop", SECOND, create("Sale"))
    go("books")
    told.clear()

    go("books", targets=(("shop", FIRST),))

    plan = [(SECOND, True)]
    assert told == [
        ("before", "books", ["Author", "Book", "Sale"], plan),
        ("after", "books", ["Author", "Book"], plan),
    ]


def test_receivers_are_not_called_where_nothing_is_done(release, told):
    release.add("shop", FIRST, AUTHOR, BOOK)
    go("books")
    told.clear()

    go("books")

    assert told == []


def test_receivers_are_called_where_migrations_are_only_recorded(release, told):
    release.add("shop", FIRST, AUTHOR, BOOK)

    go("books", is_fake=True)

    assert [item[0] for item in told] == ["before", "after"]


def test_receivers_after_it_are_called_again_if_a_kill_came_between(
    release, told, monkeypatch
):
    release.add("shop", FIRST, AUTHOR, BOOK)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(receivers, "emit_post_migrate_signal", interrupt)
        go("books")
    told.clear()

    go("books")

    assert [item[:3] for item in told] == [("after", "books", ["Author", "Book"])]
    assert list_content_types("books") == ["author", "book"]
    assert len(list_permissions("books")) == 8


def interrupt(*arguments, **options):
    raise KeyboardInterrupt


def test_asynchronous_receivers_are_called_too(release):
    found = []

    async def receive(using, **arguments):
        found.append(using)

    release.add("shop", FIRST, AUTHOR, BOOK)
    sender = apps.app_configs["shop"]
    for signal in (pre_migrate, post_migrate):
        signal.connect(receive, sender=sender)

    go("books")

    assert found == ["books", "books"]


def test_receivers_in_the_management_module_of_an_app_are_found(release, monkeypatch):
    found = []

    def receive(using, **arguments):
        found.append(using)

    def connect(name, package):
        if package == "shop":
            pre_migrate.connect(receive, sender=apps.app_configs["shop"], weak=False)
        return ModuleType(name)

    release.add("shop", FIRST, AUTHOR, BOOK)
    monkeypatch.setattr(
        receivers, "module_has_submodule", lambda module, name: name == "management"
    )
    monkeypatch.setattr(receivers, "import_module", connect)
    receivers._import_receivers.cache_clear()

    go("books")

    receivers._import_receivers.cache_clear()
    assert found == ["books"]


def test_content_type_follows_a_model_that_is_renamed(release):
    release.add("shop", FIRST, AUTHOR, BOOK)
    go("books")
    go("films")
    before = find_content_type("author")
    release.add("shop", SECOND, migrations.RenameModel("Author", "Writer"))
    order = build_order()

    go("books", order)
    go("films", order)

    assert list_content_types("films") == ["book", "writer"]
    assert find_content_type("writer") == before


def test_permissions_of_a_mirror_that_only_replays_are_made(release):
    release.add("shop", FIRST, AUTHOR, BOOK)
    options = {"permissions": [("may_lend", "Can lend")]}
    release.add("shop", SECOND, migrations.AlterModelOptions("book", options))
    order = build_order()

    go("books", order)
    go("films", order)

    assert "may_lend" in list_permissions("films")
    assert list_permissions("films") == list_permissions("books")


def test_django_is_not_asked_where_it_would_find_nothing_to_do(release, monkeypatch):
    release.add("shop", FIRST, AUTHOR, BOOK)
    go("books")
    monkeypatch.setattr(receivers, "emit_post_migrate_signal", interrupt)
    release.add("shop", SECOND, add("note", char(null=True)))
    release.add(
        "shop", THIRD, migrations.AlterField("book", "note", char(30, null=True))
    )

    assert go("books").detail == "2 migrations applied"


def test_operation_of_a_project_lets_django_look_again(release, monkeypatch):
    class Own(migrations.AddField):
        pass

    release.add("shop", FIRST, AUTHOR, BOOK)
    go("books")
    seen = []
    monkeypatch.setattr(
        receivers, "emit_post_migrate_signal", lambda *a, **o: seen.append(1)
    )
    release.add("shop", SECOND, Own("book", "note", char(null=True)))

    go("books")

    assert seen == [1]


def test_site_of_a_mirror_follows_its_primary_host(release):
    release.add("shop", FIRST, AUTHOR, BOOK)
    with use_mirror("books"):
        Site.objects.update(domain="example.com")

    go("books")

    assert ask("books", "SELECT domain FROM django_site") == ["books.example"]


def test_app_without_models_is_told_nothing(release, told):
    config = apps.app_configs["stock"]
    config.models_module = None
    release.add("shop", FIRST, AUTHOR, BOOK)
    heard = []
    pre_migrate.connect(heard.append, sender=config)

    go("books")

    assert heard == []
    assert len(told) == 2
