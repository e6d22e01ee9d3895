"""What an error page shows of the fleet's settings."""

from django.views.debug import SafeExceptionReporterFilter


def test_error_report_hides_the_passwords_of_mirrors(settings):
    settings.MIRRORS = {
        "books": {
            "HOSTS": ["books.example"],
            "DATABASE": "postgres://app:hunter2@db/books",
            "STORAGE": "s3://key:hunter2@bucket/books/",
        }
    }

    shown = SafeExceptionReporterFilter().get_safe_settings()["MIRRORS"]

    assert "hunter2" not in repr(shown)
    assert shown["books"]["HOSTS"] == ["books.example"]


def test_variable_in_the_defaults_is_left_for_the_environment(settings):
    from django_mirrors.mirror import build_uid, fill_defaults

    filled = fill_defaults(
        "books",
        {},
        {"DATABASE": "postgres://${name}:${PASSWORD}@db/{name}"},
        uid=build_uid("books"),
    )

    assert filled["DATABASE"] == "postgres://${name}:${PASSWORD}@db/books"
