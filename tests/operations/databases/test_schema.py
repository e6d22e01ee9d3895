"""What is special about schemas: their names in data, roles, their neighbours."""

import threading
from uuid import uuid4

import pytest
from django.db import DatabaseError

from django_mirrors.exceptions import OperationFailed
from django_mirrors.operations.databases import get_database_backend
from django_mirrors.operations.databases.postgresql_tools import build_session_name
from tests.operations.databases import content

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


@pytest.fixture
def schemas(make_server):
    return make_server("schema")


@pytest.fixture
def postgresql(make_server):
    return make_server("postgresql")


def write_name(schemas, config):
    """Put the name of a schema wherever a name can be put."""
    name = config["SCHEMA"]
    for sql in (
        f'CREATE TABLE "{name}" ("{name}" text DEFAULT \'{name}.x\')',
        f'CREATE VIEW v AS SELECT "{name}"."{name}" FROM "{name}"."{name}"',
        (
            f"INSERT INTO \"{name}\" VALUES ('{name}.x'), ('{name}'), ('\"{name}\".x'),"
            f" ('nextval(''{name}.x''::regclass)')"
        ),
        f"COMMENT ON TABLE \"{name}\" IS 'ALTER TABLE {name}.x'",
        f'CREATE INDEX ON "{name}" (("{name}" || \'{name}.\'))',
    ):
        schemas.ask(config, sql)


@pytest.mark.parametrize("way", ["copy", "dump"])
def test_data_that_holds_the_name_of_its_schema_comes_to_no_harm(
    schemas, tmp_path, way
):
    source, target = schemas.filled(), schemas.config()
    write_name(schemas, source)
    name = source["SCHEMA"]

    if way == "copy":
        schemas.backend.copy(source, target)
    else:
        schemas.backend.dump(source, tmp_path / "dump")
        schemas.backend.create(target)
        schemas.backend.load(target, tmp_path / "dump")

    assert schemas.backend.fingerprint(target) == schemas.backend.fingerprint(source)
    rows = schemas.ask(target, "SELECT * FROM v")
    assert rows == schemas.ask(source, "SELECT * FROM v")
    assert (f"{name}.x",) in rows
    schemas.backend.drop(source)
    schemas.ask(target, f'INSERT INTO "{name}" DEFAULT VALUES')
    assert len(schemas.ask(target, "SELECT * FROM v")) == len(rows) + 1


def test_nothing_of_a_copy_depends_on_what_it_was_made_of(schemas):
    source, target = schemas.filled(), schemas.config()

    schemas.backend.copy(source, target)

    schemas.backend.drop(source)
    with schemas.connect(target) as connection:
        assert content.add_tag(connection) == 51


def test_nothing_of_a_new_schema_depends_on_its_template(schemas):
    template, config = schemas.filled(schemas.template()), schemas.config()

    schemas.backend.create_from_template(template, config)

    schemas.backend.drop(template)
    with schemas.connect(config) as connection:
        assert content.add_tag(connection) == 51


def test_template_that_two_record_at_once_is_used_by_both(schemas, monkeypatch):
    template, first, second = (
        schemas.filled(schemas.template()),
        schemas.config(),
        schemas.config(),
    )
    schemas.backend.create_from_template(template, first)

    # The other one has looked before the first one had written.
    monkeypatch.setattr(schemas.backend, "_find_replay", lambda config: None)
    schemas.backend.create_from_template(template, second)

    assert schemas.backend.fingerprint(first) == schemas.backend.fingerprint(second)


def test_template_that_holds_its_own_name_is_refused(schemas):
    template = schemas.filled(schemas.template())
    name = template["SCHEMA"]
    schemas.ask(template, f"INSERT INTO content_tag (name) VALUES ('in {name}.x')")

    with pytest.raises(OperationFailed, match="has its own name in a row"):
        schemas.backend.create_from_template(template, schemas.config())


def test_schema_that_is_no_template_is_not_used_as_one(schemas):
    with pytest.raises(OperationFailed, match="is no template"):
        schemas.backend.create_from_template(schemas.filled(), schemas.config())


def test_schema_is_used_while_it_is_copied(schemas):
    source, stopped, errors = schemas.filled(), threading.Event(), []

    def work():
        number = 0
        while not stopped.is_set():
            number += 1
            try:
                schemas.ask(source, f"CREATE TABLE x{number} (id integer)")
                schemas.ask(source, f"INSERT INTO x{number} VALUES (1)")
                schemas.ask(source, f"DROP TABLE x{number}")
            except Exception as error:  # noqa: BLE001
                errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    copies = []
    try:
        for _ in range(3):
            target = schemas.config()
            try:
                schemas.backend.copy(source, target)
            except OperationFailed:
                continue  # pg_dump met a table that was being removed
            copies.append(target)
    finally:
        stopped.set()
        thread.join()

    assert errors == []
    assert all(schemas.backend.exists(config) for config in copies)


def test_schema_is_copied_twice_at_once(schemas):
    source = schemas.filled()
    targets, errors = [schemas.config() for _ in range(3)], []

    def copy(target):
        try:
            schemas.backend.copy(source, target)
        except OperationFailed as error:
            errors.append(error)

    threads = [threading.Thread(target=copy, args=[target]) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    wanted = schemas.backend.fingerprint(source)
    assert [schemas.backend.fingerprint(item) for item in targets] == [wanted] * 3


def test_neighbours_are_left_alone(schemas):
    source, neighbour = schemas.filled(), schemas.filled()
    before = schemas.backend.fingerprint(neighbour)

    schemas.backend.copy(source, schemas.config())
    schemas.backend.drop(source)

    assert schemas.backend.fingerprint(neighbour) == before


def test_schema_is_moved_into_a_database_of_its_own(schemas, postgresql, tmp_path):
    source, target, loaded = schemas.filled(), postgresql.config(), postgresql.config()
    wanted = schemas.backend.fingerprint(source)

    postgresql.backend.copy(source, target)
    schemas.backend.dump(source, tmp_path / "dump")
    postgresql.backend.create(loaded)
    postgresql.backend.load(loaded, tmp_path / "dump")

    assert postgresql.backend.fingerprint(target) == wanted
    assert postgresql.backend.fingerprint(loaded) == wanted
    with postgresql.connect(target) as connection:
        assert content.add_tag(connection) == 51


def test_database_is_moved_into_a_schema(schemas, postgresql, tmp_path):
    source, target, loaded = postgresql.filled(), schemas.config(), schemas.config()
    wanted = postgresql.backend.fingerprint(source)

    schemas.backend.copy(source, target)
    postgresql.backend.dump(source, tmp_path / "dump")
    schemas.backend.create(loaded)
    schemas.backend.load(loaded, tmp_path / "dump")

    assert schemas.backend.fingerprint(target) == wanted
    assert schemas.backend.fingerprint(loaded) == wanted


def test_database_of_several_schemas_is_not_loaded_into_one(
    schemas, postgresql, tmp_path
):
    source, target = postgresql.filled(), schemas.config()
    postgresql.ask(source, "CREATE SCHEMA other")
    postgresql.backend.dump(source, tmp_path / "dump")
    schemas.backend.create(target)

    with pytest.raises(OperationFailed, match="holds the schemas other, public"):
        schemas.backend.load(target, tmp_path / "dump")


def test_schema_is_moved_to_another_database_under_its_name(schemas, postgresql):
    source, other = schemas.filled(), postgresql.config()
    postgresql.backend.create(other)
    target = {**source, "NAME": other["NAME"]}

    schemas.backend.copy(source, target)

    assert schemas.backend.fingerprint(target) == schemas.backend.fingerprint(source)


def test_drop_ends_what_a_killed_process_had_begun_in_a_schema(schemas):
    target = schemas.config()
    with schemas.connect(target) as connection, connection.cursor() as cursor:
        # As a kill leaves it: the schemas goes on, and may commit at any moment.
        cursor.execute("SET application_name TO %s", [build_session_name(target)])
        cursor.execute("BEGIN")
        cursor.execute(f'CREATE SCHEMA "{target["SCHEMA"]}"')

        schemas.backend.drop(target)

        with pytest.raises(DatabaseError):
            cursor.execute("COMMIT")
    schemas.backend.create(target)
    assert schemas.backend.exists(target)


def test_drop_leaves_those_alone_who_work_on_another_schema(schemas):
    target, other = schemas.config(), schemas.config()
    with schemas.connect(other) as connection, connection.cursor() as cursor:
        cursor.execute("SET application_name TO %s", [build_session_name(other)])

        schemas.backend.drop(target)

        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


def test_schema_of_a_database_that_is_gone_is_gone(schemas):
    config = {**schemas.base, "NAME": f"dm_{uuid4().hex}", "SCHEMA": "x"}

    schemas.backend.drop(config)

    with pytest.raises(OperationFailed, match="that the database is there"):
        schemas.backend.exists(config)


@pytest.fixture
def roles(postgresql, schemas):
    """Return the config of a user that may act as either of two roles, and these."""
    names = [f"dm_{part}_{uuid4().hex[:8]}" for part in ("user", "one", "two")]
    main = {**schemas.base, "NAME": schemas.base["NAME"]}
    main.pop("SCHEMA")
    user, one, two = names
    for name in names:
        postgresql.ask(main, f"CREATE ROLE {name} LOGIN")
    postgresql.ask(main, f"GRANT {one}, {two} TO {user}")
    postgresql.ask(main, f'GRANT CREATE ON DATABASE "{schemas.base["NAME"]}" TO {user}')
    yield {**schemas.base, "USER": user}, one, two
    for name in names:
        postgresql.ask(main, f"DROP OWNED BY {name} CASCADE")
    for name in names:
        postgresql.ask(main, f"DROP ROLE {name}")


def find_owners(schemas, config):
    owners = (
        "SELECT DISTINCT pg_get_userbyid(relowner)::text FROM pg_class"
        f" WHERE relnamespace = '{config['SCHEMA']}'::regnamespace UNION"
        " SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace"
        f" WHERE nspname = '{config['SCHEMA']}'"
    )
    return {owner for (owner,) in schemas.ask(config, owners)}


def test_everything_in_a_schema_belongs_to_its_role(schemas, roles, tmp_path):
    user, one, two = roles
    backend = get_database_backend(user)
    template = {**schemas.template(), "USER": user["USER"]}
    schemas.filled(template)
    made, copied, loaded = (
        {**user, "SCHEMA": schemas.config()["SCHEMA"], "ROLE": role}
        for role in (one, two, one)
    )

    backend.create_from_template(template, made)
    backend.copy(made, copied)
    backend.dump(copied, tmp_path / "dump")
    backend.create(loaded)
    backend.load(loaded, tmp_path / "dump")

    assert find_owners(schemas, made) == {one}
    assert find_owners(schemas, copied) == {two}
    assert find_owners(schemas, loaded) == {one}
    wanted = backend.fingerprint(template)
    assert backend.fingerprint(copied) == backend.fingerprint(loaded) == wanted
    for config in (made, copied, loaded):
        backend.drop(config)
        assert not backend.exists(config)
