"""Whether every name means one thing."""

from difflib import get_close_matches

from django.core.checks import CheckMessage
from django.utils.module_loading import import_string

from django_mirrors import _compat, _compat_settings
from django_mirrors.checks.findings import Findings
from django_mirrors.checks.messages import build_errors, build_warnings
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.mirror import ORIGINAL_NAME
from django_mirrors.registry.building import pin_services
from django_mirrors.registry.snapshot import (
    describe_place,
    find_clashes,
    find_doubles,
    find_lost_shares,
)

__all__ = ["check_names"]

_UNKNOWN_SETTING = "Give it a value in the settings, for mirrors that set none."


def check_names(findings: Findings) -> list[CheckMessage]:
    """Return what is claimed twice, and what refers to nothing."""
    by_name = {mirror.name: mirror for mirror in findings.mirrors}
    losses = (
        find_lost_shares(by_name, refused=findings.refused)
        if findings.knows_records
        else ()
    )
    return [
        *build_errors(find_doubles(findings.mirrors), 5),
        *build_errors(find_clashes(findings.all), 6),
        *build_errors((loss.problem for loss in losses), 7),
        *build_errors(_find_pin_problems(findings), 8),
        *build_errors(_find_urlconf_problems(findings), 9),
        *build_errors(_find_hook_problems(findings), 10),
        *build_warnings(_find_unknown_settings(findings), 1),
    ]


def _find_pin_problems(findings: Findings) -> list[str]:
    conf, pinned = findings.conf, findings.conf.pinned
    if pinned is None or pinned == ORIGINAL_NAME or pinned in findings.refused:
        return []
    found = [mirror for mirror in findings.mirrors if mirror.name == pinned]
    if not found and findings.knows_records:
        problem = (
            f"The variable DJANGO_MIRROR names '{pinned}', which is no mirror. Correct "
            "it, or add the mirror."
        )
        return [problem]
    try:
        for mirror in found:
            pin_services(mirror, conf)
    except InvalidMirror as error:
        return list(error.problems)
    return []


def _find_urlconf_problems(findings: Findings) -> list[str]:
    paths = {mirror.urlconf: mirror for mirror in reversed(findings.all)}
    return [
        f"{describe_place(mirror)}: the 'URLCONF' of mirror '{mirror}' cannot be "
        f"imported ({problem}). Correct the path, or the module."
        for path, mirror in paths.items()
        if path is not None and (problem := _compat.find_import_problem(path))
    ]


def _find_hook_problems(findings: Findings) -> list[str]:
    problems = []
    for name, path in findings.conf.hooks.items():
        try:
            import_string(path)
        except ImportError as error:
            problems.append(
                f"MIRRORS_OPTIONS['HOOKS'][{name!r}] cannot be imported ({error}). "
                "Correct the path."
            )
    return problems


def _find_unknown_settings(findings: Findings) -> list[str]:
    problems = []
    known = _compat_settings.list_settings()
    for mirror in findings.all:
        for name in mirror.settings:
            if name in _compat_settings.VARYING_SETTINGS or name in known:
                continue
            close = get_close_matches(name, known, n=1)
            hint = f"Did you mean '{close[0]}'?" if close else _UNKNOWN_SETTING
            problems.append(
                f"{describe_place(mirror)}: mirror '{mirror}' sets '{name}', which the "
                f"project does not define. {hint}"
            )
    return problems
