"""What a project may write: nobody knows on what it depends."""

from itertools import count

from django.db import migrations, models

__all__ = [
    "OwnCheck", "OwnField", "OwnIndex", "OwnNumber", "OwnOperation", "nothing",
    "take_number", "upper", "write_pages",
]  # fmt: skip

_numbers = count(1)


def take_number() -> int:
    """Return another number each time: as a project's own default may."""
    return next(_numbers)


class OwnField(models.IntegerField):
    """A field that may prepare its values as it likes."""

    def get_db_prep_save(self, value, connection):
        return take_number()


class OwnOperation(migrations.RunSQL):
    """An operation of a project, which says that it is plain SQL."""

    reduces_to_sql = True
    reversible = True

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        schema_editor.execute(
            f"UPDATE {app_label}_book SET pages = {take_number()} WHERE id = 1"
        )

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        pass


class OwnIndex(models.Index):
    """An index that is made in a way of its own."""

    def create_sql(self, model, schema_editor, using="", **kwargs):
        self.fields_orders = [("pages", "")]
        return super().create_sql(model, schema_editor, using, **kwargs)


class OwnCheck(models.CheckConstraint):
    """A constraint that is made in a way of its own."""


class OwnNumber(models.Func):
    """An expression whose SQL is computed."""

    template = "(0)"
    output_field = models.IntegerField()

    def as_sql(self, compiler, connection, **context):
        return str(take_number()), []


def upper(app: str):
    def forwards(apps, schema_editor):
        alias = schema_editor.connection.alias
        for book in apps.get_model(app, "Book").objects.using(alias):
            book.title = book.title.upper()
            book.save()

    return forwards


def write_pages(app: str):
    """Fill the column that a migration before added, by the models of that time."""

    def forwards(apps, schema_editor):
        model = apps.get_model(app, "Book")
        for book in model.objects.order_by("id"):
            book.length = len(book.title)
            book.save()
        model.objects.create(id=3, title="third", length=3)

    return forwards


def nothing(apps, schema_editor):
    pass
