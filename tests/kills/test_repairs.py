"""On MariaDB an operation that was cut anywhere is completed, or said to be unclear."""

from contextlib import suppress

import dj_database_url
import pytest
from django.db import connections, migrations, models
from django.db.migrations.state import ProjectState
from django.db.utils import load_backend

from django_mirrors.exceptions import OperationFailed
from django_mirrors.operations.rollout.changes import Move
from django_mirrors.operations.rollout.repairs import redo
from tests.isolation.sizes import scaled
from tests.leftovers import make_token
from tests.plugins.services import get_mariadb_url

pytestmark = [pytest.mark.mariadb, pytest.mark.django_db]

ID = ("id", models.BigAutoField(primary_key=True))


def refer(to: str, **options) -> models.ForeignKey:
    return models.ForeignKey(to, on_delete=models.CASCADE, **options)


BEFORE = (
    migrations.CreateModel(
        "Tree",
        [
            ID,
            ("name", models.CharField(max_length=50)),
            ("age", models.IntegerField(null=True)),
            ("kind", models.CharField(max_length=20, db_index=True)),
        ],
        options={
            "indexes": [models.Index(fields=["name"], name="tree_name")],
            "constraints": [
                models.UniqueConstraint(fields=["name", "age"], name="tree_once")
            ],
        },
    ),
    migrations.CreateModel(
        "Fruit",
        [ID, ("tree", refer("x.Tree")), ("trees", models.ManyToManyField("x.Tree"))],
    ),
)
COMPLETED = (
    migrations.CreateModel(
        "Leaf",
        [ID, ("tree", refer("x.Tree")), ("side", models.CharField(max_length=5))],
        options={"unique_together": {("tree", "side")}},
    ),
    migrations.DeleteModel("Fruit"),
    migrations.AddField(
        "Tree", "side", models.CharField(max_length=5, default="", db_index=True)
    ),
    migrations.AddField("Tree", "mother", refer("x.Tree", null=True)),
    migrations.AddField("Tree", "fruits", models.ManyToManyField("x.Fruit")),
    migrations.RemoveField("Tree", "kind"),
    migrations.RemoveField("Fruit", "tree"),
    migrations.RemoveField("Fruit", "trees"),
    migrations.AlterField("Tree", "name", models.CharField(max_length=90)),
    migrations.AlterField("Tree", "age", models.IntegerField(default=3)),
    migrations.AlterField("Tree", "kind", models.CharField(max_length=20)),
    migrations.AlterField("Tree", "id", models.AutoField(primary_key=True)),
    migrations.AddIndex("Tree", models.Index(fields=["age"], name="tree_age")),
    migrations.RemoveIndex("Tree", "tree_name"),
    migrations.RenameIndex("Tree", new_name="by_name", old_name="tree_name"),
    migrations.AddConstraint(
        "Tree", models.UniqueConstraint(fields=["kind"], name="one_of_a_kind")
    ),
    migrations.RemoveConstraint("Tree", "tree_once"),
)
UNCLEAR = (
    migrations.RunSQL("UPDATE x_tree SET age = age + 1"),
    migrations.RenameField("Tree", "age", "years"),
    migrations.RenameModel("Tree", "Plant"),
    migrations.AlterModelTable("Fruit", "berries"),
    migrations.AlterUniqueTogether("Tree", {("kind", "age")}),
    migrations.AlterField("Fruit", "tree", refer("x.Fruit")),
)


CHANGING = ("ALTER", "CREATE", "DROP", "RENAME", "UPDATE")


class Cut(Exception):
    """The process would have been killed here."""


@pytest.fixture
def make_connection():
    """Return a function that gives a connection to a new database with two tables."""
    config = {
        **dj_database_url.parse(get_mariadb_url()),
        "ATOMIC_REQUESTS": False,
        "AUTOCOMMIT": True,
        "CONN_HEALTH_CHECKS": False,
        "CONN_MAX_AGE": 0,
        "OPTIONS": {},
        "TIME_ZONE": None,
    }
    backend = load_backend("django.db.backends.mysql")
    connection = backend.DatabaseWrapper(config, alias="repairs")
    connections["repairs"] = connection
    name = make_token("dmkills_")

    def make():
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {name}")
            cursor.execute(f"CREATE DATABASE {name}")
            cursor.execute(f"USE {name}")
        state = ProjectState()
        for operation in BEFORE:
            make_operation(connection, operation, state)
            state = build_move(operation, state).after
        return connection, state

    yield make
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")
    connection.close()
    del connections["repairs"]


def build_move(operation, before) -> Move:
    after = before.clone()
    operation.state_forwards("x", after)
    return Move(operation=operation, before=before, after=after)


def complete(editor, move) -> None:
    move.operation.database_forwards("x", editor, move.before, move.after)
    waiting, editor.deferred_sql = editor.deferred_sql, []
    for sql in waiting:
        editor.execute(sql, None)


def make_operation(connection, operation, before, *, cut_after=None) -> int:
    """Make an operation, or its first statements; return how many those were."""
    made = []

    def cut(execute, sql, params, many, context):
        if str(sql).startswith(CHANGING):
            if len(made) == cut_after:
                raise Cut
            made.append(sql)
        return execute(sql, params, many, context)

    editor = connection.schema_editor(atomic=False).__enter__()
    with connection.execute_wrapper(cut), suppress(Cut):
        complete(editor, build_move(operation, before))
    return len(made)


def describe(connection) -> dict[str, list[str]]:
    """Return how each table would be created, its keys in any order."""
    found = {}
    with connection.cursor() as cursor:
        for name in connection.introspection.table_names(cursor):
            cursor.execute(f"SHOW CREATE TABLE `{name}`")
            *lines, _ = cursor.fetchone()[1].splitlines()
            found[name] = sorted(line.rstrip(",") for line in lines)
    return found


def cut_and_redo(make_connection, operation, number) -> dict[str, list[str]]:
    """Cut an operation after so many statements, complete it, and describe all."""
    connection, before = make_connection()
    make_operation(connection, operation, before, cut_after=number)
    with connection.schema_editor(atomic=False) as editor:
        move = build_move(operation, before)
        redo(editor, "x.0002_next", move, lambda: complete(editor, move))
    return describe(connection)


def choose_cuts(count: int) -> range:
    """Return after how many statements to cut: a tenth is one of them."""
    return range(count + 1) if scaled(100) == 100 else range(count, count + 1)


@pytest.mark.parametrize("operation", COMPLETED, ids=lambda item: item.describe())
def test_operation_that_was_cut_is_completed(operation, make_connection):
    connection, before = make_connection()
    count = make_operation(connection, operation, before)
    wanted = describe(connection)

    wrong = [
        number
        for number in choose_cuts(count)
        if cut_and_redo(make_connection, operation, number) != wanted
    ]

    assert wrong == []


@pytest.mark.parametrize("operation", UNCLEAR, ids=lambda item: item.describe())
def test_operation_of_which_nobody_can_know_is_left_to_people(
    operation, make_connection
):
    with pytest.raises(OperationFailed) as caught:
        cut_and_redo(make_connection, operation, 1)

    assert str(caught.value) == (
        f"x.0002_next was interrupted in '{operation.describe()}', outside a "
        "transaction: whether that was executed cannot be known. See for yourself, "
        "complete the migration by hand, and go on with 'manage.py migrate --fake'."
    )
