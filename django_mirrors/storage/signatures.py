"""URLs of private files: signed for one mirror, for a time."""

from time import time
from urllib.parse import urlencode, urljoin

from django.core.signing import BadSignature, Signer
from django.utils.encoding import filepath_to_uri

from django_mirrors.conf import find_setting
from django_mirrors.context import get_current_mirror
from django_mirrors.storage.backends import DEFAULT_ALIAS, get_backend
from django_mirrors.storage.names import check_name

__all__ = ["is_signed", "sign_media_url"]

_SALT = "django_mirrors.storage.media"


def sign_media_url(name: str, *, expires_in: float, alias: str = DEFAULT_ALIAS) -> str:
    """Return a URL of the file `name` that is good for `expires_in` seconds.

    It is good at the current mirror only, and leads below the storage's `base_url`,
    or MEDIA_URL if it has none: serve `serve_media` with `private=True` there.
    """
    if expires_in <= 0:
        raise ValueError("A signed URL needs a time to live. Pass seconds above 0.")
    checked = check_name(name)
    expires = str(int(time() + expires_in))
    signature = Signer(salt=_SALT).signature(_build_text(checked, alias, expires))
    base = getattr(get_backend(alias), "base_url", None) or find_setting("MEDIA_URL")
    query = urlencode({"expires": expires, "signature": signature})
    return f"{urljoin(base, filepath_to_uri(checked))}?{query}"


def is_signed(name: str, *, alias: str, expires: str, signature: str) -> bool:
    """Whether the current mirror signed this URL, and its time is not over."""
    text = _build_text(name, alias, expires)
    try:
        # Not a comparison of our own: this one knows about rotated keys.
        Signer(salt=_SALT).unsign(f"{text}:{signature}")
    except BadSignature:
        return False
    # Signed, so a number that this package wrote.
    return time() < int(expires)


def _build_text(name: str, alias: str, expires: str) -> str:
    # The length keeps the end of an alias and the begin of a name apart.
    uid = get_current_mirror().uid.hex
    return f"{uid}:{expires}:{len(alias)}:{alias}:{name}"
