"""Files of the current mirror, in whatever storage its definition names."""

from django_mirrors.storage.router import MirrorStorage

__all__ = ["MirrorStorage"]
