from pathlib import Path

import pytest

from django_mirrors.dsn import build_cache, build_database, build_mail, build_storage
from django_mirrors.exceptions import InvalidMirror

FILE_SYSTEM = "django_mirrors.storage.filesystem.MirrorFileSystemStorage"
REDIS = "django.core.cache.backends.redis.RedisCache"
# So much of a file that is read is kept in memory, and not the whole.
SPOOLED = {"max_memory_size": 8 * 1024 * 1024}


def build(dsn):
    return build_storage(dsn, place="STORAGE")


@pytest.mark.parametrize(
    ("dsn", "config"),
    [
        (
            "file:///srv/media/acme/",
            {"BACKEND": FILE_SYSTEM, "OPTIONS": {"location": "/srv/media/acme/"}},
        ),
        (
            "file:///srv/a%20b?base_url=/m/&file_permissions_mode=420",
            {
                "BACKEND": FILE_SYSTEM,
                "OPTIONS": {
                    "location": "/srv/a b",
                    "base_url": "/m/",
                    "file_permissions_mode": 420,
                },
            },
        ),
        (
            "memory://",
            {"BACKEND": "django.core.files.storage.InMemoryStorage", "OPTIONS": {}},
        ),
        (
            "s3://Bucket/acme",
            {
                "BACKEND": "storages.backends.s3.S3Storage",
                "OPTIONS": {"bucket_name": "Bucket", "location": "acme/", **SPOOLED},
            },
        ),
        (
            "s3://k%2Fey:s%40cret@bucket/?endpoint_url=http://h:1&querystring_auth=false",
            {
                "BACKEND": "storages.backends.s3.S3Storage",
                "OPTIONS": {
                    "bucket_name": "bucket",
                    "location": "",
                    "access_key": "k/ey",
                    "secret_key": "s@cret",
                    "endpoint_url": "http://h:1",
                    "querystring_auth": False,
                    **SPOOLED,
                },
            },
        ),
        (
            "gs://bucket/a/b/",
            {
                "BACKEND": "storages.backends.gcloud.GoogleCloudStorage",
                "OPTIONS": {"bucket_name": "bucket", "location": "a/b/", **SPOOLED},
            },
        ),
        (
            "azure://account:key@container/acme",
            {
                "BACKEND": "storages.backends.azure_storage.AzureStorage",
                "OPTIONS": {
                    "azure_container": "container",
                    "location": "acme/",
                    "account_name": "account",
                    "account_key": "key",
                },
            },
        ),
        (
            "sftp://me:pw@host:2222/srv/media",
            {
                "BACKEND": "storages.backends.sftpstorage.SFTPStorage",
                "OPTIONS": {
                    "host": "host",
                    "root_path": "/srv/media/",
                    "params": {"username": "me", "password": "pw", "port": 2222},
                },
            },
        ),
    ],
)
def test_the_dsn_of_a_storage_becomes_a_dictionary(dsn, config):
    assert build(dsn) == config


@pytest.mark.parametrize(
    "dsn",
    ["s3://b/acme", "s3://b/acme/", "s3://b/acme//", "s3://b/?location=acme"],
)
def test_a_prefix_always_ends_in_one_slash(dsn):
    assert build(dsn)["OPTIONS"]["location"] == "acme/"


def test_the_prefix_of_a_dictionary_ends_in_a_slash_too():
    config = build(
        {
            "BACKEND": "storages.backends.s3.S3Storage",
            "OPTIONS": {"bucket_name": "b", "location": "acme"},
        }
    )

    assert config["OPTIONS"]["location"] == "acme/"


def test_no_prefix_stays_no_prefix():
    assert build("s3://bucket")["OPTIONS"]["location"] == ""


@pytest.mark.parametrize("dsn", ["s3://b/acme/../acme2", "s3://b/%2e%2e/", "gs://b/.."])
def test_a_prefix_does_not_climb(dsn):
    with pytest.raises(InvalidMirror, match=r"STORAGE has '..' in its location"):
        build(dsn)


@pytest.mark.parametrize("module", ["", ".filesystem"])
def test_djangos_file_system_storage_is_replaced_by_the_one_that_cannot_be_left(module):
    backend = f"django.core.files.storage{module}.FileSystemStorage"

    config = build({"BACKEND": backend, "OPTIONS": {"location": "/srv/media"}})

    assert config == {"BACKEND": FILE_SYSTEM, "OPTIONS": {"location": "/srv/media"}}


def test_other_backends_are_taken_as_they_are():
    config = {"BACKEND": "my.Storage", "OPTIONS": {"a": 1}}

    assert build(config) == config
    assert build({"BACKEND": "my.Storage"}) == {"BACKEND": "my.Storage"}


@pytest.mark.parametrize(
    ("dsn", "message"),
    [
        (
            "ftp://host/",
            "STORAGE has the unknown scheme 'ftp'. Use one of: azure, file,",
        ),
        ("srv/media", "STORAGE is not a URL. Begin it with a scheme"),
        ("file://", "STORAGE is not an absolute path. Write 'file:///path/to/media/'."),
        ("file:///", "STORAGE is not an absolute path."),
        ("file://srv/media/", "STORAGE is not an absolute path."),
        ("s3://", "STORAGE does not begin with the name of a bucket."),
        ("s3:///acme/", "STORAGE does not begin with the name of a bucket."),
        ("s3://minio:9000/acme/", "as '?endpoint_url=https://host:port'."),
        ("s3://b:x/", "STORAGE is not a valid URL."),
        ("sftp:///srv", "STORAGE names no host."),
    ],
)
def test_a_wrong_dsn_of_a_storage_says_what_is_wrong(dsn, message):
    with pytest.raises(InvalidMirror) as caught:
        build(dsn)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("dsn", "config"),
    [
        (
            "redis://:p,w;@host:6379/1?socket_timeout=2",
            {
                "BACKEND": REDIS,
                "LOCATION": ["redis://:p,w;@host:6379/1?socket_timeout=2"],
            },
        ),
        ("rediss://host", {"BACKEND": REDIS, "LOCATION": ["rediss://host"]}),
        (
            "memcached://host:11211",
            {
                "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
                "LOCATION": "host:11211",
            },
        ),
        (
            "memcached:///run/memcached.sock",
            {
                "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
                "LOCATION": "unix:/run/memcached.sock",
            },
        ),
        (
            "locmem://Acme?TIMEOUT=60&MAX_ENTRIES=1000&KEY_PREFIX=shop",
            {
                "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
                "LOCATION": "Acme",
                "TIMEOUT": 60,
                "KEY_PREFIX": "shop",
                "OPTIONS": {"MAX_ENTRIES": 1000},
            },
        ),
        (
            "locmem://",
            {
                "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
                "LOCATION": "",
            },
        ),
        (
            "file:///var/cache/a%20b",
            {
                "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
                "LOCATION": "/var/cache/a b",
            },
        ),
        (
            "db://cache_table",
            {
                "BACKEND": "django.core.cache.backends.db.DatabaseCache",
                "LOCATION": "cache_table",
            },
        ),
        (
            "dummy://",
            {
                "BACKEND": "django.core.cache.backends.dummy.DummyCache",
                "LOCATION": "",
            },
        ),
    ],
)
def test_the_dsn_of_a_cache_becomes_a_dictionary(dsn, config):
    assert build_cache(dsn, place="CACHE") == config


@pytest.mark.parametrize(
    ("dsn", "message"),
    [
        ("http://host", "CACHE has the unknown scheme 'http'."),
        ("file://", "CACHE is not an absolute path. Write 'file:///path/to/cache/'."),
        ("file://var/cache", "CACHE is not an absolute path."),
        ("db://", "CACHE names no server or table."),
        ("memcached://", "CACHE names no server or table."),
    ],
)
def test_a_wrong_dsn_of_a_cache_says_what_is_wrong(dsn, message):
    with pytest.raises(InvalidMirror) as caught:
        build_cache(dsn, place="CACHE")

    assert message in str(caught.value)


def test_how_much_of_a_file_is_kept_in_memory_can_be_chosen():
    options = build("s3://bucket/?max_memory_size=1024")["OPTIONS"]

    assert options["max_memory_size"] == 1024


def test_variables_are_filled_in_everywhere(monkeypatch):
    monkeypatch.setenv("BUCKET_SECRET", "s3cret")
    monkeypatch.setenv("BUCKET", "media")

    assert build("s3://key:${BUCKET_SECRET}@${BUCKET}/a")["OPTIONS"] == {
        "bucket_name": "media",
        "location": "a/",
        "access_key": "key",
        "secret_key": "s3cret",
        **SPOOLED,
    }
    nested = {"BACKEND": "my.Storage", "OPTIONS": {"deep": {"key": "${BUCKET_SECRET}"}}}
    assert build(nested)["OPTIONS"] == {"deep": {"key": "s3cret"}}


def test_a_variable_that_is_not_set_is_named():
    with pytest.raises(InvalidMirror) as caught:
        build("s3://key:${NO_SUCH_SECRET}@bucket/")

    assert str(caught.value) == (
        "STORAGE refers to ${NO_SUCH_SECRET}, which is not set. "
        "Set the variable in the environment of this process."
    )


def test_a_mounted_secret_holds_the_whole_dsn(tmp_path):
    secret = tmp_path / "dsn"
    secret.write_text("redis://:pw@host/1\n")

    assert build_cache(f"file:{secret}", place="CACHE") == {
        "BACKEND": REDIS,
        "LOCATION": ["redis://:pw@host/1"],
    }


def test_a_secret_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InvalidMirror) as caught:
        build(f"file:{tmp_path}/missing")

    assert str(caught.value) == (
        f"STORAGE refers to the file '{tmp_path}/missing', which cannot be read "
        "(FileNotFoundError). Mount the secret there or correct the path."
    )


def test_messages_do_not_hold_the_password():
    with pytest.raises(InvalidMirror) as caught:
        build("s3://key:s3cret@[bucket/")

    assert "s3cret" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_relative_sqlite_path_starts_at_the_directory():
    config = build_database(
        "sqlite:///a/b.sqlite3", directory=Path("/srv"), place="DATABASE"
    )

    assert config["NAME"] == "/srv/a/b.sqlite3"


@pytest.mark.parametrize("name", [":memory:", "file:shared?mode=memory"])
def test_a_sqlite_database_in_memory_has_no_directory(name):
    config = {"ENGINE": "django.db.backends.sqlite3", "NAME": name}

    assert build_database(config, directory=Path("/srv"), place="DATABASE") == config


def test_a_database_of_another_kind_has_no_directory():
    config = {"ENGINE": "django.db.backends.postgresql", "NAME": "a"}

    assert build_database(config, directory=Path("/srv"), place="DATABASE") == config


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("oops://host/a", "DATABASE has the unknown scheme 'oops'. Use one of:"),
        ("postgres://me:s3cret@host:port/a", "DATABASE is not a valid URL."),
        ("postgres", "DATABASE is not a URL."),
    ],
)
def test_a_wrong_url_of_a_database_says_what_is_wrong(url, message):
    with pytest.raises(InvalidMirror) as caught:
        build_database(url, directory=Path("/srv"), place="DATABASE")

    assert message in str(caught.value)
    assert "s3cret" not in str(caught.value)


ROOT = Path("/srv")


@pytest.mark.parametrize(
    ("value", "backend", "options"),
    [
        ("console://", "console", {}),
        ("memory://", "locmem", {}),
        ("dummy://", "dummy", {}),
        ("file:///var/my%20mail/", "filebased", {"file_path": "/var/my mail"}),
    ],
)
def test_mail_that_goes_to_no_server_has_a_scheme(value, backend, options):
    assert build_mail(value, directory=ROOT, place="MAIL") == {
        "BACKEND": f"django.core.mail.backends.{backend}.EmailBackend",
        "OPTIONS": options,
    }


@pytest.mark.parametrize(
    ("config", "options"),
    [
        ({"OPTIONS": {"region": "eu"}}, {"region": "eu"}),
        ({"HOST": "h", "USE_TLS": True}, {"host": "h", "use_tls": True}),
        ({"HOST": "h", "OPTIONS": {"port": 25}}, {"host": "h", "port": 25}),
        ({"FILE_PATH": "mail"}, {"file_path": "/srv/mail"}),
        ({"PASSWORD": "${WORD}"}, {"password": "secret"}),
    ],
)
def test_mail_may_be_a_dictionary(config, options, monkeypatch):
    monkeypatch.setenv("WORD", "secret")

    built = build_mail({"BACKEND": "a.B", **config}, directory=ROOT, place="MAIL")

    assert built == {"BACKEND": "a.B", "OPTIONS": options}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("pigeon://coop", "MAIL has the unknown scheme 'pigeon'. Use one of: console,"),
        ("smtp:///", "MAIL names no server. Write 'smtp://user:password@mail.example"),
        ("smtp://h/?tsl=1", "MAIL has the unknown option 'tsl'. Use one of: ssl_certf"),
        ("smtps://h/?tls=1", "MAIL has TLS in two ways. Use 'smtps://' or 'USE_SSL'"),
        ("file://mail/", "MAIL is not an absolute path. Write 'file:///path/to/mail/'"),
        ("file:///", "MAIL is not an absolute path."),
    ],
)
def test_mail_that_cannot_be_read_says_what_is_wrong(value, problem):
    with pytest.raises(InvalidMirror) as caught:
        build_mail(value, directory=ROOT, place="MAIL")

    assert str(caught.value).startswith(problem)


@pytest.mark.parametrize(
    ("dsn", "port"),
    [
        ("smtp://h/", 25),
        ("smtp://h/?tls=1", 587),
        ("smtps://h/", 465),
        ("smtps://h:2525/", 2525),
    ],
)
def test_port_of_mail_goes_by_how_it_is_encrypted(dsn, port):
    assert build_mail(dsn, directory=ROOT, place="MAIL")["OPTIONS"]["port"] == port


def test_mail_is_read_from_a_dsn():
    config = build_mail(
        "smtps://me:p%40w@host/?timeout=5", directory=ROOT, place="MAIL"
    )

    assert config == {
        "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "OPTIONS": {
            "host": "host",
            "port": 465,
            "username": "me",
            "password": "p@w",
            "use_ssl": True,
            "use_tls": False,
            "timeout": 5,
        },
    }
