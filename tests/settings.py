"""Settings of the tests: the original in memory, mirrors made by fixtures."""

import os
import tempfile
from pathlib import Path

import dj_database_url
import django

from django_mirrors.db import mirror_databases

BASE_DIR = Path(tempfile.mkdtemp(prefix="django-mirrors-tests-"))
SECRET_KEY = "only for tests"
DEBUG = False
USE_TZ = True
ALLOWED_HOSTS: list[str] = []

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.sites",
    "django.contrib.staticfiles",
    "django_hosts",
    "django_mirrors",
    "tests.bookshop",
    "tests.market",
]
MIDDLEWARE = [
    "django_mirrors.middleware.MirrorMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
ROOT_URLCONF = "tests.bookshop.urls"
ROOT_HOSTCONF = "django_mirrors.integrations.hosts"
DEFAULT_HOST = "original"
STATIC_URL = "/static/"
MEDIA_URL = "/media/"
MEDIA_ROOT = BASE_DIR / "media"
SITE_ID = 1
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

DATABASES = mirror_databases(
    {
        "default": dj_database_url.parse(
            os.environ.get("TEST_ORIGINAL_URL", "sqlite://:memory:")
        ),
        # An alias of the project's own, which no mirror touches.
        "analytics": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
    }
)
DATABASE_ROUTERS = ["django_mirrors.db.MirrorRouter"]
STORAGES = {
    "default": {"BACKEND": "django_mirrors.storage.MirrorStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
CACHES = {
    "default": {
        "BACKEND": "django_mirrors.cache.MirrorCache",
        "OPTIONS": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    }
}
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django_mirrors.context_processors.mirror",
            ]
        },
    }
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}

MIRRORS: dict[str, object] = {}
MIRRORS_OPTIONS = {
    "ORIGINAL": {"HOSTS": ["original.example"]},
    "ORIGINAL_APPS": [],
    "SNAPSHOT": None,
}
