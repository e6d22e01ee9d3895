"""System checks: everything that is wrong with the configuration, at once.

`manage.py check --tag mirrors`. Ids are never used again for something else.
"""

from collections.abc import Callable, Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage

from django_mirrors.checks.definitions import check_definitions
from django_mirrors.checks.findings import Findings, build_findings
from django_mirrors.checks.hosts import check_hosts
from django_mirrors.checks.models import check_models
from django_mirrors.checks.names import check_names
from django_mirrors.checks.services import check_services
from django_mirrors.checks.wiring import check_wiring

__all__ = ["check_fleet"]

_TOPICS: tuple[Callable[[Findings], list[CheckMessage]], ...] = (
    check_definitions,
    check_names,
    check_services,
    check_wiring,
    check_models,
    check_hosts,
)


def check_fleet(
    app_configs: Sequence[AppConfig] | None,
    databases: Sequence[str] | None = None,
    **_: Any,
) -> list[CheckMessage]:
    """Return what is wrong, by topic; the fleet is read once for all of them."""
    findings = build_findings(read_all=bool(databases))
    return [message for check in _TOPICS for message in check(findings)]
