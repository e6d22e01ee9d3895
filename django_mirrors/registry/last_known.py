"""The last known good records, kept in a file for starts without the original's database."""

import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from tempfile import NamedTemporaryFile
from uuid import UUID

from django_mirrors.sources.records import FleetVersion, Record

__all__ = ["read_last_known", "save_last_known"]

logger = logging.getLogger("django_mirrors.registry")

_FORMAT = 1


def save_last_known(path: Path, records: Iterable[Record], version: FleetVersion) -> None:
    """Write the records to `path`, readable by this user only, unless it is as new.

    Replaces the file at once, so that a reader never sees half of it.
    """
    if _read_header(path) == version:
        return
    try:
        with NamedTemporaryFile(  # its mode is 0600
            "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8"
        ) as file:
            file.write(json.dumps({"format": _FORMAT, "version": version}) + "\n")
            for record in records:
                row = record._replace(uid=str(record.uid))  # type: ignore[arg-type]
                file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(path)
    except OSError as error:
        logger.warning(
            "The last known fleet cannot be kept in '%s' (%s). A process that starts "
            "while the original's database is down will know declared mirrors only.",
            path,
            error.strerror,
        )


def read_last_known(path: Path) -> tuple[Record, ...] | None:
    """Return the records kept in `path`, or None if there are none to be read."""
    try:
        with path.open(encoding="utf-8") as file:
            if json.loads(next(file))["format"] != _FORMAT:
                return None
            rows = [json.loads(line) for line in file]
        return tuple(
            Record(*row)._replace(uid=UUID(row[1])) for row in rows
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        logger.warning("The last known fleet in '%s' cannot be read: %s", path, error)
        return None


def _read_header(path: Path) -> FleetVersion | None:
    try:
        with path.open(encoding="utf-8") as file:
            return FleetVersion(*json.loads(next(file))["version"])
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return None
