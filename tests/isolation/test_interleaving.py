"""Requests of many mirrors at once, in threads and in tasks, with faults."""

import gc
import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from random import Random
from time import monotonic

import pytest

from django_mirrors import use_original
from tests.conftest import migrate_template
from tests.isolation import traffic
from tests.isolation.sizes import get_seed, scaled

SEED = get_seed(20261122)
TITLES = "SELECT title FROM bookshop_book"


@pytest.fixture
def quiet():
    """Do not write down the thousands of planted errors."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def serve(build_engine, settings, db, quiet):
    """Return a function that serves mirrors, each with a database copied for it."""

    def begin(engine_name, count):
        engine = build_engine(engine_name)
        migrate_template(engine, settings)
        databases = {f"mirror-{number:02}": engine.take() for number in range(count)}
        given.append((engine, databases))
        settings.ROOT_URLCONF = traffic.__name__
        settings.MIDDLEWARE = [
            "django_mirrors.middleware.MirrorMiddleware",
            f"{traffic.__name__}.Faults",
        ]
        settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "RECORDS": False}
        settings.MIRRORS = {
            name: {
                "HOSTS": [f"{name}.example"],
                "DATABASE": engine.build_url(database),
                "STATE": "active",
            }
            for name, database in databases.items()
        }
        return engine, databases

    given = []
    yield begin
    settings.MIRRORS = {}
    for engine, databases in given:
        for database in databases.values():
            engine.give_back(database)


def read_titles(engine, database):
    """Read a database without Django."""
    if engine.name == "sqlite":
        path = engine.directory / f"{database}.sqlite3"
        with closing(sqlite3.connect(path)) as connection:
            return [row[0] for row in connection.execute(TITLES)]
    import psycopg

    with psycopg.connect(engine.build_url(database)) as connection:
        return [row[0] for row in connection.execute(TITLES)]


def run(names, *, requests, threads, tasks):
    """Let threads of a WSGI server and tasks of an ASGI server ask at the same time."""
    random, history = Random(SEED), traffic.History()
    traffic.reached.clear()
    in_tasks = requests // 4
    asked = [
        traffic.choose(random, names, number, traffic.ASYNC_FAULTS)
        for number in range(in_tasks)
    ]
    served = [
        traffic.choose(random, names, number, traffic.SYNC_FAULTS)
        for number in range(in_tasks, requests)
    ]
    with ThreadPoolExecutor(threads + 1) as pool:
        begun = [
            pool.submit(traffic.run_asgi, asked, history, f"asgi {SEED}", tasks=tasks)
        ]
        begun += [
            pool.submit(
                traffic.run_wsgi, served[n::threads], history, f"wsgi {SEED} {n}"
            )
            for n in range(threads)
        ]
        for item in begun:
            item.result()
    gc.collect()
    return history


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
# Django leaves to the garbage collector what a task has that is cancelled.
@pytest.mark.filterwarnings("ignore:<psycopg.Connection:ResourceWarning")
@pytest.mark.filterwarnings("ignore:Unclosed file <tempfile:ResourceWarning")
@pytest.mark.parametrize(
    ("engine_name", "mirrors", "requests", "threads", "tasks"),
    [
        pytest.param("sqlite", 50, 200_000, 16, 64, id="sqlite"),
        pytest.param(
            "postgres", 8, 20_000, 8, 16, id="postgres", marks=pytest.mark.postgres
        ),
    ],
)
def test_requests_of_many_mirrors_at_once_do_not_cross(
    serve, report_figure, engine_name, mirrors, requests, threads, tasks
):
    engine, databases = serve(engine_name, mirrors)
    began = monotonic()

    history = run([*databases], requests=scaled(requests), threads=threads, tasks=tasks)

    wrong = {
        name: found
        for name, database in databases.items()
        if (found := history.find_wrong(name, read_titles(engine, database)))
    }
    seconds = monotonic() - began
    seen = (history.crossings, history.left, wrong)
    assert seen == ([], [], {}), f"MIRRORS_SEED={SEED}"
    assert len(history.asked) == scaled(requests)
    report_figure(
        f"interleaving, {engine_name}",
        f"{len(history.asked)} requests of {mirrors} mirrors in {threads} threads and "
        f"{tasks} tasks, {sum(bool(item.fault) for item in history.asked)} with a "
        f"fault and {sum(item.is_cut_short() for item in history.asked)} cut short, "
        f"{history.reads} reads checked: crossings = 0, left-over contexts = 0, "
        f"databases that differ = 0 ({seconds:.0f} s)",
    )


# What the figure rests on


WRITTEN = traffic.Ask("books", 1, "keep", "", False)
LOST = traffic.Ask("books", 2, "write", "cancel", True)


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        (["books:1", "books:1+"], []),
        (["books:1", "books:1+", "books:2"], []),
        (["books:1"], ["books:1+"]),
        ([], ["books:1", "books:1+"]),
        (["books:1", "books:1+", "films:3"], ["films:3"]),
        (["books:1", "books:1", "books:1+"], ["a row is there twice"]),
    ],
)
def test_the_history_tells_what_a_database_should_hold(found, wrong):
    history = traffic.History(asked=[WRITTEN, LOST])

    assert history.find_wrong("books", found) == wrong


@pytest.mark.parametrize(
    ("fault", "written"),
    [
        ("", {"books:1", "books:1+"}),
        ("after", {"books:1", "books:1+"}),
        ("before", set()),
        ("inside", set()),
        ("commit", {"books:1"}),
    ],
)
def test_a_fault_decides_what_is_written(fault, written):
    assert traffic.Ask("books", 1, "keep", fault, False).find_written() == written


def test_a_title_of_another_mirror_is_a_crossing():
    history = traffic.History()

    history.check_titles(WRITTEN, ["books:1", "films:3"])

    assert history.crossings == [f"{WRITTEN} read ['films:3']"]


def test_an_answer_of_another_mirror_is_a_crossing():
    history = traffic.History()

    traffic.check_part(b'{"mirror": "films", "titles": []}', WRITTEN, history)

    assert history.crossings == [f"{WRITTEN} was answered by films"]


def test_a_mirror_that_is_left_is_noticed():
    history = traffic.History()

    with use_original():
        history.check_left(WRITTEN)

    assert history.left == [f"{WRITTEN} left original"]
