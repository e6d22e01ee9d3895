"""Run requests of two mirrors in a fresh process; say which module state grew.

    python -m tests.isolation.growth DIRECTORY

Prints a JSON object: the name of each container or cache of Django and of this package
that holds more than before, and by how many entries.
"""

import json
import os
import shutil
import sys
from collections import deque
from collections.abc import Iterator, MutableMapping, MutableSet
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGES = ("django", "django_mirrors", "asgiref")
PAGES = (
    "/admin/login/", "/admin/", "/admin/bookshop/book/", "/admin/bookshop/book/add/",
    "/titles/", "/titles-async/", "/add/?title=Emma", "/count/", "/visit/", "/where/",
    "/stream/", "/buy/?pk=1", "/find-or-make/?title=Persuasion", "/missing/",
)  # fmt: skip
NAMES = ("books", "films")
CONTAINERS = (MutableMapping, MutableSet, list, deque)
DEPTH = 4  # from a module to what an attribute of a class refers to
CACHE = type(lru_cache(len))


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django

    django.setup()
    serve(Path(sys.argv[1]))
    import_all()
    before = measure()
    for _ in range(2):
        for name in NAMES:
            visit(name)
    after = measure()
    grown = {
        name: size - before.get(name, 0)
        for name, size in after.items()
        if size > before.get(name, 0)
    }
    sys.stdout.write(json.dumps(grown, indent=1, sort_keys=True))


def serve(directory: Path) -> None:
    """Make two mirrors with a user of the same name in each."""
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.core.signals import setting_changed
    from django.db import connections

    from django_mirrors import use_mirror

    template = directory / "template.sqlite3"
    names = ("template", *NAMES)
    template.touch()
    settings.MIRRORS = {
        name: {
            "HOSTS": [f"{name}.example"],
            "DATABASE": f"sqlite:///{directory / name}.sqlite3",
            "STORAGE": f"file://{directory / name}/",
            "STATE": "active",
        }
        for name in names
    }
    settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "RECORDS": False}
    for setting in ("MIRRORS", "MIRRORS_OPTIONS"):
        setting_changed.send(
            sender=main, setting=setting, value=getattr(settings, setting), enter=True
        )
    with use_mirror("template"):
        call_command("migrate", verbosity=0)
        User.objects.create_superuser("jane", "jane@example.com", "secret")
    connections["template"].close()
    for name in NAMES:
        shutil.copy(template, directory / f"{name}.sqlite3")


def import_all() -> None:
    """Import what the first request would, so that imports do not count as growth."""
    from django.test import Client

    Client(raise_request_exception=False).get("/", headers={"host": "nobody.example"})
    from django.urls import get_resolver

    _ = get_resolver("tests.bookshop.urls").url_patterns


def visit(name: str) -> None:
    from django.contrib.auth.models import User
    from django.contrib.contenttypes.models import ContentType
    from django.contrib.sites.models import Site
    from django.core.cache import cache
    from django.core.files.base import ContentFile
    from django.core.files.storage import default_storage
    from django.test import Client

    from django_mirrors import use_mirror

    client = Client(raise_request_exception=False, headers={"host": f"{name}.example"})
    client.get("/titles/")
    with use_mirror(name):
        client.force_login(User.objects.get())
    for page in PAGES:
        client.get(page)
    with use_mirror(name):
        cache.set("key", name)
        default_storage.save("cover.txt", ContentFile(name.encode()))
        Site.objects.get_current()
        ContentType.objects.get_for_model(Site)


def measure() -> dict[str, int]:
    """Return the size of each container and cache that modules hold."""
    seen: set[int] = set()
    sizes: dict[str, int] = {}
    found = deque(
        (f"{module.__name__}.{name}", value, DEPTH)
        for module in [*sys.modules.values()]
        if isinstance(module, ModuleType) and is_own(module.__name__)
        for name, value in [*vars(module).items()]
    )
    # The nearest first, so that nothing is first met at the end of a long way.
    while found:
        path, value, depth = found.popleft()
        if path.endswith("__") or id(value) in seen:
            continue
        if depth:
            found.extend([*look_into(path, value, seen, depth - 1)])
        add_size(sizes, path, value, seen)
    return sizes


def is_own(module: object) -> bool:
    return str(module).partition(".")[0] in PACKAGES


def add_size(sizes: dict[str, int], path: str, value: Any, seen: set[int]) -> None:
    kind = type(value)  # not isinstance(), which asks lazy objects
    if kind is CACHE:
        seen.add(id(value))
        sizes[f"{path}()"] = value.cache_info().currsize
    elif issubclass(kind, CONTAINERS):
        seen.add(id(value))
        sizes[path] = sizes.get(path, 0) + len(value)


def look_into(
    path: str, value: Any, seen: set[int], depth: int
) -> Iterator[tuple[str, Any, int]]:
    """Yield the attributes of a class or an object of these packages, or the items."""
    if type(value) is dict:
        for item in [*value.values()]:
            yield f"{path}[]", item, depth
        return
    shown = value if issubclass(type(value), type) else type(value)
    if not is_own(shown.__module__):
        return
    seen.add(id(value))
    for name, item in find_attributes(value).items():
        yield f"{shown.__module__}.{shown.__qualname__}.{name}", item, depth


def find_attributes(value: Any) -> dict[str, Any]:
    # Not vars(), which a lazy object would forward.
    try:
        return dict(object.__getattribute__(value, "__dict__"))
    except AttributeError:
        return {}


if __name__ == "__main__":
    main()
