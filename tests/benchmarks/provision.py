"""How long a new database and a new mirror take, beside the least they can take.

    python -m tests.benchmarks.provision [--rounds 10]

The template has every migration of this project's tests. What is compared with:
a copy of the file that was written to the disk, the bare statement that copies a
database, and the same SQL sent at once over a connection made for it. Both sides run
in turn, and the median counts. "First" is the first one of a template, which for SQL
includes dumping it.

The second table is of whole mirrors, as `mirror_add` makes them: recorded, with a
database and a directory for files, verified and active. The floor is that of the
database alone. "Ready" are those whose databases `mirror_prepare` had made before.
"""

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import django

from tests.leftovers import claim, clean_up, make_token

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
PREFIX = f"{make_token('dm_benchmark_')}_"


def main() -> None:
    """Print a line for each mode whose server answers."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    django.setup()
    use_own_key()
    from tests.plugins.services import find_mariadb_problem, find_postgres_problem

    print(f"{'':12}{'floor ms':>10}{'ours ms':>10}{'ratio':>8}{'first ms':>10}")
    with tempfile.TemporaryDirectory() as directory:
        compare("sqlite", build_sqlite(Path(directory)), arguments.rounds)
    if find_postgres_problem() is None:
        compare("postgresql", build_postgresql(), arguments.rounds)
        measure_schema(arguments.rounds)
    if find_mariadb_problem() is None:
        compare("mysql", build_mysql(), arguments.rounds)
    print(f"\n{'':12}{'floor ms':>10}{'added ms':>10}{'ratio':>8}{'ready ms':>10}")
    with tempfile.TemporaryDirectory() as directory:
        migrate_original()
        url = f"sqlite:///{directory}/{{name}}.sqlite3"
        compare_adding("sqlite", {"DATABASE": url}, directory, arguments.rounds)
        if find_postgres_problem() is None:
            add_on_postgresql(directory, arguments.rounds)
        if find_mariadb_problem() is None:
            from tests.plugins.services import get_mariadb_url

            url = f"{get_mariadb_url().rpartition('/')[0]}/{PREFIX}{{name}}"
            compare_adding("mysql", {"DATABASE": url}, directory, arguments.rounds)


def use_own_key() -> None:
    """Have templates that tests which run at this time have not."""
    from django.conf import settings

    from django_mirrors.operations.templates import find_fleet

    settings.SECRET_KEY = PREFIX
    claim(find_fleet())


def compare(mode: str, base: dict[str, Any], rounds: int) -> None:
    """Make databases in both ways, and print the medians and their ratio."""
    from django_mirrors.operations.databases import get_database_backend

    backend = get_database_backend(base)
    template = backend.build_template_config(base, PREFIX.strip("_"))
    made = [template]
    try:
        migrate(template)
        floor, first = FLOORS[mode](template), build_new(base)
        made.append(first)
        began = perf_counter()
        backend.create_from_template(template, first)
        seconds = perf_counter() - began
        pairs = []
        for _ in range(rounds):
            ours, bare = build_new(base), build_new(base)
            made += [ours, bare]
            pairs.append(
                (
                    measure(lambda new=bare: floor(new)),
                    measure(
                        lambda new=ours: backend.create_from_template(template, new)
                    ),
                )
            )
        bare_median, own_median = (median(side) for side in zip(*pairs, strict=True))
        print(
            f"{mode:12}{bare_median * 1e3:10.1f}{own_median * 1e3:10.1f}"
            f"{own_median / bare_median:8.2f}{seconds * 1e3:10.1f}",
            flush=True,
        )
    finally:
        for config in made:
            backend.drop(config)


def migrate_original() -> None:
    """Let the original have the records of the fleet."""
    from django.core.management import call_command

    from django_mirrors import use_original

    with use_original():
        call_command("migrate", database="original", verbosity=0)


def add_on_postgresql(directory: str, rounds: int) -> None:
    """Add mirrors with a database each, and with a schema each."""
    from django_mirrors.operations.databases import get_database_backend
    from tests.plugins.services import get_postgres_url

    server = get_postgres_url().rpartition("/")[0]
    place = {"DATABASE": f"{server}/{PREFIX}{{name}}"}
    compare_adding("postgresql", place, directory, rounds, is_prepared=True)
    shared = build_config(f"{server}/{PREFIX}shared")
    backend = get_database_backend(shared)
    backend.create(shared)
    try:
        place = {"DATABASE": f"{server}/{PREFIX}shared", "SCHEMA": f"{PREFIX}{{name}}"}
        compare_adding("schema", place, directory, rounds, is_prepared=True)
    finally:
        backend.drop(shared)


def compare_adding(
    mode: str,
    place: dict[str, str],
    directory: str,
    rounds: int,
    *,
    is_prepared: bool = False,
) -> None:
    """Add mirrors, and make their databases in the barest way; print the medians."""
    from django.db import connections

    from django_mirrors import mirrors
    from django_mirrors.operations import add_mirror, prepare_mirrors
    from django_mirrors.operations.databases import get_database_backend
    from django_mirrors.operations.templates import ensure_template

    use_defaults(place, directory)
    names = [f"{mode}{number}" for number in range(2 * rounds + 1)]
    add_mirror(names[0], {})  # which makes the template
    made = [connections.settings.build_config(mirrors[names[0]])]
    backend = get_database_backend(made[0])
    template = backend.build_template_config(made[0], PREFIX.strip("_"))
    made += [template, ensure_template(made[0])]
    try:
        migrate(template)
        floor = FLOORS[mode](template)
        times: list[list[float]] = [[], [], []]
        for number in range(rounds):
            bare = build_new(made[0])
            made.append(bare)
            times[0].append(measure(lambda new=bare: floor(new)))
            name = names[1 + number]
            times[1].append(measure(lambda name=name: add_mirror(name, {})))
        if is_prepared:
            prepare_mirrors(rounds)
            times[2] = [
                measure(lambda name=name: add_mirror(name, {}))
                for name in names[1 + rounds :]
            ]
            prepare_mirrors(0)
        bare_median, own_median = median(times[0]), median(times[1])
        ready = f"{median(times[2]) * 1e3:10.1f}" if times[2] else f"{'-':>10}"
        print(
            f"{mode:12}{bare_median * 1e3:10.1f}{own_median * 1e3:10.1f}"
            f"{own_median / bare_median:8.2f}{ready}",
            flush=True,
        )
    finally:
        made += [
            connections.settings.build_config(mirrors[name])
            for name in names
            if name in mirrors
        ]
        connections.close_all()
        for config in made:
            backend.drop(config)


def use_defaults(place: dict[str, str], directory: str) -> None:
    """Give new mirrors their databases there."""
    from django.conf import settings

    from django_mirrors import mirrors
    from django_mirrors.conf import forget_conf

    settings.MIRRORS_OPTIONS = {
        **settings.MIRRORS_OPTIONS,
        "DEFAULTS": {
            "HOSTS": ["{name}.example"],
            "STORAGE": f"file://{directory}/media/{{name}}/",
            **place,
        },
    }
    forget_conf()
    mirrors.forget()


def measure(do: Callable[[], object]) -> float:
    began = perf_counter()
    do()
    return perf_counter() - began


def build_new(base: dict[str, Any]) -> dict[str, Any]:
    name = make_token("dm_benchmark_")
    if base.get("SCHEMA"):
        return {**base, "SCHEMA": name}
    return {**base, "NAME": str(Path(base["NAME"]).parent / name).removeprefix("./")}


def migrate(template: dict[str, Any]) -> None:
    """Make the template, with every migration."""
    from django.core.management import call_command
    from django.db import connections
    from django.db.utils import load_backend

    from django_mirrors import use_original
    from django_mirrors.operations.databases import get_database_backend

    get_database_backend(template).create(template)
    config = {**template, "OPTIONS": {**template["OPTIONS"]}}
    if template.get("SCHEMA"):
        config["OPTIONS"]["options"] = f"-c search_path={template['SCHEMA']}"
    backend = load_backend(config["ENGINE"])
    # In the place of the original's, which every migration is applied to.
    with use_original():
        kept = connections["original"]
        connections["original"] = backend.DatabaseWrapper(config, "original")
        try:
            call_command("migrate", database="original", verbosity=0)
        finally:
            connections["original"].close()
            connections["original"] = kept


def build_config(url: str) -> dict[str, Any]:
    from django.db import connections

    from django_mirrors import Mirror

    mirror = Mirror.from_mapping("made", {"HOSTS": ["made.example"], "DATABASE": url})
    config: dict[str, Any] = connections.settings.build_config(mirror)
    return config


def build_sqlite(directory: Path) -> dict[str, Any]:
    return build_config(f"sqlite:///{directory}/base.sqlite3")


def build_postgresql() -> dict[str, Any]:
    from tests.plugins.services import get_postgres_url

    return build_config(get_postgres_url())


def build_mysql() -> dict[str, Any]:
    from tests.plugins.services import get_mariadb_url

    return build_config(get_mariadb_url())


def measure_schema(rounds: int) -> None:
    from django_mirrors.operations.databases import get_database_backend

    shared = build_new(build_postgresql())
    backend = get_database_backend(shared)
    backend.create(shared)
    try:
        compare("schema", {**shared, "SCHEMA": "base"}, rounds)
    finally:
        backend.drop(shared)


def copy_file(template: dict[str, Any]) -> Callable[[dict[str, Any]], object]:
    def copy(new: dict[str, Any]) -> None:
        shutil.copyfile(template["NAME"], new["NAME"])
        with Path(new["NAME"]).open("rb") as file:
            os.fsync(file.fileno())

    return copy


def copy_database(template: dict[str, Any]) -> Callable[[dict[str, Any]], object]:
    import psycopg

    def copy(new: dict[str, Any]) -> None:
        with connect(psycopg.connect, template, dbname="postgres") as connection:
            connection.autocommit = True
            connection.execute(
                f'CREATE DATABASE "{new["NAME"]}" TEMPLATE "{template["NAME"]}"'
            )

    return copy


def replay_schema(template: dict[str, Any]) -> Callable[[dict[str, Any]], object]:
    import psycopg

    from django_mirrors.operations.databases.schema import SchemaDatabase

    sql = SchemaDatabase()._read_sql(template)

    def replay(new: dict[str, Any]) -> None:
        with connect(psycopg.connect, template, dbname=template["NAME"]) as connection:
            connection.autocommit = True
            name = new["SCHEMA"]
            text = sql.replace(template["SCHEMA"], name)
            connection.execute(f"BEGIN; CREATE SCHEMA {name}; {text}; COMMIT")

    return replay


def replay_mysql(template: dict[str, Any]) -> Callable[[dict[str, Any]], object]:
    import MySQLdb

    from django_mirrors.operations.databases.mysql import MysqlDatabase

    sql = MysqlDatabase()._record_replay(template)

    def replay(new: dict[str, Any]) -> None:
        connection = connect(MySQLdb.connect, template)
        try:
            cursor = connection.cursor()
            name = new["NAME"]
            cursor.execute(
                f"CREATE DATABASE {name} CHARACTER SET utf8mb4; USE {name}; {sql}"
            )
            while cursor.nextset() is not None:
                pass
        finally:
            connection.close()

    return replay


def connect(driver: Callable[..., Any], config: dict[str, Any], **names: str) -> Any:
    values = {
        "host": config["HOST"],
        "port": int(config["PORT"] or 0),
        "user": config["USER"],
        "password": config["PASSWORD"],
        **names,
    }
    return driver(**{key: value for key, value in values.items() if value})


FLOORS: dict[str, Callable[[dict[str, Any]], Callable[[dict[str, Any]], object]]] = {
    "sqlite": copy_file,
    "postgresql": copy_database,
    "schema": replay_schema,
    "mysql": replay_mysql,
}

if __name__ == "__main__":
    with clean_up():
        main()
