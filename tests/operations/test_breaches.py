"""Verdicts on operations of migrations, and what code of before finds on engines."""

from dataclasses import dataclass
from decimal import Decimal

import django
import pytest
from django.db import DatabaseError, migrations, models, transaction
from django.db.migrations.state import ProjectState
from django.db.models.functions import Lower, Now

from django_mirrors import cross_mirrors
from django_mirrors.exceptions import OperationFailed
from django_mirrors.operations.breaches import Breach, find_breaches
from tests.operations.databases.conftest import MARKS, build_server

MODES = ("sqlite", "postgresql", "mysql")
ALL = frozenset(MODES)
STRICT = ALL - {"sqlite"}  # SQLite takes values of any type and length
NONE: frozenset[str] = frozenset()


def key(to, **options):
    return models.ForeignKey(to, models.CASCADE, **options)


def text(length=40, **options):
    return models.CharField(max_length=length, **options)


def unique(*names, **options):
    return models.UniqueConstraint(fields=names, name="rule", **options)


def check(**condition):
    return models.CheckConstraint(condition=models.Q(**condition), name="rule")


def build_migration(*operations, name="0002_change", **attributes):
    kind = type("Migration", (migrations.Migration,), attributes)
    made = kind(name, "shop")
    made.operations = list(operations)
    return made


FIRST = build_migration(
    migrations.CreateModel("Author", [("id", models.AutoField(primary_key=True))]),
    migrations.CreateModel(
        "Shelf",
        [
            ("id", models.AutoField(primary_key=True)),
            ("place", text(unique=True)),
            ("room", text(null=True)),
        ],
    ),
    migrations.CreateModel("Tag", [("id", models.BigAutoField(primary_key=True))]),
    migrations.CreateModel(
        "Book",
        [
            ("id", models.AutoField(primary_key=True)),
            ("title", text()),
            ("subtitle", text(null=True)),
            ("isbn", text()),
            ("pages", models.IntegerField()),
            ("stock", models.IntegerField()),
            ("price", models.DecimalField(max_digits=8, decimal_places=2)),
            ("note", text(db_default="none")),
            (
                "doubled",
                models.GeneratedField(
                    expression=models.F("pages") * 2,
                    output_field=models.IntegerField(),
                    db_persist=True,
                ),
            ),
            ("author", key("shop.author")),
            ("shelf", key("shop.shelf", null=True, db_constraint=False)),
            ("tags", models.ManyToManyField("shop.tag")),
        ],
        options={
            "indexes": [models.Index(fields=["title"], name="by_title")],
            "constraints": [
                models.CheckConstraint(
                    condition=models.Q(pages__gte=0), name="pages_positive"
                ),
                models.UniqueConstraint(fields=["id", "title"], name="title_unique"),
            ],
        },
    ),
    migrations.CreateModel(
        "Report",
        [("id", models.AutoField(primary_key=True)), ("text", text())],
        options={"managed": False},
    ),
    name="0001_initial",
)


def build_state(*migrations_):
    state = ProjectState()
    for migration in (FIRST, *migrations_):
        state = migration.mutate_state(state)
    return state


@dataclass(frozen=True)
class Case:
    """Operations, and the engines on which code that does not know them fails."""

    name: str
    fails_on: frozenset[str]
    operations: tuple[migrations.operations.base.Operation, ...]
    is_backwards: bool = False

    @property
    def plan(self):
        return [(build_migration(*self.operations), self.is_backwards)]

    @property
    def applied(self):
        return [migration for migration, is_backwards in self.plan if is_backwards]

    @property
    def before(self):
        return build_state(*self.applied)

    @property
    def verdict(self):
        return find_breaches(self.plan, self.before, after=build_state())


def case(name, fails_on, *operations, **options):
    return Case(name, fails_on, operations, **options)


BREAKING = (
    case("field removed", ALL, migrations.RemoveField("Book", "isbn")),
    case("generated field removed", ALL, migrations.RemoveField("Book", "doubled")),
    case("relation removed", ALL, migrations.RemoveField("Book", "tags")),
    case("field renamed", ALL, migrations.RenameField("Book", "isbn", "code")),
    case("foreign key renamed", ALL, migrations.RenameField("Book", "author", "by")),
    case("relation renamed", ALL, migrations.RenameField("Book", "tags", "labels")),
    case(
        "column renamed",
        ALL,
        migrations.AlterField("Book", "isbn", text(db_column="code")),
    ),
    case("model deleted", ALL, migrations.DeleteModel("Shelf")),
    case("model renamed", ALL, migrations.RenameModel("Shelf", "Rack")),
    case(
        "model with a kept table, columns of its relation renamed",
        ALL,
        migrations.AlterModelTable("Tag", "shop_tag"),
        migrations.RenameModel("Tag", "Label"),
    ),
    case("table renamed", ALL, migrations.AlterModelTable("Shelf", "racks")),
    case(
        "field added that must have a value",
        ALL,
        migrations.AddField("Book", "code", text(default="")),
    ),
    case(
        "field added as null, then made to have a value",
        ALL,
        migrations.AddField("Book", "code", text(null=True)),
        migrations.AlterField("Book", "code", text(default="")),
    ),
    case(
        "field added with one value that must differ",
        ALL,
        migrations.AddField("Book", "code", text(db_default="x", unique=True)),
    ),
    case(
        "field added as null with one value that must differ",
        ALL,
        migrations.AddField(
            "Book", "code", text(null=True, db_default="x", unique=True)
        ),
    ),
    case(
        "order added",
        ALL,
        migrations.AlterOrderWithRespectTo("Book", "author"),
    ),
    case(
        "null refused",
        ALL,
        migrations.AlterField("Book", "subtitle", text(default="")),
    ),
    case("text shortened", STRICT, migrations.AlterField("Book", "title", text(39))),
    case(
        "integer of another type",
        ALL,
        migrations.AlterField("Book", "stock", text()),
    ),
    case(
        "integer made smaller",
        STRICT,
        migrations.AlterField("Book", "stock", models.SmallIntegerField()),
    ),
    case(
        "integer made positive",
        ALL,
        migrations.AlterField("Book", "stock", models.PositiveIntegerField()),
    ),
    case(
        "fewer digits",
        STRICT,
        migrations.AlterField(
            "Book", "price", models.DecimalField(max_digits=8, decimal_places=3)
        ),
    ),
    case(
        "default of the database removed",
        # Until Django 6.0 the models themselves wrote it on SQLite.
        ALL if django.VERSION >= (6, 0) else STRICT,
        migrations.AlterField("Book", "note", text()),
    ),
    case(
        "numbering removed",
        ALL,
        migrations.AlterField("Tag", "id", models.BigIntegerField(primary_key=True)),
    ),
    case(
        "foreign key to another model",
        ALL,
        migrations.AlterField("Book", "author", key("shop.shelf")),
    ),
    case(
        "foreign key newly enforced",
        ALL,
        migrations.AlterField("Book", "shelf", key("shop.shelf", null=True)),
    ),
    case("unique", ALL, migrations.AlterField("Book", "title", text(unique=True))),
    case(
        "unique together",
        ALL,
        migrations.AlterUniqueTogether("Book", {("title", "author")}),
    ),
    case(
        "unique constraint",
        ALL,
        migrations.AddConstraint("Book", unique("title", "isbn")),
    ),
    case(
        "check",
        ALL,
        migrations.AddConstraint("Book", check(pages__lt=10)),
    ),
    case(
        "removed in the database, kept in the state",
        ALL,
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RemoveField("Book", "isbn")]
        ),
    ),
    case(
        "addition taken back",
        ALL,
        migrations.AddField("Shelf", "wing", text(null=True)),
        is_backwards=True,
    ),
    case(
        "removal taken back",
        ALL,
        migrations.RemoveField("Shelf", "place"),
        is_backwards=True,
    ),
    case(
        "new model taken back",
        ALL,
        migrations.CreateModel("Room", [("id", models.AutoField(primary_key=True))]),
        is_backwards=True,
    ),
)

HARMLESS = (
    case("field of null", NONE, migrations.AddField("Book", "code", text(null=True))),
    case(
        "field with a default of the database",
        NONE,
        migrations.AddField("Book", "code", text(db_default="x")),
    ),
    case(
        "field computed by the database",
        NONE,
        migrations.AddField(
            "Book",
            "tripled",
            models.GeneratedField(
                expression=models.F("pages") * 3,
                output_field=models.IntegerField(),
                db_persist=True,
            ),
        ),
    ),
    case(
        "field of null that must differ",
        NONE,
        migrations.AddField("Book", "code", text(null=True, unique=True)),
    ),
    case(
        "foreign key of null",
        NONE,
        migrations.AddField("Book", "seen_by", key("shop.author", null=True)),
    ),
    case(
        "relation",
        NONE,
        migrations.AddField("Book", "shelves", models.ManyToManyField("shop.shelf")),
    ),
    case(
        "new model, changed at once",
        NONE,
        migrations.CreateModel("Room", [("id", models.AutoField(primary_key=True))]),
        migrations.AddField("Room", "name", text(default="")),
        migrations.AddField("Room", "shelf", key("shop.shelf", default=1)),
        migrations.RenameField("Room", "name", "label"),
        migrations.AddConstraint("Room", unique("label")),
        migrations.RemoveField("Room", "shelf"),
        migrations.RenameModel("Room", "Hall"),
    ),
    case(
        "model made and removed",
        NONE,
        migrations.CreateModel("Room", [("id", models.AutoField(primary_key=True))]),
        migrations.DeleteModel("Room"),
    ),
    case(
        "model that inherits another",
        NONE,
        migrations.CreateModel(
            "Novel",
            [
                (
                    "book_ptr",
                    models.OneToOneField(
                        "shop.book",
                        models.CASCADE,
                        parent_link=True,
                        primary_key=True,
                        auto_created=True,
                    ),
                ),
                ("genre", text()),
            ],
            bases=("shop.book",),
        ),
    ),
    case(
        "index added",
        NONE,
        migrations.AddIndex("Book", models.Index(fields=["isbn"], name="by_isbn")),
    ),
    case("index removed", NONE, migrations.RemoveIndex("Book", "by_title")),
    case(
        "index renamed",
        NONE,
        migrations.RenameIndex("Book", new_name="titles", old_name="by_title"),
    ),
    case("longer text", NONE, migrations.AlterField("Book", "title", text(80))),
    case(
        "text without end",
        NONE,
        migrations.AlterField("Book", "isbn", models.TextField()),
    ),
    case(
        "text of another kind",
        NONE,
        migrations.AlterField("Book", "isbn", models.SlugField(max_length=40)),
    ),
    case(
        "larger integer",
        NONE,
        migrations.AlterField("Book", "stock", models.BigIntegerField()),
    ),
    case(
        "larger keys",
        NONE,
        migrations.AlterField("Author", "id", models.BigAutoField(primary_key=True)),
    ),
    case(
        "more digits",
        NONE,
        migrations.AlterField(
            "Book", "price", models.DecimalField(max_digits=10, decimal_places=3)
        ),
    ),
    case("null allowed", NONE, migrations.AlterField("Book", "isbn", text(null=True))),
    case(
        "default of the database",
        NONE,
        migrations.AlterField("Book", "isbn", text(db_default="x")),
    ),
    case(
        "what forms show",
        NONE,
        migrations.AlterField(
            "Book",
            "isbn",
            text(choices=[("a", "A")], blank=True, help_text="13 digits"),
        ),
    ),
    case(
        "field renamed, its column kept",
        NONE,
        migrations.AlterField("Book", "isbn", text(db_column="isbn")),
        migrations.RenameField("Book", "isbn", "code"),
    ),
    case(
        "model renamed, its table kept",
        NONE,
        migrations.AlterModelTable("Shelf", "shop_shelf"),
        migrations.RenameModel("Shelf", "Rack"),
    ),
    case("unique no more", NONE, migrations.AlterField("Shelf", "place", text())),
    case(
        "constraint removed",
        NONE,
        migrations.RemoveConstraint("Book", "pages_positive"),
    ),
    case(
        "constraint renamed",
        NONE,
        migrations.RemoveConstraint("Book", "pages_positive"),
        migrations.AddConstraint("Book", check(pages__gte=0)),
    ),
    case(
        "unique by what was unique already",
        NONE,
        migrations.AddConstraint("Book", unique("id", "pages")),
    ),
    case(
        "unique under a condition by what was unique already",
        NONE,
        migrations.AddConstraint(
            "Book", unique("id", condition=models.Q(title__gt=""))
        ),
    ),
    case(
        "unique by a new column of null",
        NONE,
        migrations.AddField("Book", "code", text(null=True)),
        migrations.AddConstraint("Book", unique("author", "code")),
    ),
    case(
        "options",
        NONE,
        migrations.AlterModelOptions("Book", {"ordering": ["title"]}),
        migrations.AlterModelManagers("Book", []),
        migrations.AlterModelTableComment("Book", "what is sold"),
    ),
    case(
        "model that Django does not manage",
        NONE,
        migrations.AddField("Report", "day", models.DateField(default=Now)),
        migrations.RemoveField("Report", "text"),
        migrations.DeleteModel("Report"),
    ),
    case(
        "proxy",
        NONE,
        migrations.CreateModel(
            "Best", [], options={"proxy": True}, bases=("shop.book",)
        ),
        migrations.DeleteModel("Best"),
    ),
    case(
        "removed from the state, kept in the database",
        NONE,
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.AlterField("Book", "isbn", text(null=True))
            ],
            state_operations=[migrations.RemoveField("Book", "isbn")],
        ),
    ),
    case(
        "removal of a field of null taken back",
        NONE,
        migrations.RemoveField("Shelf", "room"),
        is_backwards=True,
    ),
)

CASES = BREAKING + HARMLESS


ROW = {
    "title": "T" * 40,
    "subtitle": None,
    "isbn": "I" * 40,
    "pages": 100_000,
    "stock": -100_000,
    "price": Decimal("999999.99"),
}
READ = {**ROW, "note": "none", "doubled": 200_000, "tags__pk": 1}


def run_code_of_before(apps, alias):
    """Write, read, change and remove rows by the models of before."""
    manage = {
        model.__name__: model._default_manager.using(alias)
        for model in apps.get_models()
        if model._meta.managed
    }
    with transaction.atomic(alias):  # so that foreign keys are checked at its end
        tag = manage["Tag"].create()
        author = manage["Author"].create()
        for _ in range(2):
            book = manage["Book"].create(**ROW, author_id=author.pk, shelf_id=77)
            book.tags.add(tag)
    assert list(manage["Book"].values(*READ)) == [READ, READ]
    shelf = manage["Shelf"].model()
    shelf.place = "upstairs"
    shelf.save(using=alias)
    for managed in manage.values():
        list(managed.all())
    book.title, book.subtitle = "U" * 40, ""
    book.save(using=alias)
    manage["Book"].update(pages=1, subtitle=None)
    manage["Book"].all().delete()
    author.delete(using=alias)


def is_code_failing(apps, alias):
    try:
        with cross_mirrors("The database is of no mirror."):
            run_code_of_before(apps, alias)
    except (DatabaseError, AssertionError):
        return True
    return False


def migrate(connection, migration, state, *, is_backwards=False):
    change = migration.unapply if is_backwards else migration.apply
    with connection.schema_editor() as editor:
        change(state.clone(), editor)


@pytest.fixture(
    params=[pytest.param(mode, marks=MARKS.get(mode, ())) for mode in MODES]
)
def engine(request, tmp_path, db):
    """Return the name of an engine and a connection to an empty database of it."""
    server = build_server(request.param, tmp_path)
    config = server.config()
    server.backend.create(config)
    with server.connect(config) as connection:
        yield request.param, connection
    server.remove()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_verdict_is_what_code_of_before_finds(engine, case):
    name, connection = engine
    [(migration, is_backwards)] = case.plan
    migrate(connection, FIRST, ProjectState())
    # What is to be taken back was applied before.
    for done in case.applied:
        migrate(connection, done, build_state())

    breaches = case.verdict
    migrate(connection, migration, build_state(), is_backwards=is_backwards)

    assert bool(breaches) is bool(case.fails_on)
    assert is_code_failing(case.before.apps, connection.alias) is (
        name in case.fails_on
    )


class Vector(models.Field):
    """A field of a project's own."""

    def __init__(self, *args, size=3, **options):
        self.size = size
        super().__init__(*args, **options)

    def deconstruct(self):
        name, path, args, options = super().deconstruct()
        return name, path, args, {**options, "size": self.size}

    def db_type(self, connection):
        return f"vector({self.size})"


class Unknown(migrations.operations.base.Operation):
    """An operation of a project's own."""

    def state_forwards(self, app_label, state):
        pass

    def describe(self):
        return "Grant rights"


class Compatible(Unknown):
    mirrors_compatible = True


class AddBetterField(migrations.AddField):
    """A kind of operation that is known."""


def fill(apps, schema_editor):
    """Code of a migration."""


def judge(*operations, **options):
    """Return the breaches of one migration that is applied after the first one."""
    return find_breaches(
        [(build_migration(*operations), False)], build_state(), **options
    )


def judge_back(*operations, after=None, **options):
    """Return the breaches of one migration that is taken back."""
    migration = build_migration(*operations)
    before, after = build_state(migration), build_state()
    return find_breaches([(migration, True)], before, after=after, **options)


def judge_field(old, new):
    """Return the breaches of a field of one type that becomes one of another."""
    first = build_migration(migrations.AddField("Book", "made", old), name="0002_made")
    second = build_migration(migrations.AlterField("Book", "made", new))
    return find_breaches([(second, False)], build_state(first))


def test_breach_tells_migration_operation_reason_and_remedy():
    breaches = judge(migrations.RemoveField("Book", "isbn"))

    assert breaches == (
        Breach(
            migration="shop.0002_change",
            operation="Remove field isbn from Book",
            reason=(
                "Queries of the previous release name the column 'shop_book.isbn', "
                "which is gone. Stop using it in one release, and remove it in the "
                "next; instead of renaming, add another column first."
            ),
        ),
    )


def test_breaches_are_told_in_the_order_of_application():
    plan = [
        (build_migration(migrations.RemoveField("Book", "isbn"), name="0002_a"), False),
        (
            build_migration(migrations.RemoveField("Book", "stock"), name="0003_b"),
            False,
        ),
    ]

    breaches = find_breaches(plan, build_state())

    assert [item.migration for item in breaches] == ["shop.0002_a", "shop.0003_b"]


def test_everything_that_an_operation_breaks_is_told():
    breaches = judge(migrations.AlterField("Book", "subtitle", text(9, unique=True)))

    told = [item.reason.partition(",")[0].partition(" to ")[0] for item in breaches]
    assert told == [
        "The previous release may write NULL",
        "The previous release reads and writes 'shop_book.subtitle' as it was",
        "The previous release may write equal values",
    ]


def test_what_is_broken_already_is_told_once():
    breaches = judge(
        migrations.AlterModelTable("Shelf", "racks"),
        migrations.RemoveField("Shelf", "room"),
        migrations.DeleteModel("Shelf"),
    )

    assert [item.operation for item in breaches] == ["Rename table for Shelf to racks"]


def test_two_constraints_are_two_breaches():
    first, second = (
        migrations.AddConstraint(
            "Book", models.CheckConstraint(condition=models.Q(pages__lt=9), name=name)
        )
        for name in ("one", "two")
    )
    second.constraint.condition = models.Q(stock__lt=9)

    breaches = judge(first, second)

    assert ["'one'" in breaches[0].reason, "'two'" in breaches[1].reason] == [
        True,
        True,
    ]


def test_nothing_is_broken_where_there_was_no_release():
    plan = [(FIRST, False), (build_migration(migrations.RunPython(fill)), False)]

    assert find_breaches(plan, ProjectState()) == ()


def test_nothing_is_broken_by_no_migration():
    assert find_breaches([], build_state()) == ()


@pytest.mark.parametrize(
    "operation",
    [migrations.RunPython(fill), migrations.RunSQL("DROP TABLE shop_book")],
    ids=["python", "sql"],
)
def test_code_of_a_migration_is_told_with_how_to_mark_it(operation):
    [breach] = judge(operation)

    assert breach.reason == (
        "What it runs cannot be judged. Read it, and if code of the previous release "
        "survives it, write 'mirrors_compatible = True' into the class of the "
        "migration."
    )


@pytest.mark.parametrize(
    "operation",
    [
        migrations.RunPython(migrations.RunPython.noop),
        migrations.RunSQL(migrations.RunSQL.noop),
        migrations.RunSQL([]),
    ],
    ids=["python", "sql", "no statements"],
)
def test_code_that_does_nothing_is_harmless(operation):
    assert judge(operation) == ()


def test_code_that_takes_back_is_told_where_it_is_run():
    forwards_only = migrations.RunSQL("SELECT 1", migrations.RunSQL.noop)
    backwards_only = migrations.RunSQL(migrations.RunSQL.noop, "SELECT 1")

    assert len(judge(forwards_only)) == 1
    assert judge_back(forwards_only) == ()
    assert judge(backwards_only) == ()
    assert len(judge_back(backwards_only)) == 1


def test_operation_that_is_not_known_is_told():
    [breach] = judge(Unknown())

    assert breach.operation == "Grant rights"
    assert breach.reason.startswith("'Unknown' is not known here. Read it, and if ")


def test_operation_of_a_known_kind_is_judged_as_that():
    assert judge(AddBetterField("Book", "code", text(null=True))) == ()
    assert len(judge(AddBetterField("Book", "code", text()))) == 1


def test_marked_operation_is_harmless():
    assert judge(Compatible()) == ()


def test_marked_migration_is_harmless():
    operations = (migrations.RunPython(fill), migrations.RemoveField("Book", "isbn"))
    migration = build_migration(*operations, mirrors_compatible=True)

    assert find_breaches([(migration, False)], build_state()) == ()


def test_mark_does_not_speak_of_the_way_back():
    migration = build_migration(
        migrations.AddField("Book", "code", text(null=True)), mirrors_compatible=True
    )
    plan = [(migration, True)]

    assert find_breaches(plan, build_state(migration), after=build_state())


def test_mark_of_operations_for_the_database_reaches_those_within():
    class Separate(migrations.SeparateDatabaseAndState):
        mirrors_compatible = True

    assert judge(Separate([migrations.RemoveField("Book", "isbn")])) == ()


def test_operations_for_the_database_are_judged_one_after_another():
    [breach] = judge(
        migrations.SeparateDatabaseAndState(
            [
                migrations.AddField("Book", "code", text(null=True)),
                migrations.AlterField("Book", "code", text()),
            ]
        )
    )

    assert breach.operation == "Alter field code on Book"


def test_operations_for_the_database_are_taken_back_from_the_last():
    breaches = judge_back(
        migrations.SeparateDatabaseAndState(
            [
                migrations.AddField("Book", "code", text(null=True)),
                migrations.AlterField("Book", "isbn", text(80)),
            ],
            [migrations.AddField("Book", "code", text(null=True))],
        )
    )

    assert [item.operation for item in breaches] == ["Add field code to Book"]


def test_longer_text_taken_back_breaks_code_that_writes_it():
    [breach] = judge_back(migrations.AlterField("Book", "title", text(80)))

    assert "'shop_book.title' as it was" in breach.reason


def test_plan_that_goes_backwards_needs_the_state_in_which_it_ends():
    migration = build_migration()

    with pytest.raises(OperationFailed) as caught:
        find_breaches([(migration, True)], build_state(migration))

    assert str(caught.value) == (
        "The plan from shop.0002_change to shop.0002_change takes migrations back. "
        "Give it without migrations to apply, and with the state in which it ends."
    )


def test_plan_that_goes_both_ways_is_refused():
    plan = [(build_migration(), True), (build_migration(name="0003_on"), False)]

    with pytest.raises(OperationFailed, match="without migrations to apply"):
        find_breaches(plan, build_state(), after=build_state())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (text(), text(db_collation="C")),
        (models.DateField(), models.DateTimeField()),
        (models.TextField(), text(1000)),
        (models.PositiveIntegerField(), models.IntegerField()),  # unsigned on MySQL
        (models.DecimalField(), models.DecimalField(max_digits=9, decimal_places=2)),
        (models.UUIDField(), text(36)),
        (Vector(), Vector(size=2)),
    ],
    ids=["collation", "date", "text", "sign", "digits", "uuid", "own field"],
)
def test_field_of_another_type_is_told(old, new):
    assert len(judge_field(old, new)) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (models.EmailField(), models.URLField(max_length=300)),
        (models.FileField(), text(100)),
        (models.PositiveSmallIntegerField(), models.IntegerField()),
        (models.TextField(max_length=9), models.TextField(max_length=8)),
        (models.BinaryField(max_length=9), models.BinaryField(max_length=8)),
        (Vector(), Vector(null=True, help_text="of a picture", default=())),
    ],
    ids=["text", "file", "positive", "length for forms", "bytes", "own field"],
)
def test_field_of_another_kind_that_takes_as_much_is_harmless(old, new):
    assert judge_field(old, new) == ()


@pytest.mark.needs_django(6, 1)
def test_rows_that_the_database_removes_no_more_are_told():
    cascade = models.ForeignKey("shop.author", models.DB_CASCADE)

    [breach] = judge_field(cascade, key("shop.author"))

    assert breach.reason == (
        "The previous release leaves it to the database what becomes of rows whose "
        "target in 'shop_book.made_id' is deleted, and that is changed now. See to "
        "them in code in one release, and change the foreign key in the next."
    )


def test_field_that_is_computed_by_the_database_in_place_of_code_is_told():
    generated = models.GeneratedField(
        expression=models.F("pages"),
        output_field=models.IntegerField(),
        db_persist=True,
    )

    removed, added = judge(
        migrations.RemoveField("Book", "stock"),
        migrations.AddField("Book", "stock", generated),
    )

    assert "'shop_book.stock', which is gone" in removed.reason
    assert "'shop_book.stock', which the database computes now" in added.reason


def test_two_nulls_that_must_differ_are_told():
    breaches = judge(
        migrations.AddField("Book", "code", text(null=True)),
        migrations.AddConstraint("Book", unique("code", nulls_distinct=False)),
    )

    assert [item.operation for item in breaches] == [
        "Create constraint rule on model Book"
    ]


def test_nulls_that_must_differ_where_values_had_to_already_are_told():
    first = build_migration(
        migrations.AlterField("Shelf", "room", text(null=True, unique=True)),
        name="0002_unique",
    )
    rule = unique("room", nulls_distinct=False)
    second = build_migration(migrations.AddConstraint("Shelf", rule))

    assert len(find_breaches([(second, False)], build_state(first))) == 1


def test_expressions_that_must_differ_are_told_by_the_name_of_the_constraint():
    rule = models.UniqueConstraint(Lower("title"), name="rule")

    [breach] = judge(migrations.AddConstraint("Book", rule))

    assert "'shop_book' (rule)" in breach.reason


def test_constraint_that_only_says_it_otherwise_is_harmless():
    rule = models.CheckConstraint(
        condition=models.Q(pages__gte=0),
        name="pages_positive",
        violation_error_message="Books have pages.",
    )

    assert judge(migrations.AlterConstraint("Book", "pages_positive", rule)) == ()


def test_field_with_a_constraint_can_be_renamed_if_its_column_stays():
    title = text(db_column="title")

    breaches = judge(
        migrations.AlterField("Book", "title", title),
        migrations.RenameField("Book", "title", "name"),
    )

    assert breaches == ()


def test_field_is_removed_in_two_steps():
    expand = build_migration(
        migrations.AlterField("Book", "isbn", text(null=True)),
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.RemoveField("Book", "isbn")]
        ),
        name="0002_expand",
    )
    contract = build_migration(
        migrations.RunSQL("ALTER TABLE shop_book DROP COLUMN isbn"),
        name="0003_contract",
        mirrors_compatible=True,
    )

    assert find_breaches([(expand, False)], build_state()) == ()
    assert find_breaches([(contract, False)], build_state(expand)) == ()


def test_table_that_is_managed_no_more_is_left_alone():
    breaches = judge(
        migrations.AlterModelOptions("Shelf", {"managed": False}),
        migrations.RemoveField("Shelf", "place"),
        migrations.DeleteModel("Shelf"),
    )

    assert breaches == ()


def test_code_needs_tables_that_it_does_not_manage():
    breaches = judge(
        migrations.AlterModelOptions("Report", {"managed": True}),
        migrations.RemoveField("Report", "text"),
    )

    assert [item.operation for item in breaches] == ["Remove field text from Report"]


def test_swapped_model_has_no_table(settings):
    settings.SHOP_MODEL = "shop.shelf"
    options = {"swappable": "SHOP_MODEL"}
    number = ("id", models.AutoField(primary_key=True))
    first = build_migration(
        migrations.CreateModel("Basic", [number], options=options), name="0002_basic"
    )

    breaches = find_breaches(
        [(build_migration(migrations.DeleteModel("Basic")), False)], build_state(first)
    )

    assert breaches == ()


def test_apps_that_routers_keep_away_from_a_database_do_not_count(settings):
    class Router:
        def allow_migrate(self, alias, app_label, model_name=None, **hints):
            return alias != "films"

    settings.DATABASE_ROUTERS = [Router()]
    operations = (migrations.RunPython(fill), migrations.RemoveField("Book", "isbn"))

    assert judge(*operations, alias="films") == ()
    assert len(judge(*operations, alias="books")) == 2


@pytest.fixture
def postgres():
    """Return the operations of django.contrib.postgres, which need its driver."""
    pytest.importorskip("psycopg")
    from django.contrib.postgres import operations

    return operations


def test_extensions_and_indexes_of_postgresql_are_harmless(postgres):
    index = models.Index(fields=["isbn"], name="by_isbn")

    breaches = judge(
        postgres.TrigramExtension(),
        postgres.CreateCollation("german", locale="de-x-icu"),
        postgres.AddIndexConcurrently("Book", index),
        postgres.RemoveIndexConcurrently("Book", "by_title"),
        postgres.ValidateConstraint("Book", "pages_positive"),
    )

    assert breaches == ()


def test_constraint_that_is_not_valid_yet_is_told(postgres):
    assert len(judge(postgres.AddConstraintNotValid("Book", check(pages__lt=9)))) == 1


def test_collation_and_extension_that_are_removed_are_told(postgres):
    assert len(judge(postgres.RemoveCollation("german", locale="de-x-icu"))) == 1
    assert len(judge_back(postgres.TrigramExtension())) == 1
    assert judge_back(postgres.RemoveCollation("german", locale="de-x-icu")) == ()


def test_states_and_migrations_stay_as_they_are():
    # Django renames the targets of foreign keys in place.
    first = build_migration(
        migrations.AddField("Book", "old", key("shop.shelf", to_field="place")),
        name="0002_old",
    )
    second = build_migration(
        migrations.AddField("Book", "new", key("shop.shelf", to_field="place")),
        migrations.RenameField("Shelf", "place", "spot"),
    )
    before = build_state(first)

    find_breaches([(second, False)], before)

    assert (
        before.models["shop", "book"].fields["old"].remote_field.field_name == "place"
    )
    assert second.operations[0].field.remote_field.field_name == "place"
    assert before.models["shop", "shelf"].fields.keys() == {"id", "place", "room"}
