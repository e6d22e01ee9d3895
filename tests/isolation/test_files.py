"""Files under fire: no name, link or URL leads from one mirror to another."""

import logging
import os
import random
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import pytest
from django.core.exceptions import SuspiciousOperation
from django.core.files.base import ContentFile
from django.core.signals import request_finished
from django.db import close_old_connections
from django.test import Client

from django_mirrors import use_mirror
from django_mirrors.exceptions import NoCurrentMirror, WrongMirror
from django_mirrors.storage import MirrorStorage, signatures
from django_mirrors.storage.backends import forget_storages
from django_mirrors.storage.media import sign_media_url
from tests.bookshop.models import Book
from tests.isolation.browser import Goal, find_goal
from tests.isolation.file_texts import generate_name
from tests.isolation.sizes import get_seed, scaled

SECRET = b"only for the neighbour"
OWN = b"own"
SAVED = b"saved"
NEIGHBOURS = ("acme2", "acme-", "a-cme")
OPTIONS = {
    "ORIGINAL": {"HOSTS": ["original.example"]},
    "RECORDS": False,
    "SNAPSHOT": None,
}
# What may go wrong with a name that nothing may be done with.
REFUSALS = (SuspiciousOperation, OSError, ValueError)
# Between two looks at what lies outside.
BATCH = 250


@pytest.fixture
def jail(settings, tmp_path) -> Iterator[Path]:
    """Return a directory with the roots of four mirrors, and canaries around them."""
    directory = tmp_path / "jail/media"
    directory.mkdir(parents=True)
    settings.MEDIA_ROOT = directory / "original"
    settings.MIRRORS_OPTIONS = OPTIONS
    settings.MIRRORS = {
        name: {
            "HOSTS": [f"{name.strip('-')}{number}.example"],
            "STORAGES": {
                "default": f"file://{directory}/{name}/",
                "private": f"file://{directory}/{name}.private/?base_url=/private/",
            },
            "STATE": "active",
        }
        for number, name in enumerate(("acme", *NEIGHBOURS))
    }
    for name in (*NEIGHBOURS, "original", "acme.private", "acmex", "acme2/sub", ".."):
        (directory / name).mkdir(exist_ok=True)
        (directory / name / "secret.txt").write_bytes(SECRET)
        (directory / name / "only-outside").write_bytes(SECRET)
    (directory / "acme.txt").write_bytes(SECRET)
    (directory / "secret.txt").write_bytes(SECRET)
    (directory / "only-outside").write_bytes(SECRET)
    (directory / "acme").mkdir()
    yield directory
    forget_storages()


@pytest.fixture
def storage(jail) -> Iterator[MirrorStorage]:
    """The storage of the project, while `acme` is current."""
    fill(jail)
    with use_mirror("acme"):
        yield MirrorStorage()


def fill(jail: Path) -> None:
    """Leave in the root of `acme` a file, directories, and links of all kinds."""
    root = jail / "acme"
    for path in root.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    (root / "sub/deep").mkdir(parents=True)
    (root / "own.txt").write_bytes(OWN)
    (root / "sub/own.txt").write_bytes(OWN)
    for name, target in {
        "out": "..",
        "next": "../acme2",
        "file": "../secret.txt",
        "gone": "../made-by-nobody",
        "abs": str(jail / "acme2"),
        "hop": "next",
        "loop": "loop",
        "inner": "sub",
        "sub/up": "../..",
    }.items():
        (root / name).symlink_to(target)


def take_stock(directory: Path, *, without: str = "acme") -> dict[str, object]:
    """Return all that is outside a root: names, inodes, modes, times and checksums."""
    found: dict[str, object] = {}
    top = directory.parents[0]
    for place, directories, files in os.walk(top):
        if Path(place) == directory:
            directories.remove(without)
        for name in (".", *files):
            path = Path(place, name)
            info = path.lstat()
            content = path.read_bytes() if path.is_file() else b""
            found[str(path)] = (
                (info.st_ino, info.st_mode, info.st_nlink, info.st_size),
                # Time counts for files: to list a directory may change it.
                (info.st_mtime_ns, info.st_ctime_ns),
                sha256(content).hexdigest(),
            )
    return found


def attempt(operation: Callable[..., object], *args: object) -> object:
    try:
        return operation(*args)
    except REFUSALS:
        return None


def read(storage: MirrorStorage, name: str) -> bytes:
    with storage.open(name) as file:
        return file.read()


def is_inside(root: Path, name: str) -> bool:
    """Whether the directory that `name` is in lies below the root, links resolved."""
    parent = os.path.realpath(f"{root}/{os.path.dirname(name)}")  # noqa: PTH120
    return f"{parent}/".startswith(f"{os.path.realpath(root)}/")


def is_url_inside(url: str) -> bool:
    """Whether a browser asks this site for something below /media/."""
    base = Goal("https", "page.example", 443)
    path = unquote(url.partition("?")[0].partition("#")[0]).replace("\\", "/")
    return (
        find_goal(url, base=base) == base
        and url.startswith("/media/")
        and os.path.normpath(path).startswith("/media/")
    )


def try_name(storage: MirrorStorage, root: Path, name: str) -> list[str]:
    """Do everything with a name; return what should not have been possible."""
    content = attempt(read, storage, name)
    listed = attempt(storage.listdir, name)
    taken = attempt(storage.exists, name)
    url = attempt(storage.url, name)
    saved = attempt(storage.save, name, ContentFile(SAVED))
    attempt(storage.delete, saved or name)
    attempt(storage.delete, name)
    escapes = {
        "open": content not in {None, OWN, SAVED},
        "listdir": listed is not None and "only-outside" in listed[1],
        "exists": bool(taken) and not is_inside(root, name),
        "url": url is not None and not is_url_inside(url),
        "save": saved is not None and not is_inside(root, saved),
    }
    return [operation for operation, is_escape in escapes.items() if is_escape]


def test_no_name_of_a_file_leads_out_of_its_mirror(jail, storage, report_figure):
    count, seed = scaled(200_000), get_seed(28)
    chance, root = random.Random(seed), jail / "acme"
    places = [f"{jail}/acme2/", f"{jail}/", f"{root}/../acme2/", f"{root}2/", "/etc/"]
    escapes: list[tuple[str, str]] = []
    done: Counter[bool] = Counter()
    inode, before = root.stat().st_ino, take_stock(jail)

    for begin in range(0, count, BATCH):
        names = [
            generate_name(chance, places) for _ in range(min(BATCH, count - begin))
        ]
        for name in names:
            escapes += [(found, name) for found in try_name(storage, root, name)]
            done[attempt(storage.url, name) is not None] += 1
        if take_stock(jail) != before:
            escapes.append(("save or delete", f"one of {names!r}"))
            break
        fill(jail)

    report_figure(
        "file names",
        f"{count:,} x 6 operations (allowed {done[True]:,}); escapes {len(escapes)}",
    )
    assert escapes[:10] == [], f"seed {seed}"
    assert root.stat().st_ino == inode
    assert done[True] > count / 20


@pytest.mark.parametrize(
    "name", ["out/secret.txt", "next/secret.txt", "file", "abs/secret.txt", "hop/sub"]
)
@pytest.mark.parametrize("operation", ["open", "size", "path", "listdir", "url"])
def test_no_link_shows_what_lies_outside(storage, operation, name):
    is_url = operation == "url"  # it does not look at files

    result = attempt(getattr(storage, operation), name)

    assert (result is None) is not is_url


def test_a_link_to_a_neighbour_is_deleted_and_not_what_it_leads_to(jail, storage):
    before = take_stock(jail)

    for name in ("out", "next", "file", "gone", "abs", "hop", "loop"):
        storage.delete(name)

    assert sorted(path.name for path in (jail / "acme").iterdir()) == [
        "inner", "own.txt", "sub",
    ]  # fmt: skip
    assert take_stock(jail) == before


def test_a_save_over_a_link_makes_another_file(jail, storage):
    before = take_stock(jail)

    names = [
        storage.save(name, ContentFile(SAVED))
        for name in ("file", "gone", "next", "out")
    ]

    assert not {"file", "gone", "next", "out"} & set(names)
    assert all((jail / "acme" / name).read_bytes() == SAVED for name in names)
    assert take_stock(jail) == before


def test_a_hard_link_is_a_file_of_its_mirror(jail, storage):
    # Who can make one may read and write the file already: names are not involved.
    (jail / "acme/hard.txt").hardlink_to(jail / "acme/sub/own.txt")

    saved = storage.save("hard.txt", ContentFile(SAVED))
    storage.delete("hard.txt")

    assert saved != "hard.txt"
    assert (jail / "acme/sub/own.txt").read_bytes() == OWN


def test_purging_one_mirror_leaves_those_whose_names_begin_alike(jail, storage):
    before = take_stock(jail)

    purge(storage, "")

    assert list((jail / "acme").iterdir()) == []
    assert take_stock(jail) == before


def purge(storage: MirrorStorage, path: str) -> None:
    """Delete all that is listed, as a command of a project might."""
    directories, files = storage.listdir(path)
    for name in files:
        storage.delete(f"{path}/{name}".lstrip("/"))
    for name in directories:
        inner = f"{path}/{name}".lstrip("/")
        if not os.path.islink(storage.path(inner)):  # noqa: PTH114
            purge(storage, inner)
        storage.delete(inner)


def swap(root: Path, stop: threading.Event) -> None:
    """Make `door` a directory and a link to the neighbour in turn, until stopped."""
    while not stop.is_set():
        for other in (root / "link", root / "real"):
            shutil.rmtree(root / "door", ignore_errors=True)
            with suppress(OSError):
                other.rename(root / "door")
                (root / "door").rename(other)


def test_no_race_with_a_link_leads_out(jail, storage, report_figure):
    count, root = scaled(10_000), jail / "acme"
    (root / "real").mkdir()
    (root / "real/secret.txt").write_bytes(OWN)
    (root / "link").symlink_to("../acme2")
    before, stop = take_stock(jail), threading.Event()
    swapper = threading.Thread(target=swap, args=(root, stop))
    swapper.start()

    contents: Counter[object] = Counter()
    for number in range(count):
        contents[attempt(read, storage, "door/secret.txt")] += 1
        attempt(storage.save, f"door/{number}.txt", ContentFile(SAVED))
        attempt(storage.delete, "door/secret.txt" if number % 8 else "door/own.txt")
        if number % 8:
            with suppress(OSError):
                (root / "real/secret.txt").write_bytes(OWN)
    stop.set()
    swapper.join()

    report_figure(
        "races with a link",
        f"{count:,} x 3 operations (read inside {contents[OWN]:,}); "
        f"secrets read {contents[SECRET]}",
    )
    assert set(contents) <= {None, OWN}
    assert contents[OWN] > 0
    assert take_stock(jail) == before


# Buckets

OBJECTS = {
    f"{prefix}{name}": SECRET
    for prefix in ("acme2/", "acme-/", "acme", "acme.", "acm", "", "acme2/acme/")
    for name in ("own.txt", "theirs.txt", "2")
}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    # Else every request is kept, for the case that a test fails.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint, settings):
    """A bucket where `acme` has two objects among those of mirrors named alike."""
    import boto3

    bucket = boto3.resource(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    ).Bucket("alike")
    bucket.create()
    query = f"endpoint_url={endpoint}&region_name=us-east-1"
    settings.MIRRORS_OPTIONS = OPTIONS
    settings.MIRRORS = {
        name: {
            "HOSTS": [f"{name.strip('-')}.{len(name)}.example"],
            "STORAGE": f"s3://key:secret@alike/{name}?{query}",
        }
        for name in ("acme", "acme2", "acme-")
    }
    for key in ("acme/own.txt", "acme/sub/own.txt"):
        bucket.put_object(Key=key, Body=OWN)
    for key, content in OBJECTS.items():
        bucket.put_object(Key=key, Body=content)
    yield bucket
    bucket.objects.all().delete()
    bucket.delete()
    forget_storages()


def list_others(bucket) -> dict[str, str]:
    return {
        item.key: item.e_tag
        for item in bucket.objects.all()
        if not item.key.startswith("acme/")
    }


@pytest.mark.s3
def test_purging_one_prefix_leaves_those_that_begin_alike(bucket):
    before = list_others(bucket)

    with use_mirror("acme"):
        listed = [MirrorStorage().listdir(path) for path in ("", "sub")]
        for name in ("own.txt", "sub/own.txt", "sub", "2", "own", "acme"):
            MirrorStorage().delete(name)

    assert listed == [(["sub"], ["own.txt"]), ([], ["own.txt"])]
    assert [item.key for item in bucket.objects.filter(Prefix="acme/")] == []
    assert list_others(bucket) == before


@pytest.mark.s3
def test_no_name_of_an_object_leads_out_of_its_prefix(bucket, report_figure):
    count, seed = scaled(2_000), get_seed(30)
    chance, storage, before = random.Random(seed), MirrorStorage(), list_others(bucket)
    places = ["acme2/", "/acme2/", "../acme2/", "acme/../acme2/", "2/", "../"]
    names = [generate_name(chance, places) for _ in range(count)]

    with use_mirror("acme"):
        read_contents = {attempt(read, storage, name) for name in names}
        for name in names:
            saved = attempt(storage.save, name, ContentFile(SAVED))
            attempt(storage.delete, saved or name)
            attempt(storage.delete, name)

    report_figure(
        "names of objects",
        f"{count:,} x 3 operations; objects of others read "
        f"{len(read_contents - {None, OWN, SAVED})}, changed "
        f"{len(before.items() ^ list_others(bucket).items())}",
    )
    assert read_contents <= {None, OWN, SAVED}, f"seed {seed}"
    assert list_others(bucket) == before, f"seed {seed}"


# The view


@pytest.fixture
def site(settings, jail) -> Iterator[Client]:
    """Serve files of `acme` and `acme2`: some under equal names, some not."""
    settings.ROOT_URLCONF = "tests.storage.urls"
    settings.MIDDLEWARE = ["django_mirrors.middleware.MirrorMiddleware"]
    request_finished.disconnect(close_old_connections)
    for name in ("acme", "acme2"):
        with use_mirror(name):
            for alias in ("default", "private"):
                storage = MirrorStorage(alias)
                storage.save("same.txt", ContentFile(f"of {name}".encode()))
                storage.save(f"{name}.html", ContentFile(f"of {name}".encode()))
    yield Client()
    request_finished.connect(close_old_connections)


class Answer(NamedTuple):
    """What came, read to its end."""

    status: int
    content: bytes
    headers: Mapping[str, str]


def get(site: Client, name: str, url: str) -> Answer:
    number = ("acme", *NEIGHBOURS).index(name) if name in NEIGHBOURS else 0
    known = {"original": "original.example", "nobody": "nobody.example"}
    host = known.get(name, f"{name.strip('-')}{number}.example")
    response = site.get(url, headers={"host": host})
    content = response.getvalue() if response.streaming else response.content
    response.close()
    return Answer(response.status_code, content, response.headers)


@pytest.mark.parametrize("other", ["acme2", "acme-", "a-cme", "original", "nobody"])
def test_a_file_of_one_mirror_is_nowhere_else(site, other):
    ours = get(site, "acme", "/media/acme.html")
    theirs = get(site, other, "/media/acme.html")

    assert (ours.status, ours.content) == (200, b"of acme")
    assert theirs.status == 404
    assert b"of acme" not in theirs.content


@pytest.mark.parametrize(
    "path",
    ["../acme2/same.txt", "acme2/same.txt", "..%2facme2%2fsame.txt", "%2e%2e/acme2/x",
     "..%5cacme2%5csame.txt", "/acme2/same.txt", "2/same.txt", "./../acme2/same.txt"],
)  # fmt: skip
def test_no_path_of_a_url_leads_to_a_neighbour(site, path):
    response = get(site, "acme", f"/media/{path}")

    assert response.status == 404
    assert b"of acme2" not in response.content


@pytest.mark.parametrize("other", ["acme2", "acme-", "original"])
@pytest.mark.parametrize("name", ["same.txt", "acme.html"])
def test_a_url_signed_by_one_mirror_is_refused_by_others(site, name, other):
    with use_mirror("acme"):
        url = sign_media_url(name, expires_in=60, alias="private")

    ours, theirs = get(site, "acme", url), get(site, other, url)

    assert (ours.status, ours.content) == (200, b"of acme")
    assert theirs.status == 403
    assert b"of acme" not in theirs.content


def test_a_signed_url_is_refused_by_others_with_one_key_for_all(
    site, settings, monkeypatch
):
    # Two walls: the key is the mirror's own, and the text that is signed names it.
    monkeypatch.setattr("django_mirrors.signing._derive", lambda base: base)
    with use_mirror("acme"):
        url = sign_media_url("same.txt", expires_in=60, alias="private")

    assert get(site, "acme", url).status == 200
    assert get(site, "acme2", url).status == 403


def test_a_signed_url_is_refused_after_its_time(site, monkeypatch):
    with use_mirror("acme"):
        url = sign_media_url("same.txt", expires_in=60, alias="private")
    now = signatures.time()
    monkeypatch.setattr(signatures, "time", lambda: now + 61)

    assert get(site, "acme", url).status == 403


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "acme.html"},
        {"name": "/same.txt"},
        {"name": "./same.txt"},
        {"expires": "99999999999"},
        {"expires": ""},
        {"expires": "0"},
        {"signature": ""},
        {"signature": "x"},
        {"alias": "default"},
    ],
    ids=str,
)
def test_a_signed_url_is_good_for_exactly_what_was_signed(site, changes):
    with use_mirror("acme"):
        alias = changes.get("alias", "private")
        parts = urlsplit(sign_media_url("same.txt", expires_in=60, alias=alias))
    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
    query |= {key: text for key, text in changes.items() if key in query}
    name = changes.get("name", "same.txt")

    response = get(site, "acme", f"/private/{name}?{urlencode(query)}")

    assert response.status == 403


@pytest.mark.parametrize("name", ["a.html", "a.svg", "a.xml", "a.xhtml", "a.js", "a"])
def test_what_could_run_as_the_mirrors_site_is_downloaded(site, name):
    with use_mirror("acme"):
        MirrorStorage().save(name, ContentFile(b"<script>alert(1)</script>"))

    response = get(site, "acme", f"/media/{name}")

    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Disposition"].startswith("attachment")
    assert "sandbox" in response.headers["Content-Security-Policy"]


# File fields


@pytest.fixture
def covers(fleet) -> dict[str, Book]:
    """Return a book of each mirror: equal keys, equal names of files."""
    made = {}
    for name in ("books", "films"):
        with use_mirror(name):
            book = Book(pk=1, title="same")
            book.cover.save("x.txt", ContentFile(f"of {name}".encode()))
            made[name] = book
    assert made["books"].cover.name == made["films"].cover.name
    return made


def read_all(covers: dict[str, Book]) -> dict[str, bytes]:
    contents = {}
    for name in covers:
        with use_mirror(name):
            with Book.objects.get(pk=1).cover.open() as file:
                contents[name] = file.read()
    return contents


@pytest.mark.parametrize(
    "use",
    [
        lambda book: book.cover.delete(),
        lambda book: book.cover.delete(save=False),
        lambda book: book.cover.save("x.txt", ContentFile(b"new")),
        lambda book: book.cover.save("y.txt", ContentFile(b"new"), save=False),
        lambda book: book.cover.open(),
        lambda book: book.cover.read(),
        lambda book: book.cover.url,
        lambda book: book.cover.path,
        lambda book: book.cover.size,
    ],
    ids=["delete", "delete-only", "save", "save-only", "open", "read", "url", "path",
         "size"],
)  # fmt: skip
@pytest.mark.django_db
def test_a_file_field_of_one_mirror_is_of_no_use_in_another(covers, use):
    with use_mirror("films"), pytest.raises(WrongMirror):
        use(covers["books"])
    with pytest.raises((NoCurrentMirror, WrongMirror)):
        use(covers["books"])

    assert read_all(covers) == {"books": b"of books", "films": b"of films"}


@pytest.mark.django_db
def test_deleting_a_file_leaves_that_of_the_same_name_and_key(covers):
    with use_mirror("films"):
        Book.objects.get(pk=1).cover.delete(save=False)

    with use_mirror("films"), pytest.raises(FileNotFoundError):
        Book.objects.get(pk=1).cover.read()
    assert read_all({"books": covers["books"]}) == {"books": b"of books"}
