"""When a wait ends: by needed_by or by the timeout, with a sentence that says which, in each mode and over restarts."""

from __future__ import annotations

import importlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowNotFoundException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from airflow_provider_media._polling.lookup import found_to_dicts
from airflow_provider_media.exceptions import MediaAuthError, MediaConfigurationError, MediaError, MediaUnavailableError
from airflow_provider_media.models import Media
from tests.helpers.fake_store import FakeStore
from tests.unit.helpers.waiting_task import FakeHook, WaitingTask, deferral_time_out

try:
    from airflow.sdk.exceptions import AirflowRescheduleException
except ImportError:  # Airflow 2
    from airflow.exceptions import AirflowRescheduleException

HOUR = timedelta(hours=1)
PAST = datetime(2026, 1, 1, 9, tzinfo=UTC)
IN_AN_HOUR = datetime.now(UTC) + HOUR

MODES = pytest.mark.parametrize(
    "mode", [{"mode": "poke"}, {"mode": "reschedule"}, {"deferrable": True}], ids=["poke", "reschedule", "deferrable"]
)
STORES = pytest.mark.parametrize("store", [FakeStore, lambda: None], ids=["with a store", "without"])


@pytest.mark.parametrize(
    "needed_by",
    [
        PAST,
        PAST.astimezone(timezone(timedelta(hours=5))),
        "2026-01-01T09:00:00Z",
        "2026-01-01T09:00:00+00:00",
        "2026-01-01T11:00:00+02:00",
        " 2026-01-01 09:00:00.5+00:00 ",
        "20260101T090000Z",
    ],
    ids=str,
)
@MODES
def test_a_deadline_in_the_past_is_over_after_one_look(needed_by: Any, mode: dict[str, Any]) -> None:
    hook = FakeHook("there")
    with pytest.raises(AirflowSensorTimeout) as raised:
        WaitingTask(hook, names=["there", "missing"], needed_by=needed_by, **mode).execute()
    told = str(raised.value)
    assert told.startswith("The deadline (needed_by=2026-01-01")
    assert told.endswith("has passed: 1 of 2 found ('there'), missing: 'missing'.")
    assert sum("page=0" in call for call in hook.calls) == 1


@MODES
def test_what_is_there_is_found_although_the_deadline_is_past(mode: dict[str, Any]) -> None:
    assert WaitingTask(FakeHook("there"), name="there", needed_by=PAST, **mode).execute()["id"] == 1


@pytest.mark.parametrize("timeout", [0, 3600])
@MODES
def test_the_earlier_of_the_two_limits_ends_it_and_is_named(timeout: float, mode: dict[str, Any]) -> None:
    needed_by = datetime.now(UTC) if timeout else datetime.now(UTC) + HOUR
    with pytest.raises(AirflowSensorTimeout) as raised:
        WaitingTask(FakeHook(), media_id=7, needed_by=needed_by, timeout=timeout, **mode).execute()
    limit = f"needed_by={needed_by.isoformat()}" if timeout else "timeout=0 s"
    assert str(raised.value) == f"The deadline ({limit}) has passed: 0 of 1 found (none), missing: '7'."


@pytest.mark.parametrize("limit", [{"needed_by": PAST}, {"timeout": 0}])
@pytest.mark.parametrize("soft", ["soft_fail", "never_fail"])
@MODES
def test_a_wait_that_is_over_is_skipped_when_that_is_wanted(
    limit: dict[str, Any], soft: str, mode: dict[str, Any]
) -> None:
    with pytest.raises(AirflowSkipException):
        WaitingTask(FakeHook(), media_id=7, **{soft: True}, **limit, **mode).execute()


@pytest.mark.parametrize(
    "needed_by",
    [None, "", " ", "None", "tomorrow", "2026-07-01T09:00:00", PAST.replace(tzinfo=None), 5, PAST.date()],
    ids=repr,
)
@MODES
def test_a_deadline_that_is_none_is_refused(needed_by: Any, mode: dict[str, Any]) -> None:
    hook = FakeHook()
    with pytest.raises(MediaConfigurationError, match="needed_by"):
        WaitingTask(hook, media_id=7, needed_by=needed_by, **mode).execute()
    assert hook.calls == []


@pytest.mark.parametrize("most", [0, "", "None", "1.5", True], ids=repr)
@MODES
def test_a_count_of_failures_that_is_none_is_refused(most: Any, mode: dict[str, Any]) -> None:
    hook = FakeHook()
    with pytest.raises(MediaConfigurationError, match="max_poll_failures"):
        WaitingTask(hook, media_id=7, max_poll_failures=most, **mode).execute()
    assert hook.calls == []


def test_a_deadline_that_an_earlier_task_left_empty_is_refused() -> None:
    """Airflow resolves an XComArg before it runs the task, here to None."""
    task = WaitingTask(FakeHook(), media_id=7, needed_by=IN_AN_HOUR)
    sensor = task.sensor()
    sensor.needed_by = None
    with pytest.raises(MediaConfigurationError, match="needed_by must not be None"):
        sensor.execute(task.context)


def test_a_deadline_may_be_a_template() -> None:
    task = WaitingTask(FakeHook(), media_id=7, needed_by="{{ (send_at - margin).isoformat() }}")
    sensor = task.sensor()
    sensor.render_template_fields({"send_at": PAST, "margin": HOUR})
    with pytest.raises(AirflowSensorTimeout, match=r"needed_by=2026-01-01T08:00:00\+00:00\) has passed"):
        sensor.execute(task.context)


@STORES
def test_rescheduled_it_goes_on_until_the_deadline(store: Any) -> None:
    task = WaitingTask(
        FakeHook(), store(), media_id=7, mode="reschedule", poke_interval=60, needed_by=datetime.now(UTC) + HOUR
    )
    for _ in range(3):
        with pytest.raises(AirflowRescheduleException) as raised:
            task.execute()
        assert timedelta(seconds=50) < raised.value.reschedule_date - datetime.now(UTC) <= timedelta(seconds=60)
    task.arguments["needed_by"] = datetime.now(UTC)
    with pytest.raises(AirflowSensorTimeout, match="needed_by"):
        task.execute()


def test_the_last_look_is_not_put_off_beyond_the_deadline() -> None:
    needed_by = datetime.now(UTC) + timedelta(seconds=20)
    task = WaitingTask(FakeHook(), media_id=7, mode="reschedule", poke_interval=60, needed_by=needed_by)
    with pytest.raises(AirflowRescheduleException) as raised:
        task.execute()
    assert abs(raised.value.reschedule_date - needed_by) < timedelta(seconds=1)


@STORES
@pytest.mark.parametrize("since", ["the start", "the first reschedule"])
def test_rescheduled_its_timeout_counts_from_the_first_start(store: Any, since: str) -> None:
    task = WaitingTask(FakeHook(), store(), media_id=7, mode="reschedule", poke_interval=60, timeout=3600)
    with pytest.raises(AirflowRescheduleException):
        task.execute()
    if task.store:
        kept = json.loads(task.store.kept["media_wait"])
        started = (task.started - HOUR).isoformat()
        task.store.set("media_wait", {**kept, "checkpoint": {**kept["checkpoint"], "started": started}})
    elif since == "the start":  # as Airflow 2 tells it
        task.started -= HOUR
    else:
        task.first_reschedule = task.started - HOUR
    with pytest.raises(AirflowSensorTimeout, match=r"timeout=3600 s\) has passed"):
        task.execute()


def deferral_of(task: WaitingTask) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as raised:
        task.execute()
    return raised.value


def event_comes(task: WaitingTask, deferral: TaskDeferred, event: Any) -> Any:
    """Resume the task as Airflow does after a trigger's event, all of it through JSON."""
    kwargs = json.loads(json.dumps({**(deferral.kwargs or {}), "event": event}))
    return task.resume(deferral.method_name, kwargs)


@STORES
def test_deferred_it_tells_the_trigger_all_that_matters(store: Any) -> None:
    needed_by = datetime.now(UTC) + HOUR
    task = WaitingTask(
        FakeHook("there"), store(), names=["there", "m*"], min_matches="2", needed_by=needed_by.isoformat(),
        poke_interval=7, max_poll_failures="3", media_conn_id="media_other", deferrable=True,
    )  # fmt: skip
    deferral = deferral_of(task)
    assert deferral.trigger.serialize()[1] == {
        "media_conn_id": "media_other",
        "media_ids": [],
        "names": ["m*"],
        "exact_names": [],
        "min_matches": 2,
        "poll_interval": 7.0,
        "deadline": needed_by.isoformat(),
        "max_poll_failures": 3,
        "not_before": None,
    }
    assert deferral.timeout is not None
    assert HOUR < deferral.timeout < HOUR + timedelta(minutes=6)  # ours comes first; Airflow's is for lost triggerers


@STORES
def test_deferred_its_timeout_counts_from_the_first_start(store: Any) -> None:
    task = WaitingTask(FakeHook(), store(), media_id=7, deferrable=True, timeout=3600)
    deferral = deferral_of(task)
    deadline = datetime.fromisoformat(deferral.trigger.serialize()[1]["deadline"])
    assert deadline == task.started + HOUR
    # Gone again in the closing look, say: the time left is what was left.
    with pytest.raises(TaskDeferred) as raised:
        event_comes(task, deferral, {"status": "deadline", "found": {}})
    assert raised.value.trigger.serialize()[1]["deadline"] == deadline.isoformat()


@STORES
@pytest.mark.parametrize("soft", [{}, {"soft_fail": True}, {"never_fail": True}], ids=str)
@pytest.mark.parametrize("limit", ["needed_by", "timeout"])
@pytest.mark.parametrize("way", ["by our event", "by Airflow's time-out"])
def test_a_deadline_that_passes_during_a_deferral(store: Any, soft: dict[str, Any], limit: str, way: str) -> None:
    hook = FakeHook("there")
    task = WaitingTask(hook, store(), names=["there", "missing"], deferrable=True, timeout=3600, retries=3, **soft)
    if limit == "needed_by":
        task.arguments["needed_by"] = IN_AN_HOUR
    deferral = deferral_of(task)
    if limit == "needed_by":
        task.arguments["needed_by"] = PAST
    else:
        task.arguments["timeout"] = 0
    looks = sum("page=0" in call for call in hook.calls)
    resume = {
        "by our event": lambda: event_comes(task, deferral, {"status": "deadline", "found": {}}),
        "by Airflow's time-out": lambda: task.resume("__fail__", {"error": deferral_time_out()}),
    }
    with pytest.raises(AirflowSkipException if soft else AirflowSensorTimeout) as raised:
        resume[way]()
    assert "has passed: 1 of 2 found ('there'), missing: 'missing'." in str(raised.value)
    assert limit in str(raised.value)
    assert sum("page=0" in call for call in hook.calls) == looks + 1  # a last look
    if task.store:
        assert task.store.kept == {}


def test_what_comes_in_the_last_moment_is_found_by_the_last_look() -> None:
    hook = FakeHook("there")
    task = WaitingTask(hook, names=["there", "late"], deferrable=True)
    deferral_of(task)
    hook.library.add("late")
    task.arguments["needed_by"] = PAST
    assert [media["id"] for media in task.resume("__fail__", {"error": deferral_time_out()})] == [1, 2]


def test_an_execution_timeout_which_airflow_2_calls_the_same_is_an_ordinary_failure() -> None:
    hook = FakeHook()
    task = WaitingTask(hook, names=["late"], needed_by=IN_AN_HOUR, deferrable=True, soft_fail=True)
    deferral_of(task)
    calls = len(hook.calls)
    with pytest.raises(Exception, match="Trigger/execution timeout"):
        task.resume("__fail__", {"error": "Trigger/execution timeout"})
    assert len(hook.calls) == calls


def test_looks_that_fail_between_deferrals_are_counted_and_come_no_sooner_than_the_interval() -> None:
    """The list has what asking for the id does not: the trigger tells of it each time."""
    hook = FakeHook("there", "there too")
    task = WaitingTask(hook, media_ids=[1, 2], deferrable=True, poke_interval=60, max_poll_failures=3)

    def fail(line: str) -> None:
        if line == "GET /2":
            raise MediaUnavailableError("It went wrong.", status=500)

    hook.library.on_call = fail
    event = {"status": "found", "found": found_to_dicts({"2": [Media(id=2)]})}
    deferral = deferral_of(task)  # the first failure
    assert deferral.trigger.not_before is None
    with pytest.raises(TaskDeferred) as raised:
        event_comes(task, deferral, event)
    not_before = datetime.fromisoformat(raised.value.trigger.not_before)
    assert timedelta(seconds=50) < not_before - datetime.now(UTC) <= timedelta(seconds=60)
    with pytest.raises(MediaUnavailableError, match="It went wrong"):
        event_comes(task, raised.value, event)


def test_a_trigger_that_broke_is_an_ordinary_failure() -> None:
    task = WaitingTask(FakeHook(), media_id=7, deferrable=True, soft_fail=True)
    deferral_of(task)
    with pytest.raises(Exception, match="Trigger failure"):
        task.resume("__fail__", {"error": "Trigger failure", "traceback": ["it broke"]})


@pytest.mark.parametrize("mode", [{"mode": "poke"}, {"deferrable": True}, {"mode": "reschedule"}], ids=str)
@pytest.mark.parametrize(
    ("kind", "error"), [(MediaAuthError, MediaAuthError), (MediaUnavailableError, MediaUnavailableError)]
)
@pytest.mark.parametrize("soft", [{}, {"soft_fail": True}], ids=str)
def test_failures_mean_the_same_in_every_mode(
    mode: dict[str, Any], kind: type[MediaError], error: type[Exception], soft: dict[str, Any]
) -> None:
    """With soft_fail what is final is skipped, and what another try can mend is left to the retries."""
    hook = FakeHook()

    def fail(_line: str) -> None:
        raise kind("It went wrong.")

    hook.library.on_call = fail
    expected = AirflowSkipException if soft and kind is MediaAuthError else error
    with pytest.raises(expected):
        WaitingTask(hook, media_id=7, max_poll_failures=1, **mode, **soft).execute()

    task = WaitingTask(FakeHook(), media_id=7, deferrable=True, **soft)
    event = {"status": "failed", "error": error.__name__, "message": "It went wrong."}
    with pytest.raises(expected, match="It went wrong"):
        event_comes(task, deferral_of(task), event)


class TestSilentFail:
    """Airflow's ``silent_fail`` looks on, however many looks fail, and in the same way in every mode."""

    def task(self, kind: type[MediaError], mode: dict[str, Any], **arguments: Any) -> WaitingTask:
        """Make a task of which each look fails."""
        hook = FakeHook()

        def fail(_line: str) -> None:
            raise kind("It went wrong.")

        hook.library.on_call = fail
        # The timeout is for a sensor that overlooks needed_by: it should end, too.
        options = {"max_poll_failures": 1, "timeout": 1, "silent_fail": True, **arguments}
        return WaitingTask(hook, media_id=7, **options, **mode)

    @MODES
    def test_it_ends_at_the_deadline(self, mode: dict[str, Any]) -> None:
        with pytest.raises(AirflowSensorTimeout, match=r"needed_by.* has passed: 0 of 1 found \(none\), missing: '7'"):
            self.task(MediaUnavailableError, mode, needed_by=PAST).execute()

    def test_rescheduled_it_goes_on(self) -> None:
        task = self.task(MediaUnavailableError, {"mode": "reschedule"}, timeout=3600)
        with pytest.raises(AirflowRescheduleException):
            task.execute()

    def test_deferred_it_goes_on(self) -> None:
        task = self.task(MediaUnavailableError, {"deferrable": True}, timeout=3600)
        assert deferral_of(task).trigger.max_poll_failures >= 1_000_000_000

    @pytest.mark.parametrize("error", [AirflowNotFoundException("no such connection"), OSError("no backend")], ids=repr)
    @MODES
    def test_a_connection_that_cannot_be_read_outlasts_no_deadline(
        self, mode: dict[str, Any], error: Exception
    ) -> None:
        def cannot_be_read(_line: str) -> None:
            raise error

        task = self.task(MediaUnavailableError, mode, needed_by=PAST)
        task.hook.library.on_call = cannot_be_read
        with pytest.raises(AirflowSensorTimeout, match="needed_by"):
            task.execute()

    @MODES
    def test_what_is_final_fails(self, mode: dict[str, Any]) -> None:
        with pytest.raises(MediaAuthError):
            self.task(MediaAuthError, mode).execute()


@MODES
def test_an_unknown_connection_fails_the_task_at_once(mode: dict[str, Any]) -> None:
    hook = FakeHook()

    def cannot_be_read(_line: str) -> None:
        raise AirflowNotFoundException("no such connection")

    hook.library.on_call = cannot_be_read
    with pytest.raises(AirflowNotFoundException):
        WaitingTask(hook, media_id=7, needed_by=IN_AN_HOUR, **mode).execute()


@pytest.mark.parametrize("error", [MediaUnavailableError("Out of order."), AirflowNotFoundException("No connection.")])
@MODES
def test_once_the_deadline_is_past_a_failure_is_no_reason_to_try_again(mode: dict[str, Any], error: Exception) -> None:
    hook = FakeHook()

    def fail(_line: str) -> None:
        raise error

    hook.library.on_call = fail
    task = {"media_id": 7, "needed_by": PAST, "max_poll_failures": 1, **mode}
    with pytest.raises(AirflowSensorTimeout, match=rf"missing: '7'; the last poll failed: {error}"):
        WaitingTask(hook, **task).execute()
    with pytest.raises(AirflowSkipException, match="needed_by"):
        WaitingTask(hook, soft_fail=True, **task).execute()


def test_the_trigger_of_a_deferral_can_be_made() -> None:
    path, arguments = deferral_of(WaitingTask(FakeHook(), media_id=7, deferrable=True)).trigger.serialize()
    module, _, name = path.rpartition(".")
    assert getattr(importlib.import_module(module), name)(**arguments).serialize() == (path, arguments)
