"""The cache of the current mirror."""

from django_mirrors.cache.router import MirrorCache

__all__ = ["MirrorCache"]
