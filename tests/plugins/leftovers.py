"""Remove from the servers what tests left there, however the run ends."""

import threading
from collections.abc import Generator

import pytest

from tests.leftovers import end_orderly, remove_left


def pytest_configure(config: pytest.Config) -> None:
    if threading.current_thread() is threading.main_thread():
        end_orderly()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    try:
        yield
    finally:
        # Last: what fixtures remove themselves is gone by now.
        _tell(session.config, remove_left())


def _tell(config: pytest.Config, names: list[str]) -> None:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if names and terminal is not None:
        terminal.ensure_newline()
        terminal.write_line(f"Left by tests, and removed: {', '.join(sorted(names))}")
