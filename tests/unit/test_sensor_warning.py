"""The warning before a sensor's deadline: once, in every mode."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_media._api import flows
from airflow_provider_media.exceptions import MediaConfigurationError
from tests.helpers.fake_store import FakeStore
from tests.unit.helpers.waiting_task import FakeHook, WaitingTask

try:
    from airflow.sdk.exceptions import AirflowRescheduleException
except ImportError:  # Airflow 2
    from airflow.exceptions import AirflowRescheduleException

HOUR = timedelta(hours=1)
warnings: list[str] = []


@pytest.fixture(autouse=True)
def _no_warnings() -> None:
    warnings.clear()


def record(message: str, context: Any) -> None:
    assert "ti" in context
    warnings.append(message)


def late_task(*, warn_before: timedelta = HOUR, store: FakeStore | None = None, **arguments: Any) -> WaitingTask:
    """Create a task of which one of two files is missing 40 minutes before its deadline."""
    needed_by = datetime.now(UTC) + timedelta(minutes=40)
    arguments = {"names": ["there", "m*"], "min_matches": 2, "on_warning": record} | arguments
    return WaitingTask(FakeHook("there", "m1"), store, needed_by=needed_by, warn_before=warn_before, **arguments)


SENTENCE = "1 of 2 missing, 40 minutes until the deadline (needed_by="
MISSING = "): 'm*': 1 of 2 files"


def assert_warned_once() -> None:
    [message] = warnings
    assert message.startswith(SENTENCE)
    assert message.endswith(MISSING)


def test_sensor_that_polls_warns_once() -> None:
    task = late_task()
    sensor = task.sensor()
    with task._without_database():
        for _ in range(3):
            assert not sensor.poke(task.context).is_done
    assert_warned_once()


@pytest.mark.parametrize("store", [FakeStore(), None], ids=["with a store", "without"])
def test_rescheduled_sensor_warns_once(store: FakeStore | None) -> None:
    if store is None and version("apache-airflow").startswith("3."):
        pytest.skip("Airflow 3 before 3.3 stores nothing about the last poll")
    task = late_task(store=store, mode="reschedule")
    for _ in range(3):
        with pytest.raises(AirflowRescheduleException):
            task.execute()
        task.last_reschedule = datetime.now(UTC)
    assert_warned_once()


def deferred(task: WaitingTask) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as raised:
        task.execute()
    return raised.value


def deferred_again(task: WaitingTask, deferral: TaskDeferred, event: Any) -> TaskDeferred:
    kwargs = json.loads(json.dumps({**(deferral.kwargs or {}), "event": event}))
    with pytest.raises(TaskDeferred) as raised:
        task.resume(deferral.method_name, kwargs)
    return raised.value


@pytest.mark.parametrize("store", [FakeStore(), None], ids=["with a store", "without"])
def test_deferred_sensor_warns_at_the_event_and_defers_again(store: FakeStore | None) -> None:
    task = late_task(store=store, deferrable=True, warn_before=timedelta(minutes=10))
    first = deferred(task)
    assert datetime.fromisoformat(first.trigger.warn_at) == task.arguments["needed_by"] - timedelta(minutes=10)
    task.arguments["warn_before"] = HOUR  # 30 minutes later
    second = deferred_again(task, first, {"status": "warning", "found": {}, "counts": {"m*": 1}})
    assert_warned_once()
    assert (second.trigger.warn_at, second.trigger.deadline) == (None, first.trigger.deadline)
    deferred_again(task, second, {"status": "found", "found": {}})
    assert_warned_once()


def test_no_warning_before_its_time_or_if_all_files_are_there() -> None:
    task = late_task(warn_before=timedelta(minutes=10))
    with task._without_database():
        assert not task.sensor().poke(task.context).is_done
        assert late_task(names=["there"], min_matches=1).sensor().poke(task.context).is_done
    assert warnings == []


def test_sensor_polls_at_the_time_of_the_warning() -> None:
    sensor = late_task(warn_before=timedelta(minutes=39), poke_interval=600).sensor()
    sensor.poke({})  # type: ignore[typeddict-item]
    assert 0 < sensor._get_next_poke_interval(0.0, lambda: 0.0, 1) <= 60


def test_failing_callback_does_not_fail_the_wait(caplog: pytest.LogCaptureFixture) -> None:
    task = late_task(on_warning="json.loads")
    with task._without_database():
        assert not task.sensor().poke(task.context).is_done
    assert SENTENCE in caplog.text
    assert "on_warning failed" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"warn_before": None, "on_warning": record}, "on_warning requires warn_before"),
        ({"warn_before": timedelta(0)}, "warn_before must be a positive number"),
        ({"on_warning": "no.such.module"}, "on_warning='no.such.module' cannot be imported"),
        ({"on_warning": 7}, "on_warning=7 must be a callable"),
    ],
)
def test_invalid_arguments_are_refused_without_requests(arguments: dict[str, Any], message: str) -> None:
    task = late_task(**arguments)
    with pytest.raises(MediaConfigurationError, match=message):
        task.execute()
    assert task.hook.calls == []


def test_first_poll_that_searched_only_the_newest_files_gives_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = flows.Paginator.__init__.__kwdefaults__ | {"page_size": 2}  # type: ignore[operator]
    monkeypatch.setattr(flows.Paginator.__init__, "__kwdefaults__", defaults)
    task = late_task(deferrable=True)
    for number in range(9):
        task.hook.library.add(f"other {number}")
    deferral = deferred(task)
    assert warnings == []
    assert deferral.trigger.warn_at is not None
