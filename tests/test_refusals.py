"""Which of Django's settings can vary by mirror, and what is said of the others."""

import pytest
from django.conf import global_settings

from django_mirrors import _compat_settings
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.mirror import Mirror
from django_mirrors.refusals import REFUSALS, explain, is_refused

DJANGOS = sorted(
    {name for name in dir(global_settings) if name.isupper()}
    | _compat_settings.MAIL_SETTINGS
)

# What a mirror may say of settings that no default is known of, in Django 5.2 at least.
ABSENT = {"SITE_ID": 1, "SECURE_CSP": {}, "SECURE_CSP_REPORT_ONLY": {}}


def declare(name, value="x"):
    return Mirror.from_mapping(
        "books", {"HOSTS": ["books.example"], "SETTINGS": {name: value}}
    )


@pytest.mark.parametrize("name", DJANGOS)
def test_each_of_djangos_settings_varies_or_is_refused_for_a_reason(name):
    assert (name in _compat_settings.VARYING_SETTINGS) != is_refused(name)


@pytest.mark.parametrize("name", [n for item in REFUSALS for n in item.names])
def test_setting_that_is_refused_is_not_accepted_in_a_definition(name):
    with pytest.raises(InvalidMirror) as caught:
        declare(name)

    assert caught.value.problems == (f"MIRRORS['books']['SETTINGS']: {explain(name)}",)


@pytest.mark.parametrize("name", sorted(_compat_settings.VARYING_SETTINGS))
def test_setting_that_varies_is_accepted(name):
    value = getattr(global_settings, name, ABSENT.get(name))

    assert [*declare(name, value).settings] == [name]


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("DATABASES", "Write 'DATABASE'."),
        ("EMAIL_HOST", "Write 'MAIL'."),
        ("MAILERS", "Write 'MAIL'."),
        ("TEMPLATES", "Write 'THEME'."),
        ("STATIC_URL", "Write 'THEME'."),
        ("ROOT_URLCONF", "Write 'URLCONF'."),
        ("ALLOWED_HOSTS", "List the hosts in 'HOSTS'."),
        ("SESSION_COOKIE_DOMAIN", "Set it for all: each host has cookies of its own."),
    ],
)
def test_refusal_says_what_to_write_instead(name, remedy):
    assert explain(name).startswith(f"the setting '{name}' cannot vary by mirror, ")
    assert explain(name).endswith(f". {remedy}")


def test_setting_that_django_has_added_since_is_taken_to_be_read_once(monkeypatch):
    monkeypatch.setattr(global_settings, "BRAND_NEW", 1, raising=False)

    with pytest.raises(InvalidMirror, match="Django reads it once for the whole proc"):
        declare("BRAND_NEW")


def test_no_setting_is_refused_twice():
    names = [name for refusal in REFUSALS for name in refusal.names]

    assert len(names) == len(set(names))
    assert all(list(item.names) == sorted(item.names) for item in REFUSALS)
