"""The state of a sensor between executions, and the handling of trigger events."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, TaskDeferred

from airflow_provider_media._airflow.arguments import NOT_GIVEN
from airflow_provider_media._api import flows
from airflow_provider_media.exceptions import MediaAuthError, MediaError, MediaResponseError, MediaUnavailableError
from airflow_provider_media.sensors._wait import Wait, load_wait
from tests.helpers.fake_store import FakeStore
from tests.unit.helpers.waiting_task import FakeHook, WaitingTask

try:
    from airflow.sdk.exceptions import AirflowRescheduleException
except ImportError:  # Airflow 2
    from airflow.exceptions import AirflowRescheduleException


def waiting_task(*names: str, store: FakeStore | None = None, **arguments: Any) -> WaitingTask:
    return WaitingTask(FakeHook(*names), store, **{"media_ids": [1, 2], **arguments})


def wait_of(task: WaitingTask) -> Wait:
    return load_wait(task.sensor(), task.context)


def rescheduled(task: WaitingTask) -> None:
    with pytest.raises(AirflowRescheduleException):
        task.execute()


def deferred(task: WaitingTask) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as raised:
        task.execute()
    return raised.value


def event_comes(task: WaitingTask, event: Any, **kept: Any) -> Any:
    """Resume the task with an event and the arguments of its deferral."""
    return task.resume("execute_complete", {**kept, "event": json.loads(json.dumps(event))})


def broken(_line: str) -> None:
    """Fail each request."""
    raise MediaUnavailableError("It went wrong.")


def media(media_id: int, name: str = "a") -> dict[str, Any]:
    return {"id": media_id, "name": name}


def test_store_keeps_found_files_across_reschedules() -> None:
    task = waiting_task("a", store=FakeStore(), mode="reschedule")
    for _ in range(3):
        rescheduled(task)
    assert task.hook.calls == ["GET /1", "GET /2", "GET /2", "GET /2"]
    task.hook.library.add("b")
    assert [found["id"] for found in task.execute()] == [1, 2]
    assert task.hook.calls[4:] == ["GET /2", "GET /1"]  # the last one, and the verification
    assert task.store is not None
    assert task.store.kept == {}


def test_without_a_store_each_execution_requests_all() -> None:
    task = waiting_task("a", mode="reschedule")
    for _ in range(2):
        rescheduled(task)
    assert task.hook.calls == ["GET /1", "GET /2"] * 2


@pytest.mark.parametrize(("store", "polls"), [(FakeStore(), 3), (None, 9)])
def test_store_counts_failures_across_reschedules(store: Any, polls: int) -> None:
    task = waiting_task(store=store, mode="reschedule", max_poll_failures=3)
    task.hook.library.on_call = broken
    for _ in range(polls - 1):
        rescheduled(task)
    if store is not None:
        with pytest.raises(MediaUnavailableError):
            task.execute()
        rescheduled(task)  # a retry resets the count


def test_retry_keeps_the_first_start_and_clearing_resets_it() -> None:
    store = FakeStore()
    task = waiting_task(store=store, retries=2, mode="reschedule")
    first_start = task.started
    rescheduled(task)
    task.started += timedelta(hours=1)  # a retry
    assert wait_of(task).started == first_start
    task.max_tries += 3  # cleared: Airflow raises max_tries by the tries so far
    assert wait_of(task).started == task.started
    assert store.checkpoint("media_wait")["started"] == task.started.isoformat()


@pytest.mark.parametrize(
    ("mode", "fails_in"),
    [
        ({"mode": "poke"}, "the worker"),
        ({"mode": "reschedule"}, "the worker"),
        ({"deferrable": True}, "the worker"),
        ({"deferrable": True}, "the triggerer"),
    ],
    ids=str,
)
def test_retry_has_the_remaining_time(mode: dict[str, Any], fails_in: str) -> None:
    task = waiting_task(store=FakeStore(), retries=2, timeout=3600, max_poll_failures=1, **mode)
    task.started -= timedelta(minutes=40)
    if fails_in == "the worker":
        task.hook.library.on_call = broken
        with pytest.raises(MediaUnavailableError):
            task.execute()
        task.hook.library.on_call = lambda _: None
    else:
        kwargs = deferred(task).kwargs or {}
        with pytest.raises(MediaUnavailableError):
            event_comes(task, {"status": "failed", "error": "MediaUnavailableError", "message": "Down."}, **kwargs)
    task.started = datetime.now(UTC)
    task.arguments["timeout"] = 1800
    with pytest.raises(AirflowSensorTimeout, match=r"timeout=1800 s\) has passed"):
        task.execute()


def test_wait_without_a_task_instance_starts_now() -> None:
    before = datetime.now(UTC)
    started = load_wait(waiting_task().sensor(), {}).started  # type: ignore[typeddict-item]
    assert before <= started <= datetime.now(UTC)


def test_too_many_found_files_are_not_stored() -> None:
    store = FakeStore()
    task = waiting_task(*["a" * 500] * 100, store=store, media_ids=[*range(1, 101), 901], mode="reschedule")
    rescheduled(task)
    kept = store.checkpoint("media_wait")
    assert (kept["found"], len(json.dumps(store.kept)) < 1000) == ({}, True)
    assert kept["started"] == task.started.isoformat()


def test_files_found_by_the_first_poll_need_no_deferral() -> None:
    task = waiting_task("a", "b", store=FakeStore(), deferrable=True)
    assert [found["id"] for found in task.execute()] == [1, 2]


@pytest.fixture
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = flows.Paginator.__init__.__kwdefaults__ | {"page_size": 5}  # type: ignore[operator]
    monkeypatch.setattr(flows.Paginator.__init__, "__kwdefaults__", defaults)


def waiting_in_large_library(*newest: str, **arguments: Any) -> WaitingTask:
    others = ["banner", *map(str, range(20))]
    return waiting_task(*others, *newest, media_ids=NOT_GIVEN, deferrable=True, **arguments)


@pytest.mark.usefixtures("short_pages")
class TestFirstPollOfADeferrableSensor:
    @pytest.mark.parametrize("totals", [True, False])
    def test_it_takes_one_request_for_missing_names(self, *, totals: bool) -> None:
        task = waiting_in_large_library(names=["banner", "missing"])
        task.hook.library._totals = totals
        assert deferred(task).trigger.names == ["banner", "missing"]
        assert len(task.hook.calls) == (1 if totals else 2)

    def test_names_among_the_newest_files_are_found_in_the_whole_list(self) -> None:
        task = waiting_in_large_library("banner", "card", names=["banner", "card"])
        assert [media["id"] for media in task.execute()] == [1, 23]  # the oldest of each name
        assert len(task.hook.calls) == 1 + 5

    def test_it_finds_names_in_a_library_of_one_page(self) -> None:
        task = waiting_task("a", "b", media_ids=NOT_GIVEN, name="a", deferrable=True)
        assert task.execute()["id"] == 1
        assert len(task.hook.calls) == 2

    def test_it_reads_the_whole_list_after_the_deadline(self) -> None:
        task = waiting_in_large_library(name="banner", needed_by="2026-01-01T00:00:00Z")
        assert task.execute()["id"] == 1

    def test_it_logs_what_it_searched(self, capsys: pytest.CaptureFixture[str]) -> None:
        deferred(waiting_in_large_library("card", names=["card", "missing"]))
        assert "1 of 2 found ('card'), missing: 'missing', among the newest files" in capsys.readouterr().out

    def test_an_invalid_entry_of_the_name_fails_it(self) -> None:
        task = waiting_task("a", media_ids=NOT_GIVEN, name="a", deferrable=True, max_poll_failures=1)
        task.hook.library.files[0]["size"] = -1
        with pytest.raises(MediaError, match="Invalid list entry 'a'"):
            task.execute()


@pytest.mark.parametrize("store", [FakeStore, lambda: None], ids=["with a store", "without"])
def test_deferral_keeps_the_found_files(store: Any) -> None:
    task = waiting_task("a", store=store(), deferrable=True)
    deferral = deferred(task)
    assert deferral.trigger.serialize()[1]["media_ids"] == ["2"]
    kwargs = json.loads(json.dumps(deferral.kwargs))
    assert list(kwargs["found"]) == ["1"]
    task.hook.library.add("b")
    task.hook.calls.clear()
    found = event_comes(task, {"status": "found", "found": {"2": [media(2)]}}, **kwargs)
    assert [one["id"] for one in found] == [1, 2]
    assert task.hook.calls == ["GET /1", "GET /2"]  # the verification


def test_single_file_needs_no_verification() -> None:
    task = waiting_task(media_ids=NOT_GIVEN, media_id=7, deferrable=True)
    deferred(task)
    task.hook.calls.clear()
    assert event_comes(task, {"status": "found", "found": {"7": [media(7)]}})["id"] == 7
    assert task.hook.calls == []


def test_file_missing_in_the_verification_defers_again() -> None:
    task = waiting_task("a", deferrable=True)
    deferral = deferred(task)
    task.hook.library.add("b")
    task.hook.library.files.pop(0)
    with pytest.raises(TaskDeferred) as raised:
        event_comes(task, {"status": "found", "found": {"2": [media(2)]}}, **(deferral.kwargs or {}))
    assert raised.value.trigger.serialize()[1]["media_ids"] == ["1"]


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [
        ({"media_id": 1, "media_ids": NOT_GIVEN}, 1),
        ({"media_ids": [1]}, [1]),
        ({"media_ids": NOT_GIVEN, "name": "a"}, 1),
        ({"media_ids": NOT_GIVEN, "name": "a*"}, [1]),
        ({"media_ids": NOT_GIVEN, "names": ["a"]}, [1]),
    ],
)
def test_deferral_keeps_the_shape_of_the_result(arguments: dict[str, Any], shape: Any) -> None:
    task = waiting_task(**arguments, deferrable=True)
    key = task.arguments.get("name") or (task.arguments.get("names") or ["1"])[0]
    deferred(task)
    found = event_comes(task, {"status": "found", "found": {key: [media(1)]}})
    assert ([one["id"] for one in found] if isinstance(found, list) else found["id"]) == shape


@pytest.mark.parametrize("event", [None, {}, {"status": "done"}, {"status": "found", "found": [1]}, "found"], ids=repr)
def test_malformed_event_is_an_error(event: Any) -> None:
    task = waiting_task(deferrable=True)
    deferred(task)
    with pytest.raises(MediaResponseError, match="Clear the task"):
        event_comes(task, event)


def test_event_with_missing_files_defers_again() -> None:
    task = waiting_task(deferrable=True)
    deferral = deferred(task)
    with pytest.raises(TaskDeferred):
        event_comes(task, {"status": "found", "found": {}}, **(deferral.kwargs or {}))


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("MediaAuthError", MediaAuthError),
        ("MediaUnavailableError", MediaUnavailableError),
        *((name, MediaError) for name in ("AirflowNotFoundException", "Problem", "Kind", "contextmanager", "", None)),
    ],
)
def test_failed_wait_raises_its_error_with_the_progress(name: str | None, error: type[Exception]) -> None:
    store = FakeStore()
    task = waiting_task(store=store, deferrable=True)
    deferred(task)
    event = {"status": "failed", "found": {"1": [media(1)]}, "error": name, "message": "It went wrong."}
    with pytest.raises(error, match=r"It went wrong\. \(1 of 2 found \('1'\), missing: '2'\)") as raised:
        event_comes(task, event)
    assert type(raised.value) is error
    task.hook.calls.clear()
    deferred(task)  # a retry requests all again
    assert task.hook.calls == ["GET /1", "GET /2"]


def test_deferral_of_an_older_release_is_resumed() -> None:
    """Its deferral has no found files, and its event only a status."""
    task = waiting_task("a", "b", deferrable=True)
    assert [one["id"] for one in task.resume("execute_complete", {"event": {"status": "found"}})] == [1, 2]
