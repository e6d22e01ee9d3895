import os
from pathlib import Path

from django_mirrors.db import mirror_databases

BASE_DIR = Path(__file__).parent
SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["original.example"]
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django_mirrors",
    "stock",
]
MIDDLEWARE = ["django_mirrors.middleware.MirrorMiddleware"]
ROOT_URLCONF = "stock.urls"
STATIC_URL = "/static/"
MEDIA_URL = "/media/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ENGINE = "django.db.backends.sqlite3"
DATABASES = mirror_databases(
    {
        "default": {"ENGINE": ENGINE, "NAME": BASE_DIR / "original.sqlite3"},
        "analytics": {"ENGINE": ENGINE, "NAME": BASE_DIR / "analytics.sqlite3"},
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
MIRRORS = {
    "acme": {
        "HOSTS": ["acme.example"],
        "DATABASE": os.environ.get("ACME_URL", "sqlite:///acme.sqlite3"),
        "STATE": "active",
    },
    "beta": {
        "HOSTS": ["beta.example"],
        "DATABASE": "sqlite:///beta.sqlite3",
        "STATE": "active",
    },
    "acme-ch": {
        "HOSTS": ["ch.acme.example"],
        "SHARES": {"DATABASE": "acme"},
        "STATE": "active",
    },
}
MIRRORS_OPTIONS = {
    "ORIGINAL": {"HOSTS": ["original.example"]},
    "SNAPSHOT": None,
    "COMMON_MODELS": ["auth", "stock"],
}
