"""The rows that a new mirror begins with: its site and its superuser."""

import os
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import DatabaseError

from django_mirrors.conf import find_setting
from django_mirrors.exceptions import OperationFailed
from django_mirrors.mirror import Mirror

__all__ = ["create_superuser", "has_right_site", "update_site"]


def update_site(mirror: Mirror) -> None:
    """Let the row of `contrib.sites` follow the primary host of `mirror`: the current.

    A row that is right is left alone.
    """
    if not has_right_site(mirror):
        site_model = apps.get_model("sites", "Site")
        site_model.objects.update_or_create(
            pk=find_setting("SITE_ID"), defaults=_build_site(mirror)
        )


def has_right_site(mirror: Mirror) -> bool:
    """Whether the row of `contrib.sites` is as `mirror`, the current one, has it."""
    found = apps.get_model("sites", "Site").objects.filter(
        pk=find_setting("SITE_ID"), **_build_site(mirror)
    )
    try:
        return bool(found.exists())
    except DatabaseError:
        return False  # its table may come with the very next migration


def _build_site(mirror: Mirror) -> dict[str, str]:
    return {"domain": mirror.primary_host[:100], "name": mirror.display_name[:50]}


def create_superuser(mirror: Mirror, user: str) -> None:
    """Make the superuser, with the password of $DJANGO_SUPERUSER_PASSWORD or none."""
    model: Any = get_user_model()
    if model.objects.filter(**{model.USERNAME_FIELD: user}).exists():
        return
    values = {
        name: os.environ.get(f"DJANGO_SUPERUSER_{name.upper()}", "")
        for name in model.REQUIRED_FIELDS
    }
    password = os.environ.get("DJANGO_SUPERUSER_PASSWORD") or None
    try:
        model.objects.create_superuser(
            **{model.USERNAME_FIELD: user}, **values, password=password
        )
    except (ValidationError, ValueError, DatabaseError) as error:
        raise OperationFailed(
            f"The superuser '{user}' of mirror '{mirror}' cannot be made: {error}. "
            "Set DJANGO_SUPERUSER_<FIELD> for each required field."
        ) from error
