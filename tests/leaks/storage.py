"""Leaks of storage: a file that is read, written or served for another mirror."""

from tests.leaks import Leak

FILESYSTEM = "tests/storage/test_filesystem.py"
ROUTER = "tests/storage/test_router.py"
MEDIA = "tests/storage/test_media.py"
SIGNED = "tests/isolation/test_files.py -k signed"

LEAKS = [
    # Names
    Leak(
        "a name may climb with dots",
        "storage/names.py",
        'if isabs(text) or ".." in parts or',
        "if isabs(text) or",
        "tests/storage/test_names.py",
    ),
    Leak(
        "a name may be absolute",
        "storage/names.py",
        'if isabs(text) or ".." in parts or',
        'if ".." in parts or',
        "tests/storage/test_names.py",
    ),
    Leak(
        "a name may mean the root itself",
        "storage/names.py",
        ' or {"", "."}.issuperset(parts):',
        ":",
        "tests/storage/test_names.py",
    ),
    Leak(
        "only the first character of a name is looked at",
        "storage/names.py",
        "if _REFUSED.search(text):",
        "if _REFUSED.match(text):",
        "tests/storage/test_names.py",
    ),
    Leak(
        "the path to list is not checked",
        "storage/router.py",
        'checked = "" if path in {"", "."} else check_name(path)',
        "checked = path",
        ROUTER,
    ),
    Leak(
        "the name to delete is not checked",
        "storage/router.py",
        "get_backend(self._alias).delete(check_name(name))",
        "get_backend(self._alias).delete(name)",
        ROUTER,
    ),
    Leak(
        "the name to save by is not checked",
        "storage/router.py",
        'return check_name(str(name).replace("\\\\", "/"))',
        'return str(name).replace("\\\\", "/")',
        ROUTER,
    ),
    # Links
    Leak(
        "links that lead out are not resolved",
        "storage/filesystem.py",
        'real = f"{os.path.realpath(path)}{os.sep}{last}"',
        'real = f"{os.path.abspath(path)}{os.sep}{last}"',
        FILESYSTEM,
    ),
    Leak(
        "a root without a separator is the beginning of its neighbour's",
        "storage/filesystem.py",
        'prefix = f"{root.rstrip(os.sep)}{os.sep}"',
        "prefix = root",
        FILESYSTEM,
    ),
    Leak(
        "a link that is put in place after the check is followed",
        "storage/filesystem.py",
        '_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) |',
        "_NO_FOLLOW = 0 |",
        FILESYSTEM,
    ),
    Leak(
        "the path of a file behind a link is given out",
        "storage/filesystem.py",
        "        self._resolve(name)\n        return super().path(name)",
        "        return super().path(check_name(name))",
        FILESYSTEM,
    ),
    Leak(
        "deleting a link deletes what it leads to",
        "storage/filesystem.py",
        "        place = self._resolve(name, follow=False)\n        with suppress",
        "        place = self._resolve(name)\n        with suppress",
        FILESYSTEM,
    ),
    Leak(
        "a name that somebody took in between is written over",
        "storage/filesystem.py",
        "(os.O_TRUNC if overwrite else os.O_EXCL)",
        "os.O_TRUNC",
        FILESYSTEM,
    ),
    # Whose files
    Leak(
        "without a mirror the files of the original are used",
        "storage/backends.py",
        "mirror = get_current_mirror()",
        'mirror = __import__("django_mirrors.context", fromlist=["_"])'
        '.find_current_mirror() or mirrors["original"]',
        ROUTER,
    ),
    Leak(
        "a storage keeps the backend of the mirror that asked for it first",
        "storage/backends.py",
        "    return _get_backends().get((owner.uid, alias), definition, place=place)\n",
        "    if alias not in _kept:\n"
        "        _kept[alias] = _get_backends().get(\n"
        "            (owner.uid, alias), definition, place=place\n"
        "        )\n"
        "    return _kept[alias]\n\n\n"
        "_kept: dict[str, Storage] = {}\n",
        f"{ROUTER}::test_each_mirror_has_files_of_its_own",
    ),
    Leak(
        "one backend is kept for all mirrors of equal definition",
        "storage/backends.py",
        "get((owner.uid, alias), definition",
        "get((owner.source, alias), definition",
        ROUTER,
    ),
    Leak(
        "one backend is kept for all storages of a mirror",
        "storage/backends.py",
        "get((owner.uid, alias), definition",
        'get((owner.uid, "default"), definition',
        ROUTER,
    ),
    Leak(
        "a mirror without a storage has the media of the original",
        "storage/backends.py",
        "if not owner.is_original:",
        "if not owner.name:",
        "tests/storage/test_backends.py",
    ),
    Leak(
        "a storage without a directory has the media of the original",
        "storage/backends.py",
        'location = options.get("location")',
        'location = options.get("location") or find_setting("MEDIA_ROOT")',
        "tests/storage/test_backends.py",
    ),
    Leak(
        "a mirror that shares files has a directory of its own name",
        "storage/backends.py",
        "return mirror if name == mirror.name else mirrors[name]",
        "return mirror",
        ROUTER,
    ),
    Leak(
        "Django's own storage, which follows links, is used if it is named",
        "dsn.py",
        'if config.get("BACKEND") in _DJANGO_FILE_SYSTEMS:',
        'if config.get("BACKEND") is None:',
        "tests/test_dsn.py tests/storage/test_backends.py",
    ),
    Leak(
        "a prefix of a bucket does not end in a slash",
        "dsn.py",
        "closed[name] = f\"{prefix.rstrip('/')}/\"",
        "closed[name] = prefix",
        "tests/test_dsn.py",
    ),
    Leak(
        "a prefix of a bucket may climb with dots",
        "dsn.py",
        'if ".." in prefix.split("/"):',
        'if prefix == "..":',
        "tests/test_dsn.py",
    ),
    # Serving
    Leak(
        "a signature does not say which mirror it is for",
        "storage/signatures.py",
        'return f"{uid}:{expires}:',
        'return f"{expires}:',
        SIGNED,
    ),
    Leak(
        "a signature does not say until when it is good",
        "storage/signatures.py",
        'return f"{uid}:{expires}:',
        'return f"{uid}:',
        SIGNED,
    ),
    Leak(
        "a signature is good for every storage of the mirror",
        "storage/signatures.py",
        "{len(alias)}:{alias}:{name}",
        "{name}",
        SIGNED,
    ),
    Leak(
        "a signed URL is good for ever",
        "storage/signatures.py",
        "return time() < int(expires)",
        "return bool(expires)",
        MEDIA,
    ),
    Leak(
        "a private file is served to whoever sends some signature",
        "storage/media.py",
        "    if private and not is_signed(\n",
        '    if private and "signature" not in request.GET and not is_signed(\n',
        MEDIA,
    ),
    Leak(
        "a private file is kept by caches on the way",
        "storage/media.py",
        'response["Cache-Control"] = "private, no-store"',
        'response["Cache-Control"] = "public"',
        MEDIA,
    ),
    Leak(
        "browsers may guess that an upload is a page",
        "storage/media.py",
        ', "X-Content-Type-Options": "nosniff"}',
        "}",
        MEDIA,
    ),
    Leak(
        "an image with scripts is shown as a page of the mirror",
        "storage/media.py",
        ' and "xml" not in kind)',
        ")",
        MEDIA,
    ),
    Leak(
        "a page that was uploaded runs with the rights of the mirror",
        "storage/media.py",
        '        headers["Content-Security-Policy"] = _SANDBOX\n',
        "",
        MEDIA,
    ),
    Leak(
        "the web server is told a directory by a name that can be used again",
        "storage/media.py",
        "{get_owner().uid}{suffix}/",
        "{get_owner().name}{suffix}/",
        MEDIA,
    ),
    Leak(
        "the web server finds private files in the public directory",
        "storage/media.py",
        'suffix = "" if alias == DEFAULT_ALIAS else f".{alias}"',
        'suffix = ""',
        MEDIA,
    ),
    # Checks
    Leak(
        "two mirrors in one bucket are not found if they name it differently",
        "checks/services.py",
        "return (service[0], *(",
        "return (backend, *(",
        "tests/test_checks.py",
    ),
    Leak(
        "a directory behind a link is taken for another one",
        "checks/services.py",
        "os.path.realpath(root / str(prefix))",
        "os.path.abspath(root / str(prefix))",
        "tests/test_checks.py",
    ),
    Leak(
        "a mirror is added in the files of another",
        "operations/definitions.py",
        "    mixed = find_mixed_storages(mirror, get_conf())\n    if mixed:\n",
        "    mixed = find_mixed_storages(mirror, get_conf())\n"
        "    if not mirror.name:\n",
        "tests/operations/test_fleet.py",
    ),
    Leak(
        "defaults that are the same for all mirrors are not found out",
        "operations/definitions.py",
        "value == usual.get(alias) != of_another.get(alias)",
        "value == usual.get(alias)",
        "tests/operations/test_fleet.py",
    ),
    Leak(
        "a mirror is added around the files of another",
        "checks/services.py",
        "if _is_inside(mine, use) or _is_inside(use, mine)",
        "if _is_inside(mine, use)",
        "tests/operations/test_fleet.py",
    ),
    Leak(
        "a storage in that of another mirror is no error",
        "checks/services.py",
        "inner.prefix.startswith(outer.prefix)",
        "inner.prefix == outer.prefix",
        "tests/test_checks.py",
    ),
    # Uploads that fail
    Leak(
        "a file that was not written to its end is kept",
        "storage/filesystem.py",
        "                if is_new:\n                    self._discard(fd, place)\n",
        "",
        f"{FILESYSTEM} -k leaves_nothing",
    ),
    Leak(
        "a file that was to be replaced goes with the upload that failed",
        "storage/filesystem.py",
        "                if is_new:\n",
        "                if True:\n",
        f"{FILESYSTEM} -k replaced",
    ),
    Leak(
        "a file of somebody else goes with the upload that failed",
        "storage/filesystem.py",
        "            if os.path.samestat(info, os.fstat(fd)):\n    ",
        "            if info:\n    ",
        f"{FILESYSTEM} -k meanwhile",
    ),
    # What others have
    Leak(
        "the answer tells whether another mirror has the file",
        "storage/media.py",
        '        raise Http404(f"There is no file {name!r}.") from error\n',
        "        from django_mirrors import mirrors, use_mirror\n"
        "        for mirror in mirrors.values():\n"
        "            with use_mirror(mirror):\n"
        "                if get_backend(alias).exists(name):\n"
        "                    raise PermissionDenied from error\n"
        '        raise Http404(f"There is no file {name!r}.") from error\n',
        "tests/isolation/test_existence.py -k covers",
    ),
]
