"""Help for tests of projects with mirrors."""

from django_mirrors.testing.context import no_mirror

__all__ = ["no_mirror"]
