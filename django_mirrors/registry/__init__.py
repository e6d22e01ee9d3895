"""The fleet as this process knows it: `mirrors`."""

import logging
import os
from asyncio import get_running_loop
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Event, RLock, Thread
from time import monotonic, sleep

from django_mirrors import _compat
from django_mirrors.conf import find_original_hosts, get_conf
from django_mirrors.exceptions import InvalidHost, UnknownHost, UnknownMirror
from django_mirrors.hosts import parse_host
from django_mirrors.mirror import Mirror
from django_mirrors.registry.loader import Loader
from django_mirrors.registry.snapshot import Snapshot, build_original
from django_mirrors.signals import fleet_changed

__all__ = ["MirrorRegistry", "forget_fleet", "mirrors"]

logger = logging.getLogger("django_mirrors.registry")

# How long a request of a process that was just forked waits for news of the fleet.
_FIRST_LOOK_SECONDS = 1.0


class MirrorRegistry(Mapping[str, Mirror]):
    """Mirrors by name: `mirrors["acme"]`. Iterates over all but the original, sorted.

    A server looks for changes in a thread of its own, so that a request never waits
    for the original's database. Any other process looks when it asks, at most once in
    `POLL_SECONDS`.
    """

    def __init__(self) -> None:
        self._forget()
        os.register_at_fork(after_in_child=self._forget_thread)

    def __getitem__(self, name: str) -> Mirror:
        mirror = self.get_snapshot().get(name)
        if mirror is None:
            raise UnknownMirror(
                f"There is no mirror {name!r}. See the names with 'manage.py mirror_list'."
            )
        return mirror

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get_snapshot().get(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.get_snapshot().mirrors)

    def __len__(self) -> int:
        return len(self.get_snapshot().mirrors)

    def __repr__(self) -> str:
        return f"<MirrorRegistry of {len(self)} mirrors>"

    @property
    def is_watching(self) -> bool:
        """Whether a thread of this process follows the changes."""
        return self._is_watching

    @property
    def original(self) -> Mirror:
        """The mirror the others are made from."""
        # Known from settings alone: it must be usable to read the records.
        snapshot = self._snapshot
        return build_original(get_conf()) if snapshot is None else snapshot.original

    def for_host(self, host: str) -> Mirror:
        """Return the mirror that answers on `host`, whatever its state.

        Raises `InvalidHost` if it is none, `UnknownHost` if no mirror has it.
        """
        mirror = self.find_for_host(parse_host(host))
        if mirror is None:
            raise UnknownHost(f"No mirror answers on '{parse_host(host)}'.")
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
        states: tuple[str, ...] = (),
        exclude: tuple[str, ...] = (),
    ) -> tuple[Mirror, ...]:
        """Return the mirrors that have all `labels` and one of `states`, sorted by name.

        Without names, all but the original are asked. Raises `UnknownMirror` for a name
        that does not exist, in `exclude` too.
        """
        for name in exclude:
            _ = self[name]
        chosen = [self[name] for name in dict.fromkeys(names)] if names else self.values()
        return tuple(
            mirror
            for mirror in sorted(chosen, key=lambda item: item.name)
            if mirror.name not in exclude
            and (not states or mirror.state in states)
            and (labels or {}).items() <= mirror.labels.items()
        )

    def get_snapshot(self) -> Snapshot:
        """Return the fleet as known now."""
        snapshot = self._snapshot
        if self._is_watching and snapshot is not None:
            return snapshot
        return self._get_fresh_snapshot()

    def reload(self) -> None:
        """Look for changes now, in the calling thread."""
        with self._lock:
            self._is_stale = True
            self._get_fresh_snapshot()

    def watch(self) -> None:
        """Follow changes in a thread of this process from now on.

        A test process is not watched: its databases belong to the running test.
        """
        if self._is_watching or _compat.is_test_environment():
            return
        with self._lock:
            if self._is_watching:
                return
            looked = Event()
            Thread(
                target=self._watch, args=(looked,), name="django_mirrors", daemon=True
            ).start()
            looked.wait(_FIRST_LOOK_SECONDS if self._snapshot else None)
            self._is_watching = True
        if self._failure is not None:
            raise self._failure

    def forget(self) -> None:
        """Drop everything that was read, so that the next use reads it again."""
        with self._lock:
            before = self._snapshot or self._before
            self._forget()
            self._before = before

    def _forget(self) -> None:
        self._snapshot: Snapshot | None = None
        self._before: Snapshot | None = None  # what was dropped, to tell the changes
        self._loader = Loader()
        self._looked = 0.0
        self._is_stale = False
        self._forget_thread()

    def _forget_thread(self) -> None:
        # A forked child has no thread but this one, and perhaps a lock nobody holds.
        self._lock = RLock()
        self._is_watching = False
        self._failure: Exception | None = None

    def _get_fresh_snapshot(self) -> Snapshot:
        snapshot = self._snapshot
        if _has_running_loop():
            # The database must not be asked on an event loop: ask in a thread, once.
            return snapshot if snapshot is not None else self._load_in_thread()
        age = monotonic() - self._looked
        if snapshot is not None and not self._is_stale and age < get_conf().poll_seconds:
            return snapshot
        with self._lock:
            return self._look()

    def _load_in_thread(self) -> Snapshot:
        with ThreadPoolExecutor(max_workers=1) as executor:
            executor.submit(self._look).result()
        assert self._snapshot is not None  # noqa: S101 - _look() sets it or raises
        return self._snapshot

    def _look(self) -> Snapshot:
        self._is_stale = False
        old = self._snapshot
        new = self._loader.load() if old is None else self._loader.refresh()
        self._looked = monotonic()
        if new is None:
            assert old is not None  # noqa: S101 - load() never returns None
            return old
        before, self._before = old or self._before, None
        self._snapshot = new
        if before is not None:
            fleet_changed.send(type(self), mirrors=_list_changes(before, new))
        return new

    def _watch(self, looked: Event) -> None:
        try:
            self._look()
            self._loader.save()
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits
            self._failure = error
            self._is_watching = False
            return
        finally:
            looked.set()
        thread_lock = self._lock
        while thread_lock is self._lock:
            sleep(get_conf().poll_seconds)
            try:
                with thread_lock:
                    if self._look_again():
                        self._loader.save()
            except Exception:
                # The watcher must outlive whatever a source or a receiver throws.
                logger.exception("Looking for changes of the fleet failed.")

    def _look_again(self) -> bool:
        old = self._snapshot
        return self._look() is not old


def _list_changes(old: Snapshot, new: Snapshot) -> tuple[str, ...]:
    names = {*old.mirrors, *new.mirrors}
    return tuple(
        sorted(name for name in names if old.mirrors.get(name) is not new.mirrors.get(name))
    )


def _is_host_of_original(original: Mirror, host: str) -> bool:
    allowed = find_original_hosts()
    if original.hosts:
        # Django's test client and live server ask for names they add to ALLOWED_HOSTS.
        return _compat.is_test_environment() and host in allowed
    return host in allowed


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
