"""Every use of a private or version-dependent Django name, one function for each."""

import sys
from collections.abc import (
    Callable,
    Iterable,
    Sequence,
)
from contextlib import AbstractContextManager
from functools import cache, partial, wraps
from importlib import import_module
from types import FrameType, TracebackType
from typing import Any
from urllib.parse import urlsplit

from django.core.mail.backends.base import BaseEmailBackend
from django.core.management import ManagementUtility
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.connection import ConnectionProxy

from django_mirrors.exceptions import InvalidMirror, MirrorUnavailable, UnknownMirror

# BaseDatabaseWrapper.atomic_blocks is not documented. Django 3.2 to 6.1 have it.


def count_atomic_blocks(alias: str) -> int:
    """Return how many atomic blocks are open in this thread's connection to `alias`."""
    connection = find_open_connection(alias)
    return 0 if connection is None else len(connection.atomic_blocks)


def abort_transaction(alias: str, *, depth: int) -> None:
    """Drop the atomic blocks of this thread's connection to `alias` beyond `depth`.

    Their transaction is rolled back: now if it began in them, else at its end.
    """
    connection = find_open_connection(alias)
    if connection is None:
        return
    excess = len(connection.atomic_blocks) - depth
    del connection.atomic_blocks[depth:]
    if depth:
        del connection.savepoint_ids[-excess:]
        connection.needs_rollback = True
        return
    connection.savepoint_ids.clear()
    connection.in_atomic_block = connection.needs_rollback = False
    try:
        connection.rollback()
        connection.set_autocommit(True)
    except DatabaseError:
        connection.close()


def find_open_connection(alias: str) -> Any:
    """Return this thread's connection object of `alias`, or None; never make one.

    BaseConnectionHandler._connections is the thread's store of them; Django 3.2 to 6.1.
    """
    return getattr(connections._connections, alias, None)  # type: ignore[attr-defined]


def disconnect(opened: Iterable[BaseDatabaseWrapper]) -> None:
    """Close connections of a thread that ends, those in memory included.

    SQLite's close() spares databases in memory, which tests share between threads.
    """
    for connection in opened:
        connection.close()
        if connection.connection is not None:
            connection._close()  # type: ignore[attr-defined]


def find_command_arguments() -> Sequence[str] | None:
    """Return the arguments of the management command that starts this process, or None.

    No documented name tells that a process was started by `manage.py`, under
    whatever name; the frame of ManagementUtility.execute() does.
    """
    code = ManagementUtility.execute.__code__
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code is code:
            arguments: Sequence[str] = frame.f_locals["self"].argv
            return arguments
        frame = frame.f_back
    return None


def end_commands_with_text() -> None:
    """Let an error that is no defect end a management command with its text.

    Django shows the traceback of all but CommandError; `--traceback` brings it back.
    The exit code is 1 in any case.
    """
    kinds = (InvalidMirror, MirrorUnavailable, UnknownMirror)
    if find_command_arguments() is None or hasattr(sys.excepthook, "kinds"):
        return
    show_others = sys.excepthook

    def show(
        kind: type[BaseException],
        error: BaseException,
        traceback: TracebackType | None,
    ) -> None:
        if issubclass(kind, kinds) and "--traceback" not in sys.argv:
            sys.stderr.write(f"{kind.__name__}: {error}\n")
            if issubclass(kind, InvalidMirror):
                sys.stderr.write("'manage.py check' shows everything that is wrong.\n")
        else:
            show_others(kind, error, traceback)

    show.kinds = kinds  # type: ignore[attr-defined]
    sys.excepthook = show


def is_test_environment() -> bool:
    """Whether `setup_test_environment()` was called.

    An outbox of mail is no sign of it: the backend that keeps mail in memory makes one.
    """
    utils = sys.modules.get("django.test.utils")
    return utils is not None and hasattr(utils._TestState, "saved_data")


def get_forbidden_database_errors() -> tuple[type[Exception], ...]:
    """Return what test tools raise for a query where a test may make none.

    SimpleTestCase raises DatabaseOperationForbidden, an AssertionError; pytest-django
    a RuntimeError.
    """
    return (AssertionError, RuntimeError) if is_test_environment() else ()


class _TestedConnection(ConnectionProxy):  # type: ignore[type-arg]
    """The connection that test classes call `default`, whatever its alias is."""

    alias = DEFAULT_DB_ALIAS


def follow_default_in_tests() -> None:
    """Let `@skipUnlessDBFeature` accept tests that allow queries against `default`.

    It looks for the alias of `default` in `TestCase.databases`, where only the name
    `default` is written; with mirrors the alias is a mirror's. Django 5.2 to 6.1.
    """
    from django.test import testcases  # noqa: PLC0415 - a server does not need it

    testcases.connection = _TestedConnection(connections, DEFAULT_DB_ALIAS)  # type: ignore[attr-defined]
    if not hasattr(testcases.SimpleTestCase, "forbids_original"):
        _forbid_original(testcases.SimpleTestCase)


def _forbid_original(test_case: Any) -> None:
    """Let a test that allows no queries against `default` forbid the original's too.

    In other threads Django looks for the alias of the connection in `databases`.
    """
    build = test_case.ensure_connection_patch_method.__func__

    def build_forbidding(cls: Any) -> Callable[..., None]:
        ensure = build(cls)

        def ensure_connection(self: Any, *args: Any, **kwargs: Any) -> None:
            alias = self.alias
            if alias == "original" and DEFAULT_DB_ALIAS not in cls.databases:
                self.alias = DEFAULT_DB_ALIAS
            try:
                ensure(self, *args, **kwargs)
            finally:
                self.alias = alias

        return ensure_connection

    test_case.ensure_connection_patch_method = classmethod(build_forbidding)
    test_case.forbids_original = True


def is_testing_imported() -> bool:
    """Whether Django's test classes were imported, as test runners do."""
    return "django.test.testcases" in sys.modules


def replace_connection_handler(handler: Any, new: type[Any]) -> None:
    """Make `django.db.connections` an instance of `new`, a subclass that adds no state.

    `from django.db import connections` binds the object everywhere, so the object
    itself must change. A forwarding database backend, the way without a private name,
    makes `atomic()` 2.2 times as slow: it resolves some twenty attributes.
    """
    handler.__class__ = new


def find_import_problem(path: str) -> str:
    """Return why the module `path` cannot be imported, or ''."""
    try:
        import_module(path)
    except Exception as error:  # noqa: BLE001 - a module may raise anything
        return f"{type(error).__name__}: {error}"
    return ""


def follow_trusted_origins(find: Callable[[], Iterable[str]]) -> None:
    """Let CsrfViewMiddleware trust what `find` returns at each request.

    It keeps CSRF_TRUSTED_ORIGINS in cached properties, for the life of the process.
    """
    exact = _get_cached_function("allowed_origins_exact")
    hosts = _get_cached_function("csrf_trusted_origins_hosts")
    CsrfViewMiddleware.allowed_origins_exact = property(  # type: ignore[assignment]
        lambda self: {*exact(self), *find()}
    )
    CsrfViewMiddleware.csrf_trusted_origins_hosts = property(  # type: ignore[assignment]
        lambda self: [*hosts(self), *(urlsplit(origin).netloc for origin in find())]
    )


def forget_types() -> None:
    """Let Django ask again which numbers the types of PostgreSQL's extensions have.

    django.contrib.postgres keeps those of hstore and citext by alias, for ever: with
    Django alone an alias leads to one database. Django 5.2 to 6.1 do so.
    """
    signals: Any = sys.modules.get("django.contrib.postgres.signals")
    if signals is not None:
        signals.get_hstore_oids.cache_clear()
        signals.get_citext_oids.cache_clear()


@cache
def _get_cached_function(name: str) -> Callable[[Any], Any]:
    function: Callable[[Any], Any] = CsrfViewMiddleware.__dict__[name].func
    return function


def fix_host(request: HttpRequest, authority: str) -> None:
    """Let `request.get_host()` return `authority`, which the registry has approved.

    Django would scan ALLOWED_HOSTS, a list, at each call.
    """
    request.META["HTTP_HOST"] = authority
    # Unlike a function of ours, this can be pickled with the request.
    request.get_host = partial(str, authority)  # type: ignore[method-assign]


def get_stream(response: StreamingHttpResponse) -> Any:
    """Return the iterator that a view gave to a response.

    `streaming_content` hides it, at each use, in another one that does not close it.
    StreamingHttpResponse._iterator; Django 4.2 to 6.1.
    """
    return response._iterator  # type: ignore[attr-defined]


def forget_running_closers(response: HttpResponseBase) -> None:
    """Drop what closes a generator that runs now, which Django refuses anyway.

    Django's test client reads a stream by a generator that closes the response, and so
    itself, at its end. Python 3.11 then reads a place that is not a frame, and perhaps
    ends the process; later versions raise ValueError, which Django swallows.
    """
    closers: list[Any] = response._resource_closers  # type: ignore[attr-defined]
    closers[:] = [
        closer
        for closer in closers
        if not getattr(getattr(closer, "__self__", None), "gi_running", False)
    ]


def check_mail(check: Callable[[], object]) -> None:
    """Call `check` whenever a mail backend is made; every message asks for one.

    Functions of django.core.mail are imported by name before any app is ready, and
    Django 6.1 warns by who called them: the base class is the one place left.
    """
    make = BaseEmailBackend.__init__

    @wraps(make)
    def make_checked(self: BaseEmailBackend, *args: Any, **kwargs: Any) -> None:
        check()
        make(self, *args, **kwargs)

    BaseEmailBackend.__init__ = make_checked  # type: ignore[method-assign]


def run_in(
    hold: Callable[[], AbstractContextManager[Any]], function: Callable[..., Any]
) -> Callable[..., Any]:
    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        with hold():
            return function(*args, **kwargs)

    return run
