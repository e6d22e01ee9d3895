"""What another mirror has is answered as what nobody has: by bytes and by questions."""

import re
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.backends.utils import CursorWrapper
from django.test import Client
from django.utils import timezone

from django_mirrors import use_mirror
from django_mirrors.storage.filesystem import MirrorFileSystemStorage
from tests.bookshop.models import Author, Book, Tag

pytestmark = pytest.mark.django_db

HOME, OTHER = "books", "films"
PASSWORD = "a password"
# All are of one length, so that an answer may differ in nothing else.
THEIRS, NOBODYS = "777", "778"
WORDS = {THEIRS: "theirs", NOBODYS: "nobody"}
# What differs between any two answers: a random mask, and the second of the answer.
PASSING = re.compile(r'(?<=csrfmiddlewaretoken" value=")\w+|(?<= )\d\d:\d\d:\d\d GMT')


@dataclass(frozen=True)
class Answer:
    """All that somebody who asks may look at, without the word that was asked for."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    statements: tuple[str, ...]


@pytest.fixture
def shops(fleet, settings):
    """Let `films` have a row, a file and a user that `books` has not."""
    settings.ROOT_URLCONF = "tests.isolation.shop_urls"
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    for mirror in (HOME, OTHER):
        with use_mirror(mirror):
            make_user("ann", pk=1)
            default_storage.save("covers/own.txt", ContentFile(b"own"))
    with use_mirror(OTHER):
        author = Author.objects.create(pk=THEIRS, name=WORDS[THEIRS])
        tag = Tag.objects.create(pk=THEIRS, name=WORDS[THEIRS])
        Book.objects.create(pk=THEIRS, title="x", author=author).tags.add(tag)
        make_user(WORDS[THEIRS], pk=THEIRS)
        default_storage.save(f"covers/{WORDS[THEIRS]}.txt", ContentFile(b"theirs"))


def make_user(name: str, *, pk: int | str) -> None:
    get_user_model().objects.create_superuser(
        name, f"{name}@example.com", PASSWORD, pk=pk
    )


@pytest.fixture
def statements(monkeypatch) -> list[str]:
    """Return what is asked of any database, filled in as it is asked."""
    asked: list[str] = []
    execute = CursorWrapper.execute

    def note(self, sql, params=None):
        asked.append(f"{self.db.alias}: {sql} {params}")
        return execute(self, sql, params)

    monkeypatch.setattr(CursorWrapper, "execute", note)
    return asked


@pytest.fixture
def ask(shops, statements, monkeypatch):
    """Return a function that asks `books` for one of two things, as its staff."""
    now = timezone.now()
    monkeypatch.setattr("django.utils.timezone.now", lambda: now)

    def ask(path: str, key: str, **fields: str) -> Answer:
        client = Client()
        with use_mirror(HOME):
            client.force_login(get_user_model().objects.get(pk=1))
        send = client.post if fields else client.get
        for _ in ("what Django keeps from then on", "what is compared"):
            statements.clear()
            mail.outbox.clear()
            response = send(
                fill(path, key),
                {name: fill(text, key) for name, text in fields.items()},
                HTTP_HOST=f"{HOME}.example",
            )
            with closing(response):
                content = response.getvalue()
        return Answer(
            response.status_code,
            tuple((name, hide(text, key)) for name, text in response.items()),
            hide(content.decode(), key).encode(),
            (*(hide(text, key) for text in statements), f"mails: {len(mail.outbox)}"),
        )

    return ask


def fill(text: str, key: str) -> str:
    return text.format(pk=key, word=WORDS[key])


def hide(text: str, key: str) -> str:
    return PASSING.sub("", text.replace(WORDS[key], "<word>").replace(key, "<key>"))


@pytest.mark.parametrize(
    "path",
    [
        "/admin/bookshop/book/{pk}/change/",
        "/admin/bookshop/book/{pk}/delete/",
        "/admin/bookshop/book/{pk}/history/",
        "/admin/bookshop/author/{pk}/change/",
        "/admin/auth/user/{pk}/change/",
        "/admin/auth/user/{pk}/password/",
        "/admin/bookshop/book/?author__id__exact={pk}",
        "/admin/r/1/{pk}/",
        "/media/covers/{word}.txt",
        "/media/covers/{word}.txt?signature=x&expires=9999999999",
        "/static/{word}.css",
        "/{word}/",
    ],
)
def test_page_of_another_mirror_is_answered_as_one_of_nobody(ask, path):
    assert ask(path, THEIRS) == ask(path, NOBODYS)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/admin/bookshop/book/{pk}/change/", {"title": "stolen"}),
        ("/admin/bookshop/book/{pk}/delete/", {"post": "yes"}),
        ("/admin/bookshop/book/add/", {"title": "x", "author": "{pk}", "stock": "0"}),
        (
            "/admin/bookshop/book/",
            {"action": "delete_selected", "_selected_action": "{pk}"},
        ),
        ("/accounts/password_reset/", {"email": "{word}@example.com"}),
    ],
)
def test_form_about_another_mirror_is_answered_as_one_about_nobody(ask, path, fields):
    assert ask(path, THEIRS, **fields) == ask(path, NOBODYS, **fields)


def test_login_of_a_user_of_another_mirror_is_answered_as_that_of_nobody(ask):
    fields = {"username": "{word}", "password": PASSWORD}

    answers = [ask("/admin/login/", key, **fields) for key in WORDS]

    assert answers[0] == answers[1]
    assert b"Please enter the correct username" in answers[0].body


@pytest.mark.parametrize(
    "path", ["/admin/bookshop/book/{pk}/change/", "/media/covers/{word}.txt"]
)
def test_what_a_mirror_has_itself_is_answered_otherwise(ask, path):
    with use_mirror(HOME):
        Book.objects.create(pk=THEIRS, title="own")
        default_storage.save(f"covers/{WORDS[THEIRS]}.txt", ContentFile(b"own"))

    assert ask(path, THEIRS).status == 200
    assert ask(path, THEIRS) != ask(path, NOBODYS)


def test_files_of_another_mirror_are_not_looked_at(ask, monkeypatch):
    looked: list[str] = []
    resolve = MirrorFileSystemStorage._resolve

    def note(self, name, **options):
        looked.append(Path(self.location).name)
        return resolve(self, name, **options)

    monkeypatch.setattr(MirrorFileSystemStorage, "_resolve", note)

    assert ask("/media/covers/{word}.txt", THEIRS).status == 404
    assert set(looked) == {HOME}
