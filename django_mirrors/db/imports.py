"""What is imported belongs to no mirror, whichever one happens to be current.

Django imports views at the first request. A query set in the body of a class would be
pinned to the mirror of that request for the life of the process.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import ModuleType

from django_mirrors.context import find_frame, suspend_mirror

__all__ = ["leave_mirror_at_import"]


class MirrorlessImporter:
    """Lets the other finders find a module, which then runs with no mirror current."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the module's spec, or None to leave it to the finders that follow."""
        frame = find_frame()
        if frame is None or frame.mirror is None:
            return None
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            find = getattr(finder, "find_spec", None)  # finders may be of an old kind
            spec = None if find is None else find(name, path, target)
            if spec is not None:
                return _suspend(spec)
        return None


def leave_mirror_at_import() -> None:
    """Let modules be imported with no mirror current, from now on."""
    if not any(isinstance(finder, MirrorlessImporter) for finder in sys.meta_path):
        sys.meta_path.insert(0, MirrorlessImporter())


def _suspend(spec: ModuleSpec) -> ModuleSpec:
    # Loaders of other kinds may serve several modules, and are left alone.
    if isinstance(spec.loader, SourceFileLoader):
        run = spec.loader.exec_module
        spec.loader.exec_module = suspend_mirror()(run)  # type: ignore[method-assign]
    return spec
