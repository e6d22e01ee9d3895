"""Settings of the processes that are killed: all that they change is in one folder."""

import os
from pathlib import Path

from django_mirrors.db import mirror_databases

DIRECTORY = Path(os.environ["KILLS_DIRECTORY"])
TOKEN = os.environ["KILLS_TOKEN"]  # in the names of databases
SECRET_KEY = TOKEN
ENGINE = os.environ["KILLS_ENGINE"]
SERVER = os.environ["KILLS_SERVER"]  # a URL without a database
DEBUG = False
USE_TZ = True

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.sites",
    "django_mirrors",
    "tests.bookshop",
    "tests.orchard",
]
if os.environ.get("KILLS_RELEASE") == "first":
    MIGRATION_MODULES = {"orchard": "tests.orchard.first"}
MIDDLEWARE = ["django_mirrors.middleware.MirrorMiddleware"]
ROOT_URLCONF = "tests.kills.urls"
SITE_ID = 1
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
MEDIA_ROOT = DIRECTORY / "media-of-original"

DATABASES = mirror_databases(
    {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DIRECTORY / "original.sqlite3",
        }
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

# What leads to a database of the engine, for every name.
DATABASE_KEYS = {
    "sqlite": {"DATABASE": f"sqlite:///{DIRECTORY}/databases/{{name}}.sqlite3"},
    "postgres": {"DATABASE": f"{SERVER}/{TOKEN}_{{name}}"},
    "schema": {
        "DATABASE": f"{SERVER}/{TOKEN}",
        "SCHEMA": f"{TOKEN}_{{name}}",
    },
    "mariadb": {"DATABASE": f"{SERVER}/{TOKEN}_{{name}}"},
}[ENGINE]

MIRRORS: dict[str, object] = {}
MIRRORS_OPTIONS = {
    "SNAPSHOT": None,
    "POLL_SECONDS": 0.01,
    "ARCHIVES": f"file://{DIRECTORY}/archives/",
    "ORIGINAL": {"HOSTS": ["original.example"]},
    "HOOKS": {
        "BEFORE_ROLLOUT": "tests.kills.hooks.begin",
        "AFTER_ROLLOUT": "tests.kills.hooks.end",
        "HEALTH": "tests.kills.hooks.check",
    },
    "DEFAULTS": {
        "HOSTS": ["{name}.example"],
        "STORAGE": f"file://{DIRECTORY}/media/{{name}}/",
        **DATABASE_KEYS,
    },
}
