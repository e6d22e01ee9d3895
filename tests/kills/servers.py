"""What a fleet that is killed has on its server."""

from collections.abc import Iterable
from typing import Any

import dj_database_url
from django.db import connections
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.utils import load_backend

from django_mirrors import use_original
from django_mirrors.models import MirrorRecord
from django_mirrors.operations.templates import _find_prefix

__all__ = ["drop_databases", "list_databases"]

_DATABASES = {
    "postgres": "SELECT datname FROM pg_database",
    "mariadb": "SELECT schema_name FROM information_schema.schemata",
    "schema": "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|public$|info)'",
}
_DROP = {
    "postgres": 'DROP DATABASE IF EXISTS "{}" WITH (FORCE)',
    "mariadb": "DROP DATABASE IF EXISTS `{}`",
    "schema": 'DROP SCHEMA IF EXISTS "{}" CASCADE',
}


def prepare(settings: Any) -> None:
    """Make the database that holds all schemas."""
    if settings.ENGINE == "schema":
        _run(settings, f'CREATE DATABASE "{settings.TOKEN}"', "postgres")


def remove(settings: Any) -> None:
    """Leave nothing on the server."""
    if settings.ENGINE == "schema":
        _run(settings, f'DROP DATABASE "{settings.TOKEN}" WITH (FORCE)', "postgres")
    else:
        drop_databases(settings, kept=())


def list_databases(settings: Any) -> list[str]:
    """Return the names of the databases, or schemas, that belong to the fleet."""
    if settings.ENGINE == "sqlite":
        return []
    names = [name for (name,) in _run(settings, _DATABASES[settings.ENGINE])]
    return [name for name in names if _is_own(name, settings)]


def drop_databases(settings: Any, *, kept: Iterable[str]) -> None:
    """Remove what the fleet has, beside `kept`."""
    for name in {*list_databases(settings)} - {*kept}:
        _run(settings, _DROP[settings.ENGINE].format(name))


def _is_own(name: str, settings: Any) -> bool:
    if settings.TOKEN in name or _find_prefix() in name:
        return True
    with use_original():
        uids = MirrorRecord.objects.values_list("uid", flat=True)
        return any(uid.hex in name for uid in uids)


def _run(settings: Any, sql: str, database: str | None = None) -> list[Any]:
    usual = {"postgres": "postgres", "schema": settings.TOKEN, "mariadb": ""}
    url = f"{settings.SERVER}/{database or usual[settings.ENGINE]}"
    config = {
        **connections["original"].settings_dict,
        **dj_database_url.parse(url),
        "OPTIONS": {},
    }
    connection = load_backend(config["ENGINE"]).DatabaseWrapper(
        config, alias=NO_DB_ALIAS
    )
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall()) if cursor.description else []
    finally:
        connection.close()
