"""Settings of the example: an ordinary project, and what makes it serve mirrors."""

import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from django.core.management.utils import get_random_secret_key

from django_mirrors.db import mirror_databases

BASE_DIR = Path(__file__).resolve().parent.parent
# Everything the example writes: databases, media, mail, the secret key.
VAR = Path(os.environ.get("EXAMPLE_VAR") or BASE_DIR / "var").resolve()


def read_secret_key(path: Path) -> str:
    """Return the key of this installation, which is made at the first start."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(get_random_secret_key(), encoding="utf-8")
        # A link appears whole or not at all, and the first of two processes wins.
        with suppress(FileExistsError):
            path.hardlink_to(draft)
        draft.unlink()
    return path.read_text(encoding="utf-8")


SECRET_KEY = read_secret_key(VAR / "secret-key")
DEBUG = True

INSTALLED_APPS = [
    "shop",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_mirrors",
]

MIDDLEWARE = [
    "django_mirrors.middleware.MirrorMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "shopfront.urls"
WSGI_APPLICATION = "shopfront.wsgi.application"
ASGI_APPLICATION = "shopfront.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django_mirrors.templates.MirrorTemplates",
        "NAME": "django",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django_mirrors.context_processors.mirror",
                "shop.context_processors.shop",
            ],
        },
    },
]

DATABASES = mirror_databases(
    {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": VAR / "original.sqlite3",
        }
    }
)
DATABASE_ROUTERS = ["django_mirrors.db.MirrorRouter"]

STORAGES = {
    "default": {"BACKEND": "django_mirrors.storage.MirrorStorage"},
    "staticfiles": {"BACKEND": "django_mirrors.staticfiles.ThemeStaticStorage"},
}
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "django_mirrors.staticfiles.ThemeFinder",
]
MEDIA_ROOT = VAR / "media" / "original"
MEDIA_URL = "/media/"
STATIC_URL = "/static/"

CACHES = {
    "default": {
        "BACKEND": "django_mirrors.cache.MirrorCache",
        "OPTIONS": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    }
}

EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = VAR / "mail" / "original"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "shop:log_in"
LOGIN_REDIRECT_URL = "shop:account"
LOGOUT_REDIRECT_URL = "shop:home"

LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("fr", "Français")]
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

# The original's own values; each mirror may have others.
DEFAULT_FROM_EMAIL = "hello@shopfront.example"
SHOP_NAME = "Shopfront"
SHOP_TAGLINE = "One shop. Any name on the door."
SHOP_LEAD = "The demonstration of a shop that is sold under many names."
SHOP_NOTICE = "Demonstration: nothing here can really be bought."
SHOP_ADDRESS = "Shopfront Ltd\n1 Sample Street"
SHOP_CURRENCY = "EUR"

MIRRORS = {
    "books": {
        "NAME": "Harbour & Quill",
        "HOSTS": ["books.localhost"],
        "LABELS": {"country": "gb"},
        "SETTINGS": {
            "LANGUAGE_CODE": "en",
            "TIME_ZONE": "Europe/London",
            "DEFAULT_FROM_EMAIL": "hello@harbour-and-quill.example",
            "SHOP_NAME": "Harbour & Quill",
            "SHOP_TAGLINE": "Books worth missing your stop for.",
            "SHOP_LEAD": "An independent bookshop on the river since 2009. "
            "Five people read everything first.",
            "SHOP_NOTICE": "Free postage in Britain from £40",
            "SHOP_ADDRESS": "9 Old Ropewalk\nLondon E1W 3TD",
            "SHOP_CURRENCY": "GBP",
        },
        "THEME": "paper",
    },
    "films": {
        "NAME": "Lichtspielhaus Nord",
        "HOSTS": ["films.localhost"],
        "LABELS": {"country": "de"},
        "SETTINGS": {
            "LANGUAGE_CODE": "de",
            "TIME_ZONE": "Europe/Berlin",
            "DEFAULT_FROM_EMAIL": "laden@lichtspielhaus-nord.example",
            "SHOP_NAME": "Lichtspielhaus Nord",
            "SHOP_TAGLINE": "Großes Kino für kleine Wände.",
            "SHOP_LEAD": "Plakate, Filme und Musik aus dem Laden an der Kinokasse. "
            "Gedruckt im Hinterhof, verschickt aus Berlin.",
            "SHOP_NOTICE": "Versandkostenfrei ab 40 €",
            "SHOP_ADDRESS": "Lichtspielhaus Nord eG\nPrinzenallee 31\n13359 Berlin",
            "SHOP_CURRENCY": "EUR",
        },
        "THEME": "noir",
    },
    # The French storefront of `films`: same goods, same stock, a name of its own.
    "films-fr": {
        "NAME": "Minuit Ciné",
        "HOSTS": ["films-fr.localhost"],
        "LABELS": {"country": "fr"},
        "SHARES": {"DATABASE": "films", "STORAGE": "films"},
        "SETTINGS": {
            "LANGUAGE_CODE": "fr",
            "TIME_ZONE": "Europe/Paris",
            "DEFAULT_FROM_EMAIL": "bonjour@minuit-cine.example",
            "SHOP_NAME": "Minuit Ciné",
            "SHOP_TAGLINE": "La séance continue à la maison.",
            "SHOP_LEAD": "Affiches, films et vinyles venus d'un cinéma berlinois, "
            "racontés en français.",
            "SHOP_NOTICE": "Livraison offerte à partir de 40 €",
            "SHOP_ADDRESS": "Minuit Ciné\n18 passage du Caire\n75002 Paris",
            "SHOP_CURRENCY": "EUR",
        },
        "THEME": "velvet",
    },
}

# In a URL, a space or a percent sign in the path must be written as a code.
VAR_PATH = quote(VAR.as_posix())

MIRRORS_OPTIONS = {
    "DEFAULTS": {
        "HOSTS": ["{name}.localhost"],
        "DATABASE": f"sqlite:///{VAR_PATH}/mirrors/{{name}}.sqlite3",
        "STORAGE": f"file://{VAR_PATH}/media/{{name}}/",
        "MAIL": f"file://{VAR_PATH}/mail/{{name}}/",
    },
    "ORIGINAL": {"HOSTS": ["shop.localhost", "localhost", "127.0.0.1"]},
    # Minuit Ciné sells what its sister shop sells, to the same customers.
    "COMMON_MODELS": ["admin", "auth", "shop"],
    "THEMES": BASE_DIR / "themes",
    "SNAPSHOT": VAR / "mirrors-snapshot.json",
    "ARCHIVES": f"file://{VAR_PATH}/archives/",
}
