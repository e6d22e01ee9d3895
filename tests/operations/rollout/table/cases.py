"""An app with rows, and the migrations that change it: how a case is written."""

from dataclasses import dataclass

from django.db import migrations, models
from django.db.migrations.operations.base import Operation

__all__ = [
    "AUTHOR", "BOOK", "BOTH", "EVERYWHERE", "NOWHERE", "POSTGRESQL", "ROWS",
    "TRANSACTIONAL", "Case", "add", "alter", "case", "char", "create", "foreign",
]  # fmt: skip

EVERYWHERE = ("sqlite", "postgresql", "schema", "mysql")
POSTGRESQL = ("postgresql", "schema")
TRANSACTIONAL = ("sqlite", *POSTGRESQL)


@dataclass(frozen=True, kw_only=True)
class Case:
    """An app: its tables and rows, and the migrations that change them."""

    label: str
    before: tuple[Operation, ...]
    rows: tuple[str, ...]  # SQL, "{app}" is the label
    changes: tuple[tuple[Operation, ...], ...]  # a migration each
    replayed: tuple[str, ...] | None  # by vendor: where the SQL is recorded; None: any
    modes: tuple[str, ...]
    is_atomic: bool
    is_reversible: bool
    computed: tuple[str, ...]  # columns that no two mirrors have alike


def case(
    label: str,
    *changes: Operation | list[Operation],
    before: tuple[Operation, ...] | None = None,
    rows: tuple[str, ...] | None = None,
    replayed: tuple[str, ...] | None = None,
    modes: tuple[str, ...] = EVERYWHERE,
    is_atomic: bool = True,
    is_reversible: bool = True,
    computed: tuple[str, ...] = (),
) -> Case:
    """Return a case; it begins with books and authors unless it says otherwise."""
    listed = [item if isinstance(item, list) else [item] for item in changes]
    return Case(
        label=label,
        before=(AUTHOR, BOOK) if before is None else before,
        rows=ROWS if rows is None and before is None else rows or (),
        changes=tuple(tuple(item) for item in listed),
        replayed=replayed,
        modes=modes,
        is_atomic=is_atomic,
        is_reversible=is_reversible,
        computed=computed,
    )


NOWHERE: tuple[str, ...] = ()
BOTH = ("sqlite", "postgresql")

ID = ("id", models.BigAutoField(primary_key=True))
AUTHOR = migrations.CreateModel(
    "Author", [ID, ("name", models.CharField(max_length=50))]
)
BOOK = migrations.CreateModel(
    "Book",
    [
        ID,
        ("title", models.CharField(max_length=50)),
        ("pages", models.IntegerField(null=True)),
        ("author", models.ForeignKey("Author", models.CASCADE, null=True)),
    ],
)
ROWS = (
    "INSERT INTO {app}_author (id, name) VALUES (1, 'Jane'), (2, 'It''s 50%')",
    """
    INSERT INTO {app}_book (id, title, pages, author_id)
    VALUES (1, 'Emma', 10, 1), (2, '100%s', NULL, NULL)
    """,
)


def add(name: str, field: models.Field, *, is_kept: bool = True) -> Operation:
    return migrations.AddField("book", name, field, preserve_default=is_kept)


def alter(name: str, field: models.Field, *, is_kept: bool = True) -> Operation:
    return migrations.AlterField("book", name, field, preserve_default=is_kept)


def create(
    name: str, *fields: tuple[str, models.Field], **options: object
) -> Operation:
    bases = options.pop("bases", None)
    has_id = not (bases or any(field.primary_key for _, field in fields))
    return migrations.CreateModel(
        name, [*((ID,) if has_id else ()), *fields], options, bases
    )


def char(size: int = 20, **options: object) -> models.CharField:
    return models.CharField(max_length=size, **options)


def foreign(to: str = "Author", **options: object) -> models.ForeignKey:
    return models.ForeignKey(to, models.CASCADE, **{"null": True, **options})
