"""Move the content of PostgreSQL databases and schemas, also under another name.

`pg_dump` writes the name of a schema into each statement, and an archive cannot be
restored under another one. So what has the name at the target steps aside for the time
of one transaction, which nobody else sees anything of, and both are renamed at its end.
No text is searched for the name, and data that holds it comes to no harm.
"""

import re
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from uuid import uuid4

from django_mirrors.operations.databases.base import Config
from django_mirrors.operations.databases.files import use_new_file
from django_mirrors.operations.databases.postgresql_tools import (
    Tools,
    read_archive,
    use_tools,
)
from django_mirrors.operations.databases.processes import (
    Command,
    feed,
    iter_output,
    read_output,
)
from django_mirrors.operations.databases.server import quote

__all__ = [
    "PUBLIC",
    "copy_database",
    "copy_schema",
    "dump_schema",
    "find_schemas",
    "load_schema",
    "write_archive",
]

PUBLIC = "public"

_CREATED = re.compile(r'^CREATE SCHEMA ("(?:[^"]|"")+"|[\w$]+);$', re.MULTILINE)


def copy_database(source: Config, target: Config, *, versions: tuple[int, int]) -> None:
    """Copy a database into an empty one, all of it or nothing."""
    with (
        use_tools(source, server=versions[0]) as tools,
        use_tools(target, server=versions[1]) as target_tools,
    ):
        dump = tools.dump("--format=custom", "--compress=0")
        feed(target_tools.restore(), iter_output(dump))


def copy_schema(source: Config, target: Config, *, versions: tuple[int, int]) -> None:
    """Copy a schema, all of it or nothing.

    A target without `SCHEMA` is an empty database, and gets it as its `public`.
    """
    schema = _get_schema(source)
    with (
        use_tools(source, server=versions[0]) as tools,
        use_tools(target, server=versions[1]) as target_tools,
    ):
        dump = dump_schema(tools, schema, compression=0)
        archive = read_archive(f"--schema={schema}", "--file=-")
        statements = iter_output(dump, archive)
        is_replaced = not target.get("SCHEMA")
        _run_in(target, schema, statements, target_tools, is_replaced=is_replaced)


def load_schema(path: Path, schema: str, config: Config, *, server: int) -> None:
    """Fill an empty schema, or the `public` of an empty database, from an archive."""
    archive = read_archive(f"--schema={schema}", "--file=-", path=path)
    with use_tools(config, server=server) as tools:
        _run_in(config, schema, iter_output(archive), tools, is_replaced=True)


def dump_schema(tools: Tools, schema: str, *, compression: int = 6) -> Command:
    """Return how to dump one schema into an archive."""
    return tools.dump(
        "--format=custom",
        f"--compress={compression}",
        "--strict-names",
        f"--schema={quote(schema)}",
    )


def write_archive(command: Command, path: Path) -> None:
    """Write what a tool writes into a new file."""
    with use_new_file(path, mode=0o600) as partial, partial.open("wb") as file:
        file.writelines(iter_output(command))


def find_schemas(path: Path) -> tuple[str, ...]:
    """Return the names of the schemas in an archive."""
    sql = _read_statements(path)
    names = [_unquote(name) for name in _CREATED.findall(sql)]
    has_public = not names or "\nCREATE TABLE " in _read_statements(
        path, f"--schema={PUBLIC}"
    )
    if has_public and PUBLIC not in names:
        names.insert(0, PUBLIC)
    return tuple(names)


def _read_statements(path: Path, *arguments: str) -> str:
    archive = read_archive("--schema-only", "--file=-", *arguments, path=path)
    return read_output(archive).decode(errors="replace")


def _run_in(
    config: Config,
    schema: str,
    statements: Iterable[bytes],
    tools: Tools,
    *,
    is_replaced: bool,
) -> None:
    """Run statements about `schema` so that they are about that of `config`.

    Without an end the transaction is nothing: the last statement comes only when all
    others have come, and whoever is killed before leaves things as they were.
    """
    target = _get_schema(config)
    aside = f"django_mirrors_aside_{uuid4().hex}"
    role = config.get("ROLE")
    usual_role = config["OPTIONS"].get("assume_role")
    before = [
        "SET client_encoding = 'UTF8'",
        "BEGIN",
        *([f"SET ROLE {quote(usual_role)}"] if usual_role else []),
        # Two copies of one schema would both rename it, and the later one fail.
        f"SELECT pg_advisory_xact_lock(hashtextextended({_literal(schema)}, 0))",
        *([f"DROP SCHEMA {quote(target)} RESTRICT"] if is_replaced else []),
        *([_build_renaming(schema, aside)] if schema != target else []),
        f"CREATE SCHEMA {quote(schema)}"
        + (f" AUTHORIZATION {quote(role)}" if role else ""),
        *([f"SET ROLE {quote(role)}"] if role else []),
    ]
    after = [
        "SET client_encoding = 'UTF8'",
        f"SET ROLE {quote(usual_role)}" if usual_role else "RESET ROLE",
    ]
    if schema != target:
        after += [
            f"ALTER SCHEMA {quote(schema)} RENAME TO {quote(target)}",
            _build_renaming(aside, schema),
        ]
    after.append("COMMIT")
    feed(tools.run_script(), chain([_join(before)], statements, [_join(after)]))


def _build_renaming(old: str, new: str) -> str:
    """Return the statement that renames a schema if it is there."""
    mark = f"$mirrors_{uuid4().hex}$"
    return (
        f"DO {mark} BEGIN IF EXISTS (SELECT FROM pg_catalog.pg_namespace"
        f" WHERE nspname = {_literal(old)}) THEN"
        f" ALTER SCHEMA {quote(old)} RENAME TO {quote(new)}; END IF; END {mark}"
    )


def _join(statements: Iterable[str]) -> bytes:
    return "".join(f"{statement};\n" for statement in statements).encode()


def _get_schema(config: Config) -> str:
    return str(config.get("SCHEMA") or PUBLIC)


def _literal(text: str) -> str:
    return quote(text, "'")


def _unquote(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
