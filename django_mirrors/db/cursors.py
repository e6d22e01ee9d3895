"""A cursor that works while the mirror of its connection is current."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from django.db import (
    DatabaseError,
)

__all__ = ["GuardedCursor", "build_guarded_cursor"]


class GuardedCursor:
    """A cursor that works while its connection's mirror is current."""

    db: Any
    cursor: Any
    is_free = False
    is_closed = False

    def execute(self, sql: Any, params: Any = None) -> Any:
        """Execute one statement."""
        self._check()
        try:
            return super().execute(sql, params)  # type: ignore[misc]
        except DatabaseError as error:
            self.db.explain(error)
            raise

    def executemany(self, sql: Any, param_list: Any) -> Any:
        """Execute a statement for each of the parameters."""
        self._check()
        try:
            return super().executemany(sql, param_list)  # type: ignore[misc]
        except DatabaseError as error:
            self.db.explain(error)
            raise

    def callproc(self, procname: Any, params: Any = None, kparams: Any = None) -> Any:
        """Call a stored procedure."""
        self._check()
        return super().callproc(procname, params, kparams)  # type: ignore[misc]

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        self._check()
        with self.db.wrap_database_errors:
            return self.cursor.fetchone()

    def fetchmany(self, *size: Any, **named: Any) -> Any:
        """Return the next rows."""
        self._check()
        with self.db.wrap_database_errors:
            return self.cursor.fetchmany(*size, **named)

    def fetchall(self) -> Any:
        """Return all rows that are left."""
        self._check()
        with self.db.wrap_database_errors:
            return self.cursor.fetchall()

    def close(self) -> None:
        """Close the cursor, which any mirror may."""
        self.is_closed = True
        self.cursor.close()

    def __iter__(self) -> Iterator[Any]:
        for row in super().__iter__():  # type: ignore[misc]
            self._check()
            yield row

    def __getattr__(self, name: str) -> Any:
        # Other names of the driver, such as psycopg's `copy`.
        self._check()
        return super().__getattr__(name)  # type: ignore[misc]

    def _check(self) -> None:
        if not self.is_free:
            self.db.check_mirror()


@cache
def build_guarded_cursor(base: Any) -> type[Any]:
    """Return the guarded subclass of a cursor class."""
    return type(base.__name__, (GuardedCursor, base), {"__module__": base.__module__})
