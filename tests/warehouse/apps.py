from django.apps import AppConfig


class WarehouseConfig(AppConfig):
    name = "tests.warehouse"
    default_auto_field = "django.db.models.BigAutoField"
