"""Mail is sent for a mirror, or not at all."""

import asyncio
import warnings
from threading import Thread

import django
import pytest
from asgiref.sync import sync_to_async
from django.conf import UserSettingsHolder
from django.conf import settings as project
from django.core import mail
from django.core.mail.backends import locmem, smtp
from django.test import override_settings

from django_mirrors import _compat, cross_mirrors, mirrors, use_mirror, use_original
from django_mirrors.exceptions import InvalidMirror, NoCurrentMirror, WrongMirror
from django_mirrors.mail import MirrorMail, connect, find_mail_owner
from django_mirrors.testing import no_mirror
from tests.smtp import serve_mail

pytestmark = pytest.mark.django_db

SEND = {
    "send_mail": lambda: mail.send_mail("subject", "text", None, ["ann@example.com"]),
    "send_mass_mail": lambda: mail.send_mass_mail(
        [("subject", "text", None, ["ann@example.com"])]
    ),
    "message": lambda: mail.EmailMessage(
        "subject", "text", None, ["ann@example.com"]
    ).send(),
}


@pytest.mark.parametrize("way", SEND)
def test_mail_without_a_mirror_is_refused(way):
    with no_mirror(), pytest.raises(NoCurrentMirror):
        SEND[way]()

    assert mail.outbox == []


@pytest.mark.parametrize("way", SEND)
def test_mail_has_the_sender_of_its_mirror(fleet, settings, way):
    settings.MIRRORS = {
        **settings.MIRRORS,
        "books": {
            **settings.MIRRORS["books"],
            "SETTINGS": {"DEFAULT_FROM_EMAIL": "hello@books.example"},
        },
    }

    with use_mirror("books"):
        SEND[way]()
    with use_mirror("films"):
        SEND[way]()

    senders = [message.from_email for message in mail.outbox]
    assert senders == ["hello@books.example", "webmaster@localhost"]


def test_thread_without_a_mirror_sends_nothing(fleet):
    errors = []

    def send():
        try:
            SEND["send_mail"]()
        except NoCurrentMirror as error:
            errors.append(error)

    with use_mirror("books"):
        thread = Thread(target=send)
        thread.start()
        thread.join()

    assert len(errors) == 1
    assert mail.outbox == []


HAS_MAILERS = django.VERSION >= (6, 1)
ANN = ["ann@example.com"]


@pytest.fixture
def real_mail(monkeypatch):
    """Send as outside of tests, where nothing is kept in an outbox."""
    monkeypatch.setattr(_compat, "is_test_environment", lambda: False)


OUTBOX = "django.core.mail.backends.locmem.EmailBackend"


@pytest.fixture
def change(monkeypatch):
    """Return a function that changes the project's own settings.

    A setting that a test overrides is the same in every mirror.
    """
    base = project._wrapped
    while isinstance(base, UserSettingsHolder):
        base = base.default_settings
    yield lambda name, value: monkeypatch.setattr(base, name, value, raising=False)
    monkeypatch.undo()
    project.__dict__.pop("MAILERS", None)


@pytest.fixture
def legacy_mail(change, monkeypatch):
    """Let the project have the settings of Django 5.2, with mail kept in an outbox."""
    if HAS_MAILERS:
        monkeypatch.delattr(project._wrapped, "MAILERS")
        warnings.simplefilter("ignore")  # that the settings are deprecated
    change("EMAIL_BACKEND", OUTBOX)


@pytest.fixture(
    params=["legacy", pytest.param("mailers", marks=pytest.mark.needs_django(6, 1))]
)
def project_mail(request):
    """Each way a project says how mail is sent; here it is kept in an outbox."""
    if request.param == "legacy":
        request.getfixturevalue("legacy_mail")


@pytest.fixture
def inboxes():
    with serve_mail() as books, serve_mail() as films:
        yield {"books": books, "films": films}


@pytest.fixture
def posting(inboxes, settings, real_mail, project_mail):
    """Give `books` and `films` a server each; `films-fr` shares that of `films`."""
    declare(
        settings,
        books={
            "MAIL": inboxes["books"].build_dsn("bob"),
            "SETTINGS": {"DEFAULT_FROM_EMAIL": "hello@books.example"},
        },
        films={
            "MAIL": inboxes["films"].build_dsn("fay"),
            "SETTINGS": {"DEFAULT_FROM_EMAIL": "hello@films.example"},
        },
        **{"films-fr": {"SHARES": {"MAIL": "films"}}},
    )
    return inboxes


def declare(settings, **definitions):
    settings.MIRRORS = {
        name: {"HOSTS": [f"{name}.example"], "STATE": "active", **definition}
        for name, definition in definitions.items()
    }


WAYS = {
    **SEND,
    "mail_admins": lambda: mail.mail_admins("subject", "text"),
    "mail_managers": lambda: mail.mail_managers("subject", "text"),
    "get_connection": lambda: mail.get_connection().send_messages(
        [mail.EmailMessage("subject", "text", None, ANN)]
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.filterwarnings("ignore:get_connection")
def test_mail_goes_to_the_server_of_the_current_mirror(posting, settings, way):
    people = ["admin@example.com"] if HAS_MAILERS else [("A", "admin@example.com")]
    settings.ADMINS = settings.MANAGERS = people

    with use_mirror("books"):
        WAYS[way]()

    (delivery,) = posting["books"].deliveries
    assert (delivery.user, delivery.password) == ("bob", "bob-password")
    assert (posting["films"].deliveries, mail.outbox) == ([], [])


def test_two_mirrors_send_by_two_servers_with_senders_of_their_own(posting):
    with use_mirror("books"):
        SEND["send_mail"]()
        with use_mirror("films"):
            SEND["send_mail"]()
        SEND["message"]()

    assert posting["books"].senders == ["hello@books.example"] * 2
    assert posting["films"].senders == ["hello@films.example"]


def test_tasks_send_by_the_server_of_their_own_mirror(posting):
    async def post(name):
        async with use_mirror(name):
            await asyncio.sleep(0)
            await sync_to_async(SEND["send_mail"])()

    async def main():
        await asyncio.gather(*map(post, ("books", "films", "books")))

    asyncio.run(main())

    assert [item.user for item in posting["books"].deliveries] == ["bob", "bob"]
    assert [item.user for item in posting["films"].deliveries] == ["fay"]


def test_server_of_a_mirror_ends_with_an_exception(posting):
    with use_mirror("books"):
        with pytest.raises(KeyError), use_mirror("films"):
            raise KeyError
        SEND["send_mail"]()

    assert (len(posting["books"].senders), posting["films"].senders) == (1, [])


def test_mirror_that_shares_mail_sends_by_the_owners_server(posting):
    with use_mirror("films-fr"):
        SEND["send_mail"]()

    assert posting["films"].senders == ["webmaster@localhost"]
    assert posting["films"].deliveries[0].user == "fay"


def test_mirror_without_mail_sends_the_projects_way(posting):
    with use_original():
        SEND["send_mail"]()

    assert len(mail.outbox) == 1
    assert (posting["books"].senders, posting["films"].senders) == ([], [])


def test_mirror_that_shares_mail_with_the_original_sends_the_projects_way(
    settings, real_mail, project_mail
):
    declare(settings, books={"SHARES": {"MAIL": "original"}})

    with use_mirror("books"):
        SEND["send_mail"]()

    assert len(mail.outbox) == 1


def test_mail_of_the_original_is_its_own_and_of_those_that_share_it(
    inboxes, settings, real_mail, project_mail
):
    declare(settings, books={"SHARES": {"MAIL": "original"}}, films={})
    original = {
        **settings.MIRRORS_OPTIONS["ORIGINAL"],
        "MAIL": inboxes["books"].build_dsn("bob"),
    }
    settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "ORIGINAL": original}

    with use_original():
        SEND["send_mail"]()
    with use_mirror("books"):
        SEND["send_mail"]()
    with use_mirror("films"):
        SEND["send_mail"]()

    assert (len(inboxes["books"].deliveries), len(mail.outbox)) == (2, 1)


def test_mail_that_all_mirrors_have_comes_from_the_defaults(
    inboxes, settings, real_mail
):
    declare(settings, books={})
    settings.MIRRORS_OPTIONS = {
        **settings.MIRRORS_OPTIONS,
        "DEFAULTS": {"MAIL": inboxes["books"].build_dsn("{name}")},
    }

    with use_mirror("books"):
        SEND["send_mail"]()

    assert [item.user for item in inboxes["books"].deliveries] == ["books"]


def test_secret_of_mail_is_read_when_it_is_sent(
    inboxes, settings, real_mail, tmp_path, monkeypatch
):
    secret = tmp_path / "mail"
    secret.write_text(f"smtp://bob:${{WORD}}@127.0.0.1:{inboxes['books'].port}/\n")
    declare(settings, books={"MAIL": f"file:{secret}"})
    monkeypatch.setenv("WORD", "bob-password")

    with use_mirror("books"):
        SEND["send_mail"]()

    assert [item.user for item in inboxes["books"].deliveries] == ["bob"]


def test_mail_that_cannot_be_read_is_not_sent_by_the_projects_server(
    settings, real_mail, project_mail
):
    declare(settings, books={"MAIL": "smtp://bob:${NO_SUCH_WORD}@mail.example/"})

    with use_mirror("books"), pytest.raises(InvalidMirror) as caught:
        SEND["send_mail"]()

    assert str(caught.value) == (
        "The MAIL of mirror 'books' refers to ${NO_SUCH_WORD}, which is not set. Set "
        "the variable in the environment of this process."
    )
    assert mail.outbox == []


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"BACKEND": "no.such.Backend"}, "No module named 'no'"),
        ({"BACKEND": "django_mirrors.mail.MirrorMail"}, "leads back to MirrorMail"),
    ],
)
def test_backend_that_cannot_be_used_is_told(settings, real_mail, config, problem):
    declare(settings, books={"MAIL": config})

    with use_mirror("books"), pytest.raises(InvalidMirror, match=problem):
        SEND["send_mail"]()


def test_backend_of_another_vendor_gets_its_options(settings, real_mail, tmp_path):
    declare(
        settings,
        books={
            "MAIL": {
                "BACKEND": "django.core.mail.backends.filebased.EmailBackend",
                "FILE_PATH": str(tmp_path / "books"),
            }
        },
    )

    with use_mirror("books"):
        SEND["send_mail"]()

    assert len(list((tmp_path / "books").iterdir())) == 1


def test_credentials_of_a_call_go_before_those_of_the_mirror(posting):
    with warnings.catch_warnings(action="ignore"), use_mirror("books"):
        mail.send_mail(
            "subject",
            "text",
            None,
            ANN,
            auth_user="eve",
            auth_password="eve-password",
            fail_silently=False,
        )

    assert [item.user for item in posting["books"].deliveries] == ["eve"]


@pytest.mark.filterwarnings("ignore:get_connection")
def test_connection_of_one_mirror_sends_nothing_in_another(posting):
    with use_mirror("books"):
        connection = mail.get_connection()
        message = mail.EmailMessage("subject", "text", None, ANN)

    with use_mirror("films"), pytest.raises(WrongMirror) as caught:
        connection.send_messages([message])

    assert str(caught.value) == (
        "A mail connection of mirror 'books' was used while 'films' is current. Ask "
        "for the connection in the mirror that sends."
    )
    assert posting["books"].deliveries == posting["films"].deliveries == []


@pytest.mark.filterwarnings("ignore:get_connection")
def test_connection_of_a_mirror_cannot_be_opened_without_one(posting):
    with use_mirror("books"):
        connection = mail.get_connection()

    with no_mirror(), pytest.raises(NoCurrentMirror, match="while no mirror is"):
        connection.open()


@pytest.mark.filterwarnings("ignore:get_connection")
def test_connection_crosses_when_it_is_said_why(posting):
    with use_mirror("books"):
        connection = mail.get_connection()
        message = mail.EmailMessage("subject", "text", None, ANN)

    with use_mirror("films"), cross_mirrors("a test"):
        connection.send_messages([message])

    assert len(posting["books"].deliveries) == 1


@pytest.mark.filterwarnings("ignore:get_connection")
def test_connection_is_opened_once_for_many_messages(posting):
    with use_mirror("books"), mail.get_connection() as connection:
        opened = connection.connection
        SEND["send_mail"]()
        kept = connection.connection

    assert opened is kept is not None
    assert connection.connection is None


@pytest.mark.filterwarnings("ignore:get_connection")
def test_connection_has_no_private_names_of_its_backend(posting):
    with use_mirror("books"):
        connection = mail.get_connection()

    assert not hasattr(connection, "_partial_connection")


def test_settings_of_mail_are_those_of_the_current_mirror(
    settings, real_mail, legacy_mail
):
    declare(settings, books={"MAIL": "smtps://bob:word@mail.books.example/?timeout=3"})
    names = ("EMAIL_HOST", "EMAIL_PORT", "EMAIL_HOST_USER", "EMAIL_USE_SSL")

    with use_mirror("books"):
        inside = [getattr(project, name) for name in names]
    outside = [getattr(project, name) for name in names]

    assert inside == ["mail.books.example", 465, "bob", True]
    assert outside == ["localhost", 25, "", False]


def test_option_that_a_mirror_leaves_out_is_djangos_and_not_the_projects(
    settings, real_mail, legacy_mail, change
):
    declare(settings, books={"MAIL": {"BACKEND": "a.Backend"}})
    change("EMAIL_HOST", "mail.project.example")

    with use_mirror("books"):
        inside = project.EMAIL_HOST

    assert (inside, project.EMAIL_HOST) == ("localhost", "mail.project.example")


def test_override_in_a_test_goes_before_the_mirrors_mail(
    settings, real_mail, legacy_mail
):
    declare(settings, books={"MAIL": "smtp://mail.example"})

    with use_mirror("books"), override_settings(EMAIL_BACKEND=OUTBOX):
        SEND["send_mail"]()

    assert len(mail.outbox) == 1


@pytest.mark.needs_django(6, 1)  # MAILERS
def test_settings_that_mailers_replace_stay_away(settings, real_mail):
    declare(settings, books={"MAIL": "smtp://mail.example"})

    with use_mirror("books"):
        assert not hasattr(project, "EMAIL_HOST")
        assert not hasattr(project, "EMAIL_BACKEND")


@pytest.mark.needs_django(6, 1)  # MAILERS
def test_further_mailers_are_the_projects(settings, real_mail, inboxes, change):
    declare(settings, books={"MAIL": inboxes["books"].build_dsn()})
    change("MAILERS", {"default": {"BACKEND": OUTBOX}, "news": {"BACKEND": OUTBOX}})

    with use_mirror("books"):
        mail.EmailMessage("subject", "text", None, ANN).send(using="news")
        SEND["send_mail"]()

    assert (len(mail.outbox), len(inboxes["books"].deliveries)) == (1, 1)


def test_mail_of_a_mirror_stays_in_the_outbox_of_tests(settings):
    declare(settings, books={"MAIL": "smtp://mail.example"})

    with use_mirror("books"):
        SEND["send_mail"]()

    assert len(mail.outbox) == 1


def test_backend_can_be_asked_for_a_mirror_that_must_have_one():
    with use_original(), pytest.raises(InvalidMirror) as caught:
        MirrorMail()

    assert str(caught.value) == (
        "Mirror 'original' has no mail server. Add 'MAIL' to "
        "MIRRORS_OPTIONS['ORIGINAL'], such as "
        "'smtp://user:${PASSWORD}@mail.example:587/?tls=1', or share another mirror's."
    )


def test_owner_of_mail_is_the_mirror_that_has_it(posting):
    owners = [find_mail_owner(mirrors[name]) for name in mirrors]

    assert owners == [mirrors["books"], mirrors["films"], mirrors["films"]]


def test_connecting_uses_the_mirrors_server_within_the_time(posting, monkeypatch):
    seen = []
    monkeypatch.setattr(
        smtp.EmailBackend, "open", lambda self: seen.append((self.port, self.timeout))
    )

    with use_mirror("books"):
        connect(timeout=2)

    assert seen == [(posting["books"].port, 5)]


def test_connecting_waits_no_longer_than_it_is_told(settings, monkeypatch):
    declare(settings, books={"MAIL": "smtp://mail.example"})
    seen = []
    monkeypatch.setattr(
        smtp.EmailBackend, "open", lambda self: seen.append(self.timeout)
    )

    with use_mirror("books"):
        connect(timeout=2)

    assert seen == [2]


def test_backend_without_a_server_is_made_and_not_opened(settings, monkeypatch):
    declare(settings, books={"MAIL": "memory://"})
    monkeypatch.setattr(locmem.EmailBackend, "open", lambda self: 1 / 0)

    with use_mirror("books"):
        connect(timeout=2)

    assert mail.outbox == []
