"""Links lead to the primary host of a mirror, and follow its URLconf."""

import pytest
from django.http import HttpResponse
from django.template import Context, Template
from django.test import RequestFactory
from django.urls import NoReverseMatch, path

from django_mirrors import mirrors, use_mirror
from django_mirrors.exceptions import InvalidMirror, NoCurrentMirror, UnknownMirror
from django_mirrors.testing import no_mirror
from django_mirrors.urls import build_url, reverse

# The URLconf of `films`, where titles stand elsewhere than in the project's.
urlpatterns = [
    path("reels/<slug:mirror>/", lambda request: HttpResponse(), name="reel"),
    path("catalogue/", lambda request: HttpResponse(), name="titles"),
]


@pytest.fixture(autouse=True)
def fleet_of_two(settings):
    settings.MIRRORS = {
        "books": {
            "HOSTS": ["books.example", "www.books.example"],
            "DATABASE": "sqlite:///books.sqlite3",
            "STATE": "active",
        },
        "films": {
            "HOSTS": ["*.films.example", "films.example"],
            "DATABASE": "sqlite:///films.sqlite3",
            "URLCONF": "tests.test_urls",
            "STATE": "active",
        },
    }
    settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "RECORDS": False}


def set_option(settings, **options):
    settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, **options}


def build_request(host, **extra):
    return RequestFactory().get("/", headers={"host": host}, **extra)


def render(text, **values):
    return Template("{% load mirrors %}" + text).render(Context(values))


def test_address_begins_with_the_primary_host():
    assert build_url("books") == "https://books.example/"
    assert build_url("films", "/a/") == "https://films.example/a/"


def test_mirror_may_be_given_as_a_value():
    assert build_url(mirrors["books"], "a b/") == "https://books.example/a%20b/"


def test_address_of_the_original():
    assert build_url("original") == "https://original.example/"


def test_address_of_an_original_that_names_no_host_is_the_first_allowed(settings):
    settings.MIRRORS_OPTIONS = {"RECORDS": False, "SNAPSHOT": None}
    settings.ALLOWED_HOSTS = [".shop.example", "other.example"]

    assert build_url("original") == "https://shop.example/"


def test_original_that_nobody_can_ask_has_no_address(settings):
    settings.MIRRORS_OPTIONS = {"RECORDS": False, "SNAPSHOT": None}
    settings.ALLOWED_HOSTS = ["*"]

    with pytest.raises(InvalidMirror, match="'original' has no host that a link can"):
        build_url("original")


def test_port_of_the_options_goes_before_that_of_the_request(settings):
    set_option(settings, PORT=8443)

    url = build_url("films", request=build_request("testserver:8000"))

    assert url == "http://films.example:8443/"


def test_address_is_of_the_current_mirror_if_none_is_named():
    with use_mirror("books"):
        with use_mirror("films"):
            inner = build_url()
        outer = build_url()

    assert (inner, outer) == ("https://films.example/", "https://books.example/")


def test_address_without_a_mirror_is_refused():
    with no_mirror(), pytest.raises(NoCurrentMirror):
        build_url()


def test_address_of_an_unknown_mirror_is_refused():
    with pytest.raises(UnknownMirror, match="'music'"):
        build_url("music")


def test_mirror_with_wildcards_only_has_no_address(settings):
    films = {**settings.MIRRORS["films"], "HOSTS": ["*.films.example"]}
    settings.MIRRORS = {**settings.MIRRORS, "films": films}

    with pytest.raises(InvalidMirror) as caught:
        build_url("films")

    assert str(caught.value) == (
        "Mirror 'films' has no host that a link can use. Put one without '*' first in "
        "its 'HOSTS'."
    )
    assert build_url("books") == "https://books.example/"


def test_path_cannot_change_the_host():
    assert build_url("books", "//films.example/") == (
        "https://books.example//films.example/"
    )


def test_scheme_is_http_with_debug(settings):
    settings.DEBUG = True

    assert build_url("books") == "http://books.example/"


def test_scheme_and_port_are_those_of_the_request():
    with use_mirror("books"):
        url = build_url("films", request=build_request("testserver:8000"))

    assert url == "http://films.example:8000/"


def test_scheme_of_a_secure_request_is_kept():
    request = build_request("testserver", secure=True, SERVER_PORT="8443")

    assert build_url("films", request=request) == "https://films.example/"


def test_options_go_before_the_request(settings):
    set_option(settings, SCHEME="https", PORT=8443)

    url = build_url("films", request=build_request("testserver:8000"))

    assert url == "https://films.example:8443/"


def test_port_of_the_request_is_not_used_with_another_scheme(settings):
    set_option(settings, SCHEME="https")

    url = build_url("films", request=build_request("testserver:8000"))

    assert url == "https://films.example/"


def test_arguments_go_before_everything_else(settings):
    set_option(settings, SCHEME="https", PORT=8443)
    request = build_request("testserver:8000")

    url = build_url("films", scheme="http", port=81, request=request)

    assert url == "http://films.example:81/"


def test_view_is_found_in_the_urlconf_of_its_mirror():
    with use_mirror("books"):
        assert reverse("titles") == "https://books.example/titles/"
        assert reverse("titles", mirror="films") == "https://films.example/catalogue/"


def test_view_of_another_mirror_is_not_found():
    with pytest.raises(NoReverseMatch, match="'reel'"):
        reverse("reel", mirror="books", kwargs={"mirror": "one"})


def test_view_takes_arguments_query_and_fragment():
    url = reverse("reel", mirror="films", args=["one"], query={"q": 1}, fragment="end")

    assert url == "https://films.example/reels/one/?q=1#end"


def test_tag_links_to_both_mirrors():
    text = render(
        "{% mirror_url 'books' 'titles' %} {% mirror_url films 'titles' %}",
        films=mirrors["films"],
    )

    assert text == "https://books.example/titles/ https://films.example/catalogue/"


def test_tag_passes_every_keyword_on_to_the_view():
    text = render(
        "{% mirror_url 'films' 'reel' mirror='one' as reel %}[{{ reel }}]"
        "{% mirror_url 'films' 'reel' 'two' %}"
    )

    assert text == (
        "[https://films.example/reels/one/]https://films.example/reels/two/"
    )


def test_tag_has_the_port_of_the_request():
    text = render(
        "{% mirror_url 'films' 'titles' %}", request=build_request("testserver:8000")
    )

    assert text == "http://films.example:8000/catalogue/"
