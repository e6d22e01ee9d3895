import os
import shutil
import stat
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile, File
from django.core.files.uploadedfile import TemporaryUploadedFile
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_mirrors.storage import filesystem
from django_mirrors.storage.filesystem import MirrorFileSystemStorage

SECRET = b"only for the neighbour"
# The full size is 200,000: set it on request.
EXAMPLES = int(os.environ.get("TEST_FUZZ_EXAMPLES", "1000"))


@pytest.fixture(params=[True, False], ids=["directories", "paths"])
def storage(request, tmp_path, monkeypatch) -> MirrorFileSystemStorage:
    """A storage at `acme/` beside a neighbour `acme2/`; with and without `dir_fd`."""
    monkeypatch.setattr(filesystem, "_CAN_ENTER", request.param)
    build_tree(tmp_path)
    return MirrorFileSystemStorage(tmp_path / "acme")


def build_tree(directory: Path) -> None:
    (directory / "acme/sub").mkdir(parents=True)
    (directory / "acme/own.txt").write_bytes(b"own")
    (directory / "acme2").mkdir()
    (directory / "acme2/secret.txt").write_bytes(SECRET)
    (directory / "secret.txt").write_bytes(SECRET)


def read(storage: MirrorFileSystemStorage, name: str, mode: str = "rb") -> object:
    with storage.open(name, mode) as file:
        return file.read()


def test_files_are_saved_read_listed_measured_and_deleted(storage):
    name = storage.save("sub/new.txt", ContentFile(b"hello"))

    assert name == "sub/new.txt"
    assert read(storage, name) == b"hello"
    assert storage.exists(name)
    assert storage.size(name) == 5
    assert storage.listdir("") == (["sub"], ["own.txt"])
    assert storage.listdir("sub") == ([], ["new.txt"])
    assert storage.path(name) == f"{storage.location}/sub/new.txt"
    storage.delete(name)
    assert not storage.exists(name)


def test_missing_directories_and_a_missing_root_are_made(tmp_path):
    storage = MirrorFileSystemStorage(tmp_path / "new/root")

    name = storage.save("a/b/c.txt", ContentFile(b"x"))

    assert (tmp_path / "new/root/a/b/c.txt").read_bytes() == b"x"
    assert name == "a/b/c.txt"


def test_a_taken_name_gets_an_alternative(storage):
    name = storage.save("own.txt", ContentFile(b"other"))

    assert name != "own.txt"
    assert Path(storage.location, "own.txt").read_bytes() == b"own"
    assert Path(storage.location, name).read_bytes() == b"other"


def test_a_name_that_is_taken_at_the_last_moment_gets_an_alternative(
    storage, monkeypatch
):
    free = iter([True, False, True])
    monkeypatch.setattr(storage, "is_name_available", lambda *_, **__: next(free))

    name = storage.save("own.txt", ContentFile(b"other"))

    assert name != "own.txt"
    assert Path(storage.location, "own.txt").read_bytes() == b"own"


def test_allow_overwrite_replaces_a_file(tmp_path):
    build_tree(tmp_path)
    storage = MirrorFileSystemStorage(tmp_path / "acme", allow_overwrite=True)

    name = storage.save("own.txt", ContentFile(b"x"))

    assert name == "own.txt"
    assert (tmp_path / "acme/own.txt").read_bytes() == b"x"


def test_allow_overwrite_does_not_write_through_a_link(tmp_path):
    build_tree(tmp_path)
    (tmp_path / "acme/link.txt").symlink_to(tmp_path / "acme2/secret.txt")
    storage = MirrorFileSystemStorage(tmp_path / "acme", allow_overwrite=True)

    with pytest.raises(SuspiciousFileOperation, match="is a link that cannot be foll"):
        storage.save("link.txt", ContentFile(b"x"))

    assert (tmp_path / "acme2/secret.txt").read_bytes() == SECRET


def test_permissions_of_files_and_new_directories_are_as_configured(tmp_path):
    storage = MirrorFileSystemStorage(
        tmp_path / "root",
        file_permissions_mode=0o640,
        directory_permissions_mode=0o2750,
    )

    storage.save("a/b.txt", ContentFile(b"x"))

    modes = [
        stat.S_IMODE((tmp_path / path).stat().st_mode)
        for path in ("root", "root/a", "root/a/b.txt")
    ]
    assert [oct(mode) for mode in modes] == ["0o2750", "0o2750", "0o640"]


def test_without_configured_permissions_the_process_decides(tmp_path, settings):
    settings.FILE_UPLOAD_PERMISSIONS = None
    storage = MirrorFileSystemStorage(tmp_path)
    umask = os.umask(0o027)

    storage.save("a/b.txt", ContentFile(b"x"))
    os.umask(umask)

    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "a/b.txt").stat().st_mode) == 0o640


def test_a_new_file_gets_the_group_of_the_root(tmp_path, monkeypatch):
    storage = MirrorFileSystemStorage(tmp_path / "root")
    storage.save("a.txt", ContentFile(b"x"))
    changed = []
    monkeypatch.setattr(os, "fchown", lambda fd, *owner: changed.append(owner))
    monkeypatch.setattr(
        os, "fstat", lambda fd: os.stat_result((0o100644, 0, 0, 1, 0, -7, 0, 0, 0, 0))
    )

    storage.save("b.txt", ContentFile(b"x"))

    assert changed == [(-1, (tmp_path / "root").stat().st_gid)]


@pytest.fixture
def full_disk():
    """Let no file of this process grow beyond 64 KiB, as a disk that is full does."""
    resource = pytest.importorskip("resource", reason="Windows has no such limit")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_that_the_disk_has_no_room_for_leaves_nothing(
    storage, tmp_path, full_disk
):
    neighbour = MirrorFileSystemStorage(tmp_path / "acme2")

    with pytest.raises(OSError, match="File too large"):
        storage.save("sub/big.txt", ContentFile(b"x" * 2**17))

    assert storage.listdir("sub") == ([], [])
    assert read(storage, "own.txt") == b"own"
    assert storage.save("sub/big.txt", ContentFile(b"small")) == "sub/big.txt"
    assert neighbour.save("small.txt", ContentFile(b"small")) == "small.txt"
    assert read(neighbour, "secret.txt") == SECRET


class BrokenUpload(ContentFile):
    """An upload that ends before its end."""

    def chunks(self, chunk_size=None):
        yield b"half"
        raise ConnectionResetError


def test_an_upload_that_breaks_off_leaves_nothing(storage):
    with pytest.raises(ConnectionResetError):
        storage.save("half.txt", BrokenUpload(b""))

    assert not storage.exists("half.txt")


def test_a_file_that_was_to_be_replaced_stays_when_the_upload_breaks_off(tmp_path):
    storage = MirrorFileSystemStorage(tmp_path / "acme", allow_overwrite=True)
    storage.save("page.txt", ContentFile(b"whole"))

    with pytest.raises(ConnectionResetError):
        storage.save("page.txt", BrokenUpload(b""))

    assert storage.exists("page.txt")


def test_a_name_that_somebody_took_meanwhile_is_left_to_them(storage):
    class Moved(BrokenUpload):
        def chunks(self, chunk_size=None):
            Path(storage.location, "half.txt").unlink()
            Path(storage.location, "half.txt").write_bytes(b"theirs")
            return super().chunks(chunk_size)

    with pytest.raises(ConnectionResetError):
        storage.save("half.txt", Moved(b""))

    assert read(storage, "half.txt") == b"theirs"


def test_an_upload_on_disk_is_taken_over(storage):
    upload = TemporaryUploadedFile("up.txt", "text/plain", 5, None)
    upload.write(b"hello")
    upload.seek(0)
    temporary = Path(upload.temporary_file_path())

    name = storage.save("up.txt", upload)

    assert Path(storage.location, name).read_bytes() == b"hello"
    assert not temporary.exists()
    upload.close()


def test_text_content_is_saved_as_utf_8(storage):
    name = storage.save("text.txt", ContentFile("žluť"))

    assert Path(storage.location, name).read_bytes() == "žluť".encode()


def test_files_are_opened_for_writing_too(storage):
    with storage.open("sub/made.txt", "w") as file:
        file.write("made")

    assert read(storage, "sub/made.txt", "r") == "made"


def test_a_file_where_a_directory_is_needed_is_an_error(tmp_path):
    build_tree(tmp_path)
    storage = MirrorFileSystemStorage(tmp_path / "acme")

    with pytest.raises(
        FileExistsError, match=r"own\.txt exists and is not a directory"
    ):
        storage.save("own.txt/new.txt", ContentFile(b"x"))


def test_deleting_what_is_not_there_is_no_error(storage):
    storage.delete("nothing.txt")
    storage.delete("no/such/directory.txt")


def test_an_empty_directory_is_deleted_and_a_full_one_is_not(storage):
    storage.delete("sub")

    assert not storage.exists("sub")
    storage.save("full/a.txt", ContentFile(b"x"))
    with pytest.raises(OSError, match="not empty"):
        storage.delete("full")


def test_deleting_nothing_in_particular_is_refused(storage):
    with pytest.raises(ValueError, match="The name must be given to delete"):
        storage.delete("")
    with pytest.raises(SuspiciousFileOperation):
        storage.delete(".")

    assert Path(storage.location).is_dir()


def test_a_name_too_long_for_a_file_is_free_but_of_no_use(storage):
    name = "x" * 300

    assert not storage.exists(name)
    with pytest.raises(SuspiciousFileOperation, match="is too long"):
        storage.open(name)
    assert len(storage.save(f"{name}.txt", ContentFile(b"x"), max_length=100)) == 100


def test_urls_are_below_media_url_or_the_base_url_given(tmp_path):
    assert MirrorFileSystemStorage(tmp_path).url("a b.txt") == "/media/a%20b.txt"
    other = MirrorFileSystemStorage(tmp_path, base_url="/files")
    assert other.url("a/b.txt") == "/files/a/b.txt"


def test_urls_of_hostile_names_are_refused(storage):
    with pytest.raises(SuspiciousFileOperation):
        storage.url("../secret.txt")


OPERATIONS = {
    "open": read,
    "write": lambda storage, name: storage.open(name, "wb"),
    "append": lambda storage, name: storage.open(name, "ab"),
    "path": lambda storage, name: storage.path(name),
    "size": lambda storage, name: storage.size(name),
    "accessed": lambda storage, name: storage.get_accessed_time(name),
    "created": lambda storage, name: storage.get_created_time(name),
    "modified": lambda storage, name: storage.get_modified_time(name),
}
CHANGES = {
    "save": lambda storage, name: storage.save(name, ContentFile(b"x")),
    "delete": lambda storage, name: storage.delete(name),
    "exists": lambda storage, name: storage.exists(name),
    "listdir": lambda storage, name: storage.listdir(name),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_link_to_a_file_outside_is_not_followed(storage, operation):
    Path(storage.location, "link.txt").symlink_to("../acme2/secret.txt")

    with pytest.raises(
        SuspiciousFileOperation, match="leads out of the storage's root"
    ):
        OPERATIONS[operation](storage, "link.txt")


@pytest.mark.parametrize("operation", [*OPERATIONS, *CHANGES])
def test_a_link_to_a_directory_outside_is_not_followed(storage, operation, tmp_path):
    Path(storage.location, "link").symlink_to(tmp_path / "acme2")

    with pytest.raises(
        SuspiciousFileOperation, match="leads out of the storage's root"
    ):
        (OPERATIONS | CHANGES)[operation](storage, "link/secret.txt")

    assert list_names(tmp_path / "acme2") == ["secret.txt"]


@pytest.mark.parametrize("target", ["..", "../acme2", "sub/../.."])
def test_a_link_to_a_directory_outside_is_not_listed(storage, target):
    Path(storage.location, "link").symlink_to(target)

    with pytest.raises(SuspiciousFileOperation):
        storage.listdir("link")

    assert "link" in storage.listdir("")[1]


def find_free_descriptor() -> int:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.close(descriptor)
    return descriptor


def test_no_descriptor_stays_open(storage):
    Path(storage.location, "link").symlink_to("../acme2")
    free = find_free_descriptor()

    read(storage, "own.txt")
    storage.save("sub/deep/new.txt", ContentFile(b"x"))
    storage.exists("sub/missing/new.txt")
    storage.listdir("sub")
    storage.delete("sub/deep/new.txt")
    attempt(read, storage, "link/secret.txt")
    attempt(read, storage, "sub/missing.txt")
    attempt(read, storage, "own.txt/below")
    attempt(storage.listdir, "own.txt")

    assert find_free_descriptor() <= free


def test_a_neighbour_whose_name_begins_alike_is_outside(storage):
    Path(storage.location, "link.txt").symlink_to(f"{storage.location}2/secret.txt")

    with pytest.raises(SuspiciousFileOperation):
        storage.open("link.txt")


def test_the_root_itself_is_no_file(storage):
    Path(storage.location, "self").symlink_to(".")

    with pytest.raises(SuspiciousFileOperation):
        storage.path("self")


def test_links_that_stay_inside_are_followed(storage):
    Path(storage.location, "link").symlink_to("sub")
    Path(storage.location, "link.txt").symlink_to("own.txt")

    storage.save("link/new.txt", ContentFile(b"new"))

    assert Path(storage.location, "sub/new.txt").read_bytes() == b"new"
    assert read(storage, "link.txt") == b"own"
    assert "link" in storage.listdir("")[0]
    assert "link.txt" in storage.listdir("")[1]


def test_a_root_that_is_a_link_is_followed(tmp_path):
    build_tree(tmp_path)
    (tmp_path / "current").symlink_to("acme")
    storage = MirrorFileSystemStorage(tmp_path / "current")

    storage.save("new.txt", ContentFile(b"new"))

    assert (tmp_path / "acme/new.txt").read_bytes() == b"new"
    assert storage.path("new.txt") == f"{tmp_path}/current/new.txt"


def test_links_that_lead_to_themselves_are_refused(storage):
    Path(storage.location, "loop").symlink_to("loop")

    with pytest.raises((SuspiciousFileOperation, OSError)):
        storage.open("loop")


def test_deleting_a_link_leaves_what_it_leads_to(storage, tmp_path):
    Path(storage.location, "link.txt").symlink_to("../acme2/secret.txt")
    Path(storage.location, "inner.txt").symlink_to("own.txt")

    storage.delete("link.txt")
    storage.delete("inner.txt")

    assert not os.path.lexists(f"{storage.location}/link.txt")
    assert (tmp_path / "acme2/secret.txt").read_bytes() == SECRET
    assert storage.exists("own.txt")


def test_saving_over_a_link_leaves_what_it_leads_to(storage, tmp_path):
    Path(storage.location, "link.txt").symlink_to("../acme2/secret.txt")

    name = storage.save("link.txt", ContentFile(b"x"))

    assert name != "link.txt"
    assert (tmp_path / "acme2/secret.txt").read_bytes() == SECRET


def swap(directory: Path, stop: threading.Event) -> None:
    """Make `door` a directory and a link to the neighbour in turn, until stopped."""
    door = directory / "door"
    while not stop.is_set():
        for other in (directory / "link", directory / "real"):
            # Saving may have made the door anew.
            shutil.rmtree(door, ignore_errors=True)
            with suppress(OSError):
                other.rename(door)
                door.rename(other)


def attempt(operation, *args) -> object:
    try:
        return operation(*args)
    except (SuspiciousFileOperation, OSError, ValueError):
        return None


def test_a_race_with_links_reads_and_writes_nothing_outside(tmp_path):
    build_tree(tmp_path)
    root = tmp_path / "acme"
    (root / "real").mkdir()
    (root / "real/secret.txt").write_bytes(b"decoy")
    (root / "link").symlink_to("../acme2")
    storage = MirrorFileSystemStorage(root)
    stop = threading.Event()
    swapper = threading.Thread(target=swap, args=(root, stop))
    swapper.start()

    contents = {attempt(read, storage, "door/secret.txt") for _ in range(5000)}
    for number in range(500):
        attempt(storage.save, f"door/{number}.txt", ContentFile(b"x"))
        attempt(storage.delete, "door/secret.txt")
    stop.set()
    swapper.join()

    assert b"decoy" in contents
    assert SECRET not in contents
    assert list_names(tmp_path / "acme2") == ["secret.txt"]
    assert (tmp_path / "acme2/secret.txt").read_bytes() == SECRET


def test_a_file_that_becomes_a_link_after_the_check_is_not_followed(
    tmp_path, monkeypatch
):
    build_tree(tmp_path)
    storage = MirrorFileSystemStorage(tmp_path / "acme")
    place = storage._resolve("own.txt")
    (tmp_path / "acme/own.txt").unlink()
    (tmp_path / "acme/own.txt").symlink_to("../acme2/secret.txt")
    monkeypatch.setattr(storage, "_resolve", lambda *_, **__: place)

    with pytest.raises(SuspiciousFileOperation, match="is a link that cannot be foll"):
        storage.open("own.txt")


def test_a_directory_that_becomes_a_link_after_the_check_is_not_entered(
    tmp_path, monkeypatch
):
    build_tree(tmp_path)
    storage = MirrorFileSystemStorage(tmp_path / "acme")
    place = storage._resolve("sub/secret.txt")
    (tmp_path / "acme/sub").rmdir()
    (tmp_path / "acme/sub").symlink_to("../acme2")
    monkeypatch.setattr(storage, "_resolve", lambda *_, **__: place)

    with pytest.raises((SuspiciousFileOperation, NotADirectoryError)):
        storage.open("sub/secret.txt")


@pytest.fixture(scope="module")
def jail(tmp_path_factory) -> Path:
    """A directory with a root `acme` and neighbours around it."""
    directory = tmp_path_factory.mktemp("jail")
    build_tree(directory)
    (directory / "only-outside").write_bytes(SECRET)
    (directory / "acme2/only-outside").write_bytes(SECRET)
    return directory


def fill_root(root: Path) -> None:
    """Leave in `root` a file, a directory, and links that lead out."""
    for path in root.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    (root / "sub").mkdir()
    (root / "own.txt").write_bytes(b"own")
    (root / "out").symlink_to("..")
    (root / "next").symlink_to("../acme2")
    (root / "file").symlink_to("../secret.txt")
    (root / "gone").symlink_to("../made-by-nobody")


def list_names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def take_stock(directory: Path) -> dict[str, tuple[object, ...]]:
    """Return everything outside the root: names, inodes, times and contents."""
    found: dict[str, tuple[object, ...]] = {}
    for path in (directory, *directory.rglob("*")):
        if not path.is_relative_to(directory / "acme"):
            info = path.stat()
            content = path.read_bytes() if path.is_file() else b""
            found[str(path)] = (
                info.st_ino,
                info.st_mtime_ns,
                info.st_ctime_ns,
                content,
            )
    return found


HOSTILE = (
    *(".", "..", "...", "", "~", "*", "-rf", "con", "C:", "file:", "..;", "\n"),
    *("out", "next", "file", "gone", "sub", "own.txt", "secret.txt", "acme2"),
    *("%2e%2e", "%2f", "..\\", "\\..", "\0", "\u202e..", "\uff0e\uff0e"),
    *("x" * 256, "\udc80"),
)
segments = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=8))
names = st.builds(
    lambda head, parts, tail: head + "/".join(parts) + tail,
    st.sampled_from(["", "/", "//", "\\", "./", "../", "file:///"]),
    st.lists(segments, max_size=5),
    st.sampled_from(["", "/", "/.", "\0.txt"]),
)


@hypothesis_settings(max_examples=EXAMPLES, deadline=None)
@given(name=names)
def test_no_name_touches_anything_outside_the_root(jail, name):
    storage = MirrorFileSystemStorage(jail / "acme")
    fill_root(jail / "acme")
    before = take_stock(jail)

    content = attempt(read, storage, name)
    listed = attempt(storage.listdir, name)
    attempt(storage.exists, name)
    attempt(storage.size, name)
    saved = attempt(storage.save, name, ContentFile(b"x"))
    url = attempt(storage.url, name)
    attempt(storage.delete, saved or name)

    assert take_stock(jail) == before
    assert content != SECRET
    assert listed is None or "only-outside" not in listed[1]
    assert url is None or url.startswith("/media/")
    assert (jail / "acme").is_dir()


def test_the_class_is_what_migrations_name(tmp_path):
    path, _, options = MirrorFileSystemStorage(location="/x").deconstruct()

    assert path == "django_mirrors.storage.filesystem.MirrorFileSystemStorage"
    assert options == {"location": "/x"}


def test_a_file_object_keeps_its_name_and_path(storage):
    file = storage.open("own.txt")

    assert isinstance(file, File)
    assert file.name == f"{storage.location}/own.txt"
    file.close()
