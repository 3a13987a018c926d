"""The deadline of a wait: needed_by or the timeout, in each mode and across restarts."""

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

from airflow_provider_media._polling.criteria import found_to_dicts
from airflow_provider_media.exceptions import (
    MediaAuthError,
    MediaConfigurationError,
    MediaError,
    MediaRateLimitError,
    MediaUnavailableError,
)
from airflow_provider_media.models import Media
from tests.helpers.fake_store import FakeStore
from tests.unit.helpers.waiting_task import FakeHook, WaitingTask, deferral_timeout

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
def test_past_deadline_ends_after_one_poll(needed_by: Any, mode: dict[str, Any]) -> None:
    hook = FakeHook("there")
    with pytest.raises(AirflowSensorTimeout) as raised:
        WaitingTask(hook, names=["there", "missing"], needed_by=needed_by, **mode).execute()
    message = str(raised.value)
    assert message.startswith("The deadline (needed_by=2026-01-01")
    assert message.endswith("has passed: 1 of 2 found ('there'), missing: 'missing'.")
    assert sum("page=0" in call for call in hook.calls) == 1


@MODES
def test_present_file_is_found_after_the_deadline(mode: dict[str, Any]) -> None:
    assert WaitingTask(FakeHook("there"), name="there", needed_by=PAST, **mode).execute()["id"] == 1


@pytest.mark.parametrize("timeout", [0, 3600])
@MODES
def test_earlier_limit_ends_the_wait_and_is_named(timeout: float, mode: dict[str, Any]) -> None:
    needed_by = datetime.now(UTC) if timeout else datetime.now(UTC) + HOUR
    with pytest.raises(AirflowSensorTimeout) as raised:
        WaitingTask(FakeHook(), media_id=7, needed_by=needed_by, timeout=timeout, **mode).execute()
    limit = f"needed_by={needed_by.isoformat()}" if timeout else "timeout=0 s"
    assert str(raised.value) == f"The deadline ({limit}) has passed: 0 of 1 found (none), missing: '7'."


@pytest.mark.parametrize("limit", [{"needed_by": PAST}, {"timeout": 0}])
@pytest.mark.parametrize("soft", ["soft_fail", "never_fail"])
@MODES
def test_past_deadline_skips_with_soft_fail_or_never_fail(
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
def test_invalid_needed_by_is_rejected(needed_by: Any, mode: dict[str, Any]) -> None:
    hook = FakeHook()
    with pytest.raises(MediaConfigurationError, match="needed_by"):
        WaitingTask(hook, media_id=7, needed_by=needed_by, **mode).execute()
    assert hook.calls == []


@pytest.mark.parametrize("most", [0, "", "None", "1.5", True], ids=repr)
@MODES
def test_invalid_max_poll_failures_is_rejected(most: Any, mode: dict[str, Any]) -> None:
    hook = FakeHook()
    with pytest.raises(MediaConfigurationError, match="max_poll_failures"):
        WaitingTask(hook, media_id=7, max_poll_failures=most, **mode).execute()
    assert hook.calls == []


def test_needed_by_none_of_an_upstream_task_is_rejected() -> None:
    """Airflow resolves an XComArg before it runs the task, here to None."""
    task = WaitingTask(FakeHook(), media_id=7, needed_by=IN_AN_HOUR)
    sensor = task.sensor()
    sensor.needed_by = None
    with pytest.raises(MediaConfigurationError, match="needed_by must not be None"):
        sensor.execute(task.context)


def test_needed_by_is_templated() -> None:
    task = WaitingTask(FakeHook(), media_id=7, needed_by="{{ (send_at - margin).isoformat() }}")
    sensor = task.sensor()
    sensor.render_template_fields({"send_at": PAST, "margin": HOUR})
    with pytest.raises(AirflowSensorTimeout, match=r"needed_by=2026-01-01T08:00:00\+00:00\) has passed"):
        sensor.execute(task.context)


@STORES
def test_rescheduled_sensor_polls_until_the_deadline(store: Any) -> None:
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


def test_last_poll_is_at_the_deadline() -> None:
    needed_by = datetime.now(UTC) + timedelta(seconds=20)
    task = WaitingTask(FakeHook(), media_id=7, mode="reschedule", poke_interval=60, needed_by=needed_by)
    with pytest.raises(AirflowRescheduleException) as raised:
        task.execute()
    assert abs(raised.value.reschedule_date - needed_by) < timedelta(seconds=1)


@STORES
@pytest.mark.parametrize("since", ["the start", "the first reschedule"])
def test_timeout_of_a_rescheduled_sensor_counts_from_the_first_start(store: Any, since: str) -> None:
    task = WaitingTask(FakeHook(), store(), media_id=7, mode="reschedule", poke_interval=60, timeout=3600)
    with pytest.raises(AirflowRescheduleException):
        task.execute()
    if task.store:
        kept = json.loads(task.store.kept["media_wait"])
        started = (task.started - HOUR).isoformat()
        task.store.set("media_wait", {**kept, "checkpoint": {**kept["checkpoint"], "started": started}})
    elif since == "the start":  # Airflow 2
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
def test_deferral_passes_all_arguments_to_the_trigger(store: Any) -> None:
    needed_by = datetime.now(UTC) + HOUR
    task = WaitingTask(
        FakeHook("there"), store(), names=["there", "m*"], min_matches="2", needed_by=needed_by.isoformat(),
        poke_interval=7, max_poll_failures="3", media_conn_id="media_other", deferrable=True,
        folder_id=7, mime_type="image/*", stored_after="2026-01-01T00:00:00+01:00", pick="newest",
    )  # fmt: skip
    task.hook.library.files[0] |= {"folderId": 7, "createdAt": "2026-01-01T00:00:00Z"}
    deferral = deferral_of(task)
    assert deferral.trigger.serialize()[1] == {
        "media_conn_id": "media_other",
        "media_ids": [],
        "names": ["m*"],
        "exact_names": [],
        "min_matches": 2,
        "folder_id": "7",
        "mime_type": "image/*",
        "stored_after": "2026-01-01T00:00:00+01:00",
        "pick": "newest",
        "found_before": 1,
        "poll_interval": 7.0,
        "deadline": needed_by.isoformat(),
        "warn_at": None,
        "max_poll_failures": 3,
        "not_before": None,
    }
    assert deferral.timeout is not None
    assert HOUR < deferral.timeout < HOUR + timedelta(minutes=6)  # Airflow's own timeout is later


@STORES
def test_timeout_of_a_deferred_sensor_counts_from_the_first_start(store: Any) -> None:
    task = WaitingTask(FakeHook(), store(), media_id=7, deferrable=True, timeout=3600)
    deferral = deferral_of(task)
    deadline = datetime.fromisoformat(deferral.trigger.serialize()[1]["deadline"])
    assert deadline == task.started + HOUR
    # Deferred again, because a file was deleted.
    with pytest.raises(TaskDeferred) as raised:
        event_comes(task, deferral, {"status": "deadline", "found": {}})
    assert raised.value.trigger.serialize()[1]["deadline"] == deadline.isoformat()


@STORES
@pytest.mark.parametrize("soft", [{}, {"soft_fail": True}, {"never_fail": True}], ids=str)
@pytest.mark.parametrize("limit", ["needed_by", "timeout"])
@pytest.mark.parametrize("way", ["by our event", "by Airflow's timeout"])
def test_deadline_during_a_deferral_ends_the_wait(store: Any, soft: dict[str, Any], limit: str, way: str) -> None:
    hook = FakeHook("there")
    task = WaitingTask(hook, store(), names=["there", "missing"], deferrable=True, timeout=3600, retries=3, **soft)
    if limit == "needed_by":
        task.arguments["needed_by"] = IN_AN_HOUR
    deferral = deferral_of(task)
    if limit == "needed_by":
        task.arguments["needed_by"] = PAST
    else:
        task.arguments["timeout"] = 0
    polls = sum("page=0" in call for call in hook.calls)
    resume = {
        "by our event": lambda: event_comes(task, deferral, {"status": "deadline", "found": {}}),
        "by Airflow's timeout": lambda: task.resume("__fail__", {"error": deferral_timeout()}),
    }
    with pytest.raises(AirflowSkipException if soft else AirflowSensorTimeout) as raised:
        resume[way]()
    assert "has passed: 1 of 2 found ('there'), missing: 'missing'." in str(raised.value)
    assert limit in str(raised.value)
    assert sum("page=0" in call for call in hook.calls) == polls + 1  # the last poll
    if task.store:
        assert task.store.kept == {}


def test_late_file_is_found_by_the_last_poll() -> None:
    hook = FakeHook("there")
    task = WaitingTask(hook, names=["there", "late"], deferrable=True)
    deferral_of(task)
    hook.library.add("late")
    task.arguments["needed_by"] = PAST
    assert [media["id"] for media in task.resume("__fail__", {"error": deferral_timeout()})] == [1, 2]


def test_execution_timeout_of_airflow_2_is_not_the_deadline() -> None:
    hook = FakeHook()
    task = WaitingTask(hook, names=["late"], needed_by=IN_AN_HOUR, deferrable=True, soft_fail=True)
    deferral_of(task)
    calls = len(hook.calls)
    with pytest.raises(Exception, match="Trigger/execution timeout"):
        task.resume("__fail__", {"error": "Trigger/execution timeout"})
    assert len(hook.calls) == calls


def test_failed_polls_between_deferrals_count_and_keep_the_interval() -> None:
    """The trigger finds the file in the list, and the worker fails to fetch it by id."""
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


@pytest.mark.parametrize(
    "error", [MediaRateLimitError("No.", retry_after=90), MediaUnavailableError("No.", retry_after=90)]
)
def test_trigger_starts_after_the_delay_that_the_server_requested(error: MediaError) -> None:
    hook = FakeHook("there", "there too")
    task = WaitingTask(hook, media_ids=[1, 2], deferrable=True, poke_interval=60)

    def fail(_line: str) -> None:
        raise error

    hook.library.on_call = fail
    deferral = deferral_of(task)
    for _ in range(2):
        not_before = datetime.fromisoformat(deferral.trigger.not_before) - datetime.now(UTC)
        assert timedelta(seconds=80) < not_before <= timedelta(seconds=90)
        with pytest.raises(TaskDeferred) as raised:
            event_comes(task, deferral, {"status": "found", "found": found_to_dicts({"2": [Media(id=2)]})})
        deferral = raised.value


def test_broken_trigger_is_an_ordinary_failure() -> None:
    task = WaitingTask(FakeHook(), media_id=7, deferrable=True, soft_fail=True)
    deferral_of(task)
    with pytest.raises(Exception, match="Trigger failure"):
        task.resume("__fail__", {"error": "Trigger failure", "traceback": ["it broke"]})


@pytest.mark.parametrize("mode", [{"mode": "poke"}, {"deferrable": True}, {"mode": "reschedule"}], ids=str)
@pytest.mark.parametrize(
    ("kind", "error"), [(MediaAuthError, MediaAuthError), (MediaUnavailableError, MediaUnavailableError)]
)
@pytest.mark.parametrize("soft", [{}, {"soft_fail": True}], ids=str)
def test_failures_have_the_same_effect_in_every_mode(
    mode: dict[str, Any], kind: type[MediaError], error: type[Exception], soft: dict[str, Any]
) -> None:
    """With soft_fail permanent errors skip the task, and transient ones leave it to the retries."""
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
    """Airflow's ``silent_fail`` continues after any number of failed polls, in every mode."""

    def task(self, kind: type[MediaError], mode: dict[str, Any], **arguments: Any) -> WaitingTask:
        """Return a task of which each poll fails."""
        hook = FakeHook()

        def fail(_line: str) -> None:
            raise kind("It went wrong.")

        hook.library.on_call = fail
        # With a timeout, in case the sensor ignores needed_by.
        options = {"max_poll_failures": 1, "timeout": 1, "silent_fail": True, **arguments}
        return WaitingTask(hook, media_id=7, **options, **mode)

    @MODES
    def test_silent_fail_ends_at_the_deadline(self, mode: dict[str, Any]) -> None:
        with pytest.raises(AirflowSensorTimeout, match=r"needed_by.* has passed: 0 of 1 found \(none\), missing: '7'"):
            self.task(MediaUnavailableError, mode, needed_by=PAST).execute()

    def test_rescheduled_sensor_continues(self) -> None:
        task = self.task(MediaUnavailableError, {"mode": "reschedule"}, timeout=3600)
        with pytest.raises(AirflowRescheduleException):
            task.execute()

    def test_deferred_sensor_continues(self) -> None:
        task = self.task(MediaUnavailableError, {"deferrable": True}, timeout=3600)
        assert deferral_of(task).trigger.max_poll_failures >= 1_000_000_000

    @pytest.mark.parametrize("error", [AirflowNotFoundException("no such connection"), OSError("no backend")], ids=repr)
    @MODES
    def test_unreadable_connection_ends_at_the_deadline(self, mode: dict[str, Any], error: Exception) -> None:
        def cannot_be_read(_line: str) -> None:
            raise error

        task = self.task(MediaUnavailableError, mode, needed_by=PAST)
        task.hook.library.on_call = cannot_be_read
        with pytest.raises(AirflowSensorTimeout, match="needed_by"):
            task.execute()

    @MODES
    def test_permanent_error_fails(self, mode: dict[str, Any]) -> None:
        with pytest.raises(MediaAuthError):
            self.task(MediaAuthError, mode).execute()


@MODES
def test_unknown_connection_fails_immediately(mode: dict[str, Any]) -> None:
    hook = FakeHook()

    def cannot_be_read(_line: str) -> None:
        raise AirflowNotFoundException("no such connection")

    hook.library.on_call = cannot_be_read
    with pytest.raises(AirflowNotFoundException):
        WaitingTask(hook, media_id=7, needed_by=IN_AN_HOUR, **mode).execute()


@pytest.mark.parametrize("error", [MediaUnavailableError("Out of order."), AirflowNotFoundException("No connection.")])
@MODES
def test_failed_poll_after_the_deadline_is_a_timeout(mode: dict[str, Any], error: Exception) -> None:
    hook = FakeHook()

    def fail(_line: str) -> None:
        raise error

    hook.library.on_call = fail
    task = {"media_id": 7, "needed_by": PAST, "max_poll_failures": 1, **mode}
    with pytest.raises(AirflowSensorTimeout, match=rf"missing: '7'; the last poll failed: {error}"):
        WaitingTask(hook, **task).execute()
    with pytest.raises(AirflowSkipException, match="needed_by"):
        WaitingTask(hook, soft_fail=True, **task).execute()


def test_trigger_of_a_deferral_can_be_created() -> None:
    path, arguments = deferral_of(WaitingTask(FakeHook(), media_id=7, deferrable=True)).trigger.serialize()
    module, _, name = path.rpartition(".")
    assert getattr(importlib.import_module(module), name)(**arguments).serialize() == (path, arguments)
