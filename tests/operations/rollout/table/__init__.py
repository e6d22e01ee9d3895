"""Migrations of every kind, each in an app of its own, with rows that are there before.

It is built of plain values, so that plain `migrate` and a rollout get the same.
"""

from tests.operations.rollout.table.additions import ADDITIONS
from tests.operations.rollout.table.alterations import (
    ALTERATIONS,
    REMOVALS,
    RENAMINGS,
)
from tests.operations.rollout.table.cases import POSTGRESQL, Case
from tests.operations.rollout.table.code import CODE
from tests.operations.rollout.table.creations import CREATIONS
from tests.operations.rollout.table.postgresql import OF_POSTGRESQL
from tests.operations.rollout.table.tables import TABLES

__all__ = ["TABLE", "Case", "list_cases"]

TABLE: tuple[Case, ...] = (
    *CREATIONS,
    *ADDITIONS,
    *REMOVALS,
    *ALTERATIONS,
    *RENAMINGS,
    *TABLES,
    *CODE,
    *OF_POSTGRESQL,
)

# Schemas are made as databases of PostgreSQL are, and on MySQL nothing is replayed:
# there it is enough to see the operations that look into the database, and several in
# one migration.
_FEW = frozenset({
    "add_auto_now_add", "add_default_once", "add_foreign", "add_lazy", "add_many",
    "add_uuid", "alter_foreign", "alter_key", "alter_no_index", "alter_not_unique",
    "alter_to_not_null", "code", "code_between", "code_in_the_middle",
    "constraint_check", "create_generated", "create_kinds", "create_relations",
    "create_rules", "index", "not_atomic", "order_twice", "remove_foreign",
    "remove_many", "rename_model_many", "rename_with_rules", "separate_both",
    "several_parts", "sql_parameters", "sql_percent", "sql_several", "unique_together",
})  # fmt: skip


def list_cases(mode: str) -> list[Case]:
    """Return what is shown on an engine."""
    is_few = mode in {"schema", "mysql"}
    return [
        case
        for case in TABLE
        if mode in case.modes
        and (not is_few or case.label in _FEW or case.modes in {POSTGRESQL, ("mysql",)})
    ]
