"""What fails when code that needs one table finds another."""

from collections.abc import Iterator, Mapping

from django_mirrors.operations.tables import Column, Table, Unique

__all__ = ["iter_failures"]

Tables = Mapping[str, Table]


def iter_failures(needed: Table, tables: Tables) -> Iterator[str]:
    """Say what fails in code that knows the table `needed`, and give the remedies."""
    found = tables.get(needed.name)
    if found is None:
        yield (
            f"The previous release uses the table '{needed.name}', which is gone. Stop "
            "using it in one release, and remove it in the next."
        )
    elif found != needed:
        yield from _iter_gone(needed, found)
        yield from _iter_unknown(needed, found)
        for name in sorted(needed.columns.keys() & found.columns.keys()):
            where = f"'{needed.name}.{name}'"
            new = found.columns[name]
            yield from _compare_writes(where, needed.columns[name], new)
            yield from _compare_types(where, needed.columns[name], new, tables)
        yield from _iter_rules(needed, found)


def _iter_gone(needed: Table, found: Table) -> Iterator[str]:
    for name in sorted(needed.columns.keys() - found.columns.keys()):
        yield (
            f"Queries of the previous release name the column '{needed.name}.{name}', "
            "which is gone. Stop using it in one release, and remove it in the next; "
            "instead of renaming, add another column first."
        )


def _iter_unknown(needed: Table, found: Table) -> Iterator[str]:
    for name in sorted(found.columns.keys() - needed.columns.keys()):
        column = found.columns[name]
        if not (column.null or _is_filled(column)):
            yield (
                "An INSERT by the previous release does not name the column "
                f"'{needed.name}.{name}', which must not be null. Give it a "
                "'db_default', or let it be null until the next release."
            )


def _is_filled(column: Column) -> bool:
    return column.default or column.generated


def _compare_writes(where: str, old: Column, new: Column) -> Iterator[str]:
    if old.null and not new.null:
        yield (
            f"The previous release may write NULL to {where}, which is refused now. "
            "Write no NULL in one release, and refuse it in the next."
        )
    if _is_filled(old) and not _is_filled(new):
        yield (
            f"The previous release leaves {where} to the database, which has no value "
            "for it now. Write it in one release, and remove its default in the next."
        )
    if new.generated and not old.generated:
        yield (
            f"The previous release writes {where}, which the database computes now. "
            "Add a generated column of another name."
        )


def _compare_types(
    where: str, old: Column, new: Column, tables: Tables
) -> Iterator[str]:
    narrower = any(now < was for was, now in zip(old.limits, new.limits, strict=False))
    if old.family != new.family or narrower:
        yield (
            f"The previous release reads and writes {where} as it was, and the column "
            "has another or a narrower type now. Add another column, write both, and "
            "remove this one in the next release."
        )
    if old.collation != new.collation:
        yield (
            f"The previous release compares and sorts {where} as it was, and the "
            "column has another collation now. Add another column, write both, and "
            "remove this one in the next release."
        )
    # Of a target that is gone it is told elsewhere.
    if new.target not in (None, old.target) and (
        old.target is None or old.target[0] in tables
    ):
        yield (
            f"The previous release may write values to {where} that its new foreign "
            "key refuses. Write only values that it allows in one release, and add it "
            "in the next."
        )
    if old.on_delete not in ("", new.on_delete):
        yield (
            "The previous release leaves it to the database what becomes of rows whose "
            f"target in {where} is deleted, and that is changed now. See to them in "
            "code in one release, and change the foreign key in the next."
        )


def _iter_rules(needed: Table, found: Table) -> Iterator[str]:
    for rule in found.uniques - needed.uniques:
        if not (_is_implied(rule, needed) or _is_out_of_reach(rule, needed, found)):
            columns = ", ".join(sorted(rule.columns)) or rule.name
            yield (
                f"The previous release may write equal values to '{needed.name}' "
                f"({columns}), which are refused now. Write no equal values in one "
                "release, and refuse them in the next."
            )
    for check in sorted(found.checks.keys() - needed.checks.keys()):
        yield (
            f"The previous release may write rows to '{needed.name}' that the "
            f"constraint '{found.checks[check]}' refuses. Write no such rows in one "
            "release, and refuse them in the next."
        )


def _is_implied(rule: Unique, needed: Table) -> bool:
    """Tell whether rows could not be equal before either."""
    return rule.nulls_distinct and any(
        not known.condition and known.columns <= rule.columns
        for known in needed.uniques
        if rule.columns
    )


def _is_out_of_reach(rule: Unique, needed: Table, found: Table) -> bool:
    """Tell whether code that does not know a column leaves NULL, which equals none."""
    unknown = [found.columns[name] for name in rule.columns - needed.columns.keys()]
    return rule.nulls_distinct and any(
        column.null and not _is_filled(column) for column in unknown
    )
