"""Which values a mirror may give to settings of Django's."""

import pytest

from django_mirrors.exceptions import InvalidMirror
from django_mirrors.mirror import Mirror
from django_mirrors.values import find_value_problem


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIME_ZONE", "Mars/Phobos"),
        ("TIME_ZONE", ""),
        ("TIME_ZONE", "../etc/passwd"),
        ("TIME_ZONE", "Europe"),
        ("TIME_ZONE", 1),
        ("LANGUAGE_CODE", "not a language"),
        ("LANGUAGE_CODE", ["de"]),
        ("SITE_ID", "one"),
        ("SITE_ID", True),
        ("DATA_UPLOAD_MAX_MEMORY_SIZE", "1 MB"),
        ("SESSION_COOKIE_AGE", "two weeks"),
        ("SESSION_EXPIRE_AT_BROWSER_CLOSE", "yes"),
        ("DEFAULT_FROM_EMAIL", 3),
        ("AUTHENTICATION_BACKENDS", "path.to.Backend"),
        ("SECURE_CSP", []),
    ],
)
def test_value_that_django_cannot_use_is_refused(name, value):
    assert find_value_problem(name, value).startswith(f"{name!r} is {value!r}. Write ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIME_ZONE", "Europe/Zurich"),
        ("TIME_ZONE", "UTC"),
        ("LANGUAGE_CODE", "de-ch"),
        ("LANGUAGE_CODE", "zh-hans"),
        ("SITE_ID", 2),
        ("DATA_UPLOAD_MAX_MEMORY_SIZE", None),
        ("SESSION_COOKIE_AGE", 60),
        ("SESSION_EXPIRE_AT_BROWSER_CLOSE", True),
        ("DEFAULT_FROM_EMAIL", "shop@shop.example"),
        ("AUTHENTICATION_BACKENDS", ("path.to.Backend",)),
        ("SHOP_TITLE", object()),
    ],
)
def test_value_that_django_can_use_is_accepted(name, value):
    assert find_value_problem(name, value) == ""


def test_every_wrong_value_of_a_definition_is_told():
    settings = {"TIME_ZONE": "Mars/Phobos", "SITE_ID": "one"}

    with pytest.raises(InvalidMirror) as caught:
        Mirror.from_mapping("books", {"HOSTS": ["books.example"], "SETTINGS": settings})

    zone, site = caught.value.problems
    assert zone == (
        "MIRRORS['books']['SETTINGS']: 'TIME_ZONE' is 'Mars/Phobos'. Write the name of "
        "a time zone, such as 'Europe/Zurich'."
    )
    assert site == (
        "MIRRORS['books']['SETTINGS']: 'SITE_ID' is 'one'. Write a whole number."
    )
