"""Leave out tests of what the installed Django does not have yet."""

import django
import pytest


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Collect no test whose marker wants a newer Django: there is nothing to skip."""
    late = [item for item in items if not fits(item)]
    if late:
        config.hook.pytest_deselected(items=late)
        items[:] = [item for item in items if fits(item)]


def fits(item: pytest.Item) -> bool:
    """Whether Django is as new as every marker of the test wants."""
    wanted = (tuple(mark.args) for mark in item.iter_markers("needs_django"))
    return all(django.VERSION[:2] >= version for version in wanted)
