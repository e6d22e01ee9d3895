"""Skip what cannot run here, and end with the list of what was skipped and why."""

from collections import defaultdict
from collections.abc import Generator
from typing import Any

import pytest

from tests.plugins.services import PROBLEMS

FORBIDDEN = "Skipped, which --require-all forbids: "


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-all", action="store_true", help="count every skip as a failure"
    )


def pytest_configure(config: pytest.Config) -> None:
    # A worker of pytest-xdist reports to the process that prints.
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(SkipList(config), "skip-list")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, find_problem in PROBLEMS.items():
        if item.get_closest_marker(marker) and (problem := find_problem()):
            pytest.skip(problem)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    reason = find_reason(report)
    if reason is not None and item.config.getoption("require_all"):
        report.skip_reason = reason
        report.outcome = "failed"
        report.longrepr = f"{FORBIDDEN}{reason}"
    return report


def find_reason(report: Any) -> str | None:
    """Return why the test or module of `report` was skipped; None if it was not."""
    if hasattr(report, "skip_reason"):
        return str(report.skip_reason)
    if not report.skipped or hasattr(report, "wasxfail"):
        return None
    said = report.longrepr
    text = said[2] if isinstance(said, tuple) else str(said)
    return text.removeprefix("Skipped: ").strip() or "no reason given"


class SkipList:
    """Collects skips by reason, prints them last, and fails the run if none may be."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._tests: defaultdict[str, set[str]] = defaultdict(set)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._add(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._add(report)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(
        self, session: pytest.Session
    ) -> Generator[None, None, None]:
        # Outermost, so that the list comes after pytest's own summary.
        yield
        if self._config.option.collectonly:
            return
        if self._tests and self._config.getoption("require_all"):
            # Whole modules can be skipped; no report of a test can fail for those.
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
        if self._tests or session.exitstatus == pytest.ExitCode.OK:
            self._print()

    def _add(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        reason = find_reason(report)
        if reason is not None:
            self._tests[reason].add(report.nodeid)

    def _print(self) -> None:
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is None:
            return
        terminal.ensure_newline()
        for line in self.describe():
            terminal.write_line(line)

    def describe(self) -> tuple[str, ...]:
        """Return the lines of the list."""
        if not self._tests:
            return ("Nothing was skipped.",)
        lines = [
            f"{len(names):>6}  {reason}"
            for reason, names in sorted(self._tests.items())
        ]
        if self._config.getoption("require_all"):
            return ("Skipped, and --require-all makes that a failure:", *lines)
        return ("Skipped, and why:", *lines)
