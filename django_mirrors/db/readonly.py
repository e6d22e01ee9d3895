"""Sessions that cannot write: those of replicas, and all while a mirror is moved."""

from collections.abc import Mapping
from typing import Any

from django.db import DatabaseError, OperationalError

__all__ = [
    "MOVED",
    "begin_reading",
    "forbid_writing",
    "is_end",
    "is_read_only",
    "is_refusal",
]

MOVED = "the database was moved"  # what a database says that was left

_KEY = "READ_ONLY"  # in the config of a database

_STATEMENTS: Mapping[str, str] = {
    "sqlite": "PRAGMA query_only = ON",
    "postgresql": "SET default_transaction_read_only = on",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
}
# What the engines answer to a statement that would write.
_SQLSTATES = frozenset({"25006", "55P03"})  # read-only transaction, no lock in time
_MYSQL_CODE = 1792  # ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
_SQLITE_TEXT = "readonly database"


def forbid_writing(config: dict[str, Any]) -> None:
    """Let connections of `config` be such that nothing can be written."""
    config[_KEY] = True
    if "sqlite" in config["ENGINE"]:
        # Who moves the database has the lock of a writer, which others wait for.
        config["OPTIONS"]["transaction_mode"] = "DEFERRED"


def is_read_only(config: Mapping[str, Any]) -> bool:
    """Whether nothing can be written through connections of `config`."""
    return bool(config.get(_KEY))


def begin_reading(connection: Any, *, is_moved: bool) -> None:
    """Let nothing be written through `connection`, which was just made."""
    with connection.cursor() as cursor:
        cursor.execute(_STATEMENTS[connection.vendor])
        if is_moved and connection.vendor == "postgresql":
            # A statement that would write asks for its lock first, which who moves the
            # database has. Reading asks for none that it could have to wait for.
            cursor.execute("SET lock_timeout = '50ms'")


def is_end(error: DatabaseError) -> bool:
    """Whether `error` may say that the database was left for another one."""
    return isinstance(error, OperationalError) or MOVED in str(error)


def is_refusal(error: DatabaseError) -> bool:
    """Whether `error` says that a statement would have written."""
    cause = error.__cause__
    return (
        getattr(cause, "sqlstate", None) in _SQLSTATES
        or next(iter(getattr(cause, "args", ())), None) == _MYSQL_CODE
        or _SQLITE_TEXT in str(cause)
    )
