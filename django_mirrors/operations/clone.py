"""Make a mirror with the data and the files of another one."""

from collections.abc import Mapping
from typing import Any

from django_mirrors.exceptions import OperationFailed
from django_mirrors.mirror import DATABASE, Mirror, State
from django_mirrors.operations.contents import CopyContent
from django_mirrors.operations.export import describe_definition
from django_mirrors.operations.fleet import get_mirror
from django_mirrors.operations.media import OnFile
from django_mirrors.operations.provision import OnStep, make_mirror, plan_making
from django_mirrors.operations.reports import Plan, Report
from django_mirrors.operations.scrub import check_rules

__all__ = ["clone_mirror", "plan_clone"]


def plan_clone(
    source: str, name: str, definition: Mapping[str, Any], *, is_scrubbed: bool = False
) -> Plan:
    """Return what `clone_mirror` would do; change nothing."""
    original = _find_source(source, is_scrubbed=is_scrubbed)
    _, plan = plan_making(
        name,
        {**_take_over(original), **definition},
        CopyContent(original, is_scrubbed),
        operation="clone",
    )
    return plan


def clone_mirror(
    source: str,
    name: str,
    definition: Mapping[str, Any],
    *,
    is_scrubbed: bool = False,
    on_step: OnStep | None = None,
    on_file: OnFile | None = None,
) -> Report:
    """Make the mirror `name` with the data and the files of `source`.

    The database is copied as it is at one moment, while `source` is served. Nobody is
    logged in in the copy. With `is_scrubbed`, personal data is replaced before anybody
    can reach it. Raises `OperationFailed`, or `MirrorExists`.
    """
    original = _find_source(source, is_scrubbed=is_scrubbed)
    return make_mirror(
        name,
        {**_take_over(original), **definition},
        CopyContent(original, is_scrubbed),
        operation="clone",
        on_step=on_step,
        on_file=on_file,
    )


def _find_source(name: str, *, is_scrubbed: bool) -> Mirror:
    if is_scrubbed:
        check_rules()
    source = get_mirror(name)
    if source.state in {State.PROVISIONING, State.FAILED}:
        raise OperationFailed(
            f"Mirror '{name}' is {source.state}, so there is nothing whole to copy. "
            f"Finish it first with 'manage.py mirror_add {name}'."
        )
    owner = source.find_owner(DATABASE)
    if owner != source.name:
        raise OperationFailed(
            f"Mirror '{name}' shares the database of '{owner}', and has no data of its "
            f"own to copy. Clone '{owner}'."
        )
    return source


def _take_over(source: Mirror) -> dict[str, Any]:
    return {} if source.is_original else describe_definition(source)
