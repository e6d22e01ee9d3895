"""Leaks of mail, templates, static files, settings and the current site."""

from tests.leaks import Leak

MAIL = "tests/test_mail.py"
TEMPLATES = "tests/test_templates.py"
STATIC = "tests/test_staticfiles.py"
OVERLAY = "tests/test_overlay.py"
RESET = "tests/flows/test_password_reset.py -k sqlite"

LEAKS = [
    Leak(
        "a mirror that has mail sends by the project's server",
        "mail.py",
        '    if name == "EMAIL_BACKEND" and mailers is None:\n        return _PATH\n',
        "",
        f"{MAIL} -k server",
    ),
    Leak(
        "a mirror that has mail sends by the project's MAILERS",
        "mail.py",
        '        return {**mailers, _compat_mail.DEFAULT_MAILER: {"BACKEND": _PATH}}\n',
        "        return mailers\n",
        f"{MAIL} -k server",
    ),
    Leak(
        "mail whose secret cannot be read falls back to the project's server",
        "mail.py",
        "    owner = None if mirror is None else find_mail_owner(mirror)\n"
        "    if owner is None:\n        return _compat_settings.MISSING\n",
        "    owner = None if mirror is None else find_mail_owner(mirror)\n"
        "    try:\n        _read(owner)\n    except Exception:\n"
        "        return _compat_settings.MISSING\n",
        f"{MAIL} -k cannot_be_read",
    ),
    Leak(
        "a mail connection is kept for all mirrors",
        "mail.py",
        "def _build(owner: Mirror, given: Mapping[str, Any]) -> BaseEmailBackend:\n",
        "from functools import lru_cache\n\n\n"
        "def _build(owner: Mirror, given: Mapping[str, Any]) -> BaseEmailBackend:\n"
        "    return _kept(given.get('username'))\n\n\n"
        "@lru_cache\n"
        "def _kept(username: Any) -> BaseEmailBackend:\n"
        "    return _make(_get_owner(get_current_mirror()), {})\n\n\n"
        "def _make(owner: Mirror, given: Mapping[str, Any]) -> BaseEmailBackend:\n",
        f"{MAIL} -k two_mirrors",
    ),
    Leak(
        "a mail connection of one mirror sends in another",
        "mail.py",
        "        if current is not None and current.uid == self._mirror.uid:\n",
        "        if current is not None:\n",
        f"{MAIL} -k connection",
    ),
    Leak(
        "a mail connection of a mirror is opened without one",
        "mail.py",
        '        """Open a connection to the server."""\n        self._check()\n',
        '        """Open a connection to the server."""\n',
        f"{MAIL} -k connection",
    ),
    Leak(
        "a mirror that shares mail sends by the project's server",
        "mail.py",
        "    owner = mirror if name == mirror.name else mirrors[name]\n",
        "    owner = mirror\n",
        f"{MAIL} -k shares",
    ),
    Leak(
        "an option that a mirror leaves out is that of the project's server",
        "mail.py",
        "        default = _compat_mail.get_default(name)\n",
        "        default = _compat_settings.find_plain_setting(name, None)\n",
        f"{MAIL} -k leaves_out",
    ),
    Leak(
        "the settings of mail of one mirror are kept for the next",
        "_compat_settings.py",
        "    return name.isupper() and (can_vary(name) or name in MAIL_SETTINGS)\n",
        "    return name.isupper() and can_vary(name)\n",
        f"{MAIL} -k settings_of_mail",
    ),
    Leak(
        "mirrors of the tests of a project send for real",
        "mail.py",
        "    if _compat.is_test_environment():\n"
        "        return _compat_settings.MISSING\n",
        "",
        f"{MAIL} -k outbox",
    ),
    Leak(
        "mail is sent without a mirror",
        "_compat.py",
        "        check()\n        make(self, *args, **kwargs)\n",
        "        make(self, *args, **kwargs)\n",
        f"{MAIL} -k without_a_mirror",
    ),
    Leak(
        "mail is sent with another password than that of the definition",
        "dsn.py",
        '        "password": unquote(parts.password or ""),\n        "use_ssl"',
        '        "password": unquote(parts.username or ""),\n        "use_ssl"',
        f"{MAIL} tests/test_dsn.py -k mail",
    ),
    Leak(
        "mail goes unencrypted where the DSN asks for TLS",
        "dsn.py",
        '        "use_tls": is_tls,\n',
        '        "use_tls": False,\n',
        "tests/test_dsn.py -k mail",
    ),
    Leak(
        "compiled templates are kept by name alone",
        "_compat_templates.py",
        "        return key if theme is None else (theme, key)\n",
        "        return key\n",
        TEMPLATES,
    ),
    Leak(
        "templates of one theme are found in another",
        "themes.py",
        "    return None if mirror is None else mirror.theme\n",
        "    return None if mirror is None else next(iter_themes(TEMPLATES))[0]\n",
        TEMPLATES,
    ),
    Leak(
        "the theme of the first mirror is kept for the process",
        "themes.py",
        "def find_current_theme() -> str | None:\n",
        "from functools import cache\n\n\n@cache\n"
        "def find_current_theme() -> str | None:\n",
        f"{TEMPLATES} {STATIC}",
    ),
    Leak(
        "the name of a template leads out of its theme",
        "themes.py",
        "        return Path(join_safely(root / theme / part, name))\n",
        "        return root / theme / part / name\n",
        f"{TEMPLATES} {STATIC} -k leaves",
    ),
    Leak(
        "the name of a theme leads out of the directory of themes",
        "definition.py",
        "    if not isinstance(value, str) or not THEME_NAME.fullmatch(value):\n",
        "    if not isinstance(value, str):\n",
        f"{TEMPLATES} -k refused",
    ),
    Leak(
        "an address of static files leads beside the themes",
        "themes.py",
        "    if root is None or not THEME_NAME.fullmatch(theme):\n",
        "    if root is None:\n",
        f"{STATIC} -k beside",
    ),
    Leak(
        "a changed template of a theme is not noticed",
        "templates.py",
        "        return (str(directory) for _, directory in iter_themes(TEMPLATES))\n",
        "        return iter(())\n",
        TEMPLATES,
    ),
    Leak(
        "the names of static files of one theme are kept for others",
        "staticfiles.py",
        "        url: str = self._wrapped.url(_find_themed(name) or name, "
        "*args, **kwargs)\n        return url\n",
        "        kept = self.__dict__.setdefault('_kept', {})\n"
        "        if name not in kept:\n"
        "            kept[name] = self._wrapped.url(_find_themed(name) or name)\n"
        "        return str(kept[name])\n",
        STATIC,
    ),
    Leak(
        "static files of a theme are linked to that it does not have",
        "staticfiles.py",
        '    return f"{_PREFIX}/{theme}/{name}" if path is not None and '
        "path.is_file() else None\n",
        '    return f"{_PREFIX}/{theme}/{name}"\n',
        STATIC,
    ),
    Leak(
        "collected files of all themes lie over one another",
        "staticfiles.py",
        '            storage.prefix = f"{_PREFIX}/{theme}"',
        '            storage.prefix = f"{_PREFIX}"',
        f"{STATIC} -k finder",
    ),
    Leak(
        "a setting of the current mirror is that of the first one",
        "_compat_settings.py",
        "        if value is not MISSING:\n            return value\n"
        "        # LazySettings has",
        "        if value is not MISSING:\n            self.__dict__[name] = value\n"
        "            return value\n        # LazySettings has",
        f"{OVERLAY} tests/flows/test_settings.py",
    ),
    Leak(
        "the project's value is kept for a moment, where another thread finds it",
        "_compat_settings.py",
        "        return getattr(wrapped, name)\n\n\ndef _build_plain",
        "        value = super().__getattr__(name)\n"
        "        self.__dict__.pop(name, None)\n        return value\n\n\n"
        "def _build_plain",
        OVERLAY,
    ),
    Leak(
        "the key that others are derived from is kept for a moment",
        "_compat_settings.py",
        "            value = LazySettings.__getattr__(_build_plain(wrapped), name)\n",
        "            value = super().__getattr__(name)\n",
        OVERLAY,
    ),
    Leak(
        "an override in a test is lost in a mirror",
        "_compat_settings.py",
        "        value = MISSING if _is_overridden(wrapped, name) else find(name)\n",
        "        value = find(name)\n",
        f"{OVERLAY} tests/flows/test_settings.py",
    ),
    Leak(
        "a setting that Django reads once is accepted",
        "definition.py",
        "    if not is_refused(name) and _compat_settings.can_vary(name):\n",
        "    if not is_refused(name):\n",
        "tests/test_refusals.py",
    ),
    Leak(
        "the server of mail can be set in the settings of a mirror",
        "definition.py",
        "    if not is_refused(name) and _compat_settings.can_vary(name):\n",
        "    if name.startswith(('EMAIL', 'MAIL'))"
        " or _compat_settings.can_vary(name):\n"
        "",
        "tests/test_refusals.py",
    ),
    Leak(
        "cookies of a mirror can be made to reach another",
        "_compat_settings.py",
        '        "SESSION_COOKIE_AGE",\n',
        '        "SESSION_COOKIE_AGE",\n        "SESSION_COOKIE_DOMAIN",\n',
        "tests/test_refusals.py",
    ),
    Leak(
        "the current site is that of the mirror that asked first",
        "overlay.py",
        "    return None if mirror is None else (mirror.uid, mirror.primary_host)\n",
        "    return None\n",
        f"{OVERLAY} tests/flows/test_password_reset.py",
    ),
    Leak(
        "links of a reset lead to the owner of a shared database",
        "_compat_sites.py",
        "        site.domain = replace_host(site.domain, self._find_host())\n",
        "",
        RESET,
    ),
    Leak(
        "links of a reset lead to whatever host was asked",
        "_compat_sites.py",
        "        self.domain = self.name = replace_host(self.domain, find_host())\n",
        "        self.domain = self.name = self.domain\n",
        RESET,
    ),
    Leak(
        "the site of the mail's links is named by a forwarded host",
        "_compat_sites.py",
        "        self.domain = self.name = replace_host(self.domain, find_host())\n",
        "        forwarded = request.META.get('HTTP_X_HOST')\n"
        "        self.domain = self.name = forwarded or self.domain\n",
        RESET,
    ),
    Leak(
        "a theme that is not looked into is no problem",
        "checks/themes.py",
        "    if any(_has_theme_loader(config) for config in "
        'find_setting("TEMPLATES", ())):\n',
        "    if True:\n",
        "tests/test_checks.py -k theme",
    ),
    Leak(
        "the mail of a mirror is not connected to by the check",
        "operations/health.py",
        "            *_check_mail(mirror),\n",
        "",
        "tests/operations/test_health.py",
    ),
    Leak(
        "a database is removed when its mirror moves to another",
        "operations/fleet.py",
        "    return record_change(name, change)\n",
        "    changed = record_change(name, change)\n    from pathlib import Path\n\n"
        "    if changed.database != known.database:\n"
        "        Path(str(known.database)[10:]).unlink()\n"
        "    return changed\n",
        "tests/management/test_commands.py -k removes",
    ),
]
