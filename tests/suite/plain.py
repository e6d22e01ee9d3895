"""Settings for Django's own test suite: two databases, as Django's example has them."""

import os

import dj_database_url
import django

URL = os.environ.get("SUITE_DATABASE_URL", "")
ENGINE = "django.db.backends.sqlite3"


def build_database(suffix: str) -> dict[str, object]:
    if not URL:
        return {"ENGINE": ENGINE}
    return dj_database_url.parse(f"{URL.rpartition('/')[0]}/suite_{suffix}")


# Two names on a server: two runs at once must not share their test databases.
_PREFIX = os.environ.get("SUITE_PREFIX", "plain")
DATABASES = {
    "default": build_database(f"{_PREFIX}_default"),
    "other": build_database(f"{_PREFIX}_other"),
}
SECRET_KEY = "django_tests_secret_key"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
USE_TZ = False
if django.VERSION < (6, 0):
    DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
TEST_RUNNER = "tests.suite.runner.RecordingRunner"
