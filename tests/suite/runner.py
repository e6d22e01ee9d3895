"""Runners for Django's own test suite that write down how each test ended."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import TestCase, TextTestResult

from django.core.checks.registry import registry
from django.test.runner import DiscoverRunner

from django_mirrors import apps as own_app
from django_mirrors import bind_mirror, find_current_mirror, use_original

RANK = ("passed", "skipped", "expected", "unexpected", "failed", "error")


class RecordingResult(TextTestResult):
    """Keeps the worst outcome of each test, by id."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.outcomes: dict[str, str] = {}
        self.details: dict[str, str] = {}

    def record(self, test: Any, outcome: str, error: Any = None) -> None:
        identifier = test.id()
        known = self.outcomes.get(identifier, "passed")
        self.outcomes[identifier] = max(known, outcome, key=RANK.index)
        if error is not None:
            self.details[identifier] = self._exc_info_to_string(error, test)  # type: ignore[attr-defined]

    def addSuccess(self, test: TestCase) -> None:  # noqa: N802
        super().addSuccess(test)
        self.record(test, "passed")

    def addError(self, test: TestCase, err: Any) -> None:  # noqa: N802
        super().addError(test, err)
        self.record(test, "error", err)

    def addFailure(self, test: TestCase, err: Any) -> None:  # noqa: N802
        super().addFailure(test, err)
        self.record(test, "failed", err)

    def addSubTest(self, test: TestCase, subtest: TestCase, err: Any) -> None:  # noqa: N802
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.record(test, "failed", err)

    def addSkip(self, test: TestCase, reason: str) -> None:  # noqa: N802
        super().addSkip(test, reason)
        self.record(test, "skipped")

    def addExpectedFailure(self, test: TestCase, err: Any) -> None:  # noqa: N802
        super().addExpectedFailure(test, err)
        self.record(test, "expected")

    def addUnexpectedSuccess(self, test: TestCase) -> None:  # noqa: N802
        super().addUnexpectedSuccess(test)
        self.record(test, "unexpected")


class RecordingRunner(DiscoverRunner):
    """Writes outcomes to the file that $SUITE_OUTCOMES names."""

    def get_resultclass(self) -> type[RecordingResult]:
        return RecordingResult

    def run_suite(self, suite: Any, **kwargs: Any) -> Any:
        result = super().run_suite(suite, **kwargs)
        report = {"outcomes": result.outcomes, "details": result.details}
        path = Path(os.environ["SUITE_OUTCOMES"])
        path.write_text(json.dumps(report, indent=1), encoding="utf-8")
        return result


class MirroredRunner(RecordingRunner):
    """Runs every test in the original, its threads too.

    Threads do not inherit the mirror, by design; code that starts them says
    `bind_mirror`. Django's tests cannot, so their threads are bound here.
    """

    def run_checks(self, databases: Any) -> None:
        # Django's tests choose their own middleware, storage and cache, which our
        # checks would find fault with. They come back with each INSTALLED_APPS.
        own_app.register = lambda *_: None  # type: ignore[assignment]
        registry.registered_checks = {
            check
            for check in registry.registered_checks
            if not check.__module__.startswith("django_mirrors.")
        }
        super().run_checks(databases)

    def run_tests(self, *args: Any, **kwargs: Any) -> int:
        bind_threads()
        with use_original():
            return super().run_tests(*args, **kwargs)


def bind_threads() -> None:
    """Let each thread begin with the mirror of the one that starts it."""
    start: Callable[[threading.Thread], None] = threading.Thread.start

    def start_bound(self: threading.Thread) -> None:
        if find_current_mirror() is not None:
            self.run = bind_mirror(self.run)  # type: ignore[method-assign]
        start(self)

    threading.Thread.start = start_bound  # type: ignore[method-assign]
