"""A module belongs to no mirror, whichever one is current when it is imported."""

import builtins
import importlib
import sys
from contextvars import Context
from threading import get_ident

import pytest

from django_mirrors import find_current_mirror, use_mirror
from django_mirrors.context import Command
from django_mirrors.db.imports import leave_mirror_at_import
from django_mirrors.exceptions import NoCurrentMirror
from tests.bookshop.models import Book

pytestmark = pytest.mark.django_db


@pytest.fixture
def write_module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)

    return write


def test_query_set_of_a_class_serves_every_mirror(fleet, write_module):
    write_module(
        "lazy_forms",
        "from django import forms\n"
        "from tests.bookshop.models import Author, Book\n"
        "class BookForm(forms.ModelForm):\n"
        "    class Meta:\n"
        "        model, fields = Book, ['title', 'author']\n"
        "    one = forms.ModelChoiceField(queryset=Author.objects.filter(pk__gt=0))\n",
    )
    with use_mirror("books"):
        form_class = importlib.import_module("lazy_forms").BookForm
        assert str(form_class())

    with use_mirror("films"):
        assert str(form_class())


def test_modules_are_imported_once_however_often_it_is_asked_for(fleet, write_module):
    before = [*sys.meta_path]
    leave_mirror_at_import()

    write_module("lazy_counted", "import builtins\nbuiltins.lazy_count += 1")
    builtins.lazy_count = 0
    with use_mirror("books"):
        importlib.import_module("lazy_counted")

    assert sys.meta_path == before
    assert builtins.lazy_count == 1


def test_mirror_is_current_again_after_an_import(fleet, write_module):
    write_module("lazy_plain", "")
    with use_mirror("books"):
        importlib.import_module("lazy_plain")

        assert find_current_mirror().name == "books"


def test_mirror_is_current_again_after_an_import_that_fails(fleet, write_module):
    write_module("lazy_broken", "1 / 0")
    with use_mirror("books"):
        with pytest.raises(ZeroDivisionError):
            importlib.import_module("lazy_broken")

        assert find_current_mirror().name == "books"


def test_query_while_a_module_is_imported_raises(fleet, write_module):
    write_module(
        "lazy_titles",
        "from tests.bookshop.models import Book\n"
        "TITLES = list(Book.objects.values_list('title', flat=True))\n",
    )

    with use_mirror("books"), pytest.raises(NoCurrentMirror):
        importlib.import_module("lazy_titles")


def test_missing_module_is_missing(fleet):
    with use_mirror("books"), pytest.raises(ModuleNotFoundError):
        importlib.import_module("lazy_nowhere")


def test_module_keeps_its_loader_and_file(fleet, write_module):
    write_module("lazy_source", "VALUE = 1")
    with use_mirror("books"):
        module = importlib.import_module("lazy_source")

    assert module.__file__.endswith("lazy_source.py")
    assert module.__spec__.loader.get_source("lazy_source") == "VALUE = 1"
    assert importlib.reload(module).VALUE == 1


def test_mirror_of_a_command_is_not_kept_by_what_it_imports(db, monkeypatch):
    monkeypatch.setattr(
        "django_mirrors.context._command", Command("original", get_ident())
    )

    books = Context().run(Book.objects.all)

    assert Context().run(find_current_mirror).name == "original"
    assert books._hints == {}
