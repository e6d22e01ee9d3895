"""What the tests of isolation have in common."""

from collections.abc import Callable

import pytest

from tests.plugins.figures import FIGURE


@pytest.fixture
def report_figure(request) -> Callable[[str, str], None]:
    """Return a function that adds a figure to what is printed after the run."""

    def report_figure(name: str, text: str) -> None:
        request.node.user_properties.append((FIGURE, f"{name}: {text}"))

    return report_figure
