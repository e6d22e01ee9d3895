"""Transactions of code that names no database are those of the current mirror."""

import pytest
from django.db import connection, connections, transaction

from django_mirrors import find_current_mirror, use_mirror, use_original
from django_mirrors.exceptions import NoCurrentMirror, WrongMirror
from django_mirrors.testing import no_mirror
from tests.bookshop.models import Author, Book

pytestmark = pytest.mark.django_db


def list_titles(mirror):
    with use_mirror(mirror):
        return list(Book.objects.values_list("title", flat=True))


def test_atomic_commits_in_the_current_mirror(fleet):
    with use_mirror("books"), transaction.atomic():
        Book.objects.create(title="Emma")

    assert list_titles("books") == ["Emma"]
    assert list_titles("films") == []


def test_atomic_rolls_back_the_current_mirror(fleet):
    with use_mirror("books"), pytest.raises(ZeroDivisionError), transaction.atomic():
        Book.objects.create(title="Emma")
        1 / 0

    assert list_titles("books") == []


def test_atomic_begins_no_transaction_elsewhere(fleet):
    with use_mirror("books"), transaction.atomic():
        assert connections["books"].in_atomic_block
        with use_mirror("films"):
            assert not connections["films"].in_atomic_block


def test_inner_atomic_rolls_back_to_its_savepoint(fleet):
    with use_mirror("books"), transaction.atomic():
        Book.objects.create(title="Emma")
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            Book.objects.create(title="Persuasion")
            1 / 0

    assert list_titles("books") == ["Emma"]


def test_savepoint_by_hand_is_rolled_back(fleet):
    with use_mirror("books"), transaction.atomic():
        Book.objects.create(title="Emma")
        savepoint = connection.savepoint()
        Book.objects.create(title="Persuasion")
        transaction.savepoint_rollback(savepoint)

    assert list_titles("books") == ["Emma"]


def test_durable_atomic_cannot_be_inside_another_of_its_mirror(fleet):
    with use_mirror("books"), transaction.atomic():
        with pytest.raises(RuntimeError, match="durable"):
            transaction.atomic(durable=True).__enter__()


def test_durable_atomic_of_another_mirror_is_a_transaction_of_its_own(fleet):
    with use_mirror("books"), pytest.raises(ZeroDivisionError), transaction.atomic():
        with use_mirror("films"), transaction.atomic(durable=True):
            Book.objects.create(title="Alien")
        1 / 0

    assert list_titles("films") == ["Alien"]


def test_rollback_of_one_mirror_leaves_the_nested_one(fleet):
    with use_mirror("books"), pytest.raises(ZeroDivisionError), transaction.atomic():
        Book.objects.create(title="Emma")
        with use_mirror("films"):
            Book.objects.create(title="Alien")
        1 / 0

    assert list_titles("books") == []
    assert list_titles("films") == ["Alien"]


def test_atomic_as_a_decorator_follows_each_call(fleet):
    @transaction.atomic
    def fail():
        Book.objects.create(title="Lost")
        raise ZeroDivisionError

    for_books, for_films = use_mirror("books")(fail), use_mirror("films")(fail)
    with pytest.raises(ZeroDivisionError):
        for_books()
    with pytest.raises(ZeroDivisionError):
        for_films()

    assert list_titles("books") == list_titles("films") == []


def test_set_rollback_marks_the_current_mirror(fleet):
    with use_mirror("books"), transaction.atomic():
        Book.objects.create(title="Emma")
        transaction.set_rollback(True)

    assert list_titles("books") == []


def test_autocommit_is_switched_off_for_the_current_mirror_only(fleet):
    with use_mirror("books"):
        transaction.set_autocommit(False)
        Book.objects.create(title="Emma")
        transaction.rollback()
        transaction.set_autocommit(True)
        with use_mirror("films"):
            assert transaction.get_autocommit()

    assert list_titles("books") == []


def test_on_commit_waits_for_the_mirrors_transaction(fleet):
    calls = []
    with use_mirror("books"), transaction.atomic():
        transaction.on_commit(lambda: calls.append(connection.alias))
        assert calls == []

    assert calls == ["books"]


def test_on_commit_of_a_rolled_back_transaction_never_runs(fleet):
    calls = []
    with use_mirror("books"), pytest.raises(ZeroDivisionError), transaction.atomic():
        transaction.on_commit(lambda: calls.append("called"))
        1 / 0

    assert calls == []


def test_on_commit_of_a_rolled_back_savepoint_never_runs(fleet):
    calls = []
    with use_mirror("books"), transaction.atomic():
        transaction.on_commit(lambda: calls.append("outer"))
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            transaction.on_commit(lambda: calls.append("inner"))
            1 / 0

    assert calls == ["outer"]


def test_on_commit_runs_in_the_mirror_it_was_registered_in(fleet):
    calls = []
    block = transaction.atomic(using="books")
    with use_mirror("books"):
        block.__enter__()
        transaction.on_commit(lambda: calls.append(Book.objects.create(title="Emma")))
        with use_mirror("films"):
            block.__exit__(None, None, None)

    assert len(calls) == 1
    assert list_titles("books") == ["Emma"]
    assert list_titles("films") == []


def test_on_commit_outside_a_transaction_runs_at_once(fleet):
    calls = []

    with use_mirror("books"):
        transaction.on_commit(lambda: calls.append(find_current_mirror().name))

        assert calls == ["books"]


def test_robust_on_commit_is_logged_under_its_own_name(fleet, caplog):
    def send_receipt():
        raise ValueError("no paper")

    calls = []
    with use_mirror("books"), transaction.atomic():
        transaction.on_commit(send_receipt, robust=True)
        transaction.on_commit(lambda: calls.append("next"))

    assert calls == ["next"]
    assert "send_receipt" in caplog.text


def test_function_that_waits_for_the_commit_is_found_by_what_it_is(fleet):
    def send_receipt():
        pass

    with use_mirror("books"), transaction.atomic():
        transaction.on_commit(send_receipt)
        waiting = [entry[1] for entry in connection.run_on_commit]

        assert waiting == [send_receipt]
        assert send_receipt in set(waiting)
        assert repr(waiting) == repr([send_receipt])


def test_on_commit_refuses_what_cannot_be_called_as_in_django(fleet):
    with use_mirror("books"), pytest.raises(TypeError, match="must be a callable"):
        transaction.on_commit("send_receipt")


@pytest.mark.django_db(databases=["default", "analytics"], transaction=True)
def test_on_commit_of_the_projects_own_database_needs_no_mirror(fleet):
    calls = []
    with no_mirror(), transaction.atomic(using="analytics"):
        transaction.on_commit(
            lambda: calls.append(find_current_mirror()), using="analytics"
        )

    assert calls == [None]


def test_on_commit_without_a_mirror_raises(fleet):
    with no_mirror(), pytest.raises(NoCurrentMirror):
        transaction.on_commit(print)


@pytest.mark.django_db(databases=["default", "analytics"], transaction=True)
def test_on_commit_of_the_projects_own_database_runs_in_the_mirror(fleet):
    calls = []
    with use_mirror("books"), transaction.atomic(using="analytics"):
        transaction.on_commit(lambda: calls.append(connection.alias), using="analytics")

    assert calls == ["books"]


def test_atomic_of_another_mirror_raises(fleet):
    with (
        use_mirror("films"),
        pytest.raises(WrongMirror, match="database of mirror 'books'"),
    ):
        transaction.atomic(using="books").__enter__()


def test_atomic_without_a_mirror_raises(fleet):
    with no_mirror(), pytest.raises(NoCurrentMirror):
        transaction.atomic().__enter__()


def test_leaving_a_mirror_inside_an_open_atomic_raises_and_rolls_back(fleet):
    block = transaction.atomic()
    with pytest.raises(WrongMirror) as caught, use_mirror("books"):
        block.__enter__()
        Book.objects.create(title="Emma")

    assert str(caught.value) == (
        "Mirror 'books' was left inside an atomic block that was opened in it. "
        "Its transaction was rolled back. End the atomic block first."
    )
    assert list_titles("books") == []


def test_leaving_a_mirror_inside_an_inner_atomic_rolls_back_the_outer_one(fleet):
    with use_mirror("books"), transaction.atomic():
        with pytest.raises(WrongMirror), use_mirror("books"):
            transaction.atomic().__enter__()
            Book.objects.create(title="Emma")

    assert list_titles("books") == []


def test_leaving_a_mirror_by_an_exception_keeps_it_and_rolls_back(fleet):
    with pytest.raises(ZeroDivisionError), use_mirror("books"):
        transaction.atomic().__enter__()
        Book.objects.create(title="Emma")
        1 / 0

    assert list_titles("books") == []


def test_an_atomic_block_that_is_ended_too_late_does_nothing(fleet):
    block = transaction.atomic()
    with pytest.raises(WrongMirror), use_mirror("books"):
        block.__enter__()

    with use_mirror("books"):
        block.__exit__(None, None, None)
        assert transaction.get_autocommit()


def test_a_mirror_works_after_it_was_left_inside_an_atomic(fleet):
    with pytest.raises(WrongMirror), use_mirror("books"):
        transaction.atomic().__enter__()

    with use_mirror("books"), transaction.atomic():
        Book.objects.create(title="Emma")

    assert list_titles("books") == ["Emma"]


def test_sharing_mirrors_have_one_transaction(fleet):
    with use_mirror("films"), pytest.raises(ZeroDivisionError), transaction.atomic():
        with use_mirror("films-fr"), transaction.atomic():
            Book.objects.create(title="Alien")
        1 / 0

    assert list_titles("films") == list_titles("films-fr") == []


def test_sharing_mirror_has_the_connection_of_the_owner(fleet):
    with use_mirror("films-fr"):
        assert connection.alias == "films"
        assert connections["films-fr"] is connections["films"]


def test_select_for_update_locks_in_the_current_mirror(fleet):
    with use_mirror("books"):
        Book.objects.create(title="Emma", stock=1)
        with transaction.atomic():
            book = Book.objects.select_for_update().get()
            book.stock += 1
            book.save()

        assert Book.objects.get().stock == 2


@pytest.mark.parametrize(
    "engine", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
def test_select_for_update_outside_a_transaction_raises(fleet):
    with use_mirror("books"), transaction.atomic():
        with use_mirror("films"), pytest.raises(transaction.TransactionManagementError):
            list(Book.objects.select_for_update())


def test_get_or_create_finds_in_the_current_mirror_only(fleet):
    with use_mirror("books"):
        Author.objects.get_or_create(name="Jane Austen")

    with use_mirror("films"):
        _, created = Author.objects.get_or_create(name="Jane Austen")

    assert created


def test_update_or_create_changes_the_current_mirror_only(fleet):
    with use_mirror("books"):
        Book.objects.create(title="Emma", stock=1)
    with use_mirror("films"):
        Book.objects.update_or_create(title="Emma", defaults={"stock": 7})

    with use_mirror("books"):
        assert Book.objects.get().stock == 1


def test_original_is_a_mirror_too(fleet):
    with use_original():
        Book.objects.create(title="Demo")

    assert list_titles("books") == list_titles("films") == []


def test_database_errors_leave_other_mirrors_usable(fleet):
    with use_mirror("books"), pytest.raises(transaction.TransactionManagementError):
        with transaction.atomic():
            transaction.set_rollback(True)
            with use_mirror("films"):
                Book.objects.create(title="Alien")
            Book.objects.count()

    assert list_titles("films") == ["Alien"]
