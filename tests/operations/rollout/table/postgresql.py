"""What PostgreSQL alone has."""

from django.contrib.postgres import fields as postgres
from django.contrib.postgres import indexes as postgres_indexes
from django.contrib.postgres import operations as postgres_operations
from django.contrib.postgres.constraints import ExclusionConstraint
from django.db import models
from django.db.models import Q

from tests.operations.rollout.table.cases import (
    NOWHERE,
    POSTGRESQL,
    alter,
    case,
    char,
    create,
)

__all__ = ["OF_POSTGRESQL"]

OF_POSTGRESQL = [
    case(
        "pg_extension",
        postgres_operations.BtreeGistExtension(),
        modes=("postgresql",),
        replayed=NOWHERE,
    ),
    case(
        "pg_concurrently",
        postgres_operations.AddIndexConcurrently(
            "book", models.Index(fields=["title"], name="pg_title")
        ),
        postgres_operations.RemoveIndexConcurrently("book", "pg_title"),
        postgres_operations.AddIndexConcurrently(
            "book", models.Index(fields=["pages"], name="pg_pages")
        ),
        modes=POSTGRESQL,
        is_atomic=False,
        replayed=NOWHERE,
    ),
    case(
        "pg_not_valid",
        postgres_operations.AddConstraintNotValid(
            "book", models.CheckConstraint(condition=Q(pages__lt=500), name="pg_check")
        ),
        postgres_operations.ValidateConstraint("book", "pg_check"),
        modes=POSTGRESQL,
        replayed=("postgresql",),
    ),
    case(
        "pg_collation",
        [
            postgres_operations.CreateCollation("pg_words", locale="C"),
            alter("title", char(50, db_collation="pg_words")),
        ],
        modes=POSTGRESQL,
    ),
    case(
        "pg_kinds",
        create(
            "Kind",
            ("array", postgres.ArrayField(models.IntegerField(), default=list)),
            ("span", postgres.DateRangeField(null=True)),
            ("serial", models.SmallAutoField(primary_key=True)),
            indexes=[
                postgres_indexes.GinIndex(fields=["array"], name="pg_array"),
                postgres_indexes.BrinIndex(fields=["span"], name="pg_span"),
            ],
            constraints=[
                ExclusionConstraint(name="pg_no_overlap", expressions=[("span", "&&")])
            ],
        ),
        modes=POSTGRESQL,
        replayed=("postgresql",),
    ),
]
