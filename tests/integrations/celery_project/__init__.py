"""A project with Celery, as its documentation says."""

from tests.integrations.celery_project.app import app

__all__ = ["app"]
