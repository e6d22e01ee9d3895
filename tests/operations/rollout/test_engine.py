"""Which mirrors are brought in step, in which order, and until when."""

from uuid import UUID, uuid4

import pytest
from django.core.cache import cache
from django.db import migrations

from django_mirrors import mirrors, use_mirror, use_original
from django_mirrors.exceptions import OperationFailed
from django_mirrors.models import (
    Marker,
    MigrationState,
    MirrorRecord,
    OperationRecord,
    OwnerField,
)
from django_mirrors.operations import add_mirror, ledger
from django_mirrors.operations.locks import hold_lock
from django_mirrors.operations.rollout import (
    CANCEL,
    PAUSE,
    Journal,
    Options,
    engine,
    resume_rollout,
    roll_out,
    stop_rollout,
)
from django_mirrors.operations.rollout.journal import Journal as _Journal
from tests.operations.rollout import hooks
from tests.operations.rollout.acting import (
    ask,
    execute,
    go,
    list_recorded,
    list_tables,
    record_in_original,
)
from tests.operations.rollout.table.cases import AUTHOR, BOOK

pytestmark = pytest.mark.django_db

FIRST = "0001_initial"
CANARY = Options(canary=1)


@pytest.fixture
def shop(release):
    """Three mirrors without the one migration of the app `shop`."""
    add_mirror("music", {})
    release.add("shop", FIRST, AUTHOR, BOOK)
    record_in_original(("shop", FIRST))
    ledger.remember.cache_clear()
    yield release
    mend()


@pytest.fixture
def called(settings):
    """Return what hooks are called for; `hooks.ANSWERS` says what they answer."""
    path = "tests.operations.rollout.hooks"
    settings.MIRRORS_OPTIONS = {
        **settings.MIRRORS_OPTIONS,
        "HOOKS": {
            "BEFORE_ROLLOUT": f"{path}.before",
            "AFTER_ROLLOUT": f"{path}.after",
            "HEALTH": f"{path}.health",
        },
    }
    yield hooks.CALLS
    hooks.CALLS.clear()
    hooks.ANSWERS.clear()


def roll(**options):
    return roll_out(mirrors.select(), **options)


def show(report):
    return {item.mirror: item.outcome for item in report.results}


def list_not_begun(report):
    return [item.mirror for item in report.results if item.detail == "not begun"]


def find_outcome():
    return Journal.find().summarise().outcome


def test_all_mirrors_are_brought_in_step(shop):
    report = roll()

    assert show(report) == {"books": "done", "films": "done", "music": "done"}
    assert [item.detail for item in report.results] == ["shop.0001_initial applied"] * 3
    assert list_tables("music", "shop") == ["shop_author", "shop_book"]
    assert find_outcome() == "done"


def test_second_rollout_finds_nothing_to_do(shop):
    roll()

    assert show(roll()) == {"books": "skipped", "films": "skipped", "music": "skipped"}


def test_ledger_says_what_each_mirror_runs(shop, settings):
    settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "RELEASE": "7.1"}

    report = roll_out(mirrors.select("books"))

    found = MirrorRecord.objects.get(name="books")
    state = MigrationState.objects.get(digest=found.migrations)
    assert found.release == "7.1"
    assert found.rollout == UUID(report.id)
    assert "shop.0001_initial" in state.applied
    assert MirrorRecord.objects.get(name="films").release != "7.1"


def test_target_that_is_not_there_is_refused_before_anything_is_written(shop):
    with pytest.raises(OperationFailed, match="No app 'nowhere' has migrations"):
        roll(options=Options(targets=(("nowhere", None),)))

    assert not OperationRecord.objects.filter(operation="rollout").exists()


def test_mirrors_follow_their_targets(shop):
    roll()

    roll_out(mirrors.select("books"), options=Options(targets=(("shop", None),)))

    assert list_recorded("books", "shop") == []
    assert list_recorded("films", "shop") == [FIRST]


def test_archived_mirror_is_left_alone(shop):
    MirrorRecord.objects.filter(name="films").update(state="archived")
    mirrors.reload()

    report = roll()

    assert show(report)["films"] == "skipped"
    assert list_recorded("films", "shop") == []


# -- Waves -----------------------------------------------------------------------------


_closed = set()


def fail_if_closed(apps, schema_editor):
    if schema_editor.connection.alias in _closed:
        raise ValueError("Closed.")


def break_in(shop, name):
    """Let the migration fail in one mirror."""
    shop.remove("shop", FIRST)
    code = migrations.RunPython(fail_if_closed, migrations.RunPython.noop)
    shop.add("shop", FIRST, AUTHOR, BOOK, code)
    _closed.add(name)


def mend():
    _closed.clear()


def test_waves_come_one_after_the_other(shop):
    order, waves = [], []

    roll(
        options=Options(canary=1, waves=("50%",)),
        on_step=lambda result: order.append(result.mirror),
        on_wave=lambda wave, number, total: waves.append((wave.title, number, total)),
    )

    assert order == ["books", "films", "music"]
    assert waves == [("canary", 1, 3), ("50%", 2, 3), ("the rest", 3, 3)]


def test_failed_canary_stops_the_rest(shop):
    break_in(shop, "books")
    told = []

    report = roll(options=CANARY, on_step=lambda result: told.append(result.mirror))

    assert show(report) == {"books": "failed", "films": "skipped", "music": "skipped"}
    assert list_not_begun(report) == ["films", "music"]
    assert list_recorded("films", "shop") == []
    assert told == ["books", "films", "music"]
    assert find_outcome() == "stopped"


def test_failure_within_a_wave_hides_no_other(shop):
    break_in(shop, "films")

    report = roll()

    assert show(report) == {"books": "done", "films": "failed", "music": "done"}
    assert report.failures[0].error == "ValueError: Closed. (shop.0001_initial)"
    assert find_outcome() == "failed"


def test_no_mirror_is_begun_after_too_many_failures(shop):
    break_in(shop, "books")

    report = roll(max_failures=1)

    assert list_not_begun(report) == ["films", "music"]
    assert find_outcome() == "stopped"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (False, "the hook 'tests.operations.rollout.hooks.health' says that it is not"),
        ("Its pages are slow.", "Its pages are slow."),
        (ValueError("Nobody answers."), "ValueError: Nobody answers."),
    ],
)
def test_unhealthy_wave_stops_the_rest(shop, called, answer, said):
    hooks.ANSWERS["health books"] = answer

    report = roll(options=CANARY)

    assert show(report) == {"books": "failed", "films": "skipped", "music": "skipped"}
    assert said in report.failures[0].error
    assert list_recorded("films", "shop") == []
    assert find_outcome() == "stopped"


@pytest.mark.parametrize("answer", [None, True, ""])
def test_healthy_wave_lets_the_next_one_begin(shop, called, answer):
    hooks.ANSWERS["health books"] = answer

    assert show(roll(options=CANARY)) == {
        "books": "done", "films": "done", "music": "done",
    }  # fmt: skip


def test_database_that_is_lost_after_its_wave_stops_the_rest(shop):
    def lose(result):
        with use_mirror("books"):
            Marker.objects.update(uid=uuid4())

    report = roll(options=CANARY, on_step=lose)

    assert show(report)["books"] == "failed"
    assert list_not_begun(report) == ["films", "music"]


def test_mirrors_that_were_not_changed_are_not_checked(shop, called):
    go("books")
    called.clear()

    roll(options=CANARY)

    assert "health books" not in called


def test_health_is_checked_between_waves_only(shop, called):
    roll()

    assert [call for call in called if call.startswith("health")] == []


# -- Hooks -----------------------------------------------------------------------------


def test_hooks_are_called_once_around_the_migrations(shop, called):
    def tell(apps, schema_editor):
        called.append(f"code {schema_editor.connection.alias}")

    shop.remove("shop", FIRST)
    shop.add("shop", FIRST, migrations.RunPython(tell))

    roll_out(mirrors.select("books", "films"))

    assert called == [
        "before books", "code books", "after books",
        "before films", "code films", "after films",
    ]  # fmt: skip


def test_hooks_are_not_called_in_a_mirror_in_step(shop, called):
    roll()
    called.clear()

    roll()

    assert called == []


def test_hook_that_fails_before_keeps_the_mirror_as_it_is(shop, called):
    hooks.ANSWERS["before books"] = ValueError("Not now.")

    report = roll_out(mirrors.select("books"))

    assert report.failures[0].error == "ValueError: Not now."
    assert list_recorded("books", "shop") == []
    assert called == ["before books"]


def test_hook_afterwards_is_called_again_if_it_was_cut(shop, called):
    hooks.ANSWERS["after books"] = ValueError("Not now.")
    assert show(roll_out(mirrors.select("books"))) == {"books": "failed"}
    hooks.ANSWERS.clear()
    called.clear()

    report = roll_out(mirrors.select("books"))

    assert show(report) == {"books": "done"}
    assert report.results[0].detail == "completed"
    assert called == ["after books"]


def test_caches_of_a_mirror_that_is_changed_are_emptied(shop, settings):
    options = {**settings.MIRRORS_OPTIONS, "CLEAR_CACHES": ["default"]}
    settings.MIRRORS_OPTIONS = options
    for name in ("books", "films"):
        with use_mirror(name):
            cache.set("title", name)

    roll_out(mirrors.select("books"))

    with use_mirror("books"):
        assert cache.get("title") is None
    with use_mirror("films"):
        assert cache.get("title") == "films"


def test_static_files_are_collected_once(shop, monkeypatch):
    commands = []
    monkeypatch.setattr(
        engine, "call_command", lambda name, **options: commands.append(name)
    )

    roll(options=Options(collects_static=True))
    roll()

    assert commands == ["collectstatic"]


def test_original_is_migrated_first_if_that_is_wanted(shop, monkeypatch):
    shop.add("shop", "0002_more")
    migrated = []

    def migrate(mirror):
        migrated.append(mirror.name)
        record_in_original(("shop", "0002_more"))

    monkeypatch.setattr(engine, "migrate", migrate)
    with pytest.raises(OperationFailed, match=r"lacks 1 migration, first shop\.0002"):
        roll()

    roll(with_original=True)
    roll(with_original=True)

    assert migrated == ["original"]


# -- Going on --------------------------------------------------------------------------


def test_resumed_rollout_repeats_nothing_and_tries_failures_again(shop, called):
    break_in(shop, "films")
    first = roll()
    mend()
    called.clear()

    report = resume_rollout()

    assert report.id == first.id
    assert show(report) == {"books": "done", "films": "done", "music": "done"}
    assert called == ["before films", "after films"]
    assert find_outcome() == "done"


def test_resumed_rollout_goes_on_with_the_waves_that_were_left(shop):
    break_in(shop, "books")
    roll(options=CANARY)
    mend()
    order = []

    report = resume_rollout(on_step=lambda result: order.append(result.mirror))

    assert order == ["books", "films", "music"]
    assert report.count("done") == 3


def test_finished_rollout_that_is_resumed_does_nothing(shop, called):
    roll()
    called.clear()

    report = resume_rollout()

    assert called == []
    assert report.count("done") == 3


def test_resumed_rollout_keeps_its_targets(shop, called):
    roll()
    hooks.ANSWERS["before books"] = ValueError("Not now.")
    roll(options=Options(targets=(("shop", None),), canary=1))
    hooks.ANSWERS.clear()

    report = resume_rollout()

    assert report.count("done") == 3
    assert list_recorded("music", "shop") == []


def test_only_some_of_what_is_left_are_resumed(shop):
    break_in(shop, "books")
    roll(options=CANARY)
    mend()

    report = resume_rollout(only=["books", "films"])

    assert show(report) == {"books": "done", "films": "done", "music": "skipped"}
    assert list_not_begun(report) == ["music"]
    assert find_outcome() == "stopped"
    assert resume_rollout().count("done") == 3


def test_mirror_that_failed_and_is_left_out_is_told_of_once(shop):
    break_in(shop, "films")
    roll()
    mend()

    report = resume_rollout(only=["music"])

    assert show(report) == {"books": "done", "films": "failed", "music": "done"}
    assert len(report) == 3


def test_health_is_checked_again_where_it_failed(shop, called):
    hooks.ANSWERS["health books"] = False
    roll(options=CANARY)

    assert show(resume_rollout())["books"] == "failed"
    assert list_recorded("films", "shop") == []

    hooks.ANSWERS.clear()
    assert show(resume_rollout())["films"] == "done"


def test_health_that_a_kill_left_out_is_checked_before_the_next_wave(
    shop, called, monkeypatch
):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(engine, "_check_wave", interrupt)
        roll(options=CANARY)
    hooks.ANSWERS["health books"] = False

    report = resume_rollout()

    assert show(report)["books"] == "failed"
    assert list_not_begun(report) == ["films", "music"]
    assert list_recorded("films", "shop") == []


def interrupt(*arguments):
    raise KeyboardInterrupt


def test_health_that_was_checked_is_not_checked_again(shop, called, monkeypatch):
    break_in(shop, "films")
    roll(options=CANARY)
    mend()
    called.clear()

    resume_rollout()

    assert "health books" not in called


def test_what_a_kill_left_out_of_the_journal_is_not_repeated(shop, called, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(_Journal, "flush", interrupt)
        patch.setattr(_Journal, "flush_if_due", lambda self: None)
        roll()
    assert Journal.find().read_done() == frozenset()
    called.clear()

    report = resume_rollout()

    assert called == []
    assert show(report) == {"books": "skipped", "films": "skipped", "music": "skipped"}
    assert find_outcome() == "done"


def test_code_of_another_release_does_not_go_on(shop, settings):
    report = roll()
    settings.MIRRORS_OPTIONS = {**settings.MIRRORS_OPTIONS, "RELEASE": "8"}

    with pytest.raises(OperationFailed) as caught:
        resume_rollout()

    release = Journal.find().plan["release"]
    assert str(caught.value) == (
        f"Rollout {report.id} is of release '{release}', and this code is '8'. Begin a "
        "new rollout."
    )


def test_mirror_that_is_gone_meanwhile_is_a_failure(shop):
    break_in(shop, "books")
    roll(options=CANARY)
    mend()
    MirrorRecord.objects.filter(name="music").delete()
    mirrors.reload()

    report = resume_rollout()

    [failure] = report.failures
    assert failure.error == "Mirror 'music' is gone since the rollout was planned."


def test_rollout_that_did_not_end_is_superseded_by_a_new_one(shop):
    break_in(shop, "books")
    old = roll(options=CANARY)
    mend()

    roll()

    with pytest.raises(OperationFailed, match=r"was superseded\. Begin a new one"):
        resume_rollout(old.id)


# -- Stopping --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "outcome"), [(PAUSE, "paused"), (CANCEL, "cancelled")]
)
def test_rollout_ends_after_the_mirrors_at_hand(shop, monkeypatch, request_, outcome):
    monkeypatch.setattr(engine, "_LOOK_SECONDS", 0)

    report = roll(on_step=lambda result: stop_once(result, request_))

    assert show(report)["books"] == "done"
    assert list_not_begun(report) == ["films", "music"]
    assert find_outcome() == outcome


def stop_once(result, request_):
    with use_original():
        if result.mirror == "books":
            stop_rollout(request_)


def test_rollout_that_nobody_works_on_cannot_be_paused(shop):
    break_in(shop, "books")
    report = roll(options=CANARY)

    with pytest.raises(OperationFailed) as caught:
        stop_rollout(PAUSE)

    assert str(caught.value) == (
        f"Nobody works on rollout {report.id} at this moment, so there is nothing to "
        "pause."
    )


def test_rollout_that_nobody_works_on_can_be_cancelled(shop):
    break_in(shop, "books")
    report = roll(options=CANARY)

    assert stop_rollout(CANCEL) == report.id

    assert find_outcome() == "cancelled"
    with pytest.raises(OperationFailed, match="was cancelled"):
        resume_rollout()


def test_rollout_that_has_ended_is_not_stopped(shop):
    report = roll()

    with pytest.raises(OperationFailed, match=f"Rollout {report.id} has ended already"):
        stop_rollout(CANCEL)


def test_request_to_another_operation_is_not_answered(shop):
    break_in(shop, "books")
    report = roll(options=CANARY)

    with hold_lock("rollout", operation="Rollout of others"):
        assert stop_rollout(CANCEL) == report.id

    assert find_outcome() == "cancelled"


@pytest.fixture
def library(release):
    """Two mirrors with a row each, and a migration that gives rows an owner."""
    release.add("shop", FIRST, AUTHOR, BOOK)
    record_in_original(("shop", FIRST))
    roll_out(mirrors.select("books", "films"))
    for name in ("books", "films"):
        execute(name, "INSERT INTO shop_author (id, name) VALUES (1, 'Jane')")
    second = "0002_owner"
    release.add("shop", second, migrations.AddField("author", "owner", OwnerField()))
    record_in_original(("shop", second))
    ledger.remember.cache_clear()
    yield release
    mend()


def test_owner_that_is_added_to_rows_is_their_own_mirror(library):
    report = roll_out(mirrors.select("books", "films"))

    assert {item.outcome for item in report.results} == {"done"}
    for name in ("books", "films"):
        assert ask(name, "SELECT owner FROM shop_author") == [mirrors[name].uid.hex]
