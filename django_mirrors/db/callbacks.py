"""What runs after a commit, in the mirror that asked for it."""

from collections.abc import Callable
from typing import Any

from django_mirrors.context import (
    bind_mirror,
)

__all__ = ["BoundCallback"]


class BoundCallback:
    """What to run after a commit, in the mirror that is current now.

    Shows the function's own name in the logs.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self._run = bind_mirror(function)

    def __call__(self) -> None:
        """Run the function."""
        self._run()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["function"], name)

    def __eq__(self, other: object) -> bool:
        # Tests look for the functions they registered.
        return bool(self.function == other)

    def __hash__(self) -> int:
        return hash(self.function)

    def __repr__(self) -> str:
        return repr(self.function)
