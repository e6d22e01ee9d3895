"""Rows written as they are read, where Django writes objects only."""

from collections.abc import Sequence
from typing import Any

from django.db import models
from django.db.models.sql import InsertQuery

__all__ = ["build_json_null", "insert_rows"]


class VerbatimQuery(InsertQuery):
    """Inserts rows as they are, whichever mirror they belong to."""

    is_verbatim = True


def insert_rows(
    model: type[models.Model],
    fields: Sequence[Any],
    rows: Sequence[Any],
    *,
    using: str,
) -> None:
    """Insert `rows`, which have an attribute for each field, with these very values.

    No object is made, no signal sent, and no field fills itself in.
    """
    query: Any = VerbatimQuery(model)
    query.insert_values(fields, rows, raw=True)
    query.get_compiler(using=using).execute_sql()


def build_json_null() -> Any:
    """Return what is written as the null of JSON, which None is not."""
    own = getattr(models, "JSONNull", None)  # since Django 6.1
    return models.Value(None, models.JSONField()) if own is None else own()
