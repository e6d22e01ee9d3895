"""A fleet whose mirrors are made by the commands."""

from tests.operations.conftest import database_of, defaults, template_directory

__all__ = ["database_of", "defaults", "template_directory"]
