"""Mail is sent for a mirror, or not at all."""

from threading import Thread

import pytest
from django.core import mail

from django_mirrors import use_mirror
from django_mirrors.exceptions import NoCurrentMirror
from django_mirrors.testing import no_mirror

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
