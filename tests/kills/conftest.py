"""Fleets of each engine, made once, for processes that are killed."""

import shutil
import sys
from uuid import uuid4

import pytest

from tests.isolation.conftest import report_figure
from tests.kills.fleets import Fleet, Zygote
from tests.plugins.services import get_mariadb_url, get_postgres_url

__all__ = ["report_figure"]


@pytest.fixture(scope="session")
def build_fleet(tmp_path_factory):
    """Return a function that gives the fleet of an engine, made once."""
    if sys.platform != "linux":
        pytest.skip("Processes that are killed leave orphans, which Linux can tell of.")
    fleets = {}

    def build(engine: str) -> Fleet:
        if engine not in fleets:
            fleets[engine] = make_fleet(engine, tmp_path_factory.mktemp(engine))
        return fleets[engine]

    yield build
    for fleet in fleets.values():
        fleet.remove()


def make_fleet(engine, directory) -> Fleet:
    url = get_mariadb_url() if engine == "mariadb" else get_postgres_url()
    token = f"dmkills_{uuid4().hex[:8]}"
    work = directory / "work"
    zygote = Zygote(work, engine, url.rpartition("/")[0], token)
    fleet = Fleet(work, engine, zygote, directory / "kept")
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

    def build(engine: str, count: int) -> Fleet:
        if engine not in fleets:
            fleets[engine] = make_orchards(
                engine, tmp_path_factory.mktemp(f"{engine}-orchards"), count
            )
        return fleets[engine]

    yield build
    for fleet in fleets.values():
        fleet.remove()


def make_orchards(engine, directory, count) -> Fleet:
    """Make a fleet whose original has the second release, and its mirrors the first."""
    url = get_mariadb_url() if engine == "mariadb" else get_postgres_url()
    place = directory / "work", engine, url.rpartition("/")[0]
    token = f"dmorchards_{uuid4().hex[:8]}"
    first = Fleet(place[0], engine, Zygote(*place, token, release="first"), directory)
    first.do(("prepare",))
    first.succeed("migrate")
    for number in range(count):
        first.succeed("mirror_add", f"m{number:02}")
    first.do(("plant",))
    first.zygote.close()
    fleet = Fleet(place[0], engine, Zygote(*place, token), directory / "kept")
    fleet.succeed("migrate")
    fleet.keep("usual")
    return fleet
