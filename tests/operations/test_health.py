"""What `mirror_check` finds wrong with the services of a mirror."""

import socket

import pytest

from django_mirrors import mirrors
from django_mirrors.operations.health import find_problems
from tests.smtp import serve_mail

pytestmark = pytest.mark.django_db


@pytest.fixture
def give_mail(settings):
    """Return a function that gives the mail of a mirror that shares all the rest."""

    def give(value):
        settings.MIRRORS = {
            "books": {
                "HOSTS": ["books.example"],
                "SHARES": {"DATABASE": "original"},
                "STATE": "active",
                **({"MAIL": value} if value else {}),
            }
        }
        return mirrors["books"]

    return give


def test_probe_that_a_killed_check_left_is_removed(settings, tmp_path):
    settings.MIRRORS = {
        "books": {
            "HOSTS": ["books.example"],
            "SHARES": {"DATABASE": "original"},
            "STORAGE": f"file://{tmp_path}/",
            "STATE": "active",
        }
    }
    (tmp_path / "django-mirrors-probe").touch()

    assert find_problems(mirrors["books"]) == ()

    assert list(tmp_path.iterdir()) == []


def test_mail_server_that_answers_is_no_problem(give_mail):
    with serve_mail() as inbox:
        problems = find_problems(give_mail(inbox.build_dsn("bob")))

    assert (problems, inbox.deliveries) == ((), [])


def test_mail_server_that_does_not_answer_is_told(give_mail):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

        (problem,) = find_problems(give_mail(f"smtp://127.0.0.1:{port}/"))

    assert problem == ("MAIL: ConnectionRefusedError: [Errno 111] Connection refused")


def test_mail_server_that_is_silent_is_not_waited_for(give_mail):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]

        (problem,) = find_problems(give_mail(f"smtp://127.0.0.1:{port}/?timeout=1"))

    assert problem.endswith("Connection unexpectedly closed: timed out")


def test_login_that_the_mail_server_refuses_is_told_without_the_password(give_mail):
    with serve_mail() as inbox:
        dsn = f"smtp://bob:hunter2@127.0.0.1:{inbox.port}/"

        (problem,) = find_problems(give_mail(dsn))

    assert problem == "MAIL: SMTPAuthenticationError: (535, b'who are you?')"


def test_mail_that_cannot_be_read_is_told(give_mail):
    (problem,) = find_problems(give_mail("smtp://bob:${NO_SUCH_WORD}@mail.example/"))

    assert problem == (
        "MAIL: The MAIL of mirror 'books' refers to ${NO_SUCH_WORD}, which is not set. "
        "Set the variable in the environment of this process."
    )


def test_mirror_that_sends_the_projects_way_has_no_mail_to_look_at(give_mail):
    assert find_problems(give_mail(None)) == ()
