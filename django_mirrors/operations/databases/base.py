"""What an operation asks of an engine, and the names of templates."""

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from django_mirrors.exceptions import OperationFailed

__all__ = [
    "REPLAY_TABLE",
    "Config",
    "DatabaseBackend",
    "Leave",
    "build_template_name",
    "find_template",
]

Config = Mapping[str, Any]  # of one database, as in `DATABASES`
Leave = Callable[[], None]  # ends the use of a database that is held still

# In a template: the SQL that makes its like, so that the tools run once a template.
REPLAY_TABLE = "django_mirrors_replay"

_PREFIX = "django_mirrors_template_"
_TEMPLATE = re.compile(r"[a-z0-9_]{1,39}")  # 63 bytes with the prefix


class DatabaseBackend(Protocol):
    """How one engine makes, copies and removes the database of a `Config`.

    Everything raises `OperationFailed`, or `MirrorExists` for what is in the way, with
    a message that holds no password. What fails leaves nothing behind, or says what.
    """

    vendor: str  # engines of one vendor can copy each other's databases

    def exists(self, config: Config) -> bool:
        """Whether the database is there, be it empty."""

    def create(self, config: Config) -> None:
        """Make the empty database. Raises `MirrorExists` if it is there."""

    def drop(self, config: Config) -> None:
        """Remove the database and everything in it, if it is there."""

    def rename(self, config: Config, target: Config) -> None:
        """Give a database that nobody uses the name of `target`, on the same server."""

    def get_size(self, config: Config) -> int:
        """Return how many bytes the database takes on disk."""

    def is_unfinished(self, config: Config) -> bool:
        """Whether making, copying or loading was killed half-way in this database."""

    def build_template_config(self, config: Config, name: str) -> dict[str, Any]:
        """Return the config of the template `name` beside the database of `config`."""

    def list_templates(self, config: Config) -> tuple[str, ...]:
        """Return the names of the templates that are there, half-made ones too."""

    def create_from_template(self, template: Config, config: Config) -> None:
        """Make the database of `config` like a template that is whole and not used."""

    def copy(self, source: Config, target: Config) -> None:
        """Make the database of `target` a copy of one that may be in use."""

    def dump(self, config: Config, path: Path) -> None:
        """Write the database, which may be in use, into the new file `path`."""

    def load(self, config: Config, path: Path) -> None:
        """Fill an empty database from a file of `dump`, of whatever name it was."""

    def hold_still(self, config: Config) -> AbstractContextManager[Leave]:
        """Let nobody write into the database during the block; reading goes on.

        Transactions that write already are waited for, for half a minute. What it
        yields may be called once, when the data is elsewhere: then the database is
        no mirror's, and who still wants to write there gets an error.
        """

    def fingerprint(self, config: Config) -> dict[str, tuple[int, str]]:
        """Return the number of rows of each table and a checksum of them.

        The order of rows does not matter. The entry `(sequences)` is about the numbers
        that new rows will get.
        """


def build_template_name(name: str) -> str:
    """Return what a server calls the template `name`. Raises `OperationFailed`."""
    if not _TEMPLATE.fullmatch(name):
        raise OperationFailed(
            f"The template '{name}' cannot be made. Name it with 1 to 39 lower-case "
            "letters, digits and underscores."
        )
    return f"{_PREFIX}{name}"


def find_template(name: str) -> str | None:
    """Return which template a server calls `name`, or None if it is no template."""
    rest = name.removeprefix(_PREFIX)
    return rest if rest != name and _TEMPLATE.fullmatch(rest) else None
