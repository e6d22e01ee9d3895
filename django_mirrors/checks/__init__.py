"""System checks: everything that is wrong with the configuration, at once.

`manage.py check --tag mirrors`. Ids are never used again for something else.
"""

from collections.abc import Callable, Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error

from django_mirrors.checks.definitions import check_definitions
from django_mirrors.checks.findings import Findings, build_findings
from django_mirrors.checks.hosts import check_hosts
from django_mirrors.checks.models import check_models
from django_mirrors.checks.names import check_names
from django_mirrors.checks.owned import check_owned
from django_mirrors.checks.services import check_services
from django_mirrors.checks.themes import check_themes
from django_mirrors.checks.wiring import check_wiring

__all__ = ["check_fleet"]

_TOPICS: tuple[Callable[[Findings], list[CheckMessage]], ...] = (
    check_definitions,
    check_names,
    check_services,
    check_wiring,
    check_models,
    check_owned,
    check_hosts,
    check_themes,
)


def check_fleet(
    app_configs: Sequence[AppConfig] | None,
    databases: Sequence[str] | None = None,
    **_: Any,
) -> list[CheckMessage]:
    """Return what is wrong, by topic; the fleet is read once for all of them."""
    try:
        findings = build_findings(read_all=bool(databases))
    except Exception as error:  # noqa: BLE001 - a setting may hold anything
        return [_describe_failure("build_findings", error)]
    return [message for check in _TOPICS for message in _run(check, findings)]


def _run(
    check: Callable[[Findings], list[CheckMessage]], findings: Findings
) -> list[CheckMessage]:
    try:
        return check(findings)
    except Exception as error:  # noqa: BLE001 - the other topics must still be seen
        return [_describe_failure(check.__name__, error)]


def _describe_failure(name: str, error: Exception) -> CheckMessage:
    # Not the error's text, which may hold a password.
    return Error(
        f"{name}() could not be finished ({type(error).__name__}).",
        hint="Correct the other problems first. Look for values of the wrong type in "
        "the settings and in MIRRORS.",
        id="mirrors.E099",
    )
