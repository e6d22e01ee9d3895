"""Whether hosts tell mirrors apart, in cookies and headers too."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from django.core.checks import CheckMessage, Error

from django_mirrors.checks.findings import Findings
from django_mirrors.checks.messages import build_errors, build_warnings
from django_mirrors.conf import find_setting
from django_mirrors.mirror import SESSIONS, Mirror
from django_mirrors.registry.snapshot import describe_place

__all__ = ["check_hosts"]

# The look for changes and what follows from one take part of the two seconds.
_LONGEST_POLL = 1.5
# Browsers take a cookie of this prefix from the host itself only, over HTTPS.
_HOST_ONLY = "__Host-"
_SECURE_COOKIES = {
    "SESSION_COOKIE_NAME": "SESSION_COOKIE_SECURE",
    "CSRF_COOKIE_NAME": "CSRF_COOKIE_SECURE",
}
_HOST_ONLY_NAMES = {
    "SESSION_COOKIE_NAME": f"{_HOST_ONLY}sessionid",
    "CSRF_COOKIE_NAME": f"{_HOST_ONLY}csrftoken",
}
_HOSTS_MIDDLEWARE = "django_hosts.middleware."


def check_hosts(findings: Findings) -> list[CheckMessage]:
    """Return the settings by which one mirror could stand in for another."""
    return [
        *_check_forwarded(findings),
        *build_errors(_find_cookies(findings, "SESSION_COOKIE_DOMAIN"), 42),
        *build_errors(_find_cookies(findings, "CSRF_COOKIE_DOMAIN"), 43),
        *build_warnings(_find_without_prefix(findings), 45),
        *_check_origins(findings),
        *build_warnings(_find_without_link(findings), 2),
        *build_warnings(_find_slow_poll(findings), 3),
        *build_warnings(_find_hosts_middleware(), 4),
    ]


def _check_forwarded(findings: Findings) -> list[CheckMessage]:
    if not find_setting("USE_X_FORWARDED_HOST") or findings.conf.trusted_proxies:
        return []
    return [
        Error(
            "USE_X_FORWARDED_HOST is True, but nobody is trusted to forward a host, so "
            "the header counts for nothing.",
            hint="List the networks of your proxies in "
            "MIRRORS_OPTIONS['TRUSTED_PROXIES'], or let them pass the Host header on.",
            id="mirrors.E041",
        )
    ]


def _find_cookies(findings: Findings, setting: str) -> list[str]:
    domain = str(find_setting(setting) or "").lower().lstrip(".")
    covered = _find_covered(findings.all, domain, is_wild=True) if domain else []
    if len(_find_owners(covered)) < 2:
        return []
    problem = (
        f"{setting} is '{domain}', so browsers send the cookies of mirror "
        f"'{covered[0]}' to '{covered[1]}'{_count_more(covered)}. Remove the setting: "
        "each host then has cookies of its own."
    )
    return [problem]


def _find_owners(mirrors: Iterable[Mirror]) -> set[str]:
    """Return the names of those whose sessions the mirrors use."""
    return {mirror.find_owner(SESSIONS) for mirror in mirrors}


def _find_without_prefix(findings: Findings) -> list[str]:
    names = [
        setting
        for setting, secure in _SECURE_COOKIES.items()
        if find_setting(secure) and _could_be_host_only(setting)
    ]
    siblings = _find_siblings(findings.all) if names else ()
    if not siblings:
        return []
    first, second, domain = siblings
    return [
        f"{setting} is '{find_setting(setting)}', so mirror '{first}' can set the "
        f"cookie of '{second}': both are under '{domain}'. Write {setting} = "
        f"'{_HOST_ONLY_NAMES[setting]}', which browsers keep to one host."
        for setting in names
    ]


def _could_be_host_only(setting: str) -> bool:
    """Whether the cookie could have the prefix and has not."""
    if setting == "CSRF_COOKIE_NAME" and find_setting("CSRF_USE_SESSIONS"):
        return False
    kind = setting.removesuffix("NAME")
    return not (
        str(find_setting(setting)).startswith(_HOST_ONLY)
        or find_setting(f"{kind}DOMAIN")
        or find_setting(f"{kind}PATH") != "/"
    )


def _find_siblings(mirrors: Iterable[Mirror]) -> tuple[Mirror, Mirror, str] | None:
    """Return two mirrors of two owners of sessions under one domain, and that."""
    known: dict[str, Mirror] = {}
    for mirror in mirrors:
        for host in mirror.hosts:
            domain = ".".join(host.split(".")[-2:])
            # Browsers take no cookie for a domain of one label.
            other = known.setdefault(domain, mirror) if "." in domain else mirror
            if other.find_owner(SESSIONS) != mirror.find_owner(SESSIONS):
                return other, mirror, domain
    return None


def _check_origins(findings: Findings) -> list[CheckMessage]:
    across: list[str] = []
    of_one: list[str] = []
    for origin in find_setting("CSRF_TRUSTED_ORIGINS", ()):
        domain = urlsplit(str(origin)).hostname or ""
        is_wild = domain.startswith("*.")
        name = domain.removeprefix("*.")
        covered = _find_covered(findings.all, name, is_wild=is_wild)
        start = f"CSRF_TRUSTED_ORIGINS has '{origin}', and so every mirror accepts"
        if is_wild and len(covered) > 1:
            across.append(
                f"{start} forms of '{covered[0]}' and '{covered[1]}'"
                f"{_count_more(covered)}. Remove it: each mirror trusts its own hosts, "
                "and those in its 'TRUSTED_ORIGINS'."
            )
        elif covered and findings.mirrors:
            of_one.append(
                f"{start} forms of '{covered[0]}'. Remove it: a mirror trusts its own "
                "hosts without it."
            )
    return [*build_errors(across, 44), *build_warnings(of_one, 5)]


def _find_covered(
    mirrors: Iterable[Mirror], domain: str, *, is_wild: bool
) -> list[Mirror]:
    """Return the mirrors with a host that is `domain`, or ends in it."""

    def is_covered(host: str) -> bool:
        host = host.removeprefix("*.")
        return host == domain or (is_wild and host.endswith(f".{domain}"))

    return [
        mirror for mirror in mirrors if any(is_covered(host) for host in mirror.hosts)
    ]


def _count_more(mirrors: list[Mirror]) -> str:
    return f" and {len(mirrors) - 2} more" if len(mirrors) > 2 else ""


def _find_without_link(findings: Findings) -> list[str]:
    return [
        f"{describe_place(mirror)}: mirror '{mirror}' has wildcard hosts only, so no "
        "link can lead to it. Put a name without '*' first in 'HOSTS'."
        for mirror in findings.mirrors
        if mirror.hosts and not mirror.primary_host
    ]


def _find_slow_poll(findings: Findings) -> list[str]:
    seconds = findings.conf.poll_seconds
    if seconds <= _LONGEST_POLL:
        return []
    problem = (
        f"MIRRORS_OPTIONS['POLL_SECONDS'] is {seconds:g}, so a change or a suspension "
        f"is not live within two seconds. Write {_LONGEST_POLL} or less."
    )
    return [problem]


def _find_hosts_middleware() -> list[str]:
    return [
        f"MIDDLEWARE has '{path}', which replaces the URLs of a mirror by those of a "
        "pattern of django-hosts. Remove it: MirrorMiddleware does its work."
        for path in find_setting("MIDDLEWARE", ())
        if str(path).startswith(_HOSTS_MIDDLEWARE)
    ]
