"""The app."""

from django.apps import AppConfig


class OrchardConfig(AppConfig):
    """The app."""

    name = "tests.orchard"
    default_auto_field = "django.db.models.BigAutoField"
