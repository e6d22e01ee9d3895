"""How `pg_dump` and its like are told where to connect to."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from django_mirrors.exceptions import OperationFailed
from django_mirrors.operations.databases.base import Config
from django_mirrors.operations.databases.processes import (
    Command,
    find_tool,
    read_version,
)
from django_mirrors.operations.scratch import use_scratch_directory

__all__ = ["Tools", "build_session_name", "read_archive", "use_tools"]

_KEYS = {"HOST": "host", "PORT": "port", "USER": "user", "NAME": "dbname"}
_SESSION = "django_mirrors"
# Options of Django and of psycopg, of which the tools know nothing; and the name of the
# session, which is ours.
_NOT_OF_LIBPQ = frozenset(
    {
        "application_name", "assume_role", "autocommit", "context", "cursor_factory",
        "isolation_level", "pool", "prepare_threshold", "row_factory",
        "server_side_binding",
    }
)  # fmt: skip
_SERVICE = "mirror"
_MAJOR = re.compile(r"\(PostgreSQL\) (\d+)")


class Tools:
    """The tools of PostgreSQL, for one database."""

    def __init__(self, config: Config, *, server: int, environment: dict[str, str]):
        self._config = config
        self._server = server  # its major version
        self._environment = environment
        where = config["HOST"] or "localhost"
        self.place = f"database '{config['NAME']}' at '{where}'"

    def dump(self, *arguments: str) -> Command:
        """Return how to dump the database."""
        role = self._config.get("ROLE") or self._config["OPTIONS"].get("assume_role")
        as_role = (f"--role={role}",) if role else ()
        return self._build(
            "pg_dump",
            "--no-password",
            "--no-owner",
            "--no-privileges",
            "--no-publications",
            "--no-subscriptions",
            *as_role,
            *arguments,
        )

    def restore(self, *arguments: str) -> Command:
        """Return how to restore an archive into the database, all of it or nothing."""
        role = self._config["OPTIONS"].get("assume_role")
        as_role = (f"--role={role}",) if role else ()
        return self._build(
            "pg_restore",
            "--no-password",
            "--no-owner",
            "--no-privileges",
            "--no-publications",
            "--no-subscriptions",
            "--exit-on-error",
            "--single-transaction",
            *as_role,
            *arguments,
        )

    def run_script(self) -> Command:
        """Return how to run SQL in the database, up to the first error."""
        return self._build(
            "psql",
            "--no-password",
            "--no-psqlrc",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
        )

    def _build(self, name: str, *arguments: str) -> Command:
        return Command(
            arguments=(
                find_postgresql_tool(name, server=self._server),
                *arguments,
                f"--dbname={_build_conninfo(self._config)}",
            ),
            environment=self._environment,
            place=self.place,
        )


def build_session_name(config: Config) -> str:
    """Return what the server calls the sessions of this work.

    Those for one schema have one of their own, by which they are found and ended: what
    a killed process had begun goes on in the server.
    """
    schema = config.get("SCHEMA")
    if not schema:
        return _SESSION
    return f"{_SESSION} {sha256(str(schema).encode()).hexdigest()[:32]}"


@contextmanager
def use_tools(config: Config, *, server: int) -> Iterator[Tools]:
    """Yield the tools for the database of `config`, on a server of this version."""
    environment = {"PGAPPNAME": build_session_name(config)}
    if config["PASSWORD"]:
        environment["PGPASSWORD"] = str(config["PASSWORD"])
    build = partial(Tools, config, server=server)
    secret = config["OPTIONS"].get("sslpassword")
    if not secret:
        yield build(environment=environment)
        return
    # No variable is read for it, so that a file must hold it.
    with use_scratch_directory() as directory:
        file = directory / "service.conf"  # the directory's mode is 0700
        file.write_text(f"[{_SERVICE}]\nsslpassword={secret}\n")
        yield build(environment={**environment, "PGSERVICEFILE": str(file)})


def read_archive(*arguments: str, path: Path | None = None) -> Command:
    """Return how to turn an archive into SQL, or with `--list` into what it holds."""
    given = () if path is None else (str(path.absolute()),)
    where = f"the dump '{path}'" if path is not None else "the dump"
    return Command(
        arguments=(
            find_postgresql_tool("pg_restore"),
            "--no-owner",
            "--no-privileges",
            "--no-publications",
            "--no-subscriptions",
            *arguments,
            *given,
        ),
        place=where,
    )


def find_postgresql_tool(name: str, *, server: int = 0) -> str:
    """Return the path of a tool that is not older than the server."""
    package = f"postgresql-client-{server}" if server else "postgresql-client"
    path = find_tool(name, package=package)
    said = read_version(path)
    match = _MAJOR.search(said)
    if match is not None and int(match[1]) < server:
        raise OperationFailed(
            f"The tool '{path}' is of PostgreSQL {match[1]}, and the server of "
            f"PostgreSQL {server}. Install a newer one: on Debian, the package "
            f"'{package}'."
        )
    return path


def _build_conninfo(config: Config) -> str:
    return " ".join(f"{key}={_quote(value)}" for key, value in _iter_parameters(config))


def _iter_parameters(config: Config) -> Iterable[tuple[str, Any]]:
    for key, name in _KEYS.items():
        if config.get(key):
            yield name, config[key]
    options = config["OPTIONS"]
    for name, value in options.items():
        if name == "sslpassword":
            if options.get("service"):
                raise OperationFailed(
                    "OPTIONS of a database has both 'service' and 'sslpassword'. "
                    "Write the second into the file of the service."
                )
            yield "service", _SERVICE
        elif name not in _NOT_OF_LIBPQ and name != "password" and value is not None:
            yield name, value


def _quote(value: object) -> str:
    text = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"
