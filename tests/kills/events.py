"""Count what a process changes, and kill it in between.

Events are the statements on every connection, all that touches the names of files, and
each piece of a file that is copied.
"""

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from threading import current_thread, main_thread
from time import monotonic
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from django_mirrors import find_current_mirror
from django_mirrors.operations import locks
from django_mirrors.operations.databases.sqlite import _Watch
from django_mirrors.operations.media import Digester

__all__ = ["Events"]

_CHANGING = frozenset(
    {
        "os.chmod",
        "os.link",
        "os.mkdir",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.symlink",
        "os.truncate",
        "os.utime",
        "shutil.copyfile",
        "shutil.move",
        "shutil.rmtree",
        "subprocess.Popen",
    }
)
_HOUR = 3600
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _tell_later_time() -> float:
    return monotonic() + _HOUR


class Events:
    """What this process did since `watch`; it ends before the event `kill_at`.

    With `mirror` only that counts which its main thread does there. With `stop_at` it
    is stopped before that event, and finds that an hour has passed. Processes that it
    forks count on their own, and may kill it instead of themselves, or before they are
    stopped for a moment.
    """

    def __init__(
        self,
        directory: Path,
        *,
        kill_at: int | None = None,
        stop_at: int | None = None,
        mirror: str = "",
        is_parent_killed: bool = False,
        is_guardian_killed: bool = False,
    ) -> None:
        self.seen: list[str] = []
        self._directory = str(directory)
        self._signals = {kill_at: signal.SIGKILL, stop_at: signal.SIGSTOP}
        self._mirror = mirror
        self._is_main_only = bool(mirror)
        self._is_guardian_killed = is_guardian_killed
        self._parent = os.getpid() if is_parent_killed else None

    def watch(self) -> None:
        """Begin, for as long as this process lives."""
        sys.addaudithook(self._hear)
        for owner, name in (
            (CursorWrapper, "execute"),
            (CursorWrapper, "executemany"),
            (BaseDatabaseWrapper, "commit"),
            (BaseDatabaseWrapper, "rollback"),
            (Digester, "readinto"),
            (_Watch, "__call__"),
        ):
            setattr(owner, name, self._tell(getattr(owner, name)))
        for module in (sqlite3, sqlite3.dbapi2):
            module.connect = self._trace(module.connect)

    def _happen(self, event: str) -> None:
        if not self._counts():
            return
        self.seen.append(event[:120])
        if len(self.seen) in self._signals:
            self._end(self._signals[len(self.seen)])

    def _end(self, number: int) -> None:
        if number == signal.SIGSTOP:
            place = Path(self._directory) / "tmp" / "stopped"
            place.write_text(str(os.getpid()))
        if self._is_guardian_killed:
            os.kill(os.getppid(), signal.SIGKILL)
        if self._parent:
            os.kill(self._parent, signal.SIGKILL)
        if not self._parent or number == signal.SIGSTOP:
            os.kill(os.getpid(), number)
        if not self._parent:
            locks.monotonic = _tell_later_time  # only who was stopped comes here

    def _counts(self) -> bool:
        if self._is_main_only and current_thread() is not main_thread():
            return False
        if not self._mirror:
            return True
        mirror = find_current_mirror()
        return mirror is not None and mirror.name == self._mirror

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _CHANGING or self._is_writing(event, arguments):
            self._happen(f"{event} {arguments[0]}")

    def _is_writing(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event != "open" or not arguments[2] & _WRITING:
            return False
        return str(arguments[0]).startswith(self._directory)

    def _trace(self, connect: Callable[..., Any]) -> Callable[..., Any]:
        def trace(*arguments: Any, **options: Any) -> Any:
            connection = connect(*arguments, **options)
            connection.set_trace_callback(self._hear_statement)
            return connection

        return trace

    def _hear_statement(self, sql: str) -> None:
        if not sql.startswith("--"):  # what a statement does in turn
            self._happen(sql)

    def _tell(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def tell(item: Any, *arguments: Any, **options: Any) -> Any:
            # SQLite tells of its statements itself.
            if getattr(getattr(item, "db", item), "vendor", "") != "sqlite":
                text = arguments[0] if isinstance(item, CursorWrapper) else ""
                self._happen(f"{call.__qualname__} {text}")
            return call(item, *arguments, **options)

        return tell
