"""Mail goes by the current mirror's own way, or by the project's if it has none."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.smtp import EmailBackend as SmtpBackend

from django_mirrors import _compat, _compat_mail, _compat_settings
from django_mirrors.conf import get_conf
from django_mirrors.context import find_current_mirror, get_current_mirror, is_crossing
from django_mirrors.dsn import build_mail
from django_mirrors.exceptions import (
    InvalidMirror,
    NoCurrentMirror,
    UnknownMirror,
    WrongMirror,
)
from django_mirrors.mirror import MAIL, Mirror
from django_mirrors.registry import mirrors

__all__ = ["MirrorMail", "connect", "find_mail_owner", "find_mail_setting"]

_PATH = "django_mirrors.mail.MirrorMail"
_ROUTERS = frozenset({_PATH})


class MirrorMail(BaseEmailBackend):
    """Sends by the `MAIL` of the mirror that is current when it is made.

    Django makes a backend for each message, so none needs to be kept. Raises
    `NoCurrentMirror` without a mirror, `InvalidMirror` if the mirror has no `MAIL`, and
    `WrongMirror` when it is used in another mirror than it was made in.
    """

    def __init__(self, *, alias: str | None = None, **given: Any) -> None:
        super().__init__()
        self.alias = alias
        self._mirror = get_current_mirror()
        self._backend = _build(_get_owner(self._mirror), given)

    def __getattr__(self, name: str) -> Any:
        # Only what BaseEmailBackend does not have: a backend's own attributes.
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._backend, name)

    def open(self) -> bool | None:
        """Open a connection to the server."""
        self._check()
        return self._backend.open()

    def close(self) -> None:
        """Close the connection, in whichever mirror."""
        self._backend.close()

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Send the messages and return how many were sent."""
        self._check()
        return self._backend.send_messages(email_messages)

    def _check(self) -> None:
        current = find_current_mirror()
        if current is not None and current.uid == self._mirror.uid:
            return
        if is_crossing():
            return
        error = NoCurrentMirror if current is None else WrongMirror
        raise error(
            f"A mail connection of mirror '{self._mirror}' was used while "
            f"{'no mirror' if current is None else repr(current.name)} is current. "
            "Ask for the connection in the mirror that sends."
        )


def connect(*, timeout: float) -> None:
    """Connect to the current mirror's mail server and hang up, if it names one.

    `timeout` counts unless its `MAIL` has one. Raises whatever is wrong.
    """
    owner = _get_owner(get_current_mirror())
    backend = _build(owner, {})
    if not isinstance(backend, SmtpBackend):
        return  # a directory or a service: that it could be made must do
    if backend.timeout is None:
        backend.timeout = timeout
    try:
        backend.open()
    finally:
        backend.close()


def find_mail_setting(name: str) -> Any:
    """Return what the setting `name` is for the current mirror, or `MISSING`.

    Raises `InvalidMirror` if the mirror's MAIL cannot be read: the project's own would
    be somebody else's server.
    """
    if mirrors.is_reading:
        # Which mirror a command acts on is not known before the fleet was read.
        return _compat_settings.MISSING
    try:
        mirror = find_current_mirror()
    except (InvalidMirror, UnknownMirror):
        # That of a command. The system checks, which read settings, say what is wrong.
        return _compat_settings.MISSING
    owner = None if mirror is None else find_mail_owner(mirror)
    if owner is None:
        return _compat_settings.MISSING
    mailers = _compat_mail.find_mailers()
    if name in _compat_settings.MAIL_OPTIONS and mailers is None:
        options = _read(owner)["OPTIONS"]
        default = _compat_mail.get_default(name)
        return options.get(_compat_settings.MAIL_OPTIONS[name], default)
    # Django's test environment keeps all mail in an outbox.
    if _compat.is_test_environment():
        return _compat_settings.MISSING
    if name == "EMAIL_BACKEND" and mailers is None:
        return _PATH
    if name == "MAILERS" and mailers is not None:
        return {**mailers, _compat_mail.DEFAULT_MAILER: {"BACKEND": _PATH}}
    return _compat_settings.MISSING


def find_mail_owner(mirror: Mirror) -> Mirror | None:
    """Return the mirror whose `MAIL` the mirror sends by, or None if it has none."""
    name = mirror.find_owner(MAIL)
    owner = mirror if name == mirror.name else mirrors[name]
    return None if owner.mail is None else owner


def _get_owner(mirror: Mirror) -> Mirror:
    owner = find_mail_owner(mirror)
    if owner is not None:
        return owner
    place = "MIRRORS_OPTIONS['ORIGINAL']" if mirror.is_original else "its definition"
    raise InvalidMirror(
        f"Mirror '{mirror}' has no mail server. Add 'MAIL' to {place}, such as "
        "'smtp://user:${PASSWORD}@mail.example:587/?tls=1', or share another mirror's."
    )


def _read(owner: Mirror) -> dict[str, Any]:
    place = f"The MAIL of mirror '{owner}'"
    config = build_mail(owner.mail or "", directory=get_conf().directory, place=place)
    if config["BACKEND"] in _ROUTERS:
        raise InvalidMirror(
            f"{place} leads back to MirrorMail. Name the backend that sends."
        )
    return config


def _build(owner: Mirror, given: Mapping[str, Any]) -> BaseEmailBackend:
    config = _read(owner)
    try:
        return _compat_mail.build_mail_backend(
            config["BACKEND"], config["OPTIONS"], given
        )
    except (ImportError, ImproperlyConfigured, TypeError, ValueError) as error:
        raise InvalidMirror(
            f"The MAIL of mirror '{owner}' cannot be used: {error}. Correct its "
            "'BACKEND' or its options."
        ) from error
