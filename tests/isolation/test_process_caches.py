"""What Django and this package keep for the life of a process: warm at A, use at B."""

import importlib
import json
import os
import pkgutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest
from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.contrib.auth.tokens import default_token_generator
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends import cache as cache_sessions
from django.contrib.sessions.backends import cached_db, db, file
from django.contrib.sites.models import SITE_CACHE, Site
from django.contrib.sites.shortcuts import get_current_site
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import connection, models
from django.db.models import Count, Prefetch, Q, Subquery
from django.http import HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.template import Context, Template
from django.test import Client, RequestFactory
from django.test.utils import isolate_apps
from django.urls import get_urlconf, path, reverse
from django.utils import timezone, translation
from django.utils.timezone import localtime
from django.views.decorators.cache import cache_page
from django.views.generic import ListView

import django_mirrors
from django_mirrors import use_mirror
from django_mirrors.exceptions import WrongMirror
from django_mirrors.testing import no_mirror
from tests.bookshop.models import Author, Book, Tag

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = ("books", "films")
ROOT = Path(__file__).parents[2]
CACHE = type(lru_cache(len))
# What migrations wrote stays in databases of a server, for the next test.
SQLITE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


class ListBooks(ListView):
    """A view whose query set is made once, when its class is."""

    queryset = Book.objects.all()

    def render_to_response(self, context):
        return HttpResponse(",".join(book.title for book in context["object_list"]))


class BookForm(forms.ModelForm):
    """A form whose choices are made once, when its class is."""

    class Meta:
        model = Book
        fields = ("title", "author")


@cache_page(60)
def show_cached(request):
    return HttpResponse(",".join(book.title for book in Book.objects.all()))


def show_link(request):
    return HttpResponse(reverse("place"))


urlpatterns = [
    path("list/", ListBooks.as_view()),
    path("cached/", show_cached),
    path("link/", show_link),
    path("everywhere/", show_link, name="place"),
    path("admin/", admin.site.urls),
]


@pytest.fixture(autouse=True)
def pages(fleet, settings):
    """Let each mirror have an author and a book of its own name, with equal keys."""
    settings.ROOT_URLCONF = __name__
    for name in NAMES:
        with use_mirror(name):
            author = Author.objects.create(pk=1, name=f"author of {name}")
            Book.objects.create(pk=1, title=f"book of {name}", author=author)
    # The command that made the tables has left its language.
    translation.deactivate()
    with no_mirror():
        yield


def ask(name, url):
    return Client(headers={"host": f"{name}.example"}).get(url)


def in_turn(function):
    """Return what a function says in the first mirror, the second, and the first."""
    said = []
    for name in (*NAMES, NAMES[0]):
        with use_mirror(name):
            said.append(function())
    return said


def of_each(text):
    return [text.format(name) for name in (*NAMES, NAMES[0])]


def give(settings, **values):
    """Give a setting a value in each mirror."""
    settings.MIRRORS = {
        name: {
            **definition,
            "SETTINGS": {
                key: dict(zip(NAMES, value, strict=True))[name]
                for key, value in values.items()
            },
        }
        for name, definition in settings.MIRRORS.items()
        if name in NAMES
    }


# Sites and content types


@pytest.fixture
def sites():
    for name in NAMES:
        with use_mirror(name):
            Site.objects.update_or_create(
                pk=1, defaults={"domain": f"{name}.example", "name": name}
            )
    Site.objects.clear_cache()


@SQLITE
def test_the_current_site_is_the_mirrors(sites):
    assert in_turn(lambda: Site.objects.get_current().domain) == of_each("{}.example")


@SQLITE
def test_the_current_site_of_a_request_is_the_mirrors(sites):
    request = RequestFactory().get("/")

    assert in_turn(lambda: get_current_site(request).name) == of_each("{}")


@SQLITE
def test_the_cache_of_sites_shows_those_of_the_current_mirror_only(sites):
    with use_mirror("books"):
        Site.objects.get_current()
        warm = len(SITE_CACHE), [*SITE_CACHE]
    with use_mirror("films"):
        cold = len(SITE_CACHE), [*SITE_CACHE], 1 in SITE_CACHE

    assert (warm, cold) == ((1, [1]), (0, [], False))


@pytest.fixture
def other_order():
    """Let `films` have content types with the keys that others have in `books`."""
    with use_mirror("films"):
        keys = {"book": 901, "author": 902, "tag": 903}
        for model, key in keys.items():
            ContentType.objects.filter(app_label="bookshop", model=model).delete()
            ContentType.objects.create(pk=key, app_label="bookshop", model=model)
    with use_mirror("books"):
        keys = {"author": 901, "tag": 902, "book": 903}
        for model, key in keys.items():
            ContentType.objects.filter(app_label="bookshop", model=model).delete()
            ContentType.objects.create(pk=key, app_label="bookshop", model=model)
    ContentType.objects.clear_cache()
    yield
    ContentType.objects.clear_cache()


@SQLITE
def test_content_types_are_the_mirrors(other_order):
    assert in_turn(lambda: ContentType.objects.get_for_model(Book).pk) == [
        903,
        901,
        903,
    ]
    assert in_turn(lambda: ContentType.objects.get_for_id(901).model) == [
        "author", "book", "author",
    ]  # fmt: skip
    assert in_turn(
        lambda: ContentType.objects.get_by_natural_key("bookshop", "tag").pk
    ) == [902, 903, 902]


@SQLITE
@isolate_apps("tests.isolation")
def test_a_generic_foreign_key_leads_to_the_mirrors_model(other_order):
    class Note(models.Model):
        content_type = models.ForeignKey(ContentType, models.CASCADE)
        object_id = models.IntegerField()
        content_object = GenericForeignKey()

        class Meta:
            app_label = "isolation"

    def follow():
        return str(Note(content_type_id=901, object_id=1).content_object)

    assert in_turn(follow) == ["author of books", "book of films", "author of books"]


@SQLITE
@isolate_apps("tests.isolation")
def test_a_generic_foreign_key_takes_no_object_of_another_mirror(other_order):
    class Note(models.Model):
        content_type = models.ForeignKey(ContentType, models.CASCADE)
        object_id = models.IntegerField()
        content_object = GenericForeignKey()

        class Meta:
            app_label = "isolation"

    with use_mirror("books"):
        book = Book.objects.get()
    with use_mirror("films"), pytest.raises(WrongMirror):
        Note(content_object=book).save()


# Time zones and languages


def test_the_time_zone_is_the_mirrors(settings):
    give(settings, TIME_ZONE=["Asia/Tokyo", "Europe/Zurich"])

    zones = in_turn(lambda: str(timezone.get_default_timezone()))
    names = in_turn(timezone.get_current_timezone_name)

    assert zones == names == ["Asia/Tokyo", "Europe/Zurich", "Asia/Tokyo"]


def test_a_date_is_shown_in_the_time_zone_of_the_mirror(settings):
    give(settings, TIME_ZONE=["Asia/Tokyo", "UTC"])
    moment = timezone.datetime(2026, 1, 1, 20, tzinfo=timezone.timezone.utc)

    page = Template("{{ moment|date:'j H:i' }}")

    shown = in_turn(lambda: page.render(Context({"moment": moment})))
    assert shown == ["2 05:00", "1 20:00", "2 05:00"]
    assert in_turn(lambda: localtime(moment).day) == [2, 1, 2]


def test_the_language_is_the_mirrors(settings):
    give(settings, LANGUAGE_CODE=["de", "fr"])

    assert in_turn(translation.get_language) == ["de", "fr", "de"]
    assert in_turn(lambda: translation.gettext("Yes")) == ["Ja", "Oui", "Ja"]


def test_a_language_that_a_request_chose_ends_with_it(settings):
    give(settings, LANGUAGE_CODE=["de", "fr"])

    def choose(request):
        translation.activate("it")
        return HttpResponse(translation.gettext("Yes"))

    settings.ROOT_URLCONF = (
        path("choose/", choose),
        path("", lambda request: HttpResponse(translation.gettext("Yes"))),
    )
    said = [ask("books", "/choose/"), ask("films", "/"), ask("books", "/")]

    assert [item.text for item in said] == ["Sì", "Oui", "Ja"]


# URLs and origins


def test_urls_are_the_mirrors(settings):
    settings.MIRRORS = {
        **settings.MIRRORS,
        "films": {**settings.MIRRORS["films"], "URLCONF": "tests.isolation.films_urls"},
    }

    said = [ask(name, "/link/").text for name in (*NAMES, *NAMES)]

    assert said == ["/everywhere/", "/only-films/"] * 2
    assert ask("books", "/only-films/").status_code == 404
    assert ask("films", "/everywhere/").status_code == 404
    assert get_urlconf() == __name__


def test_origins_of_one_mirror_are_not_trusted_at_another():
    middleware = CsrfViewMiddleware(lambda request: HttpResponse())
    request = RequestFactory().post("/", headers={"origin": "https://books.example"})

    assert in_turn(lambda: middleware._origin_verified(request)) == [True, False, True]
    hosts = in_turn(lambda: "books.example" in middleware.csrf_trusted_origins_hosts)
    assert hosts == [True, False, True]


# Files


def test_the_default_storage_is_the_mirrors():
    def save():
        name = default_storage.save("a.txt", ContentFile(b"of a mirror"))
        return name, default_storage.exists("a.txt")

    first = in_turn(save)

    assert [exists for _, exists in first] == [True] * 3
    assert [name == "a.txt" for name, _ in first] == [True, True, False]


def test_the_location_of_the_storage_is_the_mirrors(tmp_path):
    found = in_turn(lambda: default_storage.path("a.txt"))

    assert found == [str(tmp_path / name / "a.txt") for name in (*NAMES, NAMES[0])]


def test_the_storage_of_a_field_is_the_mirrors(tmp_path):
    def save():
        book = Book.objects.get()
        book.cover.save("cover.txt", ContentFile(b"cover"))
        return Path(book.cover.path).parents[1].name

    assert in_turn(save) == of_each("{}")
    assert Book._meta.get_field("cover").storage is default_storage


def test_a_plain_storage_in_code_is_the_projects():
    """It is no mirror's, in no mirror."""
    storage = FileSystemStorage(location="/nowhere")

    assert len(set(in_turn(lambda: storage.location))) == 1


def test_static_files_are_the_same_in_all_mirrors():
    assert len(set(in_turn(lambda: staticfiles_storage.url("a.css")))) == 1


# Users


@pytest.fixture
def users():
    """Let each mirror have a user that is equal in all that a token is made of."""
    password = User(username="jane")
    password.set_password("secret")
    for name in NAMES:
        with use_mirror(name):
            User.objects.create(
                pk=7, username="jane", email="jane@x.example",
                password=password.password, is_staff=True,
            )  # fmt: skip


def test_a_token_of_one_mirror_is_not_accepted_at_another(users):
    with use_mirror("books"):
        token = default_token_generator.make_token(User.objects.get())
        default_token_generator.check_token(User.objects.get(), token)

    accepted = in_turn(
        lambda: default_token_generator.check_token(User.objects.get(), token)
    )

    assert accepted == [True, False, True]


def test_the_admin_of_one_process_shows_each_mirror_its_own(users):
    def show(name):
        client = Client(headers={"host": f"{name}.example"})
        with use_mirror(name):
            User.objects.update(is_superuser=True)
            client.force_login(User.objects.get())
        pages = [client.get(f"/admin/bookshop/book/{url}") for url in ("", "1/change/")]
        return "".join(page.text for page in pages)

    shown = [show(name) for name in (*NAMES, NAMES[0])]

    assert ["of books" in text for text in shown] == [True, False, True]
    assert ["of films" in text for text in shown] == [False, True, False]


@pytest.mark.parametrize("engine_module", [db, cache_sessions, cached_db, file])
def test_the_store_of_sessions_keeps_nothing_for_another_mirror(
    engine_module, settings, tmp_path
):
    settings.SESSION_FILE_PATH = str(tmp_path)
    with use_mirror("books"):
        begun = engine_module.SessionStore()
        begun["cart"] = "of books"
        begun.save()

    def read():
        return engine_module.SessionStore(begun.session_key).get("cart")

    assert in_turn(read) == ["of books", None, "of books"]


# Pages and fragments


def test_a_cached_page_is_the_mirrors():
    said = [ask(name, "/cached/").text for name in (*NAMES, NAMES[0])]

    assert said == of_each("book of {}")


def test_a_cached_fragment_is_the_mirrors():
    page = Template("{% load cache %}{% cache 60 part %}{{ title }}{% endcache %}")

    def render():
        return page.render(Context({"title": Book.objects.get().title}))

    assert in_turn(render) == of_each("book of {}")


# Models and queries


def test_the_query_set_of_a_view_is_asked_in_each_mirror():
    said = [ask(name, "/list/").text for name in (*NAMES, NAMES[0])]

    assert said == of_each("book of {}")


def test_the_choices_of_a_form_are_the_mirrors():
    def list_choices():
        return [text for _, text in BookForm().fields["author"].choices][1:]

    assert in_turn(list_choices) == [[item] for item in of_each("author of {}")]


def test_a_form_takes_no_choice_of_another_mirror():
    with use_mirror("films"):
        Author.objects.create(pk=2, name="only of films")

    is_valid = in_turn(lambda: BookForm({"title": "x", "author": "2"}).is_valid())

    assert is_valid == [False, True, False]


CONDITION = Q(title__startswith="book")
WANTED = Prefetch("books", queryset=None)
COUNTED = Count("books")


def test_parts_of_queries_may_be_kept_for_all_mirrors():
    def find():
        books = Book.objects.filter(CONDITION)
        author = Author.objects.annotate(n=COUNTED).prefetch_related(WANTED).get()
        return books.get().title, author.n, [book.title for book in author.books.all()]

    assert in_turn(find) == [(text, 1, [text]) for text in of_each("book of {}")]


def test_a_subquery_that_one_mirror_kept_is_refused_at_another():
    with use_mirror("books"):
        kept = Subquery(Author.objects.values("pk"))

    with use_mirror("films"), pytest.raises(WrongMirror):
        list(Book.objects.filter(author__in=kept))


def test_what_models_know_of_themselves_names_no_mirror():
    def describe():
        list(Book.objects.select_related("author").prefetch_related("tags"))
        options = Book._meta
        return (
            options.db_table,
            [field.name for field in options.get_fields()],
            Book.objects.db_manager()._db,
            Book._base_manager._db,
            Tag.books.through._meta.db_table,
        )

    first, second, third = in_turn(describe)

    assert first == second == third
    assert first[2:4] == (None, None)


@SQLITE
@pytest.mark.postgres
def test_features_are_those_of_the_mirrors_engine(settings, engine, build_engine):
    server = build_engine("postgres")
    settings.MIRRORS = {
        **settings.MIRRORS,
        "films": {
            **settings.MIRRORS["films"],
            "DATABASE": server.build_url(server.template),
        },
    }

    def describe():
        features = connection.features
        list(Book.objects.filter(title__startswith="x").values("pk")[:1])
        return (
            connection.vendor,
            features.has_native_uuid_field,
            features.supports_transactions,
            " REGEXP " in str(Book.objects.filter(title__regex="x").query),
        )

    sqlite, postgres, again = in_turn(describe)

    assert sqlite == again == ("sqlite", False, True, True)
    assert postgres == ("postgresql", True, True, False)


# What this package keeps by itself

KEPT_BY_US = {
    "_compat._get_cached_function": "functions of Django, by their name",
    "checks.services._find_backend_problem": "whether classes exist, by their path",
    "checks.services._find_engine_problem": "engines, by their name",
    "behind._list_migrations": "the migrations of the code",
    "conf._read_conf": "the options of the project",
    "db.cursors.build_guarded_cursor": "classes, by the class of the engine",
    "db.reaching.build_guarded": "classes, by the class of the engine",
    "db.schemas.build_schema_engine": "classes, by the class of the engine",
    "db.silence.build_watched_engine": "classes, by the class of the engine",
    "db.traces._leaves_nothing": "whether SQL only reads, by its text",
    "definition._build_labels": "labels, by what was written",
    "definition._find_setting_problem": "problems, by name and value of a setting",
    "integrations.hosts._build_host": "hosts, by all they are made of",
    "middleware._is_trusted": "trust, by address and networks",
    "operations.databases.processes.read_version": "versions of tools, by their path",
    "operations.ledger.remember": "digests, by rollout and the migrations",
    "operations.rollout.errands._find_record": "the plan of a rollout, by its uid",
    "operations.rollout.errands._find_release": "the release of the code, by rollout",
    "operations.rollout.receivers._import_receivers": "nothing: it is called once",
    "operations.rollout.groups.get_groups": "plans of migrations, by rollout",
    "operations.templates._digest": "the migrations of the code, by the apps",
    "pages._get_engine": "the engine of the own pages, without data",
    "refusals._by_name": "the reasons of refusals, which are constants",
    "signing._derive_for": "keys, by the project's key and the uid of the mirror",
    "storage.backends._get_backends": "one object, whose backends are by uid",
}


def find_caches():
    """Return the names of all functions of the package that keep their results."""
    for item in pkgutil.walk_packages(django_mirrors.__path__, "django_mirrors."):
        module = importlib.import_module(item.name)
        for owner in (module, *vars(module).values()):
            for name, value in vars(owner).items() if is_ours(owner, module) else ():
                function = getattr(value, "__func__", value)
                if type(function) is CACHE and function.__module__ == item.name:
                    yield f"{item.name.partition('.')[2]}.{name}"


def is_ours(owner, module):
    return owner is module or (
        isinstance(owner, type) and owner.__module__ == module.__name__
    )


def test_each_cache_of_this_package_is_known_not_to_hold_what_is_a_mirrors():
    assert {*find_caches()} == {*KEPT_BY_US}


# What grows

OF_CODE = "made of the code alone: classes, fields, modules, templates of the project"
BY_VALUE = "by all of its arguments, which name what is meant"
BY_ALIAS = "by the alias of the database"
EXPLAINED = {
    "django.apps.registry.Apps.get_models()": OF_CODE,
    "django.conf.locale.": OF_CODE,
    "django.conf._OverlaidSettings.": "settings that do not vary by mirror",
    "django.contrib.admin.": OF_CODE,
    "django.contrib.auth.": OF_CODE,
    "django.contrib.contenttypes.models.ContentTypeManager._cache": BY_ALIAS,
    "django.core.cache.backends.locmem.": "by keys that hold the uid of the mirror",
    "django.core.files.storage.handler.StorageHandler.": "what forwards",
    "django.db.backends.base.base.RAN_DB_VERSION_CHECK": BY_ALIAS,
    "django.db.models.": OF_CODE,
    "django.dispatch.dispatcher.Signal.": OF_CODE,
    "django.forms.": OF_CODE,
    "django.template.": OF_CODE,
    "django.urls.": "by the module of URLs, which a mirror may choose",
    "django.utils.formats.": "by name and language",
    "django.utils.functional.classproperty.fget()": OF_CODE,
    "django.utils.http.urlsplit()": BY_VALUE,
    "django.utils.inspect.": OF_CODE,
    "django.utils.module_loading.": OF_CODE,
    "django.utils.translation.": "by language; what stands behind is the project's",
    "django_mirrors._compat_sites._SiteCache._sites": "by uid and primary host",
    "django_mirrors.cache.generations._Memory._known": "by the uid of the mirror",
    "django_mirrors.db.settings.MirrorDatabases._built": "by the name of the mirror",
    "django_mirrors.signing._derive_for()": "by the uid of the mirror",
    "django_mirrors.storage.backends._get_backends()": "one object, kept by uid",
}


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """What grew in a fresh process that served two mirrors."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.isolation.growth", tmp_path_factory.mktemp("g")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_all_that_grows_while_two_mirrors_are_served_is_explained(grown, report_figure):
    unexplained = [name for name in grown if not name.startswith((*EXPLAINED,))]

    assert unexplained == []
    report_figure("process caches", f"{len(grown)} grew, all explained")


def test_the_scan_sees_the_caches_that_are_known_to_grow(grown):
    assert {
        "django.contrib.contenttypes.models.ContentTypeManager._cache",
        "django_mirrors._compat_sites._SiteCache._sites",
        "django_mirrors.signing._derive_for()",
    } <= {*grown}
