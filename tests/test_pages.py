"""Pages that visitors see in place of a mirror that is not served."""

import re

import pytest
from django.utils import translation

from django_mirrors import mirrors
from django_mirrors.operations import set_state
from django_mirrors.pages import render_page

pytestmark = pytest.mark.django_db

HELD = ["maintenance", "suspended"]
PAGES = [*HELD, "unavailable"]
SCRIPT = "<script>alert('films')</script>"


@pytest.fixture(autouse=True)
def fleet_of_two(settings):
    settings.MIRRORS = {
        name: {
            "HOSTS": [f"{name}.example"],
            "DATABASE": f"sqlite:///{name}.sqlite3",
            "NAME": display,
            "STATE": "active",
        }
        for name, display in {
            "books": "Books & Co",
            "films": "Film <b>House</b>",
        }.items()
    }


def ask(client, host):
    return client.get("/where/", headers={"host": host})


@pytest.mark.parametrize("state", HELD)
def test_held_mirror_answers_503_and_the_other_one_goes_on(client, state):
    set_state("books", state, reason="New shelves.", retry_after=600)

    held = ask(client, "books.example")
    other = ask(client, "films.example")

    assert held.status_code == 503
    assert held["Retry-After"] == "600"
    assert held["Cache-Control"] == "no-store"
    assert not held.cookies
    assert other.status_code == 200
    assert "New shelves." not in other.text


@pytest.mark.parametrize("state", HELD)
def test_page_says_who_why_and_until_when(client, state):
    set_state("books", state, reason="New shelves.", retry_after=600)

    text = ask(client, "books.example").text

    assert "Books &amp; Co" in text
    assert "New shelves." in text
    assert "Please try again in 10 minutes." in text
    assert "Film" not in text


@pytest.mark.parametrize("state", HELD)
def test_reason_and_name_are_escaped(client, state):
    set_state("films", state, reason=SCRIPT)

    text = ask(client, "films.example").text

    assert "<script" not in text
    assert "&lt;script&gt;alert(&#x27;films&#x27;)&lt;/script&gt;" in text
    assert "<b>" not in text


@pytest.mark.parametrize("page", PAGES)
def test_page_asks_for_nothing_from_elsewhere(page):
    text = render_page(page, mirrors["books"], retry_after=120)

    assert re.findall(r"https?:|src=|<link|<script|@import|url\(", text) == []
    assert "prefers-color-scheme: dark" in text
    assert "Books &amp; Co" in text


@pytest.mark.parametrize(
    ("seconds", "sentence"),
    [
        (1, "Please try again in 1 second."),
        (45, "Please try again in 45 seconds."),
        (60, "Please try again in 1 minute."),
        (61, "Please try again in 2 minutes."),
    ],
)
def test_time_is_said_in_seconds_or_minutes(seconds, sentence):
    text = render_page("unavailable", mirrors["films"], retry_after=seconds)

    assert sentence in text


def test_suspended_mirror_promises_no_time_that_nobody_set(client):
    set_state("films", "suspended")

    response = ask(client, "films.example")

    assert "Please try again" not in response.text
    assert response["Retry-After"] == "120"


@pytest.mark.parametrize("page", PAGES)
def test_page_is_marked_with_its_language(page):
    with translation.override("ar"):
        text = render_page(page, mirrors["books"], retry_after=120)

    assert '<html lang="ar" dir="rtl">' in text


@pytest.mark.parametrize("page", PAGES)
def test_project_can_replace_a_page(settings, tmp_path, page):
    directory = tmp_path / "django_mirrors"
    directory.mkdir()
    (directory / f"{page}.html").write_text("Ours: {{ mirror.display_name }}")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [str(tmp_path)]}]

    text = render_page(page, mirrors["books"], retry_after=120)

    assert text == "Ours: Books &amp; Co"


@pytest.mark.parametrize("page", PAGES)
def test_page_is_there_without_the_templates_of_apps(settings, tmp_path, page):
    settings.TEMPLATES = [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "DIRS": [str(tmp_path)],
        }
    ]

    text = render_page(page, mirrors["films"], retry_after=120)

    assert "Film &lt;b&gt;House&lt;/b&gt;" in text
