"""Where steps are done."""

import sys
import time
from threading import get_ident

import pytest

from django_mirrors import Mirror
from django_mirrors.operations.executors import Here, Threads, open_executor
from django_mirrors.operations.reports import StepResult
from tests.operations.test_workers import play

__all__ = ["play"]

pytestmark = pytest.mark.skipif(
    sys.platform in {"darwin", "win32"}, reason="Processes are not forked here."
)


def make(name):
    return Mirror.from_mapping(
        name, {"HOSTS": [f"{name}.example"], "DATABASE": f"sqlite:///{name}.sqlite3"}
    )


def tell_thread(mirror):
    return StepResult(mirror=mirror.name, outcome="done", detail=str(get_ident()))


def sleep(mirror):
    time.sleep(0.2)
    return StepResult(mirror=mirror.name, outcome="done")


def test_one_job_is_done_here():
    with open_executor(1) as executor:
        executor.begin(make("books"), tell_thread)

        assert isinstance(executor, Here)
        assert not executor.has_room
        assert executor.running == ()
        [result] = executor.wait(1)
        assert result.detail == str(get_ident())
        assert executor.has_room
        assert executor.wait(1) == []


def test_several_jobs_are_done_in_threads():
    with open_executor(2) as executor:
        executor.begin(make("books"), sleep)
        executor.begin(make("films"), sleep)

        assert isinstance(executor, Threads)
        assert not executor.has_room
        assert sorted(executor.running) == ["books", "films"]
        assert executor.wait(0.01) == []
        found = [*executor.wait(5), *executor.wait(5)]
        assert sorted(result.mirror for result in found) == ["books", "films"]
        assert executor.has_room


def test_processes_are_forked_only_where_that_is_safe(play):
    found, _ = play("choices")

    assert found == {
        "plain": True,
        "database in memory": False,
        "transaction": False,
        "open connection": True,
        "is closed": True,
        "thread": False,
        "instead": True,
        "again": True,
    }
