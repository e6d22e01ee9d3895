"""Two mirrors hold equal keys and names; neither ever shows a word of the other's."""

import logging
from pathlib import Path
from secrets import token_hex

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.sites.models import Site
from django.core import mail
from django.core.cache import cache, caches
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.test import Client

from django_mirrors import mirrors, use_mirror
from tests.bookshop.models import Author, Book, Tag
from tests.isolation.admins import ADMINS

pytestmark = pytest.mark.django_db

NAMES = ("books", "films")
PAGES = (
    "everything/", "page/", "titles/", "titles-async/", "count/", "stream/?n=2",
    "visit/", "where/", "mail/", "media/covers/same.txt",
    "media/covers/none.txt", "nowhere/", "fail/", "find-or-make/?title=same",
    "admin/", "admin/bookshop/", "admin/bookshop/book/", "admin/bookshop/book/?q=same",
    "admin/bookshop/book/1/change/", "admin/bookshop/book/1/history/",
    "admin/bookshop/book/1/delete/", "admin/bookshop/book/add/",
    "admin/bookshop/author/", "admin/bookshop/author/1/change/",
    "admin/bookshop/author/1/delete/", "admin/bookshop/tag/1/change/",
    "admin/auth/user/", "admin/auth/user/1/change/", "admin/auth/user/1/history/",
    "admin/auth/user/1/delete/", "admin/auth/user/1/password/", "admin/auth/group/",
    "admin/auth/group/1/change/", "admin/sites/site/", "admin/sites/site/1/change/",
    "admin/password_change/", "admin/jsi18n/", "accounts/login/",
    "accounts/password_reset/", "admin/logout/",
)  # fmt: skip


class Evidence:
    """What one mirror showed, by place."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.marker = f"{name}-{token_hex(6)}"
        self.texts: list[tuple[str, str]] = []

    def add(self, place: str, text: str | bytes) -> None:
        if isinstance(text, bytes):
            text = text.decode(errors="replace")
        self.texts.append((place, text))

    def find(self, marker: str) -> list[str]:
        """Return the places where a marker was seen."""
        return [place for place, text in self.texts if marker in text]


@pytest.fixture
def seen(fleet, settings, tmp_path) -> dict[str, Evidence]:
    """Fill both mirrors: everything equal but the marker in each value."""
    evidence = {name: Evidence(name) for name in NAMES}
    settings.ROOT_URLCONF = "tests.isolation.shop_urls"
    settings.SHOP_TITLE = "the project's"
    settings.ADMINS = ADMINS
    settings.MIRRORS = {
        **settings.MIRRORS,
        **{
            name: {
                **settings.MIRRORS[name],
                "SETTINGS": {
                    "SHOP_TITLE": item.marker,
                    "DEFAULT_FROM_EMAIL": f"{item.marker}@shop.example",
                },
            }
            for name, item in evidence.items()
        },
    }
    for name, item in evidence.items():
        with use_mirror(name):
            fill(item.marker, domain=f"{name}.example")
    return evidence


def fill(marker: str, *, domain: str) -> None:
    user = get_user_model().objects.create_superuser(
        "ann", "ann@example.com", "a password", pk=1, first_name=marker
    )
    Group.objects.create(pk=1, name=marker)
    Site.objects.update_or_create(pk=1, defaults={"domain": domain, "name": marker})
    author = Author.objects.create(pk=1, name=marker)
    book = Book(pk=1, title=f"title {marker}", author=author, owner=user)
    book.cover.save("same.txt", ContentFile(f"content {marker}".encode()))
    book.tags.add(Tag.objects.create(pk=1, name=marker))
    cache.set("note", marker)


def visit_all(evidence: Evidence, settings, caplog) -> None:
    """Log in, ask for every page, change something; collect all that is shown."""
    caplog.clear()
    mail.outbox.clear()
    client = Client(raise_request_exception=False)
    host = {"HTTP_HOST": f"{evidence.name}.example"}
    login = {"username": "ann", "password": "a password"}
    client.post("/admin/login/?next=/admin/", login, **host)
    client.get("/keep-note/", **host)
    changed = {"name": evidence.marker, "_continue": "1"}
    client.post("/admin/bookshop/author/1/change/", changed, **host)
    for debug in (False, True):
        settings.DEBUG = debug
        for page in PAGES:
            response = client.get(f"/{page}", **host)
            text = b"".join(response) if response.streaming else response.content
            # Below are the settings of the project, which tell of all mirrors.
            shown = text.partition(b'id="settings-info"')[0]
            evidence.add(f"{page} {response.headers} {debug}", shown)
    settings.DEBUG = False
    client.post("/accounts/password_reset/", {"email": "ann@example.com"}, **host)
    for message in mail.outbox:
        text = message.message().as_string()
        evidence.add(f"mail {message.subject}", text.partition("Settings:")[0])
    evidence.add("log", caplog.text)


def look_behind(evidence: Evidence, tmp_path: Path) -> None:
    """Collect what is kept: rows, files, and entries of the cache."""
    with use_mirror(evidence.name):
        path = tmp_path / f"{evidence.name}.json"
        call_command("dumpdata", output=str(path), verbosity=0)
        evidence.add("rows", path.read_text())
        caches["default"].get("note")
        entries = caches["default"]._wrapped.cache._cache
    for path in sorted((tmp_path / evidence.name).rglob("*")):
        evidence.add(f"file {path}", path.read_bytes() if path.is_file() else path.name)
    for key, value in entries.items():
        if mirrors[evidence.name].uid.hex in key:
            evidence.add(f"entry {key}", value)


def test_no_word_of_one_mirror_is_in_anything_of_the_other(
    seen, settings, tmp_path, caplog, report_figure, engine
):
    caplog.set_level(logging.DEBUG)
    books, films = seen.values()

    # Twice, in turn: what one warmed is there for the other.
    for item in (books, films, books, films):
        visit_all(item, settings, caplog)
    for item in (books, films):
        look_behind(item, tmp_path)

    crossed = [books.find(films.marker), films.find(books.marker)]
    assert crossed == [[], []]
    # Nor is the test blind: each mirror shows its own.
    own = [len(books.find(books.marker)), len(films.find(films.marker))]
    assert min(own) > 80
    report_figure(
        f"markers, {engine.name}",
        f"{len(books.texts) + len(films.texts)} pages, mails, logs, files, entries and "
        f"dumps, own marker in {sum(own)}: the other's in {sum(map(len, crossed))}",
    )


def test_reset_link_leads_to_the_mirror_that_was_asked(seen):
    hostile = {"HTTP_X_FORWARDED_HOST": "evil.example", "HTTP_X_HOST": "evil.example"}
    for name in NAMES:
        Client().post(
            "/accounts/password_reset/",
            {"email": "ann@example.com"},
            HTTP_HOST=f"www.{name}.example",
            **hostile,
        )

    links = [message.body.split("://")[1].split("/")[0] for message in mail.outbox]
    assert links == ["books.example", "films.example"]
