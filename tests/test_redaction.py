"""What may be shown of a definition or a text: no password, token or key."""

import pytest

from django_mirrors.redaction import HIDDEN, redact, redact_text


@pytest.mark.parametrize(
    ("shown", "value"),
    [
        (f"s3://{HIDDEN}:{HIDDEN}@bucket/a/", "s3://key:s3cret@bucket/a/"),
        (f"redis://:{HIDDEN}@host:1/0", "redis://:s3cret@host:1/0"),
        (f"sftp://{HIDDEN}:{HIDDEN}@host/", "sftp://me:s3cret@host/"),
        (f"s3://bucket/?secret_key={HIDDEN}&a=b", "s3://bucket/?secret_key=s3cret&a=b"),
        ("file:///srv/media/", "file:///srv/media/"),
        (f"s3://{HIDDEN}@[bucket/", "s3://key:s3cret@[bucket/"),
        ({"OPTIONS": {"secret_key": HIDDEN}}, {"OPTIONS": {"secret_key": "s3cret"}}),
        ([f"redis://:{HIDDEN}@host"], ["redis://:s3cret@host"]),
        ({"location": "acme/", "n": 1}, {"location": "acme/", "n": 1}),
        # What should have been percent-encoded, or was not finished.
        (f"postgres://{HIDDEN}@db/books", "postgres://app:s3c/ret@db/books"),
        (f"postgres://{HIDDEN}@db/books", "postgres://app:s3c?ret@db/books"),
        (f"postgres://{HIDDEN}@db/books", "postgres://app:s3c#ret@db/books"),
        (f"{HIDDEN}@db/books", "app:s3cret@db/books"),
    ],
)
def test_secrets_are_hidden_when_a_definition_is_shown(shown, value):
    assert redact(value) == shown


@pytest.mark.parametrize(
    "name",
    [
        "PASSWORD", "passwd", "passphrase", "client_secret", "refresh_token",
        "access_key", "SHOP_API", "URL_SIGNATURE", "credentials",
    ],
)  # fmt: skip
def test_value_with_the_name_of_a_secret_is_hidden(name):
    assert redact({"OPTIONS": {name: "s3cret"}}) == {"OPTIONS": {name: HIDDEN}}
    assert redact(f"https://host/?{name}=s3cret") == f"https://host/?{name}={HIDDEN}"


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (f"connect(password={HIDDEN}, port=1)", "connect(password='s3cret', port=1)"),
        (f"dbname=a password={HIDDEN} port=1", "dbname=a password=s3cret port=1"),
        (f"{{'API_TOKEN': {HIDDEN}}}", "{'API_TOKEN': 's3cret'}"),
        (f"{{'secret': {HIDDEN}, 'a': 1}}", "{'secret': b's3c\\'ret', 'a': 1}"),
        (f"access_key={HIDDEN} account_key: {HIDDEN}", "access_key=a account_key: b"),
        (f"<Cache 'redis://{HIDDEN}@host'>", "<Cache 'redis://:s3cret@host'>"),
        (f"netloc='{HIDDEN}@db'", "netloc='app:s3cret@db'"),
        ("mail to ann@example.com at 10:30", "mail to ann@example.com at 10:30"),
        ("{'title': 'Emma', 'key': 1}", "{'title': 'Emma', 'key': 1}"),
    ],
)
def test_text_is_shown_without_what_looks_like_a_secret(shown, text):
    assert redact_text(text) == shown


def test_path_of_a_file_is_shown_whole():
    assert redact("sqlite:////srv/a.sqlite3") == "sqlite:////srv/a.sqlite3"
    assert redact("file:///srv/media/") == "file:///srv/media/"
