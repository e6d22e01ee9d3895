"""django-hosts knows every mirror by its name, also one that was added just now."""

import django_hosts
import pytest
from django.http import HttpResponse
from django.template import Context, Template
from django.urls import NoReverseMatch
from django_hosts import resolvers
from django_hosts.middleware import HostsRequestMiddleware, HostsResponseMiddleware

from django_mirrors import mirrors, use_mirror
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.integrations import hosts
from django_mirrors.operations import add_mirror, change_mirror
from django_mirrors.testing import no_mirror

MIDDLEWARE = [
    "django_mirrors.middleware.MirrorMiddleware",
    "django_hosts.middleware.HostsRequestMiddleware",
    "django_hosts.middleware.HostsResponseMiddleware",
]

# Of a project that has hosts of its own, one of them named like a mirror.
host_patterns = django_hosts.patterns(
    "",
    django_hosts.host("api.own.example", "tests.test_urls", name="api"),
    django_hosts.host("books.own.example", "tests.test_urls", name="books"),
)


@pytest.fixture
def two(settings):
    """Mirrors `books` and `films`, the second with a URLconf of its own."""
    settings.MIRRORS = {
        "books": {
            "HOSTS": ["books.example", "www.books.example"],
            "DATABASE": "sqlite:///books.sqlite3",
            "STATE": "active",
        },
        "films": {
            "HOSTS": ["films.example", "*.films.example"],
            "DATABASE": "sqlite:///films.sqlite3",
            "URLCONF": "tests.test_urls",
            "STATE": "active",
        },
    }
    options = {**settings.MIRRORS_OPTIONS, "RECORDS": False}
    settings.MIRRORS_OPTIONS = options
    return settings


def render(text):
    return Template("{% load hosts %}" + text).render(Context())


def test_view_is_reversed_at_each_mirror(two):
    books = resolvers.reverse("titles", host="books")
    films = resolvers.reverse("titles", host="films")

    assert books == "https://books.example/titles/"
    assert films == "https://films.example/catalogue/"


def test_lazy_names_follow_the_fleet(two):
    url = resolvers.reverse_lazy("titles", host="films")
    host = resolvers.reverse_host_lazy("books")

    assert str(url) == "https://films.example/catalogue/"
    assert str(host) == "books.example"


def test_names_of_the_package_follow_the_fleet(two):
    assert django_hosts.reverse_host("films") == "films.example"
    assert django_hosts.reverse("titles", host="books") == (
        "https://books.example/titles/"
    )


def test_parent_host_is_not_added_to_the_host_of_a_mirror(two):
    two.PARENT_HOST = "parent.example"

    assert resolvers.reverse_host("books") == "books.example"
    assert resolvers.reverse("titles", host="films") == (
        "https://films.example/catalogue/"
    )


def test_host_is_the_default_one_if_none_is_named(two):
    with use_mirror("books"):
        assert resolvers.reverse("titles") == "https://original.example/titles/"


def test_scheme_and_port_can_be_given(two):
    url = resolvers.reverse("titles", host="books", scheme="http", port="81")

    assert url == "http://books.example:81/titles/"


def test_scheme_and_port_of_django_hosts_are_kept(two):
    two.HOST_SCHEME = "http"
    two.HOST_PORT = "8000"

    assert render("{% host_url 'titles' host 'films' %}") == (
        "http://films.example:8000/catalogue/"
    )


def test_tag_links_to_each_mirror(two):
    text = "{% host_url 'titles' host 'books' %} {% host_url 'titles' host 'films' %}"

    assert render(text) == (
        "https://books.example/titles/ https://films.example/catalogue/"
    )


def test_unknown_name_is_no_match_and_is_named(two):
    with pytest.raises(NoReverseMatch) as caught:
        resolvers.reverse("titles", host="music")

    assert str(caught.value) == "No host called 'music' exists"


def test_tag_with_an_unknown_name_is_no_match(two):
    with pytest.raises(NoReverseMatch, match="'music'"):
        render("{% host_url 'titles' host 'music' %}")


def test_unknown_name_is_no_match_inside_a_mirror(two):
    with use_mirror("books"), pytest.raises(NoReverseMatch, match="'music'"):
        resolvers.reverse_host("music")


def test_mirror_with_wildcards_only_has_no_host(two):
    films = {**two.MIRRORS["films"], "HOSTS": ["*.films.example"]}
    two.MIRRORS = {**two.MIRRORS, "films": films}

    with pytest.raises(InvalidMirror, match="Mirror 'films' has no host"):
        resolvers.reverse_host("films")


def test_mirrors_go_before_the_patterns_of_a_project(two):
    two.ROOT_HOSTCONF = "tests.integrations.test_hosts"

    api = resolvers.reverse("titles", host="api")

    assert api == "//api.own.example/catalogue/"
    assert resolvers.reverse_host("books") == "books.example"
    assert resolvers.reverse_host("films") == "films.example"


def test_patterns_are_the_current_mirror_alone(two):
    with no_mirror():
        assert list(hosts.host_patterns) == []
    with use_mirror("films"):
        assert [host.name for host in hosts.host_patterns] == ["films"]
        assert len(hosts.host_patterns) == 1


def test_lookup_does_not_read_the_other_mirrors(two, monkeypatch):
    mirrors.reload()
    for name in ("values", "items", "__iter__"):
        monkeypatch.delattr(type(mirrors), name)

    assert resolvers.reverse_host("films") == "films.example"


@pytest.mark.django_db
def test_mirror_added_at_run_time_is_known_at_once(fleet, tmp_path):
    with pytest.raises(NoReverseMatch):
        resolvers.reverse("titles", host="music")

    add_mirror(
        "music",
        {"HOSTS": ["music.example"], "DATABASE": f"sqlite:///{tmp_path / 'm.sqlite3'}"},
    )

    assert resolvers.reverse("titles", host="music") == "https://music.example/titles/"
    assert resolvers.reverse("titles", host="books") == "https://books.example/titles/"


@pytest.mark.django_db
def test_changed_primary_host_is_used_at_once(fleet, tmp_path):
    database = f"sqlite:///{tmp_path / 'm.sqlite3'}"
    add_mirror("music", {"HOSTS": ["music.example"], "DATABASE": database})
    assert resolvers.reverse_host("music") == "music.example"

    change_mirror("music", put_new_host_first)

    assert resolvers.reverse_host("music") == "new.music.example"
    assert resolvers.reverse_host("books") == "books.example"


def put_new_host_first(definition):
    definition["HOSTS"] = ["new.music.example", *definition["HOSTS"]]


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("books.example", "/titles/"),
        ("www.books.example", "/titles/"),
        ("films.example", "/catalogue/"),
        ("old.films.example", "/catalogue/"),
    ],
)
def test_middleware_of_django_hosts_keeps_the_mirror(two, rf, host, path):
    request = rf.get(path, headers={"host": "testserver"})
    mirror = mirrors.for_host(host)
    answer = HostsResponseMiddleware(lambda request: HttpResponse())

    with use_mirror(mirror):
        HostsRequestMiddleware(answer)(request)

    assert request.host.name == mirror.name
    assert request.urlconf == (mirror.urlconf or "tests.bookshop.urls")


@pytest.mark.django_db
def test_middleware_of_django_hosts_serves_both_mirrors(fleet, settings, client):
    settings.MIDDLEWARE = MIDDLEWARE
    films = {**settings.MIRRORS["films"], "URLCONF": "tests.test_urls"}
    settings.MIRRORS = {**settings.MIRRORS, "films": films}

    books = client.get("/titles/", headers={"host": "books.example"})
    films = client.get("/catalogue/", headers={"host": "www.films.example"})
    missing = client.get("/titles/", headers={"host": "films.example"})

    assert [books.status_code, films.status_code, missing.status_code] == [
        200, 200, 404,
    ]  # fmt: skip
