import pytest
from django.core.files.storage import InMemoryStorage

from django_mirrors import Mirror, use_mirror, use_original
from django_mirrors.exceptions import InvalidMirror
from django_mirrors.storage.backends import get_backend, get_owner
from django_mirrors.storage.filesystem import MirrorFileSystemStorage


def build(**definition: object) -> Mirror:
    return Mirror.from_mapping("books", {"HOSTS": ["books.example"], **definition})


def find_problem(mirror: Mirror | str, alias: str = "default") -> str:
    with use_mirror(mirror), pytest.raises(InvalidMirror) as caught:
        get_backend(alias)
    return str(caught.value)


def test_a_mirror_without_a_storage_is_told_what_to_add(shelves):
    assert find_problem("music") == (
        "Mirror 'music' has no storage 'default'. Add STORAGE to its definition, such "
        "as 'file:///srv/media/music/', or share another mirror's."
    )


def test_a_mirror_without_this_alias_is_told_what_to_add(shelves):
    assert find_problem("books", "backups") == (
        "Mirror 'books' has no storage 'backups'. Add STORAGES['backups'] to its "
        "definition, such as 'file:///srv/media/books/', or share another mirror's."
    )


def test_the_original_without_media_root_has_no_storage(shelves, settings):
    settings.MEDIA_ROOT = ""

    assert find_problem("original") == (
        "The original has no storage 'default'. Add STORAGE to "
        "MIRRORS_OPTIONS['ORIGINAL'] or set MEDIA_ROOT."
    )


def test_media_root_is_not_the_originals_other_storages(shelves):
    assert find_problem("original", "private") == (
        "The original has no storage 'private'. Add STORAGES['private'] to "
        "MIRRORS_OPTIONS['ORIGINAL']."
    )


@pytest.mark.parametrize("options", [{}, {"location": ""}, {"location": None}])
@pytest.mark.parametrize(
    "backend",
    [
        "django.core.files.storage.FileSystemStorage",
        "django.core.files.storage.filesystem.FileSystemStorage",
        "django_mirrors.storage.filesystem.MirrorFileSystemStorage",
    ],
)
def test_a_mirror_must_not_fall_back_to_media_root(shelves, backend, options):
    mirror = build(STORAGE={"BACKEND": backend, "OPTIONS": options})

    assert find_problem(mirror) == (
        "The storage 'default' of mirror 'books' has no 'location'. Add the directory "
        "of its files to 'OPTIONS'."
    )


@pytest.mark.parametrize("module", ["storage", "storage.router"])
def test_a_mirror_cannot_route_to_the_router(shelves, module):
    mirror = build(STORAGE={"BACKEND": f"django_mirrors.{module}.MirrorStorage"})

    assert "leads back to MirrorStorage" in find_problem(mirror)


def test_a_backend_that_cannot_be_built_is_named_with_its_cause(shelves):
    unknown = build(STORAGE={"BACKEND": "no.such.Backend"})
    wrong = build(STORAGE="memory://?colour=red")

    assert "Could not find backend 'no.such.Backend'" in find_problem(unknown)
    assert "unexpected keyword argument 'colour'" in find_problem(wrong)


def test_djangos_file_system_storage_is_replaced_by_ours(shelves):
    mirror = build(
        STORAGE={
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": f"{shelves}/own", "base_url": "/own/"},
        }
    )

    with use_mirror(mirror):
        backend = get_backend("default")

    assert type(backend) is MirrorFileSystemStorage
    assert backend.location == f"{shelves}/own"
    assert backend.base_url == "/own/"


def test_relative_locations_start_at_the_project(shelves, settings):
    settings.BASE_DIR = shelves
    mirror = build(
        STORAGE={
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": "media/books"},
        }
    )

    with use_mirror(mirror):
        assert get_backend("default").location == f"{shelves}/media/books"


def test_a_backend_is_built_once_and_kept(shelves):
    with use_mirror("books"):
        first = get_backend("default")
        assert get_backend("default") is first
    with use_mirror("films"):
        assert get_backend("default") is not first
    with use_mirror("books"):
        assert get_backend("default") is first


def test_the_owner_is_the_mirror_itself_or_the_one_it_shares_with(shelves):
    with use_mirror("films"):
        assert get_owner().name == "films"
    with use_mirror("films-fr"):
        assert get_owner().name == "films"
    with use_original():
        assert get_owner().is_original


def test_variables_are_read_when_the_backend_is_used(shelves, monkeypatch):
    mirror = build(STORAGE="file://${BOOKS_ROOT}/media/")
    monkeypatch.setenv("BOOKS_ROOT", str(shelves))

    with use_mirror(mirror):
        assert get_backend("default").location == f"{shelves}/media"


def test_a_variable_that_is_not_set_is_named(shelves):
    assert find_problem(build(STORAGE="file://${NO_SUCH_ROOT}/media/")) == (
        "The storage 'default' of mirror 'books' refers to ${NO_SUCH_ROOT}, which is "
        "not set. Set the variable in the environment of this process."
    )


def test_in_memory_storages_of_equal_definition_are_not_shared(shelves):
    with use_mirror(build(STORAGE="memory://")):
        ours = get_backend("default")
    with use_mirror(
        Mirror.from_mapping("films", {"HOSTS": ["f.example"], "STORAGE": "memory://"})
    ):
        theirs = get_backend("default")

    assert isinstance(ours, InMemoryStorage)
    assert ours is not theirs
