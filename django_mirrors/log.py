"""Log records say which mirror they are about."""

import logging

from django_mirrors.context import find_current_name

__all__ = ["MirrorFilter"]

_NONE = "-"


class MirrorFilter(logging.Filter):
    """Adds `mirror`, the name of the current mirror or "-", to every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the name; let every record through."""
        record.mirror = find_current_name() or _find_of_request(record) or _NONE
        return True


def _find_of_request(record: logging.LogRecord) -> str | None:
    # Django logs a response once its request, and so the mirror, has ended.
    mirror = getattr(getattr(record, "request", None), "mirror", None)
    return getattr(mirror, "name", None)
