"""Whether everything that is written can be read."""

from django.core.checks import CheckMessage

from django_mirrors.checks.findings import Findings
from django_mirrors.checks.messages import build_errors

__all__ = ["check_definitions"]


def check_definitions(findings: Findings) -> list[CheckMessage]:
    """Return what is wrong with options and definitions, each taken for itself."""
    return [
        *build_errors(findings.in_options, 1),
        *build_errors(findings.in_settings, 2),
        *build_errors(findings.in_files, 3),
        *build_errors(findings.in_records, 4),
    ]
