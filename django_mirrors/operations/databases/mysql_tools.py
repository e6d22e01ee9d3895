"""How `mysqldump` and its like are told where to connect to."""

import re
from collections.abc import Iterable
from typing import Any

from django_mirrors.exceptions import OperationFailed
from django_mirrors.operations.databases.base import Config
from django_mirrors.operations.databases.processes import (
    Command,
    find_tool,
    read_version,
)

__all__ = ["Tools"]

# The last number that is followed by a dot: clients have versions of their own too.
_VERSION = re.compile(r"(\d+)\.(\d+)\.\d+")
_TLS_FILES = ("ca", "capath", "cert", "cipher", "key")
_DUMP = (
    "--single-transaction", "--quick", "--routines", "--triggers", "--hex-blob",
    "--complete-insert", "--no-tablespaces", "--skip-add-drop-table",
    "--skip-add-locks", "--skip-disable-keys", "--skip-lock-tables",
    "--skip-dump-date",
)  # fmt: skip


class Tools:
    """The tools of MySQL or MariaDB, for one database."""

    def __init__(
        self,
        config: Config,
        *,
        version: tuple[int, ...],
        is_mariadb: bool,
    ) -> None:
        self._config = config
        self._version = version
        self._is_mariadb = is_mariadb

    def dump(self, *arguments: str) -> Command:
        """Return how to dump the database."""
        name = str(self._config["NAME"])
        names = ("mariadb-dump", "mysqldump")
        return self._build(names, *_DUMP, *arguments, "--", name)

    def run_script(self) -> Command:
        """Return how to run SQL in the database, up to the first error."""
        return self._build(
            ("mariadb", "mysql"),
            "--batch",
            "--binary-mode",
            f"--database={self._config['NAME']}",
        )

    def _build(self, names: tuple[str, str], *arguments: str) -> Command:
        ordered = names if self._is_mariadb else names[::-1]
        package = "mariadb-client" if self._is_mariadb else "default-mysql-client"
        path = find_tool(*ordered, package=package)
        said = read_version(path)
        # The other family's versions say nothing about this server.
        if ("MariaDB" in said) == self._is_mariadb:
            self._check_version(path, said, package)
        lines = _iter_lines(self._config, is_mariadb_tool="MariaDB" in said)
        where = self._config["HOST"] or "localhost"
        return Command(
            arguments=(path, "--defaults-file=", *arguments),
            options="".join(f"{line}\n" for line in lines).encode(),
            place=f"database '{self._config['NAME']}' at '{where}'",
        )

    def _check_version(self, path: str, said: str, package: str) -> None:
        found = _VERSION.search(said)
        if found is None or (int(found[1]), int(found[2])) >= self._version[:2]:
            return
        server = ".".join(str(part) for part in self._version[:2])
        raise OperationFailed(
            f"The tool '{path}' is of version {found[1]}.{found[2]}, and the server of "
            f"version {server}. Install a newer one: on Debian, the package "
            f"'{package}'."
        )


def _iter_lines(config: Config, *, is_mariadb_tool: bool) -> Iterable[str]:
    """Yield the lines of the file of options."""
    options = config["OPTIONS"]
    if options.get("read_default_file"):
        yield f"!include {options['read_default_file']}"
    yield "[client]"
    host = str(config["HOST"] or options.get("host") or "")
    socket = options.get("unix_socket") or (host if host.startswith("/") else "")
    values = {
        "user": config["USER"] or options.get("user"),
        "password": config["PASSWORD"] or options.get("password"),
        "socket": socket,
        "host": "" if socket else host,
        "port": config["PORT"] or options.get("port"),
        "default-character-set": "utf8mb4",
    }
    for name, value in values.items():
        if value:
            yield f"{name}={_quote(value)}"
    yield from _iter_tls(options, is_mariadb_tool=is_mariadb_tool)


def _iter_tls(options: Config, *, is_mariadb_tool: bool) -> Iterable[str]:
    ssl = options.get("ssl")
    files = ssl if isinstance(ssl, dict) else {}
    for name in _TLS_FILES:
        if files.get(name):
            yield f"ssl-{name}={_quote(files[name])}"
    mode = str(options.get("ssl_mode") or "").upper()
    if not is_mariadb_tool:
        if mode:
            yield f"ssl-mode={mode}"
        return
    # MariaDB's tools know no modes.
    if mode == "DISABLED":
        yield "skip-ssl"
    elif mode in {"VERIFY_CA", "VERIFY_IDENTITY"}:
        yield "ssl"
        yield "ssl-verify-server-cert"
    elif mode == "REQUIRED" or ssl:
        yield "ssl"


def _quote(value: Any) -> str:
    text = str(value)
    for old, new in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(old, new)
    return f'"{text}"'
