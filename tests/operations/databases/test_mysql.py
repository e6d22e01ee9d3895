"""What is special about MySQL and MariaDB: files of options, who made what."""

import subprocess
from uuid import uuid4

import pytest

from django_mirrors.exceptions import OperationFailed
from django_mirrors.operations.databases import processes
from tests.operations.databases import content

pytestmark = [pytest.mark.django_db, pytest.mark.mariadb]

PASSWORD = 's3cret\' #;\\n \\ "x" = ü'


@pytest.fixture
def mysql(make_server):
    return make_server("mysql")


@pytest.fixture
def make_user(mysql):
    """Return a function that makes a user with rights, and gives its settings."""
    made = []

    def make(rights):
        name = f"dm_{uuid4().hex[:12]}"
        made.append(name)
        said = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
        for sql in (
            f"CREATE USER {name}@'%' IDENTIFIED BY '{said}'",
            f"GRANT {rights} ON *.* TO {name}@'%'",
        ):
            mysql.ask(main(mysql), sql)
        return {"USER": name, "PASSWORD": PASSWORD}

    yield make
    for name in made:
        mysql.ask(main(mysql), f"DROP USER {name}@'%'")


def main(mysql):
    return {**mysql.base, "NAME": "information_schema"}


def test_server_that_does_not_answer_is_told_without_the_password(mysql):
    config = {**mysql.base, "HOST": "127.0.0.1", "PORT": "1", "PASSWORD": PASSWORD}

    with pytest.raises(OperationFailed, match="Check that it runs") as caught:
        mysql.backend.exists(config)

    assert "s3cret" not in str(caught.value)


def test_user_without_rights_is_told(mysql, make_user):
    config = {**mysql.config(), **make_user("USAGE")}

    with pytest.raises(OperationFailed, match=r"Access denied .* may create databases"):
        mysql.backend.create(config)

    mysql.made.clear()


def test_password_reaches_the_tools_by_no_argument(
    mysql, make_user, tmp_path, monkeypatch
):
    user = make_user("ALL")
    started = []

    class Spy(subprocess.Popen):
        def __init__(self, arguments, **options):
            started.append((tuple(arguments), str(options.get("env"))))
            super().__init__(arguments, **options)

    monkeypatch.setattr(processes.subprocess, "Popen", Spy)
    source, target = {**mysql.filled(), **user}, {**mysql.config(), **user}

    mysql.backend.copy(source, target)
    mysql.backend.dump(target, tmp_path / "dump")

    assert mysql.backend.fingerprint(target) == mysql.backend.fingerprint(source)
    assert len(started) >= 3
    assert "s3cret" not in str(started)


def test_wrong_password_is_told_and_not_shown(mysql, make_user, tmp_path):
    source = {**mysql.filled(), **make_user("ALL"), "PASSWORD": "s3cret"}

    with pytest.raises(OperationFailed, match="Access denied") as caught:
        mysql.backend.dump(source, tmp_path / "dump")

    assert "s3cret" not in str(caught.value)


def test_no_file_holds_the_options_of_a_tool(mysql, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    source, target = mysql.filled(), mysql.config()
    (tmp_path / "dumps").mkdir()

    mysql.backend.copy(source, target)
    mysql.backend.dump(source, tmp_path / "dumps" / "dump")

    assert [item.name for item in tmp_path.iterdir()] == ["dumps"]


def test_options_for_tls_reach_the_tools(mysql, tmp_path):
    from django_mirrors.operations.databases import mysql_tools

    options = {"ssl_mode": "VERIFY_IDENTITY", "ssl": {"ca": '/a b/"x".pem'}}
    config = {**mysql.base, "OPTIONS": options, "HOST": "/run/my sql.sock"}

    of_mariadb = [*mysql_tools._iter_lines(config, is_mariadb_tool=True)]
    of_mysql = [*mysql_tools._iter_lines(config, is_mariadb_tool=False)]

    assert 'ssl-ca="/a b/\\"x\\".pem"' in of_mariadb
    assert "ssl-verify-server-cert" in of_mariadb
    assert "ssl-mode=VERIFY_IDENTITY" in of_mysql
    assert 'socket="/run/my sql.sock"' in of_mysql


def test_server_that_has_no_tls_is_refused_by_the_tools_too(mysql, tmp_path):
    from django_mirrors.operations.databases import mysql_tools
    from django_mirrors.operations.databases.processes import read_output

    source = mysql.filled()
    config = {**source, "OPTIONS": {"ssl_mode": "VERIFY_CA"}}

    tools = mysql_tools.Tools(config, version=(10, 5), is_mariadb=True)

    with pytest.raises(OperationFailed, match=r"(SSL|TLS)"):
        read_output(tools.dump())


def test_tool_that_is_missing_is_told_with_its_package(mysql, tmp_path, monkeypatch):
    source = mysql.filled()
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(OperationFailed, match=r"not on PATH\. .* package '\w+-client"):
        mysql.backend.dump(source, tmp_path / "dump")


def test_tool_older_than_the_server_is_told_with_its_package(
    mysql, tmp_path, monkeypatch
):
    source = mysql.filled()
    for name in ("mariadb-dump", "mysqldump"):
        tool = tmp_path / name
        tool.write_text("#!/bin/sh\necho 'x  Ver 10.1 Distrib 5.5.1-MariaDB, for x'\n")
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    with pytest.raises(OperationFailed, match=r"is of version 5\.5, .* a newer one"):
        mysql.backend.dump(source, tmp_path / "dump")


def test_triggers_of_a_dump_belong_to_who_loads_it(mysql, make_user, tmp_path):
    source, target = mysql.filled(), mysql.config()
    mysql.backend.dump(source, tmp_path / "dump")
    user = make_user("ALL")
    target = {**target, **user}
    mysql.backend.create(target)

    mysql.backend.load(target, tmp_path / "dump")

    ((definer,),) = mysql.ask(
        main(mysql),
        "SELECT definer FROM information_schema.triggers"
        f" WHERE trigger_schema = '{target['NAME']}'",
    )
    assert definer.startswith(user["USER"])
    with mysql.connect(target) as connection:
        assert content.add_tag(connection) == 51


@pytest.mark.parametrize("way", ["copy", "template"])
def test_order_of_texts_is_that_of_what_was_copied(mysql, way):
    source = mysql.template() if way == "template" else mysql.config()
    target = mysql.config()
    mysql.ask(
        main(mysql),
        f"CREATE DATABASE `{source['NAME']}`"
        " CHARACTER SET utf8mb4 COLLATE utf8mb4_spanish2_ci",
    )

    if way == "template":
        mysql.backend.create_from_template(source, target)
    else:
        mysql.backend.copy(source, target)

    assert mysql.ask(target, "SELECT @@collation_database") == [
        ("utf8mb4_spanish2_ci",)
    ]


def test_procedures_and_views_are_copied_and_made_from_templates(mysql):
    template = mysql.filled(mysql.template())
    mysql.ask(template, "CREATE VIEW names AS SELECT name FROM content_tag")
    mysql.ask(
        template,
        "CREATE PROCEDURE empty_tags() BEGIN DELETE FROM content_tag WHERE id = 1;"
        " UPDATE content_counter SET number = 5; END",
    )
    made, copied = mysql.config(), mysql.config()

    mysql.backend.create_from_template(template, made)
    mysql.backend.copy(made, copied)

    for config in (made, copied):
        assert len(mysql.ask(config, "SELECT * FROM names")) == 7
        mysql.ask(config, "CALL empty_tags()")
        assert len(mysql.ask(config, "SELECT * FROM names")) == 6
        assert mysql.ask(config, "SELECT number FROM content_counter") == [(5,)]
    assert len(mysql.ask(template, "SELECT * FROM names")) == 7
