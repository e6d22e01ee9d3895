"""What happens at the edges: no mirror, another owner, conflicts, other databases."""

import json
from copy import copy
from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, connections, migrations, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.models import (
    SET_NULL,
    CharField,
    CompositePrimaryKey,
    F,
    IntegerField,
    Value,
)
from django.db.models.sql import Query, UpdateQuery
from django.db.models.sql.datastructures import Join
from django.test.utils import isolate_apps

from django_mirrors import cross_mirrors, mirrors, use_mirror, use_original
from django_mirrors.exceptions import NoCurrentMirror, WrongMirror
from django_mirrors.models import MirrorOwned, OwnerField
from django_mirrors.operations.handover import hand_over
from django_mirrors.testing import no_mirror
from tests.market.models import Category, Note, Perishable, Product, Trader
from tests.owned.conftest import ISOLATED, MARKS, SHARED, dump

pytestmark = pytest.mark.django_db(transaction=True)

FILMS, FRENCH = SHARED
NO_INDEX, WHOSE = {"db_index": False}, {"verbose_name": "whose"}
ONE_ENGINE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


class OwnField(OwnerField):
    """Of a project, which may add to it."""


def get_uid(name):
    return mirrors[name].uid


@pytest.mark.parametrize("mirror", ["books", FILMS, FRENCH])
@ONE_ENGINE
def test_new_object_has_the_uid_of_the_current_mirror(market, mirror):
    with use_mirror(mirror):
        assert Product().mirror_uid == get_uid(mirror)
        assert Note.objects.create(text="new").whose == get_uid(mirror)


@ONE_ENGINE
def test_row_that_is_saved_as_it_is_gets_its_owner_too(market):
    with use_mirror(FILMS):
        note = Note(text="raw", whose=None)
        note.save_base(raw=True)

        assert Note.objects.get(pk=note.pk).whose == get_uid(FILMS)


@ONE_ENGINE
def test_original_has_rows_of_its_own_too(market):
    with use_original():
        Note.objects.create(text="new")

        assert [note.whose for note in Note.objects.all()] == [mirrors.original.uid]


@ONE_ENGINE
def test_object_made_with_no_mirror_gets_the_one_that_saves_it(market):
    with no_mirror():
        product = Product(name="plum", price=1)
    assert product.mirror_uid is None

    with use_mirror(FRENCH):
        product.save()

    assert product.mirror_uid == get_uid(FRENCH)


@ONE_ENGINE
def test_object_made_in_another_mirror_is_not_saved(market):
    with use_mirror(FILMS):
        product = Product(name="plum", price=1)
    before = dump(FRENCH)

    with use_mirror(FRENCH), pytest.raises(WrongMirror) as caught:
        product.save()

    assert str(caught.value) == (
        "A row of Product was to be written for 'films' while 'films-fr' is current. "
        "Leave its owner as it is, enter that mirror first, or say why in 'with "
        "cross_mirrors(reason):'."
    )
    assert dump(FRENCH) == before


@ONE_ENGINE
@pytest.mark.parametrize(
    "give",
    [
        lambda row, uid: Product.objects.update(mirror_uid=uid),
        lambda row, uid: Product.objects.update(mirror_uid=F("mirror_uid")),
        lambda row, uid: Product.objects.update(mirror_uid=Value(uid)),
        lambda row, uid: Product.objects.update(mirror_uid=None),
        lambda row, uid: save_with_owner(row, uid),
        lambda row, uid: save_with_owner(row, str(uid)),
        lambda row, uid: save_with_owner(row, uid, update_fields=["mirror_uid"]),
        lambda row, uid: save_in_bulk(row, uid),
        lambda row, uid: Product.objects.create(name="x", price=1, mirror_uid=uid),
        lambda row, uid: Product(name="x", price=1, mirror_uid=uid).save_base(raw=True),
        lambda row, uid: Product.objects.bulk_create(
            [Product(name="x", price=1), Product(name="y", price=1, mirror_uid=uid)]
        ),
        lambda row, uid: Perishable.objects.update(mirror_uid=uid),
        lambda row, uid: Note.objects.update(whose=uid),
    ],
)
def test_row_is_not_given_to_another_mirror(market, give):
    before = {name: dump(name) for name in SHARED}
    with use_mirror(FILMS):
        row = Product.objects.get(name="apple")

        with pytest.raises(WrongMirror), transaction.atomic():
            give(row, get_uid(FRENCH))

    assert {name: dump(name) for name in SHARED} == before


def save_with_owner(row, uid, **options):
    row.mirror_uid = uid
    row.save(**options)


def save_in_bulk(row, uid):
    row.mirror_uid = uid
    Product.objects.bulk_update([row], ["mirror_uid"])


@ONE_ENGINE
def test_uid_of_no_mirror_is_said_to_be_none(market):
    uid = uuid4()

    with (
        use_mirror(FILMS),
        pytest.raises(WrongMirror, match=f"the uid {uid}, which is"),
    ):
        Product.objects.create(name="x", price=1, mirror_uid=uid)


@ONE_ENGINE
def test_owner_as_it_is_may_be_written(market):
    with use_mirror(FILMS):
        assert Product.objects.update(mirror_uid=get_uid(FILMS)) == 4


def test_number_of_another_mirrors_row_overwrites_nothing(market):
    with use_mirror(FRENCH):
        theirs = Product.objects.get(name="apple").pk
    before = dump(FRENCH)

    with use_mirror(FILMS), pytest.raises(IntegrityError), transaction.atomic():
        Product(pk=theirs, name="stolen", price=1).save()
    with use_mirror(FILMS):
        assert Product.objects.filter(pk=theirs).update(price=1) == 0
        assert Product.objects.filter(pk=theirs).delete()[0] == 0
        assert not Product.objects.filter(pk=theirs).exists()

    assert dump(FRENCH) == before


def conflict(row, unique_fields):
    Product.objects.bulk_create(
        [row],
        update_conflicts=True,
        update_fields=["price"],
        unique_fields=unique_fields,
    )


def test_conflict_with_another_mirrors_row_updates_nothing(market):
    with use_mirror(FRENCH):
        theirs = Product.objects.get(name="apple").pk
    before = dump(FRENCH)
    named = None if market.name == "mariadb" else ["pk"]

    with use_mirror(FILMS), pytest.raises(WrongMirror, match="could overwrite a row"):
        conflict(Product(pk=theirs, name="plum", price=9), named)

    assert dump(FRENCH) == before


@pytest.mark.parametrize(
    "engine",
    ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)],
    indirect=True,
)
def test_conflict_by_a_rule_that_names_the_owner_updates_its_own_row(market):
    before = dump(FRENCH)

    with use_mirror(FILMS):
        conflict(Product(name="apple", price=9), ["mirror_uid", "name"])

        assert Product.objects.get(name="apple").price == 9
    assert dump(FRENCH) == before


@ONE_ENGINE
@pytest.mark.parametrize(
    "operate",
    [
        lambda: list(Product.objects.all()),
        lambda: Product.objects.count(),
        lambda: Product.objects.update(price=1),
        lambda: Product.objects.all().delete(),
        lambda: Product.objects.create(name="x", price=1),
        lambda: list(Category.objects.filter(products__price=1)),
        lambda: str(Product.objects.all().query),
        lambda: str(Category.objects.filter(products__price=1).query),
    ],
)
def test_nothing_is_read_or_written_with_no_mirror(market, operate):
    with no_mirror(), pytest.raises(NoCurrentMirror):
        operate()


def test_crossing_reads_and_writes_all_rows(market):
    with use_mirror(FILMS), cross_mirrors("a report on all"):
        assert Product.objects.count() == 8
        assert Perishable.objects.count() == 2
        assert Category.objects.filter(products__name="apple").count() == 2
        Product.objects.update(price=F("price") + 100)

    with use_mirror(FRENCH):
        assert Product.objects.get(name="apple").price == 100 + MARKS[FRENCH]


@ONE_ENGINE
def test_row_that_is_made_while_crossing_is_the_current_mirrors(market):
    with use_mirror(FILMS), cross_mirrors("a test"):
        Product.objects.create(name="plum", price=5)
        Product.objects.create(name="plum", price=6, mirror_uid=get_uid(FRENCH))

    with use_mirror(FILMS):
        assert Product.objects.get(name="plum").price == 5
    with use_mirror(FRENCH):
        assert Product.objects.get(name="plum").price == 6


@ONE_ENGINE
def test_row_that_is_made_in_another_database_is_that_mirrors(market):
    with use_mirror("books"), cross_mirrors("a test"):
        Product.objects.using(FILMS).create(name="plum", price=5)

    with use_mirror(FILMS):
        assert Product.objects.get(name="plum").price == 5


@ONE_ENGINE
def test_query_set_of_no_mirror_is_each_mirrors_in_turn(market):
    with no_mirror():
        rows = Product.objects.filter(name="apple")

    found, texts = [], []
    for name in SHARED:
        with use_mirror(name):
            found.append(rows.all().get().price)
            texts.append(str(rows.query))

    assert found == [MARKS[name] for name in SHARED]
    assert [text.count(" = ") for text in texts] == [2, 2]


class ForeignJoin(Join):
    """A join of another package, which writes itself."""

    as_sql = Join.as_sql.__wrapped__


@ONE_ENGINE
def test_join_that_writes_itself_is_narrowed_too(market):
    with use_mirror(FRENCH):
        theirs = Trader.objects.get(name="Ann").pk
    with use_mirror(FILMS):
        Product.objects.filter(name="apple").update(trader=theirs)
        rows = Product.objects.filter(trader__rank__gt=0).values_list("trader__rank")
        joins = rows.query.alias_map
        joins["market_trader"] = copy(joins["market_trader"])
        joins["market_trader"].__class__ = ForeignJoin

        assert list(rows) == [(MARKS[FILMS],)]


@ONE_ENGINE
def test_owner_is_looked_at_when_a_field_is_saved(market):
    field = Product._meta.get_field("mirror_uid")

    with use_mirror(FILMS), pytest.raises(WrongMirror):
        field.pre_save(Product(mirror_uid=get_uid(FRENCH)), add=False)


@ONE_ENGINE
def test_outer_join_keeps_a_row_whose_key_leads_to_another_mirrors(market):
    with use_mirror(FRENCH):
        theirs = Trader.objects.get(name="Ann").pk
    with use_mirror(FILMS):
        # By number, as nothing but raw values can.
        Product.objects.filter(name="apple").update(trader=theirs)

        rows = {
            row.name: row.trader for row in Product.objects.select_related("trader")
        }
        names = dict(Product.objects.values_list("name", "trader__name"))

    assert rows.keys() == {"apple", "bread", "cheese", "milk"}
    assert rows["apple"] is None
    assert names["apple"] is None


@pytest.mark.parametrize("target", [FRENCH, "books"])
def test_fixture_of_one_mirror_is_loaded_into_another(market, target, tmp_path):
    path = tmp_path / "products.json"
    with use_mirror(FILMS):
        natural = ["--natural-primary", "--natural-foreign"]
        call_command(
            "dumpdata", "market.trader", "market.product", *natural, output=str(path)
        )
    with use_mirror(target):
        Trader.objects.all().delete()
        Product.objects.all().delete()
        before = dump(FILMS)

        call_command("loaddata", str(path), verbosity=0)

        found = {row.name: row for row in Product.objects.all()}
        assert found["apple"].price == MARKS[FILMS]
        assert found["apple"].mirror_uid == get_uid(target)
        assert found["apple"].trader.mirror_uid == get_uid(target)
    assert dump(FILMS) == before
    assert "mirror_uid" not in path.read_text()


@ONE_ENGINE
def test_fixture_with_numbers_of_another_mirror_overwrites_nothing(market, tmp_path):
    path = tmp_path / "products.json"
    with use_mirror(FILMS):
        call_command("dumpdata", "market.note", output=str(path))
    rows = json.loads(path.read_text())
    rows[0]["fields"]["text"] = "stolen"
    path.write_text(json.dumps(rows))
    before = dump(FILMS)

    with use_mirror(FRENCH), pytest.raises(IntegrityError):
        call_command("loaddata", str(path), verbosity=0)

    assert dump(FILMS) == before


@pytest.fixture
def historical():
    """Return the models as migrations see them."""
    return MigrationLoader(None).project_state().apps


@pytest.mark.parametrize("pair", [SHARED, ISOLATED])
@ONE_ENGINE
def test_migration_acts_for_all_mirrors_of_the_database(market, historical, pair):
    product = historical.get_model("market", "Product")
    expected = {SHARED: 8, ISOLATED: 4}[pair]

    with use_mirror(pair[0]):
        assert product.objects.count() == expected
        assert product.objects.filter(trader__name="Ann").count() == expected // 2
        assert product.objects.update(price=F("price") + 100) == expected
        for row in product.objects.all():
            row.price += 100
            row.save()
        assert product.objects.filter(price__gte=200).count() == expected
        product.objects.filter(name="bread").delete()
    with use_mirror(pair[1]):
        assert Product.objects.count() == (3 if pair == SHARED else 4)


@ONE_ENGINE
def test_row_of_a_migration_is_the_current_mirrors_or_whose_it_says(market, historical):
    product = historical.get_model("market", "Product")

    with use_mirror(FILMS):
        product.objects.create(name="plum", price=5)
        product.objects.create(name="plum", price=6, mirror_uid=get_uid(FRENCH))
        product.objects.bulk_create(
            [product(name="fig", price=7, mirror_uid=None)], ignore_conflicts=True
        )

        assert Product.objects.get(name="plum").price == 5
        assert Product.objects.get(name="fig").price == 7
    with use_mirror(FRENCH):
        assert Product.objects.get(name="plum").price == 6


def test_field_that_is_added_fills_rows_with_the_migrated_mirror(market):
    add = migrations.AddField("category", "owner", OwnerField())
    before = MigrationLoader(None).project_state()
    after = before.clone()
    add.state_forwards("market", after)

    with use_mirror(FILMS):
        connection = connections["default"]
        with connection.schema_editor() as editor:
            add.database_forwards("market", editor, before, after)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT DISTINCT owner FROM market_category")
                [[uid]] = cursor.fetchall()
        finally:
            with connection.schema_editor() as editor:
                add.database_backwards("market", editor, after, before)

    assert str(uid).replace("-", "") == get_uid(FILMS).hex


@pytest.mark.parametrize(
    ("field", "path", "options"),
    [
        (OwnerField(), "django_mirrors.models.OwnerField", {}),
        (OwnerField(db_index=False), "django_mirrors.models.OwnerField", NO_INDEX),
        (OwnerField("whose"), "django_mirrors.models.OwnerField", WHOSE),
        (OwnField(unique=True), f"{__name__}.OwnField", {"unique": True}),
    ],
)
def test_migration_has_what_makes_the_field_again(field, path, options):
    name, found, args, kept = field.deconstruct()

    assert (found, args, kept) == (path, [], options)
    again = type(field)(*args, **kept)
    assert again.deconstruct() == (name, found, args, kept)
    for key in ("db_index", "editable", "serialize", "blank", "unique", "default"):
        assert getattr(again, key) == getattr(field, key)


@ONE_ENGINE
def test_row_of_an_app_of_the_original_is_the_current_mirrors_while_crossing_too(
    market, settings
):
    settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "ORIGINAL_APPS": ["market"]}

    with use_mirror("books"):
        with cross_mirrors("a test"):
            Note.objects.create(text="new")

        assert [row.whose for row in Note.objects.all()] == [get_uid("books")]
    with use_original():
        assert list(Note.objects.all()) == []


@ONE_ENGINE
def test_numbers_of_a_key_that_has_the_owner_are_each_mirrors_own(market):
    with isolate_apps("tests.market"):

        class Ticket(MirrorOwned):
            pk = CompositePrimaryKey("mirror_uid", "number")
            number = IntegerField()
            text = CharField(max_length=50)

            class Meta:
                app_label = "market"

    with use_mirror(FILMS), connections["default"].schema_editor() as editor:
        editor.create_model(Ticket)

    for name in SHARED:
        with use_mirror(name):
            ticket = Ticket.objects.create(number=1, text="old")
            ticket.text = name
            ticket.save()
    for name in SHARED:
        with use_mirror(name):
            assert [(row.number, row.text) for row in Ticket.objects.all()] == [
                (1, name)
            ]
    with use_mirror(FILMS):
        Ticket.objects.get(number=1).delete()
        assert not Ticket.objects.exists()
    with use_mirror(FRENCH):
        assert Ticket.objects.filter(pk=(get_uid(FRENCH), 1)).exists()


@ONE_ENGINE
def test_as_many_values_are_sent_as_the_engine_takes(market):
    with use_mirror(FILMS):
        most = connections["default"].features.max_query_params
        numbers = range(most + 10)

        assert len(Product.objects.in_bulk(list(numbers))) == 4
        assert len(Perishable.objects.in_bulk(list(numbers))) == 1


@ONE_ENGINE
def test_names_are_compared_as_they_are_while_crossing(market):
    with use_mirror(FILMS), cross_mirrors("a test"):
        Product(name="plum", price=1).validate_unique()
        with pytest.raises(ValidationError):
            Product(name="apple", price=1).validate_unique()


@ONE_ENGINE
def test_condition_follows_a_table_that_gets_another_name(market):
    with use_mirror(FILMS):
        query = Perishable.objects.filter(days__gt=0).query.chain(UpdateQuery)
        query.add_update_values({"days": 99})
        narrowed = query.get_compiler("films").query
        narrowed.change_aliases({"market_perishable": "other"})

        sql, _ = narrowed.chain(Query).get_compiler("films").as_sql()

    # Django before 6.1 does not quote such a name.
    plain = sql.replace('"', "")
    assert "other.product_ptr_id IN" in plain
    assert "market_perishable.product_ptr_id" not in plain


@ONE_ENGINE
def test_key_that_may_be_empty_is_emptied_in_a_copy(market, monkeypatch):
    key = Product._meta.get_field("trader")
    monkeypatch.setattr(key.remote_field, "on_delete", SET_NULL)
    config = connections.settings["films"]
    with use_mirror(FRENCH):
        theirs = Trader.objects.get(name="Ann").pk
    with use_mirror(FILMS):
        Product.objects.filter(name="apple").update(trader=theirs)

    hand_over(mirrors["films"], config, source=get_uid(FILMS))

    with use_mirror(FILMS):
        traders = dict(Product.objects.values_list("name", "trader_id"))
        assert traders["apple"] is None
        assert traders["bread"] is not None
