"""Leaks of hosts: a request that reaches another mirror, or one that nobody owns."""

from tests.leaks import Leak

HOSTS, REQUESTS = "tests/test_hosts.py", "tests/flows/test_requests.py"
FIRE = "tests/isolation/test_hosts.py -k"

LEAKS = [
    # The parser
    Leak(
        "a host with a trailing dot is another host",
        "hosts.py",
        '    host = host.removesuffix(".")\n    _check_name(host, text)\n',
        "    _check_name(host, text)\n",
        HOSTS,
    ),
    Leak(
        "a host in capitals is another host",
        "hosts.py",
        "text = _read_ascii(raw).lower()",
        "text = _read_ascii(raw)",
        HOSTS,
    ),
    Leak(
        "a host with a port above 65535 is accepted",
        "hosts.py",
        "if 0 < number <= _MAX_PORT:",
        "if 0 < number:",
        HOSTS,
    ),
    Leak(
        "a host with port 0 is accepted",
        "hosts.py",
        "if 0 < number <= _MAX_PORT:",
        "if 0 <= number <= _MAX_PORT:",
        HOSTS,
    ),
    Leak(
        "a host of any length is read to its end",
        "hosts.py",
        "if len(raw) > _MAX_AUTHORITY_LENGTH:",
        "if len(raw) > 1 << 30:",
        HOSTS,
    ),
    Leak(
        "letters that lower() turns into ASCII are accepted",
        "hosts.py",
        "    if not text.isascii():\n",
        "    if not text.lower().isascii():\n",
        HOSTS,
    ),
    Leak(
        "two dots in a row are accepted",
        "hosts.py",
        '        and ".." not in host\n',
        "",
        HOSTS,
    ),
    Leak(
        "a label may begin with a hyphen",
        "hosts.py",
        '        or label[0] == "-"\n',
        "",
        HOSTS,
    ),
    Leak(
        "a zone of an address is accepted",
        "hosts.py",
        ' or "%" in address:',
        ":",
        HOSTS,
    ),
    Leak(
        "an address is accepted in hexadecimal",
        "hosts.py",
        'return label.startswith("0x") and _HEX_DIGITS.issuperset(label[2:])',
        "return False",
        HOSTS,
    ),
    Leak(
        "an address with leading zeros, octal to some, is accepted",
        "hosts.py",
        '        and (part == "0" or part[0] != "0")\n',
        "",
        HOSTS,
    ),
    Leak(
        "a wildcard covers a whole top-level domain",
        "hosts.py",
        'if "." not in host and host != "localhost":',
        "if not host:",
        HOSTS,
    ),
    # The index
    Leak(
        "a wildcard covers two labels",
        "registry/snapshot.py",
        'mirror = self.wildcards.get(host.partition(".")[2])',
        "mirror = next((found for parent, found in self.wildcards.items() "
        'if host.endswith(f".{parent}")), None)',
        REQUESTS,
    ),
    Leak(
        "a wildcard beats an exact host",
        "registry/snapshot.py",
        "        mirror = self.exact.get(host)\n"
        "        if mirror is None and self.wildcards:\n"
        '            mirror = self.wildcards.get(host.partition(".")[2])\n',
        '        mirror = self.wildcards.get(host.partition(".")[2])\n'
        "        if mirror is None:\n"
        "            mirror = self.exact.get(host)\n",
        f"{FIRE} wildcard",
    ),
    Leak(
        "an unknown host falls to the original",
        "registry/__init__.py",
        "if mirror is None and _is_host_of_original(snapshot.original, host):",
        "if mirror is None:",
        REQUESTS,
    ),
    Leak(
        "ALLOWED_HOSTS serve the original beside the hosts it names",
        "registry/__init__.py",
        "if original.hosts and not _compat.is_test_environment():",
        "if original.hosts is None:",
        f"{FIRE} setting_of_django",
    ),
    Leak(
        "a star or a dot in ALLOWED_HOSTS lets every host in",
        "registry/__init__.py",
        "return host in find_original_hosts()",
        'return __import__("django.http.request", fromlist=["_"]).validate_host('
        'host, __import__("django.conf", fromlist=["_"]).settings.ALLOWED_HOSTS)',
        REQUESTS,
    ),
    Leak(
        "a host that two mirrors claim goes to the second",
        "registry/snapshot.py",
        "                problems.append(_describe_clash(host, other, mirror))\n"
        "        return problems\n\n    def put",
        "                pass\n        return problems\n\n    def put",
        "tests/registry/test_snapshot.py",
    ),
    # Requests
    Leak(
        "the host as it was sent is left for the rest of Django",
        "middleware.py",
        "_compat.fix_host(request, authority)",
        '_compat.fix_host(request, meta.get("HTTP_HOST", authority))',
        REQUESTS,
    ),
    Leak(
        "anybody may forward a host",
        "middleware.py",
        "if forwarded is not None and conf.trusted_proxies:",
        "if forwarded is not None:",
        REQUESTS,
    ),
    Leak(
        "what an untrusted address forwards counts if there are trusted ones",
        "middleware.py",
        "    if conf.trusted_proxies and not _is_trusted(\n",
        "    if not conf.trusted_proxies and not _is_trusted(\n",
        REQUESTS,
    ),
    Leak(
        "a forwarded host is left for the rest of Django",
        "middleware.py",
        "forwarded = meta.pop(_FORWARDED_HOST, None)",
        "forwarded = meta.get(_FORWARDED_HOST)",
        REQUESTS,
    ),
    Leak(
        "the first of several forwarded hosts counts",
        "middleware.py",
        "return parse_authority(forwarded.strip())",
        'return parse_authority(forwarded.partition(",")[0].strip())',
        REQUESTS,
    ),
    Leak(
        "a mirror that is not ready is served",
        "middleware.py",
        "return mirror.state == State.ACTIVE or mirror.state in _HELD",
        "return mirror.state != State.ARCHIVED",
        REQUESTS,
    ),
    Leak(
        "a pinned process answers for other mirrors",
        "middleware.py",
        "if conf.pinned is not None and mirror.name != conf.pinned:",
        "if conf.pinned is not None and not mirror.name:",
        REQUESTS,
    ),
    # Redirects and links
    Leak(
        "a redirect is made of the host that was asked",
        "middleware.py",
        "    authority = mirror.primary_host if port is None else "
        'f"{mirror.primary_host}:{port}"\n',
        "    authority = request.get_host()\n",
        REQUESTS,
    ),
    Leak(
        "a path without a slash goes on with the host of a redirect",
        "middleware.py",
        '"Location": f"{request.scheme}://{authority}/{path}{query}"',
        '"Location": f"{request.scheme}://{authority}'
        '{escape_uri_path(request.path)}{query}"',
        REQUESTS,
    ),
    Leak(
        "a redirect names no host, so that a path with two slashes names one",
        "middleware.py",
        '"Location": f"{request.scheme}://{authority}/{path}{query}"',
        '"Location": f"{escape_uri_path(request.path)}{query}"',
        f"{FIRE} redirected",
    ),
    Leak(
        "a redirect keeps backslashes",
        "middleware.py",
        'path = escape_uri_path(request.path).removeprefix("/")',
        'path = request.path.removeprefix("/")',
        REQUESTS,
    ),
    Leak(
        "the path of a link changes its host",
        "urls.py",
        "{scheme}://{host}{end}/{path.removeprefix('/')}",
        "{scheme}://{host}{end}{path}",
        "tests/test_urls.py",
    ),
    # Origins and cookies
    Leak(
        "forms of an origin that one mirror trusts are accepted by all",
        "middleware.py",
        "        *mirror.trusted_origins,\n",
        "        *(origin for one in mirrors.values() for origin in "
        "one.trusted_origins),\n",
        f"{FIRE} form",
    ),
    Leak(
        "every mirror trusts the hosts of all mirrors as origins",
        "middleware.py",
        "            for host in mirror.hosts\n",
        "            for one in mirrors.values() for host in one.hosts\n",
        REQUESTS,
    ),
    Leak(
        "what is under a wildcard host is trusted as an origin",
        "middleware.py",
        '            if not host.startswith("*")\n',
        "",
        REQUESTS,
    ),
    Leak(
        "a forwarded host without trusted proxies is no error",
        "checks/hosts.py",
        'if not find_setting("USE_X_FORWARDED_HOST") or findings.conf.trusted_proxies:',
        "if findings.conf is not None:",
        "tests/test_checks.py",
    ),
    # Names
    Leak(
        "a name may end in a line break",
        "definition.py",
        "_NAME.fullmatch(name)",
        're.match(f"{_NAME.pattern}$", name)',
        "tests/isolation/test_identifiers.py",
    ),
    Leak(
        "a name may be longer than identifiers of a server",
        "definition.py",
        '_NAME = re.compile(r"[a-z][a-z0-9-]{0,47}")',
        '_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")',
        "tests/isolation/test_identifiers.py",
    ),
    Leak(
        "quotes in the name of a database end it",
        "operations/databases/server.py",
        "{name.replace(mark, mark * 2)}",
        "{name}",
        "tests/operations/databases/test_engines.py -k never_taken_for",
    ),
    Leak(
        "hosts that nobody has are remembered",
        "registry/snapshot.py",
        '            mirror = self.wildcards.get(host.partition(".")[2])\n',
        '            mirror = self.wildcards.get(host.partition(".")[2])\n'
        "            self.exact.setdefault(host, mirror)\n",
        f"{FIRE} flood",
    ),
    # What is declared
    Leak(
        "a file that is no text ends the reading of all",
        "sources/files.py",
        "(UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:",
        "(tomllib.TOMLDecodeError, RecursionError) as error:",
        "tests/isolation/test_definitions.py",
    ),
    Leak(
        "a mirror of a wrong file is left out, and the others are taken",
        "sources/files.py",
        "(*problems, *built.problems), built.refused | refused",
        "(), built.refused",
        "tests/isolation/test_definitions.py",
    ),
]
