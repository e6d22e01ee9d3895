"""A user of one mirror may do nothing in another, whatever its object has loaded."""

import asyncio

import pytest
from django.contrib.auth import alogin, get_user_model, login
from django.contrib.auth.models import Permission, PermissionsMixin
from django.contrib.sessions.backends.db import SessionStore
from django.test import RequestFactory

from django_mirrors import _compat_auth, cross_mirrors, use_mirror
from django_mirrors.apps import DjangoMirrorsConfig
from django_mirrors.exceptions import NoCurrentMirror, WrongMirror
from django_mirrors.testing import no_mirror

pytestmark = pytest.mark.django_db

NAME = "bookshop.add_book"
QUESTIONS = {
    "has_perm": lambda user: user.has_perm(NAME),
    "has_perms": lambda user: user.has_perms([NAME]),
    "has_perms of none": lambda user: user.has_perms([]),
    "has_module_perms": lambda user: user.has_module_perms("bookshop"),
    "get_all_permissions": lambda user: user.get_all_permissions(),
    "get_user_permissions": lambda user: user.get_user_permissions(),
    "get_group_permissions": lambda user: user.get_group_permissions(),
    "ahas_perm": lambda user: asyncio.run(user.ahas_perm(NAME)),
    "ahas_perms": lambda user: asyncio.run(user.ahas_perms([NAME])),
    "ahas_module_perms": lambda user: asyncio.run(user.ahas_module_perms("bookshop")),
    "aget_all_permissions": lambda user: asyncio.run(user.aget_all_permissions()),
    "aget_user_permissions": lambda user: asyncio.run(user.aget_user_permissions()),
    "aget_group_permissions": lambda user: asyncio.run(user.aget_group_permissions()),
}


def make_superuser():
    return get_user_model().objects.create_superuser("ann", "ann@example.com", "secret")


def make_staff():
    """Return a user whose object has loaded its permissions."""
    user = get_user_model().objects.create_user("bob", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="add_book"))
    user = get_user_model().objects.get(pk=user.pk)
    user.get_all_permissions()
    return user


def build_request():
    request = RequestFactory().get("/")
    request.session = SessionStore()
    return request


@pytest.mark.parametrize("make", [make_superuser, make_staff])
@pytest.mark.parametrize("question", QUESTIONS)
def test_user_of_another_mirror_has_no_permissions(fleet, make, question):
    with use_mirror("films"):
        user = make()

    for other in ("books", "original"):
        with use_mirror(other), pytest.raises(WrongMirror):
            QUESTIONS[question](user)


@pytest.mark.parametrize("question", QUESTIONS)
def test_without_a_mirror_no_user_has_permissions(fleet, question):
    with use_mirror("films"):
        user = make_superuser()

    with no_mirror(), pytest.raises(NoCurrentMirror):
        QUESTIONS[question](user)


def test_user_has_its_permissions_in_its_mirror(fleet):
    with use_mirror("films"):
        user = make_staff()

    with use_mirror("films"):
        assert user.has_perm(NAME)
        assert user.get_all_permissions() == {NAME}
        assert asyncio.run(user.ahas_perm(NAME))


def test_permissions_of_a_user_can_be_asked_for_across_mirrors(fleet):
    with use_mirror("films"):
        user = make_superuser()

    with use_mirror("books"), cross_mirrors("a report"):
        assert user.has_perm(NAME)


@pytest.mark.parametrize("other", ["books", "original"])
def test_user_of_another_mirror_cannot_log_in(fleet, other):
    request = build_request()
    with use_mirror("films"):
        user = make_superuser()

    with use_mirror(other):
        with pytest.raises(WrongMirror):
            login(request, user)
        with pytest.raises(WrongMirror):
            asyncio.run(alogin(request, user))

    assert request.session.is_empty()


@pytest.mark.parametrize("question", QUESTIONS)
def test_user_has_no_permissions_in_a_mirror_that_shares_its_database(fleet, question):
    with use_mirror("films"):
        user = make_superuser()

    with use_mirror("films-fr"), pytest.raises(WrongMirror):
        QUESTIONS[question](user)


def test_user_that_is_read_again_logs_in_where_its_database_is(fleet):
    request = build_request()
    with use_mirror("films"):
        user = make_superuser()

    with use_mirror("films-fr"):
        login(request, get_user_model().objects.get(pk=user.pk))

    assert request.session["_auth_user_id"] == str(user.pk)


def test_app_that_is_made_ready_twice_checks_once(fleet):
    before = get_user_model().has_perm

    DjangoMirrorsConfig.create("django_mirrors").ready()

    assert get_user_model().has_perm is before


def test_project_without_users_of_django_is_left_alone(monkeypatch):
    has_perm = PermissionsMixin.has_perm.__wrapped__
    monkeypatch.setattr(PermissionsMixin, "has_perm", has_perm)
    monkeypatch.setattr(_compat_auth.apps, "is_installed", lambda name: False)

    _compat_auth.check_users(lambda user: None)

    assert PermissionsMixin.has_perm is has_perm
