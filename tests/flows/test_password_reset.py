"""Django's own password reset: what is mailed, by whom, and where its links lead."""

import re

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth import urls as auth_urls
from django.core import mail
from django.test import Client
from django.urls import include, path

from django_mirrors import _compat, use_mirror
from tests.smtp import serve_mail

pytestmark = pytest.mark.django_db

urlpatterns = [
    path("accounts/", include(auth_urls)),
    path("admin/", admin.site.urls),  # whose templates the forms extend
]
LINK = re.compile(r"https?://\S+")


@pytest.fixture(autouse=True)
def people(fleet, settings):
    """Let each mirror have a user with the same address."""
    settings.ROOT_URLCONF = __name__
    for name in ("books", "films"):
        with use_mirror(name):
            get_user_model().objects.create_user("ann", "ann@x.example", "secret")


@pytest.fixture(params=["sites", "no sites"])
def sites(request, monkeypatch):
    """With contrib.sites and without it."""
    if request.param == "no sites":
        has = apps.is_installed
        monkeypatch.setattr(
            apps, "is_installed", lambda name: "sites" not in name and has(name)
        )


def ask_for_reset(host, **headers):
    response = Client().post(
        "/accounts/password_reset/",
        {"email": "ann@x.example"},
        headers={"host": host, **headers},
    )
    assert response.status_code == 302


def find_links():
    return [LINK.findall(message.body) for message in mail.outbox]


def test_link_leads_to_the_primary_host_after_another_mirror_was_asked(sites):
    ask_for_reset("books.example")

    ask_for_reset("films.example")

    (books,), (films,) = find_links()
    assert books.startswith("http://books.example/accounts/reset/")
    assert films.startswith("http://films.example/accounts/reset/")


def test_link_leads_to_the_primary_host_from_another_host_of_the_mirror(sites):
    ask_for_reset("www.films.example:8000")

    ((link,),) = find_links()
    assert re.match(r"http://films\.example(:8000)?/accounts/reset/", link)


def test_link_leads_to_the_mirror_and_not_to_the_owner_of_its_database(sites):
    ask_for_reset("films.example")

    ask_for_reset("fr.films.example")

    assert find_links()[1][0].startswith("http://fr.films.example/")


@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-host": "books.example"},
        {"x-forwarded-host": "evil.example"},
        {"forwarded": "host=evil.example"},
        {"x-host": "evil.example", "x-original-host": "evil.example"},
    ],
)
def test_header_cannot_lead_the_link_elsewhere(sites, settings, headers):
    settings.USE_X_FORWARDED_HOST = True

    ask_for_reset("films.example", **headers)

    ((link,),) = find_links()
    assert link.startswith("http://films.example/")


@pytest.mark.parametrize("host", ["evil.example", "films.example@evil.example"])
def test_host_of_nobody_gets_no_mail(sites, host):
    response = Client().post(
        "/accounts/password_reset/",
        {"email": "ann@x.example"},
        headers={"host": host},
    )

    assert (response.status_code, mail.outbox) == (404, [])


def test_link_of_one_mirror_is_not_accepted_at_another(sites):
    ask_for_reset("books.example")
    ((link,),) = find_links()
    path = link.removeprefix("http://books.example")

    statuses = [
        Client().get(path, headers={"host": host}).status_code
        for host in ("books.example", "films.example")
    ]

    assert statuses == [302, 200]  # to the form; a page that says that it is not valid


def test_reset_is_mailed_by_the_server_of_its_mirror(settings, monkeypatch):
    monkeypatch.setattr(_compat, "is_test_environment", lambda: False)
    with serve_mail() as books, serve_mail() as films:
        settings.MIRRORS = {
            **settings.MIRRORS,
            "books": {**settings.MIRRORS["books"], "MAIL": books.build_dsn("bob")},
            "films": {**settings.MIRRORS["films"], "MAIL": films.build_dsn("fay")},
        }

        ask_for_reset("books.example")
        ask_for_reset("films.example")

    assert [item.user for item in books.deliveries] == ["bob"]
    assert [item.user for item in films.deliveries] == ["fay"]
    assert "http://films.example/" in films.deliveries[0].text
    assert "books" not in films.deliveries[0].message.as_string()
