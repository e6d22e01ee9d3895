from collections.abc import Iterator

import boto3
import pytest
from django.core.exceptions import SuspiciousOperation
from django.core.files.base import ContentFile
from django.test import RequestFactory
from moto.server import ThreadedMotoServer

from django_mirrors import use_mirror
from django_mirrors.storage import MirrorStorage
from django_mirrors.storage.backends import forget_storages, get_backend
from django_mirrors.storage.media import serve_media

pytestmark = pytest.mark.s3

NAME = "same/name.txt"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint, settings):
    """Serve mirrors with prefixes that begin alike, in one bucket of a real server.

    `acme2` says the same as `acme` in a dictionary, without the slash. `acme-fr`
    shares the files of `acme`.
    """
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    bucket = boto3.resource(
        "s3", endpoint_url=endpoint, region_name="us-east-1", **keys
    ).Bucket("media")
    bucket.create()
    query = f"endpoint_url={endpoint}&region_name=us-east-1"
    settings.MIRRORS_OPTIONS = {"RECORDS": False, "SNAPSHOT": None}
    settings.MIRRORS = {
        "acme": {
            "HOSTS": ["acme.example"],
            "STORAGE": f"s3://key:secret@media/acme?{query}",
        },
        "acme2": {
            "HOSTS": ["acme2.example"],
            "STORAGE": {
                "BACKEND": "storages.backends.s3.S3Storage",
                "OPTIONS": {
                    "bucket_name": "media",
                    "location": "acme2",
                    "endpoint_url": endpoint,
                    "region_name": "us-east-1",
                    "access_key": "key",
                    "secret_key": "secret",
                },
            },
        },
        "acme-fr": {"HOSTS": ["fr.acme.example"], "SHARES": {"STORAGE": "acme"}},
    }
    yield bucket
    bucket.objects.all().delete()
    bucket.delete()
    forget_storages()


@pytest.fixture
def storage() -> MirrorStorage:
    return MirrorStorage()


def read(storage: MirrorStorage, name: str = NAME) -> bytes:
    with storage.open(name) as file:
        return file.read()


def list_keys(bucket) -> list[str]:
    return sorted(item.key for item in bucket.objects.all())


def test_each_mirror_has_objects_of_its_own(bucket, storage):
    with use_mirror("acme"):
        storage.save(NAME, ContentFile(b"acme"))
    with use_mirror("acme2"):
        assert not storage.exists(NAME)
        storage.save(NAME, ContentFile(b"acme2!"))

    assert list_keys(bucket) == [f"acme/{NAME}", f"acme2/{NAME}"]
    with use_mirror("acme"):
        assert read(storage) == b"acme"
        assert storage.size(NAME) == 4
        storage.delete(NAME)
    with use_mirror("acme2"):
        assert read(storage) == b"acme2!"
    assert list_keys(bucket) == [f"acme2/{NAME}"]


@pytest.mark.parametrize("path", ["", "."])
def test_the_root_lists_what_is_below_the_prefix_only(bucket, storage, path):
    bucket.put_object(Key="acme.txt", Body=b"x")
    bucket.put_object(Key="acme2.txt", Body=b"x")
    bucket.put_object(Key="acme2/theirs.txt", Body=b"x")
    bucket.put_object(Key="acme/ours.txt", Body=b"x")
    bucket.put_object(Key="acme/sub/ours.txt", Body=b"x")

    with use_mirror("acme"):
        assert storage.listdir(path) == (["sub"], ["ours.txt"])
    with use_mirror("acme2"):
        assert storage.listdir(path) == ([], ["theirs.txt"])


@pytest.mark.parametrize(
    "name",
    ["../acme2/theirs.txt", "..", "/acme2/theirs.txt", "a/../../acme2/x", "", "."],
)
def test_no_name_leads_out_of_the_prefix(bucket, storage, name):
    bucket.put_object(Key="acme2/theirs.txt", Body=b"x")

    with use_mirror("acme"):
        with pytest.raises(SuspiciousOperation):
            storage.open(name)
        with pytest.raises(SuspiciousOperation):
            storage.delete(name)
        with pytest.raises(SuspiciousOperation):
            storage.save(name, ContentFile(b"y"))

    assert list_keys(bucket) == ["acme2/theirs.txt"]


def test_the_location_ends_in_a_slash_however_it_is_written(bucket):
    with use_mirror("acme"):
        assert get_backend("default").location == "acme/"
    with use_mirror("acme2"):
        assert get_backend("default").location == "acme2/"


def test_a_mirror_that_shares_has_the_objects_of_the_owner(bucket, storage):
    with use_mirror("acme"):
        storage.save(NAME, ContentFile(b"acme"))

    with use_mirror("acme-fr"):
        assert read(storage) == b"acme"


def test_attributes_of_s3_are_those_of_the_current_mirror(bucket, storage):
    with use_mirror("acme"):
        assert storage.bucket.name == "media"
        assert storage.location == "acme/"
    with use_mirror("acme2"):
        assert storage.location == "acme2/"


def test_urls_take_the_parameters_of_s3(bucket, storage, endpoint):
    with use_mirror("acme"):
        url = storage.url(NAME, parameters={"ResponseContentType": "a/b"}, expire=60)

    assert url.startswith(f"{endpoint}/media/acme/{NAME}?")
    assert "response-content-type=a%2Fb" in url


def test_a_missing_object_is_a_missing_file(bucket, storage):
    with use_mirror("acme"), pytest.raises(FileNotFoundError):
        storage.open("missing.txt")


def test_local_paths_do_not_exist_on_s3(bucket, storage):
    with use_mirror("acme"), pytest.raises(NotImplementedError):
        storage.path(NAME)


def serve(name: str, host: str = "testserver"):
    with use_mirror("acme"):
        return serve_media(RequestFactory(headers={"host": host}).get("/"), name)


def test_the_view_redirects_to_the_bucket(bucket, settings, endpoint):
    settings.ALLOWED_HOSTS = ["testserver"]

    response = serve(NAME)

    assert response.status_code == 302
    assert response.headers["Location"].startswith(f"{endpoint}/media/acme/{NAME}?")


def test_the_view_does_not_use_the_web_server_for_what_is_not_local(bucket, settings):
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.MIRRORS_OPTIONS = {
        **settings.MIRRORS_OPTIONS,
        "MEDIA_ACCEL": "X-Accel-Redirect",
    }

    assert serve(NAME).status_code == 302


def test_the_view_streams_where_a_redirect_would_lead_to_itself(
    bucket, settings, endpoint, storage
):
    host = endpoint.removeprefix("http://")
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    with use_mirror("acme"):
        storage.save(NAME, ContentFile(b"0123456789"))

    response = serve(NAME, host)

    assert response.status_code == 200
    assert response.getvalue() == b"0123456789"
    response.close()
    assert response.headers["Content-Length"] == "10"
