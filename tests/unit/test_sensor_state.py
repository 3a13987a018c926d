"""What a sensor remembers between executions, and what it does with a trigger's event."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, TaskDeferred

from airflow_provider_media._airflow.arguments import NOT_GIVEN
from airflow_provider_media._polling.lookup import WaitCriteria
from airflow_provider_media.exceptions import MediaAuthError, MediaError, MediaResponseError, MediaUnavailableError
from airflow_provider_media.sensors._wait import Wait
from airflow_provider_media.triggers._policy import PollPolicy
from tests.helpers.fake_store import FakeStore
from tests.unit.helpers.waiting_task import FakeHook, WaitingTask

try:
    from airflow.sdk.exceptions import AirflowRescheduleException
except ImportError:  # Airflow 2
    from airflow.exceptions import AirflowRescheduleException


def waiting_task(*names: str, store: FakeStore | None = None, **arguments: Any) -> WaitingTask:
    return WaitingTask(FakeHook(*names), store, **{"media_ids": [1, 2], **arguments})


def wait_of(task: WaitingTask) -> Wait:
    return load_wait(task.context, "media_default http://h/media")


def load_wait(context: Any, library: str | None) -> Wait:
    criteria = WaitCriteria(ids=("1", "2"))
    return Wait.load(
        context, task_id="wait", library=library, criteria=criteria, policy=PollPolicy(), timeout=60, needed_by=None
    )


def rescheduled(task: WaitingTask) -> None:
    with pytest.raises(AirflowRescheduleException):
        task.execute()


def deferred(task: WaitingTask) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as raised:
        task.execute()
    return raised.value


def event_comes(task: WaitingTask, event: Any, **kept: Any) -> Any:
    """Resume the task with an event, and with what it kept over the deferral."""
    return task.resume("execute_complete", {**kept, "event": json.loads(json.dumps(event))})


def broken(_line: str) -> None:
    """Fail each request."""
    raise MediaUnavailableError("It went wrong.")


def media(media_id: int, name: str = "a") -> dict[str, Any]:
    return {"id": media_id, "name": name}


def test_with_a_store_what_was_found_is_not_asked_for_again_after_a_reschedule() -> None:
    task = waiting_task("a", store=FakeStore(), mode="reschedule")
    for _ in range(3):
        rescheduled(task)
    assert task.hook.calls == ["GET /1", "GET /2", "GET /2", "GET /2"]
    task.hook.library.add("b")
    assert [found["id"] for found in task.execute()] == [1, 2]
    assert task.hook.calls[4:] == ["GET /2", "GET /1"]  # the last one, and the closing look
    assert task.store is not None
    assert task.store.kept == {}


def test_without_a_store_each_execution_looks_for_all() -> None:
    task = waiting_task("a", mode="reschedule")
    for _ in range(2):
        rescheduled(task)
    assert task.hook.calls == ["GET /1", "GET /2"] * 2


@pytest.mark.parametrize(("store", "looks"), [(FakeStore(), 3), (None, 9)])
def test_failures_in_a_row_are_counted_over_reschedules_where_there_is_a_store(store: Any, looks: int) -> None:
    task = waiting_task(store=store, mode="reschedule", max_poll_failures=3)
    task.hook.library.on_call = broken
    for _ in range(looks - 1):
        rescheduled(task)
    if store is not None:
        with pytest.raises(MediaUnavailableError):
            task.execute()
        rescheduled(task)  # a retry begins the count anew


def test_a_retry_keeps_the_first_start_and_a_cleared_task_starts_afresh() -> None:
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
def test_a_retry_after_a_failure_has_the_time_that_is_left(mode: dict[str, Any], fails_in: str) -> None:
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


def test_without_a_task_instance_a_wait_starts_now() -> None:
    before = datetime.now(UTC)
    assert before <= load_wait({}, None).started <= datetime.now(UTC)


def test_what_is_too_large_for_the_store_is_asked_for_again() -> None:
    store = FakeStore()
    task = waiting_task(*["a" * 500] * 100, store=store, media_ids=[*range(1, 101), 901], mode="reschedule")
    rescheduled(task)
    kept = store.checkpoint("media_wait")
    assert (kept["found"], len(json.dumps(store.kept)) < 1000) == ({}, True)
    assert kept["started"] == task.started.isoformat()


def test_found_in_the_first_look_nothing_is_deferred() -> None:
    task = waiting_task("a", "b", store=FakeStore(), deferrable=True)
    assert [found["id"] for found in task.execute()] == [1, 2]


@pytest.mark.parametrize("store", [FakeStore, lambda: None], ids=["with a store", "without"])
def test_what_was_found_before_the_deferral_goes_along(store: Any) -> None:
    task = waiting_task("a", store=store(), deferrable=True)
    deferral = deferred(task)
    assert deferral.trigger.serialize()[1]["media_ids"] == ["2"]
    kwargs = json.loads(json.dumps(deferral.kwargs))
    assert list(kwargs["found"]) == ["1"]
    task.hook.library.add("b")
    task.hook.calls.clear()
    found = event_comes(task, {"status": "found", "found": {"2": [media(2)]}}, **kwargs)
    assert [one["id"] for one in found] == [1, 2]
    assert task.hook.calls == ["GET /1", "GET /2"]  # the closing look


def test_one_alone_needs_no_closing_look() -> None:
    task = waiting_task(media_ids=NOT_GIVEN, media_id=7, deferrable=True)
    deferred(task)
    task.hook.calls.clear()
    assert event_comes(task, {"status": "found", "found": {"7": [media(7)]}})["id"] == 7
    assert task.hook.calls == []


def test_what_is_gone_in_the_closing_look_is_waited_for_again() -> None:
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
def test_the_shape_is_the_same_after_a_deferral(arguments: dict[str, Any], shape: Any) -> None:
    task = waiting_task(**arguments, deferrable=True)
    key = task.arguments.get("name") or (task.arguments.get("names") or ["1"])[0]
    deferred(task)
    found = event_comes(task, {"status": "found", "found": {key: [media(1)]}})
    assert ([one["id"] for one in found] if isinstance(found, list) else found["id"]) == shape


@pytest.mark.parametrize("event", [None, {}, {"status": "done"}, {"status": "found", "found": [1]}, "found"], ids=repr)
def test_an_event_that_makes_no_sense_is_an_error(event: Any) -> None:
    task = waiting_task(deferrable=True)
    deferred(task)
    with pytest.raises(MediaResponseError, match="Clear the task"):
        event_comes(task, event)


def test_an_event_that_claims_too_little_is_not_believed() -> None:
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
def test_a_failed_wait_raises_its_error_and_says_how_far_it_was(name: str | None, error: type[Exception]) -> None:
    store = FakeStore()
    task = waiting_task(store=store, deferrable=True)
    deferred(task)
    event = {"status": "failed", "found": {"1": [media(1)]}, "error": name, "message": "It went wrong."}
    with pytest.raises(error, match=r"It went wrong\. \(1 of 2 found \('1'\), missing: '2'\)") as raised:
        event_comes(task, event)
    assert type(raised.value) is error
    task.hook.calls.clear()
    deferred(task)  # a retry looks for all anew
    assert task.hook.calls == ["GET /1", "GET /2"]


def test_what_an_older_release_deferred_is_taken_up() -> None:
    """Without what was found before, and with an event of just a status."""
    task = waiting_task("a", "b", deferrable=True)
    assert [one["id"] for one in task.resume("execute_complete", {"event": {"status": "found"}})] == [1, 2]
