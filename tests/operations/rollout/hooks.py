"""Hooks of a project: they tell what they were called for, and answer as they are told.

What `ANSWERS` holds for a hook and a mirror is returned, or raised.
"""

from typing import Any

from django_mirrors import Mirror, get_current_mirror

__all__ = ["ANSWERS", "CALLS", "after", "before", "health"]

CALLS: list[str] = []
ANSWERS: dict[str, Any] = {}


def before(mirror: Mirror) -> Any:
    """Be called before a mirror is changed."""
    return _answer("before", mirror)


def after(mirror: Mirror) -> Any:
    """Be called after a mirror was changed."""
    return _answer("after", mirror)


def health(mirror: Mirror) -> Any:
    """Say how a mirror is."""
    return _answer("health", mirror)


def _answer(hook: str, mirror: Mirror) -> Any:
    assert get_current_mirror() == mirror
    CALLS.append(f"{hook} {mirror}")
    answer = ANSWERS.get(f"{hook} {mirror}")
    if isinstance(answer, Exception):
        raise answer
    return answer
