"""One Django codebase, many mirrors."""

from django_mirrors.context import (
    bind_mirror,
    cross_mirrors,
    find_current_mirror,
    get_current_mirror,
    use_mirror,
    use_original,
)
from django_mirrors.mirror import Mirror
from django_mirrors.registry import mirrors

__all__ = [
    "Mirror",
    "bind_mirror",
    "cross_mirrors",
    "find_current_mirror",
    "get_current_mirror",
    "mirrors",
    "use_mirror",
    "use_original",
]

__version__ = "0.1.0"
