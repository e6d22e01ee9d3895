"""Options: every default, every mistake, and what a test overrides."""

# ruff: noqa: E501 - rows of the tables, with whole sentences

from ipaddress import ip_network
from pathlib import Path

import pytest
from django.test import override_settings

from django_mirrors import mirrors
from django_mirrors.conf import build_conf, find_original_hosts, forget_conf, get_conf
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.options import OPTIONS


@pytest.mark.parametrize(
    ("attribute", "default"),
    [
        ("mirrors", {}),
        ("defaults", {}),
        ("original", {}),
        ("original_apps", frozenset()),
        ("unknown_host", "reject"),
        ("files", None),
        ("records", True),
        ("trusted_proxies", ()),
        ("hooks", {}),
        ("release", ""),
        ("poll_seconds", 1.0),
        ("max_open_connections", 8),
        ("max_server_connections", None),
        ("connect_timeout", 2),
        ("retry_after", 120),
        ("media_accel", ""),
        ("media_prefix", "/mirrors-media/"),
        ("scheme", "https"),
        ("port", None),
    ],
)
def test_every_option_has_a_default(settings, attribute, default):
    settings.MIRRORS_OPTIONS = {}

    assert getattr(get_conf(), attribute) == default


def test_paths_are_in_the_directory_of_the_project(settings):
    settings.MIRRORS_OPTIONS = {"FILES": "mirrors"}
    directory = Path(settings.BASE_DIR)

    conf = get_conf()

    assert conf.directory == directory
    assert conf.files == directory / "mirrors"
    assert conf.snapshot == directory / "mirrors-snapshot.sqlite3"
    assert conf.archives == f"file://{directory}/archives/"


def test_project_without_the_settings_has_the_defaults(settings):
    del settings.MIRRORS
    del settings.MIRRORS_OPTIONS

    conf, problems = build_conf()

    assert (conf.mirrors, conf.original, problems) == ({}, {}, ())


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("DEFAULTS", {"HOSTS": ["{name}.example"]}, {"HOSTS": ["{name}.example"]}),
        ("ORIGINAL", {"HOSTS": ["o.example"]}, {"HOSTS": ["o.example"]}),
        ("ORIGINAL_APPS", ["billing"], frozenset({"billing"})),
        ("UNKNOWN_HOST", "misdirected", "misdirected"),
        ("FILES", Path("/etc/mirrors"), Path("/etc/mirrors")),
        ("RECORDS", False, False),
        ("SNAPSHOT", None, None),
        ("ARCHIVES", "s3://bucket/", "s3://bucket/"),
        ("TRUSTED_PROXIES", ["10.0.0.0/8", "::1"], (ip_network("10.0.0.0/8"), ip_network("::1"))),
        ("HOOKS", {"HEALTH": "a.b"}, {"HEALTH": "a.b"}),
        ("RELEASE", "v1", "v1"),
        ("POLL_SECONDS", 5, 5.0),
        ("MAX_OPEN_CONNECTIONS", 2, 2),
        ("MAX_SERVER_CONNECTIONS", 50, 50),
        ("CONNECT_TIMEOUT", 5, 5),
        ("RETRY_AFTER", 5, 5),
        ("MEDIA_ACCEL", "X-Sendfile", "X-Sendfile"),
        ("MEDIA_PREFIX", "/m/", "/m/"),
        ("SCHEME", "http", "http"),
        ("PORT", 8000, 8000),
    ],
)  # fmt: skip
def test_option_replaces_its_default(settings, name, value, expected):
    settings.MIRRORS_OPTIONS = {name: value}

    assert getattr(get_conf(), OPTIONS[name][0]) == expected


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("DEFAULTS", [], "is not a dictionary. Write {'KEY': value}."),
        ("DEFAULTS", {"HOST": []}, " has the unknown key 'HOST'. Did you mean 'HOSTS'?"),
        ("ORIGINAL", {"DATABASE": "x://"}, " has 'DATABASE'. The original's is DATABASES['default']: set it there."),
        ("ORIGINAL", {"SHARES": {}}, " has 'SHARES'. Let mirrors share the services of the original instead."),
        ("ORIGINAL_APPS", "billing", "is not a list of names. Write ['app_label']."),
        ("UNKNOWN_HOST", "ignore", "is 'ignore'. Use one of: reject, misdirected."),
        ("FILES", 5, "is not a path. Write a string or None."),
        ("RECORDS", 1, "is neither True nor False. Write one of them."),
        ("SNAPSHOT", [], "is not a path. Write a string or None."),
        ("ARCHIVES", None, "is not a storage DSN. Write 'file:///path/'."),
        ("TRUSTED_PROXIES", "10.0.0.0/8", "is not a list. Write ['10.0.0.0/8']."),
        ("TRUSTED_PROXIES", ["10.0.0.1/8"], ": 10.0.0.1/8 has host bits set. Write a network, as '10.0.0.0/8'."),
        ("HOOKS", {"HEALT": "a.b"}, " has the unknown key 'HEALT'. Did you mean 'HEALTH'?"),
        ("HOOKS", {"HEALTH": "a"}, "['HEALTH'] is not a dotted path. Write 'project.hooks.function'."),
        ("RELEASE", 1, "is not a text. Write a string."),
        ("POLL_SECONDS", 0, "is 0. Write a number of seconds above 0."),
        ("POLL_SECONDS", float("nan"), "is nan. Write a number of seconds above 0."),
        ("POLL_SECONDS", True, "is True. Write a number of seconds above 0."),
        ("MAX_OPEN_CONNECTIONS", 0, "is 0. Write a whole number above 0."),
        ("MAX_SERVER_CONNECTIONS", -1, "is -1. Write a whole number above 0."),
        ("CONNECT_TIMEOUT", 1.5, "is 1.5. Write a whole number above 0."),
        ("RETRY_AFTER", "5", "is '5'. Write a whole number above 0."),
        ("MEDIA_ACCEL", "nginx", "is 'nginx'. Use one of: '', X-Accel-Redirect, X-Sendfile."),
        ("MEDIA_PREFIX", "m", "is 'm'. Begin and end it with a slash."),
        ("SCHEME", "ftp", "is 'ftp'. Use one of: http, https."),
        ("PORT", 65536, "is 65536. Write a port up to 65535."),
    ],
)  # fmt: skip
def test_wrong_option_is_told_with_its_remedy(settings, name, value, problem):
    settings.MIRRORS_OPTIONS = {name: value}
    space = "" if problem[0] in " [:" else " "

    with pytest.raises(InvalidMirror) as caught:
        get_conf()

    assert caught.value.problems == (f"MIRRORS_OPTIONS['{name}']{space}{problem}",)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("UNKNOWN_HOSTS", "Did you mean 'UNKNOWN_HOST'?"),
        ("poll_seconds", "Did you mean 'POLL_SECONDS'?"),
        ("QQQQ", f"Use one of: {', '.join(OPTIONS)}."),
    ],
)
def test_unknown_option_is_refused_with_a_suggestion(settings, name, hint):
    settings.MIRRORS_OPTIONS = {name: 1}

    with pytest.raises(InvalidMirror) as caught:
        get_conf()

    assert caught.value.problems == (
        f"MIRRORS_OPTIONS has the unknown key '{name}'. {hint}",
    )


@pytest.mark.parametrize("name", ["MIRRORS", "MIRRORS_OPTIONS"])
def test_setting_that_is_no_dictionary_is_refused(settings, name):
    setattr(settings, name, [])

    with pytest.raises(InvalidMirror) as caught:
        get_conf()

    assert str(caught.value) == f"{name} is not a dictionary. Write {name} = {{...}}."


def test_all_wrong_options_are_told_at_once(settings):
    settings.MIRRORS_OPTIONS = {"PORT": 0, "RECORDS": 1, "QQQQ": 1}

    _, problems = build_conf()

    assert len(problems) == 3


@pytest.mark.parametrize(("debug", "scheme"), [(True, "http"), (False, "https")])
def test_scheme_of_links_follows_debug(settings, debug, scheme):
    settings.DEBUG = debug

    assert get_conf().scheme == scheme


def test_override_settings_takes_effect_and_ends():
    before = get_conf().retry_after

    with override_settings(MIRRORS_OPTIONS={"RETRY_AFTER": 7}):
        inside = get_conf().retry_after

    assert (before, inside, get_conf().retry_after) == (120, 7, 120)


def test_overridden_mirrors_are_the_fleet_at_once():
    with override_settings(MIRRORS={"acme": {"HOSTS": ["acme.example"]}}):
        inside = list(mirrors)

    assert (inside, list(mirrors)) == (["acme"], [])


def test_environment_pins_the_process(monkeypatch):
    for name, value in {
        "DJANGO_MIRROR": "acme",
        "DATABASE_URL": "sqlite://:memory:",
        "DEFAULT_STORAGE_DSN": "file:///m/",
        "CACHE_URL": "locmem://",
        "SITE_ID": "",
    }.items():
        monkeypatch.setenv(name, value)
    forget_conf()

    conf = get_conf()
    monkeypatch.undo()
    forget_conf()

    assert conf.pinned == "acme"
    assert conf.pinned_services == {
        "DATABASE": "sqlite://:memory:",
        "STORAGE": "file:///m/",
        "CACHE": "locmem://",
    }


@pytest.mark.parametrize(
    ("allowed", "debug", "hosts"),
    [
        (["a.example", "a.example"], False, ("a.example",)),
        ([".a.example"], False, ("a.example",)),
        (["*"], False, ()),
        ([], True, ("localhost", "127.0.0.1", "[::1]")),
        ([], False, ()),
    ],
)
def test_original_without_hosts_has_those_allowed(settings, allowed, debug, hosts):
    settings.ALLOWED_HOSTS = allowed
    settings.DEBUG = debug

    assert find_original_hosts() == hosts


def test_repr_shows_no_definition(settings):
    settings.MIRRORS = {"books": {"DATABASE": "postgres://app:hunter2@db/books"}}
    settings.MIRRORS_OPTIONS = {
        "DEFAULTS": {"DATABASE": "postgres://app:hunter2@db/{name}"},
        "ORIGINAL": {"STORAGE": "s3://key:hunter2@bucket/"},
        "ARCHIVES": "s3://key:hunter2@archives/",
    }

    assert "hunter2" not in repr(get_conf())
