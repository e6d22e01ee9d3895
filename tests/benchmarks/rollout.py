"""How long a rollout over many mirrors takes, beside the least it can take.

    python -m tests.benchmarks.rollout [--sizes 50,200] [--engines sqlite,postgresql]

An app of 20 models and 15 migrations is made for it, and a 16th that adds a field. Two
rollouts are measured: nothing to do, beside a connection and one SELECT for each
mirror; and the 16th migration, beside the same SQL and the row of `django_migrations`,
sent by hand over connections that are open already, as they are for the rollout. Last
comes Django's own `migrate --database`, in one process, for some of the mirrors.
"""

import argparse
import json
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from tests.leftovers import claim, clean_up, make_token

TOKEN = make_token("dm_benchmark_")
MODELS, MIGRATIONS = 20, 15
LOOPED = 10  # mirrors for Django's own command
COLUMN, TABLE = "rating", "fleetapp_m00"
ENGINES = ("sqlite", "postgresql", "schema")
# As many connections stay open as the limits allow: of files, and of the server.
OPEN = {"sqlite": 320, "postgresql": 60, "schema": 60}


def main() -> None:
    """Print two lines for each engine and size."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", default="50,200")
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.sizes.split(",")]
    with tempfile.TemporaryDirectory() as directory:
        write_app(Path(directory))
        configure(Path(directory))
        print(f"{'':44}{'floor s':>9}{'ours s':>9}{'ratio':>7}{'migrate s':>11}")
        for engine in arguments.engines.split(","):
            for size in sizes:
                compare(engine, size, arguments.jobs, Path(directory))
    files = len(list(Path("/proc/self/fd").iterdir()))
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nmost memory {used:.0f} MiB, {files} files open")


def write_app(directory: Path) -> None:
    """Make the app: its models grow by a field in each migration after the first."""
    app = directory / "fleetapp"
    (app / "migrations").mkdir(parents=True)
    (app / "before").mkdir()
    for place in (app, app / "migrations", app / "before"):
        (place / "__init__.py").touch()
    (app / "models.py").touch()  # states of migrations are all that is looked at
    for number in range(1, MIGRATIONS + 2):
        text = write_migration(number)
        name = f"{number:04d}_step.py"
        (app / "migrations" / name).write_text(text)
        if number <= MIGRATIONS:
            (app / "before" / name).write_text(text)
    sys.path.insert(0, str(directory))


def write_migration(number: int) -> str:
    before = f'[("fleetapp", "{number - 1:04d}_step")]' if number > 1 else "[]"
    if number == 1:
        operations = [write_model(model) for model in range(MODELS)]
    elif number > MIGRATIONS:
        operations = [write_field(0, COLUMN)]
    else:
        operations = [write_field(model, f"step{number}") for model in range(3)]
    return (
        "from django.db import migrations, models\n\n\n"
        "class Migration(migrations.Migration):\n"
        f"    dependencies = {before}\n"
        f"    operations = [{', '.join(operations)}]\n"
    )


def write_model(number: int) -> str:
    fields = [("id", "BigAutoField(primary_key=True)")]
    fields += [(f"text{n}", "CharField(max_length=100)") for n in range(3)]
    fields += [
        ("day", "DateTimeField(null=True)"),
        ("count", "IntegerField(default=0)"),
    ]
    fields += [("price", "DecimalField(max_digits=9, decimal_places=2, null=True)")]
    if number:
        other = f"'fleetapp.m{number - 1:02d}'"
        fields += [("before", f"ForeignKey({other}, models.CASCADE, null=True)")]
    listed = ", ".join(f"('{name}', models.{field})" for name, field in fields)
    return f"migrations.CreateModel('M{number:02d}', [{listed}])"


def write_field(model: int, name: str) -> str:
    return (
        f"migrations.AddField('m{model:02d}', '{name}', models.IntegerField(null=True))"
    )


def configure(directory: Path) -> None:
    """Set Django up with the app at its release before."""
    import django
    from django.conf import settings

    from django_mirrors.db import mirror_databases

    settings.configure(
        SECRET_KEY=TOKEN,
        BASE_DIR=directory,
        USE_TZ=True,
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django_mirrors",
            "fleetapp",
        ],
        MIGRATION_MODULES={"fleetapp": "fleetapp.before"},
        DATABASES=mirror_databases(
            {
                "default": {
                    "ENGINE": "django.db.backends.sqlite3",
                    "NAME": directory / "original.sqlite3",
                }
            }
        ),
        DATABASE_ROUTERS=["django_mirrors.db.MirrorRouter"],
        STORAGES={"default": {"BACKEND": "django_mirrors.storage.MirrorStorage"}},
        CACHES={
            "default": {
                "BACKEND": "django_mirrors.cache.MirrorCache",
                "OPTIONS": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
            }
        },
        MIRRORS={},
        MIRRORS_OPTIONS={
            "SNAPSHOT": None,
        },
    )
    django.setup()
    from django.core.management import call_command

    from django_mirrors import use_original

    with use_original():
        call_command("migrate", database="original", verbosity=0)


def compare(engine: str, size: int, jobs: int, directory: Path) -> None:
    """Roll out to `size` mirrors, in both ways."""
    from django_mirrors import mirrors
    from django_mirrors.operations import resume_rollout, roll_out

    with build_fleet(engine, size, directory) as names:
        chosen = tuple(mirrors[name] for name in names)
        disconnect()
        floor = measure(lambda: ask_each(names))
        disconnect()
        ours = measure(lambda: roll_out(chosen, jobs=jobs))
        show(f"{engine}, {size} mirrors, nothing to do", floor, ours)
        statements = release_next(names[0])
        floor = measure(lambda: change_each(names, statements))
        for name in names:
            take_back(name)
        migrate_original()
        report = None

        def roll() -> None:
            nonlocal report
            report = roll_out(chosen, jobs=jobs)

        ours = measure(roll)
        assert report is not None
        assert report.count("done") == size
        for name in names[:LOOPED]:
            take_back(name)
        looped = measure(lambda: loop(names[:LOOPED])) / LOOPED * size
        show(f"{engine}, {size} mirrors, one field added", floor, ours, looped)
        again = measure(resume_rollout)
        print(f"{'':9}resumed when all was done: {again:.2f} s", flush=True)
        assert has_column(names[-1])
    release_first()


@contextmanager
def build_fleet(engine: str, size: int, directory: Path) -> Iterator[list[str]]:
    """Add mirrors at the release before; remove them at the end."""
    from django.conf import settings

    from django_mirrors import mirrors
    from django_mirrors.conf import forget_conf
    from django_mirrors.operations import add_mirror
    from django_mirrors.operations.databases import get_database_backend
    from django_mirrors.operations.templates import find_fleet
    from tests.benchmarks.provision import build_config

    claim(find_fleet())  # in the names of templates
    places = find_place(engine, directory)
    settings.MIRRORS_OPTIONS = {
        **settings.MIRRORS_OPTIONS,
        "MAX_OPEN_CONNECTIONS": OPEN[engine],
        "POOL": {"MAX_SIZE": OPEN[engine]},
        "DEFAULTS": {
            "HOSTS": ["{name}.example"],
            "STORAGE": f"file://{directory}/media/{{name}}/",
            **places,
        },
    }
    forget_conf()
    mirrors.forget()
    shared = build_config(places["DATABASE"]) if engine == "schema" else None
    if shared is not None:
        get_database_backend(shared).create(shared)
    names = [f"{engine}{size}m{number}" for number in range(size)]
    added = names if engine != "sqlite" else names[:1]
    try:
        for name in added:
            add_mirror(name, {})
        copy_files(names[len(added) :], names[0])
        yield names
    finally:
        remove_fleet(names, shared)


def remove_fleet(names: list[str], shared: dict[str, Any] | None) -> None:
    from django.db import connections

    from django_mirrors import mirrors, use_original
    from django_mirrors.models import MirrorRecord
    from django_mirrors.operations.databases import get_database_backend
    from django_mirrors.operations.templates import find_fleet

    configs = [
        connections.settings.build_config(mirrors[name])
        for name in names
        if name in mirrors
    ]
    disconnect()
    for config in configs if shared is None else ():
        backend = get_database_backend(config)
        if backend.exists(config):
            backend.drop(config)
    for config in configs[:1]:
        backend = get_database_backend(config)
        for template in backend.list_templates(config):
            if find_fleet() in template:  # and not of tests that run meanwhile
                backend.drop(backend.build_template_config(config, template))
    if shared is not None:
        get_database_backend(shared).drop(shared)
    with use_original():
        MirrorRecord.objects.filter(name__in=names).delete()
    mirrors.reload()


def copy_files(names: list[str], first: str) -> None:
    """Add mirrors by their records and by copies of a file: thousands, in seconds."""
    import shutil
    import sqlite3

    from django.db import connections

    from django_mirrors import mirrors, use_original
    from django_mirrors.models import MirrorRecord

    if not names:
        return
    connections[first].close()
    source = connections.settings.build_config(mirrors[first])["NAME"]
    with use_original():
        pattern = MirrorRecord.objects.get(name=first)
        records = [
            MirrorRecord(
                name=name,
                state=pattern.state,
                release=pattern.release,
                migrations=pattern.migrations,
                definition=json.loads(
                    json.dumps(pattern.definition).replace(first, name)
                ),
            )
            for name in names
        ]
        MirrorRecord.objects.bulk_create(records)
    for record in records:
        target = str(source).replace(first, record.name)
        shutil.copyfile(source, target)
        with closing(sqlite3.connect(target)) as database, database:
            database.execute(
                "UPDATE django_mirrors_marker SET uid = ?, name = ?",
                (record.uid.hex, record.name),
            )
    mirrors.reload()


def find_place(engine: str, directory: Path) -> dict[str, str]:
    if engine == "sqlite":
        return {"DATABASE": f"sqlite:///{directory}/{{name}}.sqlite3"}
    from tests.plugins.services import get_postgres_url

    server = get_postgres_url().rpartition("/")[0]
    if engine == "postgresql":
        return {"DATABASE": f"{server}/{TOKEN}_{{name}}"}
    name = f"{TOKEN}_shared"
    return {"DATABASE": f"{server}/{name}", "SCHEMA": "{name}"}


def release_next(name: str) -> list[str]:
    """Let the code be of the next release; return the SQL of what it brings."""
    from django.conf import settings
    from django.db import connections
    from django.db.migrations.executor import MigrationExecutor

    from django_mirrors import use_mirror

    settings.MIGRATION_MODULES = {}
    with use_mirror(name):
        loader: Any = MigrationExecutor(connections[name]).loader
        migration = loader.graph.nodes["fleetapp", f"{MIGRATIONS + 1:04d}_step"]
        state = loader.project_state(
            [("fleetapp", f"{MIGRATIONS:04d}_step")], at_end=True
        )
        editor: Any = connections[name].schema_editor(collect_sql=True, atomic=False)
        editor.deferred_sql = []
        migration.apply(state, editor)
        return [line for line in editor.collected_sql if not line.startswith("--")]


def release_first() -> None:
    """Let the code be of the release before."""
    from django.conf import settings
    from django.db import connections

    from django_mirrors import use_original

    settings.MIGRATION_MODULES = {"fleetapp": "fleetapp.before"}
    with use_original():
        undo(connections["original"])


def migrate_original() -> None:
    from django.core.management import call_command

    from django_mirrors import use_original

    with use_original():
        call_command("migrate", database="original", verbosity=0)


def ask_each(names: list[str]) -> None:
    """Connect to each and ask which migrations it has: the least there is to do."""
    from django.db import connections

    from django_mirrors import use_mirror

    for name in names:
        with use_mirror(name), connections[name].cursor() as cursor:
            cursor.execute("SELECT app, name FROM django_migrations")
            cursor.fetchall()


def change_each(names: list[str], statements: list[str]) -> None:
    """Send the statements, and the row that records them, to each."""
    from django.db import connections, transaction
    from django.utils.timezone import now

    from django_mirrors import use_mirror

    for name in names:
        with use_mirror(name), transaction.atomic(using=name):
            with connections[name].cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                cursor.execute(
                    "INSERT INTO django_migrations (app, name, applied)"
                    " VALUES (%s, %s, %s)",
                    ["fleetapp", f"{MIGRATIONS + 1:04d}_step", now()],
                )


def take_back(name: str) -> None:
    from django.db import connections

    from django_mirrors import use_mirror

    with use_mirror(name):
        undo(connections[name])


def undo(connection: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {TABLE} DROP COLUMN {COLUMN}")
        cursor.execute(
            "DELETE FROM django_migrations WHERE app = 'fleetapp' AND name = %s",
            [f"{MIGRATIONS + 1:04d}_step"],
        )


def loop(names: list[str]) -> None:
    """What one does without this package."""
    from django.core.management import call_command

    from django_mirrors import use_mirror

    for name in names:
        with use_mirror(name):
            call_command("migrate", database=name, verbosity=0)


def has_column(name: str) -> bool:
    from django.db import connections

    from django_mirrors import use_mirror

    with use_mirror(name), connections[name].cursor() as cursor:
        table = connections[name].introspection.get_table_description(cursor, TABLE)
        return any(column.name == COLUMN for column in table)


def disconnect() -> None:
    from django.db import connections

    connections.close_all()


def measure(do: Callable[[], object]) -> float:
    began = perf_counter()
    do()
    return perf_counter() - began


def show(title: str, floor: float, ours: float, looped: float | None = None) -> None:
    last = f"{looped:11.2f}" if looped is not None else ""
    print(f"{title:44}{floor:9.2f}{ours:9.2f}{ours / floor:7.2f}{last}", flush=True)


if __name__ == "__main__":
    with clean_up():
        main()
