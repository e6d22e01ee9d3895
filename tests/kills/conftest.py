"""Fleets of each engine, made once, for processes that are killed."""

import shutil
import sys
from contextlib import ExitStack

import pytest
from django.test import override_settings

from django_mirrors.operations.templates import find_fleet
from tests.kills.fleets import Fleet, Zygote
from tests.leftovers import claim, make_token
from tests.plugins.services import get_mariadb_url, get_postgres_url


@pytest.fixture(scope="session")
def build_fleet(tmp_path_factory):
    """Return a function that gives the fleet of an engine, made once."""
    if sys.platform != "linux":
        pytest.skip("Processes that are killed leave orphans, which Linux can tell of.")
    fleets = {}

    with ExitStack() as stack:

        def build(engine: str) -> Fleet:
            if engine not in fleets:
                directory = tmp_path_factory.mktemp(engine)
                fleets[engine] = make_fleet(engine, directory, stack)
            return fleets[engine]

        yield build


def make_fleet_token(kind) -> str:
    token = make_token(kind)
    # Templates are named after the key, which is the token.
    with override_settings(SECRET_KEY=token):
        claim(find_fleet())
    return token


def make_fleet(engine, directory, stack) -> Fleet:
    """Make a fleet, which `stack` removes also if that fails half-way."""
    url = get_mariadb_url() if engine == "mariadb" else get_postgres_url()
    token = make_fleet_token("dmkills_")
    work = directory / "work"
    zygote = Zygote(work, engine, url.rpartition("/")[0], token)
    fleet = Fleet(work, engine, zygote, directory / "kept")
    stack.callback(fleet.remove)
    fleet.do(("prepare",))
    fleet.succeed("migrate")
    for name in ("books", "films"):
        fleet.succeed("mirror_add", name)
        fleet.do(("fill", name))
    (fleet.databases,) = fleet.do(("list_databases",))
    fleet.keep("usual")
    fleet.keep("without template")
    shutil.rmtree(fleet.kept / "without template/databases/.templates", True)
    if engine == "sqlite":
        keep_states(fleet)
    return fleet


def keep_states(fleet) -> None:
    """Keep the states that some operations begin with."""
    fleet.succeed("mirror_export", "books", f"{fleet.directory}/archives/books.tar")
    fleet.keep("exported")
    fleet.go_back("usual")
    fleet.succeed("mirror_retire", "books")
    fleet.keep("retired")


@pytest.fixture(scope="session")
def build_orchards(tmp_path_factory):
    """Return a function that gives a fleet at the first release, made once."""
    if sys.platform != "linux":
        pytest.skip("Processes that are killed leave orphans, which Linux can tell of.")
    fleets = {}

    with ExitStack() as stack:

        def build(engine: str, count: int) -> Fleet:
            if engine not in fleets:
                directory = tmp_path_factory.mktemp(f"{engine}-orchards")
                fleets[engine] = make_orchards(engine, directory, count, stack)
            return fleets[engine]

        yield build


def make_orchards(engine, directory, count, stack) -> Fleet:
    """Make a fleet whose original has the second release, and its mirrors the first."""
    url = get_mariadb_url() if engine == "mariadb" else get_postgres_url()
    place = directory / "work", engine, url.rpartition("/")[0]
    token = make_fleet_token("dmorchards_")
    first = Fleet(place[0], engine, Zygote(*place, token, release="first"), directory)
    with ExitStack() as begun:
        begun.callback(first.remove)
        first.do(("prepare",))
        first.succeed("migrate")
        for number in range(count):
            first.succeed("mirror_add", f"m{number:02}")
        first.do(("plant",))
        begun.pop_all()
    first.zygote.close()
    fleet = Fleet(place[0], engine, Zygote(*place, token), directory / "kept")
    stack.callback(fleet.remove)
    fleet.succeed("migrate")
    fleet.keep("usual")
    return fleet
