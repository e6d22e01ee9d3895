"""Whether the session of a connection may hold something of what was done in it.

Only what certainly leaves nothing counts as such: a statement that reads, and calls no
function but those listed here. All else that the driver does leaves a trace, whoever
asked for it. What is not seen: what a view, a policy, an operator or a cast calls by
itself, and what is told to the C library below the driver.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Self

from django.db.backends.postgresql.base import Cursor

__all__ = ["Trace", "TracedCursor", "follow", "leaves_nothing"]

_LONGEST = 8192  # of the texts that are looked at, and remembered
_READS = re.compile(r"[\s(]*SELECT\s", re.IGNORECASE)
_SAVEPOINT = re.compile(
    r'(SAVEPOINT|RELEASE SAVEPOINT|ROLLBACK TO SAVEPOINT) "\w+"', re.IGNORECASE
)
# More statements, comments, and names with spaces around their dots, which would hide
# what is called; a table that is made.
_UNCLEAR = re.compile(r";|--|/\*|\s\.|\.\s|\bINTO\b", re.IGNORECASE)
# What stands before a parenthesis, wherever it is: in a text too, to be sure. A name in
# quotes or with a dot is in no list.
_CALLS = re.compile(r"([^\s(),]*)\s*\(")
_WORDS = """
    = <> != < > <= >= + - * / || all and any array as between by case distinct else
    except exists filter from group having in intersect join lateral like limit not
    offset on or over select some then union using values when where
"""
# What Django's fields, lookups, aggregates and database functions call.
_FUNCTIONS = """
    abs acos array_agg ascii asin atan atan2 avg bit_and bit_or bit_xor bool_and bool_or
    btrim cast ceil ceiling char char_length chr coalesce concat concat_ws convert_to
    corr cos cot count covar_pop covar_samp cume_dist date date_part date_trunc
    degrees dense_rank encode exp extract first_value floor gen_random_uuid greatest
    initcap json_agg json_build_object jsonb_agg jsonb_build_object lag last_value lead
    least left length ln log lower lpad ltrim max md5 min mod now nth_value ntile nullif
    numeric percent_rank pi position power radians random rank regexp_replace repeat
    replace reverse right round row row_number rpad rtrim sha224 sha256 sha384 sha512
    sign sin sqrt statement_timestamp stddev_pop stddev_samp string_agg strpos
    substring sum tan to_char to_date to_timestamp trim trunc upper var_pop var_samp
    varchar
"""
_HARMLESS = frozenset(["", *_WORDS.split(), *_FUNCTIONS.split()])


def leaves_nothing(sql: object) -> bool:
    """Whether the session certainly holds nothing of a statement after it ended."""
    # Objects of the driver and bytes are rare, and the longest texts not worth it.
    return isinstance(sql, str) and len(sql) <= _LONGEST and _leaves_nothing(sql)


@lru_cache(maxsize=512)
def _leaves_nothing(sql: str) -> bool:
    # Letters of other alphabets may be what Python takes for a space or an ASCII one.
    if not sql.isascii():
        return False
    if _SAVEPOINT.fullmatch(sql):
        return True
    if not _READS.match(sql) or _UNCLEAR.search(sql):
        return False
    return all(name.lower() in _HARMLESS for name in _CALLS.findall(sql))


class Trace:
    """Counts what the driver did on a connection, and what of it leaves nothing."""

    __slots__ = ("_harmless", "steps")

    def __init__(self) -> None:
        self.steps = self._harmless = 0

    @property
    def is_empty(self) -> bool:
        """Whether the session holds nothing of what was done in it."""
        return self.steps == self._harmless

    def forget(self) -> None:
        """Begin anew: all that was done is undone."""
        self.steps = self._harmless = 0

    def add(self) -> None:
        """Count a step, which leaves something unless it is known not to."""
        self.steps += 1

    def run_harmless(self, run: Callable[..., Any], *args: Any, **named: Any) -> None:
        """Do what is one step, or none, and leaves nothing if it succeeds."""
        before = self.steps
        run(*args, **named)
        # Further ones are those of another thread that shares the connection.
        self._harmless += min(self.steps - before, 1)


class TracedCursor(Cursor):
    """Django's cursor that tells which statements leave nothing."""

    connection: Any

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        """Execute one statement."""
        # A connection that is not of a pool has none.
        trace: Trace | None = getattr(self.connection, "trace", None)
        if trace is not None and leaves_nothing(query):
            trace.run_harmless(super().execute, query, params, **options)  # type: ignore[misc]
        else:
            super().execute(query, params, **options)  # type: ignore[misc]
        return self


def follow(connection: Any) -> None:
    """Let all that the driver does on a connection be counted in its `trace`."""
    trace, wait = Trace(), connection.wait

    def wait_counted(*args: Any, **named: Any) -> Any:
        # Whatever the driver sends to the server, or reads of it, waits here.
        trace.add()
        return wait(*args, **named)

    connection.trace, connection.wait = trace, wait_counted
