"""The fleet as this process knows it: `mirrors`."""

import logging
import os
from asyncio import get_running_loop
from collections.abc import (
    Callable,
    Collection,
    ItemsView,
    Iterator,
    Mapping,
    ValuesView,
)
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event, Lock, RLock, Thread, get_ident
from time import monotonic, sleep
from typing import NamedTuple

from django.db import connections

from django_mirrors import _compat
from django_mirrors.conf import Conf, find_original_hosts, get_conf
from django_mirrors.counts import write_count
from django_mirrors.exceptions import UnknownHost, UnknownMirror
from django_mirrors.hosts import parse_host
from django_mirrors.mirror import Mirror
from django_mirrors.registry.building import build_original
from django_mirrors.registry.loader import Loader
from django_mirrors.registry.snapshot import Snapshot
from django_mirrors.signals import fleet_changed

__all__ = ["MirrorRegistry", "forget_fleet", "mirrors"]

logger = logging.getLogger("django_mirrors.registry")

# How long a request of a process that was just forked waits for news of the fleet.
_FIRST_LOOK_SECONDS = 1.0
# How long a process that starts waits for the original's database, if that hangs.
_START_SECONDS = 10.0
# How long a fork waits for a look at the fleet to end.
_FORK_SECONDS = 3.0


class Original(NamedTuple):
    """The original, and the configuration it was built from."""

    conf: Conf
    mirror: Mirror


class Watching:
    """A thread that follows the changes."""

    def __init__(self) -> None:
        self.looked = Event()  # for the first time
        self.error: Exception | None = None
        self.is_over = False


class MirrorRegistry(Mapping[str, Mirror]):
    """Mirrors by name: `mirrors["acme"]`. Iterates over all but the original, sorted.

    A server looks for changes in a thread of its own, so that a request never waits
    for the original's database. Any other process looks when it asks, at most once in
    `POLL_SECONDS`.
    """

    _snapshot: Snapshot | None
    _before: Snapshot | None  # what was dropped, to tell the changes
    _original: Original | None
    _watching: Watching | None = None
    _reader: int | None  # the thread that reads the fleet

    def __init__(self) -> None:
        self._forget()
        os.register_at_fork(
            before=self._pause,
            after_in_parent=self._resume,
            after_in_child=self._forget_thread,
        )

    def __getitem__(self, name: str) -> Mirror:
        mirror = self.get_snapshot().get(name)
        if mirror is None:
            raise UnknownMirror(
                f"There is no mirror {name!r}. See the names with "
                "'manage.py mirror_list'."
            )
        return mirror

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get_snapshot().get(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.get_snapshot().mirrors)

    def __len__(self) -> int:
        return len(self.get_snapshot().mirrors)

    def __repr__(self) -> str:
        return f"<MirrorRegistry of {write_count(len(self), 'mirror')}>"

    def items(self) -> ItemsView[str, Mirror]:
        """Return names and mirrors, all of one moment."""
        return self.get_snapshot().mirrors.items()

    def values(self) -> ValuesView[Mirror]:
        """Return the mirrors, all of one moment."""
        return self.get_snapshot().mirrors.values()

    @property
    def is_watching(self) -> bool:
        """Whether a thread of this process follows the changes."""
        return self._watching is not None

    @property
    def is_reading(self) -> bool:
        """Whether this thread reads the fleet at this moment."""
        return self._reader == get_ident()

    @property
    def original(self) -> Mirror:
        """The mirror the others are made from."""
        if self._snapshot is not None:
            return self._snapshot.original
        # Known from settings alone: it must be usable to read the records.
        conf = get_conf()
        if self._original is None or self._original.conf is not conf:
            self._original = Original(conf, build_original(conf))
        return self._original.mirror

    def for_host(self, host: str) -> Mirror:
        """Return the mirror that answers on `host`, whatever its state.

        Raises `InvalidHost` if it is none, `UnknownHost` if no mirror has it.
        """
        canonical = parse_host(host)
        mirror = self.find_for_host(canonical)
        if mirror is None:
            raise UnknownHost(f"No mirror answers on '{canonical}'.")
        return mirror

    def find_for_host(self, host: str) -> Mirror | None:
        """Return the mirror that answers on the canonical `host`, or None."""
        snapshot = self.get_snapshot()
        mirror = snapshot.find(host)
        if mirror is None and _is_host_of_original(snapshot.original, host):
            return snapshot.original
        return mirror

    def select(
        self,
        *names: str,
        labels: Mapping[str, str] | None = None,
        states: Collection[str] = (),
        exclude: Collection[str] = (),
    ) -> tuple[Mirror, ...]:
        """Return the mirrors that have all `labels` and one of `states`, by name.

        Without names, all but the original are asked. Raises `UnknownMirror` for a name
        that does not exist, in `exclude` too.
        """
        for name in exclude:
            _ = self[name]
        chosen = {self[name] for name in names} if names else self.values()
        wanted = (labels or {}).items()
        return tuple(
            mirror
            for mirror in sorted(chosen, key=lambda item: item.name)
            if mirror.name not in exclude
            and (not states or mirror.state in states)
            and wanted <= mirror.labels.items()
        )

    def get_snapshot(self) -> Snapshot:
        """Return the fleet as known now."""
        snapshot = self._snapshot
        if snapshot is not None and self._watching is not None:
            return snapshot
        return self._get_fresh_snapshot()

    def reload(self) -> None:
        """Look for changes now, before this returns."""
        _run_outside_loop(self._look)

    def watch(self) -> None:
        """Follow changes in a thread of this process from now on.

        Raises `InvalidMirror` if the fleet cannot be built. A test process is not
        watched: its databases belong to the running test.
        """
        if self._watching is not None or _compat.is_test_environment():
            return
        with self._starting:
            if self._watching is None:
                self._start_watching()

    def forget(self) -> None:
        """Drop everything that was read, so that the next use reads it again."""
        with self._lock:
            before = self._snapshot or self._before
            self._forget()
            self._before = before

    def _forget(self) -> None:
        if self._watching is not None:
            self._watching.is_over = True
        self._snapshot = None
        self._before = None
        self._original = None
        self._loader = Loader()
        self._looked = 0.0
        self._forget_thread()

    def _forget_thread(self) -> None:
        # A forked child has no thread but this one, and perhaps a lock nobody holds.
        self._lock = RLock()
        self._starting = Lock()
        self._reader = None
        self._patience = _FORK_SECONDS
        self._watching = None

    def _pause(self) -> None:
        # A child that is forked while another thread is inside SQLite, or a driver, has
        # their locks for ever. A database that hangs must not keep processes from it.
        if not self._lock.acquire(timeout=self._patience):
            self._patience = 0.0  # until the look ends that hangs now

    def _resume(self) -> None:
        with suppress(RuntimeError):  # if it was not acquired in time
            self._lock.release()

    def _get_fresh_snapshot(self) -> Snapshot:
        snapshot = self._snapshot
        # On an event loop nobody may wait for a database.
        if snapshot is not None and (not self._is_due() or _has_running_loop()):
            return snapshot
        _run_outside_loop(self._look_if_due)
        assert self._snapshot is not None  # noqa: S101 - _look() sets it or raises
        return self._snapshot

    def _is_due(self) -> bool:
        age = monotonic() - self._looked
        return self._snapshot is None or age >= get_conf().poll_seconds

    def _look_if_due(self) -> None:
        with self._lock:
            # Another thread may have looked while this one waited for the lock.
            if self._is_due():
                self._look()

    def _look(self) -> None:
        with self._lock:
            is_first = self._snapshot is None
            self._reader = get_ident()
            try:
                new = self._loader.load() if is_first else self._loader.refresh()
            finally:
                self._reader = None
                self._patience = _FORK_SECONDS
            self._looked = monotonic()
            if new is None:
                return
            before = self._snapshot or self._before
            self._snapshot, self._before = new, None
            changed = None if is_first else self._loader.changed
        if before is not None:
            names = _list_changes(before, new, changed)
            fleet_changed.send_robust(type(self), mirrors=names)

    def _start_watching(self) -> None:
        watching = Watching()
        Thread(
            target=self._watch, args=(watching,), name="django_mirrors", daemon=True
        ).start()
        seconds = _START_SECONDS if self._snapshot is None else _FIRST_LOOK_SECONDS
        watching.looked.wait(seconds)
        if watching.error is not None:
            raise watching.error
        if self._snapshot is None:
            # The database neither answers nor refuses. The thread goes on waiting.
            self._snapshot = Loader().load(ask=False)
        self._watching = watching

    def _watch(self, watching: Watching) -> None:
        try:
            self._look()
        except Exception as error:  # noqa: BLE001 - raised where the thread was started
            watching.error = error
            return
        finally:
            watching.looked.set()
        while not watching.is_over:
            try:
                with self._lock:
                    self._loader.save()
                sleep(get_conf().poll_seconds)
                if not watching.is_over:
                    self._look()
            except Exception:
                # The watcher must outlive whatever a source or a receiver throws.
                logger.exception("Looking for changes of the fleet failed.")


def _list_changes(
    old: Snapshot, new: Snapshot, changed: Collection[str] | None
) -> tuple[str, ...]:
    before, after = old.mirrors, new.mirrors
    names = before.keys() | after.keys() if changed is None else changed
    return tuple(sorted(name for name in names if before.get(name) != after.get(name)))


def _is_host_of_original(original: Mirror, host: str) -> bool:
    # Django's test client and live server ask for names they add to ALLOWED_HOSTS.
    if original.hosts and not _compat.is_test_environment():
        return False
    return host in find_original_hosts()


def _run_outside_loop(function: Callable[[], None]) -> None:
    """Run a function that may ask the database, on an event loop in a thread."""
    if not _has_running_loop():
        function()
        return
    with ThreadPoolExecutor(max_workers=1) as executor:
        executor.submit(_run_and_disconnect, function).result()


def _run_and_disconnect(function: Callable[[], None]) -> None:
    try:
        function()
    finally:
        _compat.disconnect(connections.all(initialized_only=True))


def _has_running_loop() -> bool:
    try:
        get_running_loop()
    except RuntimeError:
        return False
    return True


mirrors = MirrorRegistry()


def forget_fleet(*, setting: str, **_: object) -> None:
    """Read the fleet again after a test changed it. A receiver of `setting_changed`."""
    if setting.startswith("MIRRORS"):
        mirrors.forget()
