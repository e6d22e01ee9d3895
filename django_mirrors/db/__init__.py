"""Databases: one alias for each mirror, and `default` for the current one."""

from django_mirrors.db.router import MirrorRouter
from django_mirrors.db.settings import mirror_databases

__all__ = ["MirrorRouter", "mirror_databases"]
