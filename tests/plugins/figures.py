"""End with the figures that tests report, also those of other processes."""

from collections.abc import Callable
from typing import Any

import pytest

__all__ = ["FIGURE"]

# The name of the property of a test's report that holds a figure.
FIGURE = "figure"
_FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture
def report_figure(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Return a function that adds a figure to what is printed after the run."""

    def report_figure(name: str, text: str) -> None:
        request.node.user_properties.append((FIGURE, f"{name}: {text}"))

    return report_figure


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_FIGURES] = []
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Collector(config), "figures")


class Collector:
    """Collects what tests report; pytest-xdist brings it with their reports."""

    def __init__(self, config: pytest.Config) -> None:
        self._figures = config.stash[_FIGURES]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self._figures += [
                str(text) for name, text in report.user_properties if name == FIGURE
            ]

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self._figures:
            return
        terminalreporter.section("figures")
        for figure in sorted(self._figures):
            terminalreporter.write_line(figure)
