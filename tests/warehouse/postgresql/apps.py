from django.apps import AppConfig


class WarehousePostgresqlConfig(AppConfig):
    name = "tests.warehouse.postgresql"
    label = "warehouse_postgresql"
    default_auto_field = "django.db.models.BigAutoField"
