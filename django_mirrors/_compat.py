"""Every use of a private or version-dependent Django name, one function for each."""

import sys
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from contextlib import AbstractContextManager
from functools import cache, partial, wraps
from importlib import import_module
from types import FrameType, ModuleType, TracebackType
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django import conf
from django.apps import apps
from django.conf import LazySettings, UserSettingsHolder, global_settings
from django.core.mail.backends.base import BaseEmailBackend
from django.core.management import ManagementUtility
from django.core.signals import setting_changed
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import HttpRequest
from django.middleware.csrf import CsrfViewMiddleware
from django.utils import timezone
from django.utils.connection import ConnectionProxy
from django.utils.translation import trans_real
from django.views.debug import SafeExceptionReporterFilter

from django_mirrors.exceptions import InvalidMirror, MirrorUnavailable, UnknownMirror

# What a lookup returns for nothing, where None is a value.
MISSING: Any = object()

# Django's own settings that can be asked anew at each use, and so can vary by mirror.
VARYING_SETTINGS = frozenset(
    {
        "SITE_ID",
        "TIME_ZONE",
        "LANGUAGE_CODE",
        "DEFAULT_FROM_EMAIL",
        "SERVER_EMAIL",
        "EMAIL_SUBJECT_PREFIX",
        "LOGIN_REDIRECT_URL",
        "LOGIN_URL",
        "LOGOUT_REDIRECT_URL",
    }
)

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


# Django's own settings that its module of defaults does not name.
_WITHOUT_DEFAULT = frozenset({"ROOT_URLCONF", "SETTINGS_MODULE"})


def can_vary(name: str) -> bool:
    """Whether a mirror may have its own value of the setting `name`.

    Names that are not Django's are the project's, which reads them at each use.
    """
    if name in VARYING_SETTINGS:
        return True
    return name not in _WITHOUT_DEFAULT and not hasattr(global_settings, name)


class _OverlaidSettings(LazySettings):
    """Settings that ask `find` before the project's settings, for names that can vary.

    LazySettings keeps each value it gave in its `__dict__`; those that vary must not
    stay there. Django 5.2 to 6.1.
    """

    # trans_real looks for Django's own translations beside the module of this class.
    __module__ = LazySettings.__module__

    def __getattr__(self, name: str) -> Any:
        if name.isupper() and can_vary(name):
            value = MISSING if _is_overridden(self, name) else _find_overlaid(name)
            if value is MISSING:
                value = super().__getattr__(name)
                self.__dict__.pop(name, None)
            return value
        value = super().__getattr__(name)
        if name == "SECRET_KEY":
            value = self.__dict__[name] = _build_key(value)
        elif name == "SECRET_KEY_FALLBACKS":
            value = self.__dict__[name] = [_build_key(item) for item in value]
        return value


def overlay_settings(
    find: Callable[[str], Any], build_key: Callable[[str], str]
) -> None:
    """Let `find` give the value of a setting at each use, or `MISSING`.

    `build_key` makes the value of SECRET_KEY and of each of its fallbacks.
    """
    global _find_overlaid, _build_key
    from django.conf import settings  # noqa: PLC0415, TID251 - the object is changed

    _find_overlaid, _build_key = find, build_key
    _warn_of_callers()
    # LazyObject forwards the plain assignment to the object it wraps.
    object.__dict__["__class__"].__set__(settings, _OverlaidSettings)
    for name in [name for name in settings.__dict__ if can_vary(name)]:
        if name.isupper():
            del settings.__dict__[name]
    for name in ("SECRET_KEY", "SECRET_KEY_FALLBACKS"):
        settings.__dict__.pop(name, None)


def _warn_of_callers() -> None:
    """Let Django 6.1 see past the overlay when it warns of settings used outside it.

    Its warning names the first caller that is not part of the settings.
    """
    warn = getattr(conf, "warn_about_external_use", None)
    if warn is None or getattr(warn, "sees_overlay", False):
        return
    own = f"{__name__}._OverlaidSettings", f"{conf.__name__}._show_settings"

    def warn_of_caller(*args: Any, skip_name_prefixes: Any = (), **kwargs: Any) -> None:
        warn(*args, skip_name_prefixes=(*skip_name_prefixes, *own), **kwargs)

    warn_of_caller.sees_overlay = True  # type: ignore[attr-defined]
    conf.warn_about_external_use = warn_of_caller  # type: ignore[attr-defined]


def find_plain_setting(name: str, default: Any) -> Any:
    """Return the project's own value of a setting, whichever mirror is current."""
    from django.conf import settings  # noqa: PLC0415, TID251 - the object is looked into

    if not settings.configured:
        _ = settings.DEBUG  # sets it up
    return getattr(settings.__dict__["_wrapped"], name, default)


def list_settings() -> frozenset[str]:
    """Return the names that the project's settings define."""
    from django.conf import settings  # noqa: PLC0415, TID251 - the object is looked into

    return frozenset(name for name in dir(settings) if name.isupper())


def find_import_problem(path: str) -> str:
    """Return why the module `path` cannot be imported, or ''."""
    try:
        import_module(path)
    except Exception as error:  # noqa: BLE001 - a module may raise anything
        return f"{type(error).__name__}: {error}"
    return ""


def _find_nothing(name: str) -> Any:
    return MISSING


_find_overlaid: Callable[[str], Any] = _find_nothing
_build_key: Callable[[str], str] = str


def _is_overridden(settings: LazySettings, name: str) -> bool:
    # override_settings() stacks holders; the last one of settings.configure() holds a
    # module, and is the project's settings rather than an override of them.
    holder = settings.__dict__.get("_wrapped")
    while isinstance(holder, UserSettingsHolder):
        default = holder.__dict__["default_settings"]
        if isinstance(default, ModuleType):
            return False
        if name in holder.__dict__:
            return True
        holder = default
    return False


def follow_default_timezone() -> None:
    """Ask for TIME_ZONE at each use; Django keeps the first answer for the process."""
    kept = timezone.get_default_timezone
    if not hasattr(kept, "__wrapped__"):
        return  # it was replaced before

    def get_default_timezone() -> ZoneInfo:
        return ZoneInfo(settings.TIME_ZONE)

    from django.conf import settings  # noqa: PLC0415, TID251 - read when asked

    # setting_changed's own receiver calls it.
    get_default_timezone.cache_clear = lambda: None  # type: ignore[attr-defined]
    # Modules such as dateformat have imported the function by its name.
    for module in [*sys.modules.values()]:
        if module.__dict__.get("get_default_timezone") is kept:
            module.get_default_timezone = get_default_timezone  # type: ignore[attr-defined]


class _DefaultTranslation:
    """The catalogue of LANGUAGE_CODE, asked for at each use."""

    def __getattr__(self, name: str) -> Any:
        from django.conf import settings  # noqa: PLC0415, TID251 - read when asked

        return getattr(trans_real.translation(settings.LANGUAGE_CODE), name)


def follow_default_language(
    suspend: Callable[[], AbstractContextManager[Any]],
) -> None:
    """Ask for LANGUAGE_CODE at each use; trans_real keeps the first catalogue.

    A catalogue is kept for the process, with that of LANGUAGE_CODE behind it. It is
    built inside `suspend`, so that this is the project's, whichever mirror came first.
    """
    trans_real.DjangoTranslation._add_fallback = run_in(  # type: ignore[attr-defined]
        suspend,
        trans_real.DjangoTranslation._add_fallback,  # type: ignore[attr-defined]
    )
    setting_changed.connect(
        _set_default_translation, dispatch_uid="django_mirrors.i18n"
    )
    _set_default_translation()


def _set_default_translation(**_: Any) -> None:
    trans_real._default = _DefaultTranslation()  # type: ignore[attr-defined]


class _SiteCache(MutableMapping[Any, Any]):
    """The current `Site` of each mirror; of those in use, when there are many."""

    _SIZE = 1000

    def __init__(self, find_owner: Callable[[], object]) -> None:
        self._find_owner = find_owner
        self._sites: dict[tuple[object, Any], Any] = {}

    def __getitem__(self, key: Any) -> Any:
        return self._sites[self._find_owner(), key]

    def __setitem__(self, key: Any, site: Any) -> None:
        if len(self._sites) >= self._SIZE:
            self._sites.pop(next(iter(self._sites)), None)
        self._sites[self._find_owner(), key] = site

    def __delitem__(self, key: Any) -> None:
        del self._sites[self._find_owner(), key]

    def __iter__(self) -> Iterator[Any]:
        owner = self._find_owner()
        return iter([key for holder, key in self._sites if holder == owner])

    def __len__(self) -> int:
        return len([*self])


def follow_sites(find_owner: Callable[[], object]) -> None:
    """Keep the current sites of `contrib.sites` apart by what `find_owner` returns.

    It keeps them by SITE_ID or host for the process; clear_cache() binds a new
    dictionary to the name. Django 5.2 to 6.1.
    """
    if not apps.is_installed("django.contrib.sites"):
        return
    from django.contrib.sites import models  # noqa: PLC0415 - needs the app registry

    if isinstance(models.SITE_CACHE, _SiteCache):
        return
    models.SITE_CACHE = _SiteCache(find_owner)
    models.SiteManager.clear_cache = _clear_sites  # type: ignore[assignment, method-assign]


def _clear_sites(manager: object) -> None:
    from django.contrib.sites import models  # noqa: PLC0415 - needs the app registry

    models.SITE_CACHE.clear()


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


def redact_error_reports(redact: Callable[[Any], Any]) -> None:
    """Let `redact` hide the secrets in texts that error pages show of settings.

    SafeExceptionReporterFilter goes by the names of settings alone, and the name of a
    URL that holds a password does not give it away.
    """
    cleanse = SafeExceptionReporterFilter.cleanse_setting

    @wraps(cleanse)
    def cleanse_texts(self: Any, key: Any, value: Any) -> Any:
        cleansed = cleanse(self, key, value)
        return redact(cleansed) if isinstance(cleansed, str) else cleansed

    SafeExceptionReporterFilter.cleanse_setting = cleanse_texts  # type: ignore[method-assign]


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
