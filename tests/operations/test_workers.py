"""Processes that do steps, and are survived by the others."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    sys.platform in {"darwin", "win32"}, reason="Processes are not forked here."
)

ROOT = Path(__file__).parents[2]
PLAY = """
import sys, django
django.setup()
from tests.operations.forked import main
main(*sys.argv[1:])
"""
AGAIN = "Begin again with this mirror."


@pytest.fixture
def play(tmp_path):
    """Return a function that plays a scene in a process of its own."""

    def run(*scene):
        done = subprocess.run(
            (sys.executable, "-c", PLAY, tmp_path, *scene),
            capture_output=True,
            check=False,
            text=True,
            cwd=ROOT,
            timeout=60,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "tests.settings",
                "PYTHONPATH": str(ROOT),
                "PYTHONUNBUFFERED": "",
                "TEST_ORIGINAL_URL": f"sqlite:///{tmp_path}/original.sqlite3",
            },
        )
        assert done.returncode == 0, done.stderr
        *printed, last = done.stdout.splitlines()
        return json.loads(last), printed

    return run


def test_each_mirror_is_worked_on_in_a_process_that_is_another_one(play):
    (kind, parent, results), _ = play("results")

    names = [detail.split()[0] for _, _, detail, _ in results]
    processes = {int(detail.split()[1]) for _, _, detail, _ in results}
    assert kind == "Processes"
    assert names == ["books", "films", "films-fr", "music"]
    assert parent not in processes
    assert 1 <= len(processes) <= 2


def test_what_is_printed_appears_once(play):
    _, printed = play("output")

    assert sorted(printed) == [
        "after", "before", "in books", "in films", "in films-fr", "in music",
    ]  # fmt: skip
    assert printed[0] == "before"


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("killed", f"ended with signal 9 (SIGKILL). {AGAIN}"),
        ("terminated", f"ended with signal 15 (SIGTERM). {AGAIN}"),
        ("exit 3", f"ended with exit code 3. {AGAIN}"),
        ("exit 0", f"ended with exit code 0. {AGAIN}"),
        ("sys.exit", f"ended with exit code 1. {AGAIN}"),
        ("raises", "ValueError: Closed."),
    ],
)
def test_end_of_a_worker_concerns_its_mirror_alone(play, how, error):
    (first, second), _ = play("ending", how)

    outcomes = {mirror: outcome for mirror, outcome, _, _ in first}
    [failure] = [item for item in first if item[1] == "failed"]
    assert outcomes == {
        "books": "done", "films": "failed", "films-fr": "done", "music": "done",
    }  # fmt: skip
    assert failure[3].endswith(error)
    assert {outcome for _, outcome, _, _ in second} == {"done"}


def test_worker_whose_watcher_is_gone_too_is_done_without(play):
    (first, second), _ = play("ending", "all")

    [failure] = [item for item in first if item[1] == "failed"]
    assert failure[0] == "films"
    assert failure[3] == (
        "The process that worked on it ended with the one that watched over it. "
        f"{AGAIN}"
    )
    assert {outcome for _, outcome, _, _ in second} == {"done"}


def test_mirror_that_is_gone_is_a_failure_of_that_mirror(play):
    [(name, outcome, _, error)], _ = play("gone")

    assert (name, outcome) == ("gone", "failed")
    assert "There is no mirror 'gone'" in error


def test_sharing_mirror_waits_for_its_owner_though_a_worker_is_free(play):
    results, _ = play("sharing")

    spans = {name: detail.split() for name, _, detail, _ in results}
    assert float(spans["films-fr"][0]) >= float(spans["films"][1])
    assert len({process for _, _, process in spans.values()}) >= 2


def test_nobody_waits_once_all_is_done(play):
    (came, seconds), _ = play("order")

    assert sorted(came) == sorted(["books", "films", "films-fr", "music"] * 2)
    assert seconds < 0.9
