"""Where Django's users say what they may do, and where they log in."""

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from django.apps import apps

__all__ = ["check_users"]

Method = Callable[..., Any]


def check_users(check: Callable[[Any], None]) -> None:
    """Call `check` with a user before its permissions or its session hash are told.

    A superuser's permissions and those that a user object has loaded need no query, so
    no guard of a database sees them. login() asks for the hash before it touches the
    session. Django 5.2 to 6.1.
    """
    from django.contrib.auth import base_user  # noqa: PLC0415 - needs the app registry

    _check_methods(base_user.AbstractBaseUser, ("get_session_auth_hash",), check)
    if not apps.is_installed("django.contrib.auth"):
        return
    from django.contrib.auth import models  # noqa: PLC0415 - needs the app registry

    _check_methods(models.PermissionsMixin, _PERMISSIONS, check)


_PERMISSIONS = (
    "get_user_permissions",
    "aget_user_permissions",
    "get_group_permissions",
    "aget_group_permissions",
    "get_all_permissions",
    "aget_all_permissions",
    "has_perm",
    "ahas_perm",
    "has_perms",
    "ahas_perms",
    "has_module_perms",
    "ahas_module_perms",
)


def _check_methods(
    owner: type[Any], names: tuple[str, ...], check: Callable[[Any], None]
) -> None:
    for name in names:
        method = owner.__dict__[name]
        if not hasattr(method, "checks_user"):
            setattr(owner, name, _check_first(method, check))


def _check_first(method: Method, check: Callable[[Any], None]) -> Method:
    if iscoroutinefunction(method):

        @wraps(method)
        async def call_async(self: Any, *args: Any, **kwargs: Any) -> Any:
            check(self)
            return await method(self, *args, **kwargs)

        call_async.checks_user = True  # type: ignore[attr-defined]
        return call_async

    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        check(self)
        return method(self, *args, **kwargs)

    call.checks_user = True  # type: ignore[attr-defined]
    return call
